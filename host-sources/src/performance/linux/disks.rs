//! Disks: `/proc/diskstats`.
//!
//! Whole disks only: what a partition does is in its disk's numbers, too. A disk that never did anything has no
//! rows. The invariant: a disk is (name, device number): another one at the same name begins anew.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::counters::{OBJECTS_MAX, Tracks, as_f64};
use super::super::metric::{DISK_IO, DISK_IO_TIME, DISK_OPERATION_TIME, DISK_OPERATIONS, Metric};
use super::{FILE_BYTES_MAX, First, Hand, Part, Trouble};
use crate::kernel_files::text::{fields, lines, lossy, number, numbers};
use crate::kernel_files::{FileError, KeptFile, Roots};

/// The file counts sectors of 512 bytes, whatever the disk's own are.
const SECTOR_BYTES: f64 = 512.0;
/// Milliseconds of a second.
const SECOND_MS: f64 = 1_000.0;
/// Numbers of a line after the name that every kernel since 2.6 has.
const FIELDS: usize = 11;

/// Reads, sectors read, ms of reads, writes, sectors written, ms of writes, ms busy.
const COUNTERS: usize = 7;

/// One disk or partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::performance) struct DiskLine<'a> {
    /// The device's name; what has a `/` in it is written so.
    pub(in crate::performance) name: &'a [u8],
    /// Its device number.
    pub(in crate::performance) device: (u64, u64),
    counters: [u64; COUNTERS],
}

impl DiskLine<'_> {
    /// Whether it never did anything.
    pub(in crate::performance) fn is_unused(&self) -> bool {
        self.counters.iter().all(|counter| *counter == 0)
    }
}

/// The lines; none for one that doesn't read as it should.
pub(in crate::performance) fn disk_lines(
    bytes: &[u8],
) -> impl Iterator<Item = Option<DiskLine<'_>>> {
    lines(bytes).map(|line| {
        let mut fields = fields(line);
        let device = (number(fields.next()?)?, number(fields.next()?)?);
        let name = fields.next()?;
        let all = numbers::<FIELDS>(fields)?;
        let [
            reads,
            _,
            sectors_read,
            ms_reading,
            writes,
            _,
            sectors_written,
            ms_writing,
            _,
            ms_busy,
            _,
        ] = all;
        Some(DiskLine {
            name,
            device,
            counters: [
                reads,
                sectors_read,
                ms_reading,
                writes,
                sectors_written,
                ms_writing,
                ms_busy,
            ],
        })
    })
}

pub(super) struct Disks {
    file: KeptFile,
    /// Where whole disks have a folder each.
    block: PathBuf,
    tracks: Tracks<COUNTERS>,
    /// Whether a device is a whole disk, asked once.
    whole: BTreeMap<(u64, u64), bool>,
}

impl Disks {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            file: KeptFile::new(roots.proc.join("diskstats"), FILE_BYTES_MAX),
            block: roots.sys.join("block"),
            tracks: Tracks::new(0),
            whole: BTreeMap::new(),
        }
    }
}

/// Whether a device is a whole disk; where nothing tells, it is.
fn is_whole(block: &std::path::Path, name: &[u8]) -> bool {
    use std::os::unix::ffi::OsStringExt as _;
    let name: Vec<u8> = name
        .iter()
        .map(|byte| if *byte == b'/' { b'!' } else { *byte })
        .collect();
    let folder = block.join(std::ffi::OsString::from_vec(name));
    folder.symlink_metadata().is_ok() || !block.is_dir()
}

impl Part for Disks {
    fn name(&self) -> &'static str {
        "disks"
    }

    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble> {
        let path = self.file.path().to_owned();
        let contents = self.file.read()?;
        let mut trouble = First::default();
        trouble.note_if(contents.cut);
        if self.whole.len() > OBJECTS_MAX {
            self.whole.clear();
        }
        self.tracks.begin();
        for line in disk_lines(contents.bytes) {
            let Some(line) = line else {
                trouble.note(FileError::malformed(&path, "a line of a disk"));
                continue;
            };
            let block = &self.block;
            let whole = self.whole.entry(line.device);
            if line.is_unused() || !*whole.or_insert_with(|| is_whole(block, line.name)) {
                continue;
            }
            rates(&mut self.tracks, &line, hand);
        }
        if self.tracks.end() {
            trouble.note(FileError::too_many(&path, "disks", OBJECTS_MAX));
        }
        trouble.result()
    }
}

fn rates(tracks: &mut Tracks<COUNTERS>, line: &DiskLine<'_>, hand: &mut Hand<'_>) {
    let (major, minor) = line.device;
    let identity = major.rotate_left(32) ^ minor;
    let counters = line.counters;
    let deltas = tracks.advance(line.name, identity, hand.moment, counters, hand.ledger);
    let Some(deltas) = deltas else {
        return;
    };
    let name = lossy(line.name);
    for (direction, [operations, sectors, ms]) in [("read", [0, 1, 2]), ("write", [3, 4, 5])] {
        let mut push = |metric: &Metric, value| {
            hand.rows
                .push_of(metric, format_args!("{name}:{direction}"), value);
        };
        push(&DISK_IO, deltas.rate(sectors) * SECTOR_BYTES);
        push(&DISK_OPERATIONS, deltas.rate(operations));
        push(&DISK_OPERATION_TIME, deltas.rate(ms) / SECOND_MS);
    }
    let busy_ms = deltas.values.last().copied().unwrap_or_default();
    // The kernel rounds, and reads its clock at another moment than we do.
    let busy = (as_f64(busy_ms) / SECOND_MS / deltas.elapsed_s).min(1.0);
    hand.rows
        .push_of(&DISK_IO_TIME, format_args!("{name}"), busy);
}
