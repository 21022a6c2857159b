//! Page faults and swapping: `/proc/vmstat`.

use super::super::counters::Tracks;
use super::super::metric::{Metric, PAGING_FAULTS, PAGING_OPERATIONS};
use super::{FILE_BYTES_MAX, First, Hand, Part, Trouble};
use crate::kernel_files::text::{fields, lines, number};
use crate::kernel_files::{FileError, KeptFile, Roots};

/// pgfault, pgmajfault, pswpin, pswpout.
const COUNTERS: usize = 4;

/// All faults, major ones, pages from and to the swap; none without the first two. A kernel without swap has no
/// counters of it, and has counted nothing.
pub(in crate::performance) fn counters(bytes: &[u8]) -> Option<[u64; COUNTERS]> {
    let mut all = [None; COUNTERS];
    for line in lines(bytes) {
        let mut fields = fields(line);
        let index = match fields.next() {
            Some(b"pgfault") => 0,
            Some(b"pgmajfault") => 1,
            Some(b"pswpin") => 2,
            Some(b"pswpout") => 3,
            _ => continue,
        };
        if let Some(place) = all.get_mut(index) {
            *place = fields.next().and_then(number);
        }
    }
    let [faults, major, swapped_in, swapped_out] = all;
    Some([
        faults?,
        major?,
        swapped_in.unwrap_or(0),
        swapped_out.unwrap_or(0),
    ])
}

pub(super) struct Paging {
    file: KeptFile,
    track: Tracks<COUNTERS>,
}

impl Paging {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            file: KeptFile::new(roots.proc.join("vmstat"), FILE_BYTES_MAX),
            track: Tracks::new(0),
        }
    }
}

impl Part for Paging {
    fn name(&self) -> &'static str {
        "paging"
    }

    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble> {
        let contents = self.file.read()?;
        let mut trouble = First::default();
        trouble.note_if(contents.cut);
        match counters(contents.bytes) {
            None => {
                trouble.note(FileError::malformed(
                    self.file.path(),
                    "`pgfault` and `pgmajfault`",
                ));
            }
            Some(counters) => {
                let deltas = self
                    .track
                    .advance(b"", 0, hand.moment, counters, hand.ledger);
                if let Some(deltas) = deltas {
                    let minor = (deltas.rate(0) - deltas.rate(1)).max(0.0);
                    let mut push = |metric: &Metric, what: &str, rate| {
                        hand.rows.push_of(metric, format_args!("{what}"), rate);
                    };
                    push(&PAGING_FAULTS, "minor", minor);
                    push(&PAGING_FAULTS, "major", deltas.rate(1));
                    push(&PAGING_OPERATIONS, "in", deltas.rate(2));
                    push(&PAGING_OPERATIONS, "out", deltas.rate(3));
                }
            }
        }
        trouble.result()
    }
}
