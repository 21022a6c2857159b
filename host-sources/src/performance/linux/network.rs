//! Interfaces: `/proc/net/dev`, of the network namespace that the daemon is in.
//!
//! An interface that never moved anything has no rows. A name may hold any byte but white space, `/` and `:`.

use super::super::counters::{OBJECTS_MAX, Tracks};
use super::super::metric::{Metric, NETWORK_DROPPED, NETWORK_ERRORS, NETWORK_IO, NETWORK_PACKETS};
use super::{FILE_BYTES_MAX, First, Hand, Part, Trouble};
use crate::kernel_files::text::{fields, lines, lossy, numbers, trimmed};
use crate::kernel_files::{FileError, KeptFile, Roots};

/// Numbers of a line: 8 for what comes in, 8 for what goes out.
const FIELDS: usize = 16;
/// Bytes, packets, errors, drops; of each direction.
const COUNTERS: usize = 8;

/// One interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::performance) struct InterfaceLine<'a> {
    /// Its name.
    pub(in crate::performance) name: &'a [u8],
    counters: [u64; COUNTERS],
}

/// The lines after the two of the head, which have no colon; none for one that doesn't read as it should.
pub(in crate::performance) fn interface_lines(
    bytes: &[u8],
) -> impl Iterator<Item = Option<InterfaceLine<'_>>> {
    lines(bytes)
        .filter(|line| line.contains(&b':'))
        .map(interface_line)
}

fn interface_line(line: &[u8]) -> Option<InterfaceLine<'_>> {
    // Old kernels leave no space after the colon, and their aliases have one in their names.
    let colon = line.iter().rposition(|byte| *byte == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    let all = numbers::<FIELDS>(fields(rest.strip_prefix(b":")?))?;
    let [r0, r1, r2, r3, _, _, _, _, t0, t1, t2, t3, _, _, _, _] = all;
    let name = trimmed(name);
    (!name.is_empty()).then_some(InterfaceLine {
        name,
        counters: [r0, r1, r2, r3, t0, t1, t2, t3],
    })
}

pub(super) struct Network {
    file: KeptFile,
    tracks: Tracks<COUNTERS>,
}

impl Network {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            file: KeptFile::new(roots.proc.join("net/dev"), FILE_BYTES_MAX),
            tracks: Tracks::new(0),
        }
    }
}

impl Part for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble> {
        let path = self.file.path().to_owned();
        let contents = self.file.read()?;
        let mut trouble = First::default();
        trouble.note_if(contents.cut);
        self.tracks.begin();
        for line in interface_lines(contents.bytes) {
            match line {
                Some(line) if line.counters.iter().all(|counter| *counter == 0) => {}
                Some(line) => rates(&mut self.tracks, &line, hand),
                None => trouble.note(FileError::malformed(&path, "a line of an interface")),
            }
        }
        if self.tracks.end() {
            trouble.note(FileError::too_many(&path, "interfaces", OBJECTS_MAX));
        }
        trouble.result()
    }
}

fn rates(tracks: &mut Tracks<COUNTERS>, line: &InterfaceLine<'_>, hand: &mut Hand<'_>) {
    let deltas = tracks.advance(line.name, 0, hand.moment, line.counters, hand.ledger);
    let Some(deltas) = deltas else {
        return;
    };
    let name = lossy(line.name);
    for (direction, first) in [("receive", 0), ("transmit", COUNTERS / 2)] {
        let metrics: [&Metric; COUNTERS / 2] = [
            &NETWORK_IO,
            &NETWORK_PACKETS,
            &NETWORK_ERRORS,
            &NETWORK_DROPPED,
        ];
        for (index, metric) in metrics.into_iter().enumerate() {
            let rate = deltas.rate(first + index);
            hand.rows
                .push_of(metric, format_args!("{name}:{direction}"), rate);
        }
    }
}
