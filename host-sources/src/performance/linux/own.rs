//! What this process itself costs: `/proc/self/stat` and its descriptors.
//!
//! The invariant: its rows have the pid and start time by which the process source knows it.

use std::path::PathBuf;

use weir_bus::Timestamp;

use super::super::counters::{Tracks, as_f64};
use super::super::metric::{OWN_CPU, OWN_DESCRIPTORS, OWN_MEMORY, OWN_THREADS};
use super::{FILE_BYTES_MAX, First, Hand, Part, Trouble};
use crate::kernel_files::text::{fields, number};
use crate::kernel_files::{FileError, KeptFile, Roots};
use crate::process::details::stat;

/// Descriptors that are counted one by one, on kernels that don't tell their number: more than a daemon should have.
const DESCRIPTORS_MAX: usize = 65_536;
/// Places of user and system time, threads and resident pages among the fields after the name.
const PLACES: [usize; 4] = [11, 12, 17, 21];

/// What a process's `stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::performance) struct OwnStat {
    pid: u32,
    start_ticks: u64,
    cpu_ticks: u64,
    threads: u64,
    pages: u64,
}

impl OwnStat {
    /// Reads it, whatever the process is called.
    pub(in crate::performance) fn parse(bytes: &[u8]) -> Option<Self> {
        let pid = number(fields(bytes).next()?)?;
        let name_end = bytes.iter().rposition(|byte| *byte == b')')?;
        let (_, after) = bytes.split_at_checked(name_end.checked_add(1)?)?;
        let at = |place: usize| fields(after).nth(place).and_then(number);
        let [user, system, threads, pages] = PLACES;
        Some(Self {
            pid: u32::try_from(pid).ok()?,
            start_ticks: stat::start_ticks(bytes)?,
            cpu_ticks: at(user)?.checked_add(at(system)?)?,
            threads: at(threads)?,
            pages: at(pages)?,
        })
    }
}

pub(super) struct Own {
    file: KeptFile,
    descriptors: PathBuf,
    track: Tracks<1>,
}

impl Own {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            file: KeptFile::new(roots.proc.join("self/stat"), FILE_BYTES_MAX),
            descriptors: roots.proc.join("self/fd"),
            track: Tracks::new(0),
        }
    }

    /// Since 6.2 a size of the folder says how many there are.
    fn descriptors(&self) -> Option<u64> {
        let size = std::fs::metadata(&self.descriptors).ok()?.len();
        if size > 0 {
            return Some(size);
        }
        let entries = std::fs::read_dir(&self.descriptors).ok()?;
        // Reading the folder takes one itself.
        let count = entries.take(DESCRIPTORS_MAX).count().checked_sub(1)?;
        u64::try_from(count).ok()
    }
}

impl Part for Own {
    fn name(&self) -> &'static str {
        "own cost"
    }

    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble> {
        let mut trouble = First::default();
        let descriptors = self.descriptors();
        let path = self.file.path().to_owned();
        let contents = self.file.read()?;
        let Some(own) = OwnStat::parse(contents.bytes) else {
            return Err(FileError::malformed(&path, "a process").into());
        };
        let process: (u32, Timestamp) = (own.pid, stat::start_time(own.start_ticks));
        let ticks_s = as_f64(rustix::param::clock_ticks_per_second().max(1));
        let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
        self.track.begin();
        let counters = [own.cpu_ticks];
        if let Some(deltas) =
            self.track
                .advance(b"", own.start_ticks, hand.moment, counters, hand.ledger)
        {
            hand.rows
                .push_of_process(&OWN_CPU, process, deltas.rate(0) / ticks_s);
        }
        let resident_bytes = own.pages.saturating_mul(page_bytes);
        hand.rows
            .push_of_process(&OWN_MEMORY, process, as_f64(resident_bytes));
        hand.rows
            .push_of_process(&OWN_THREADS, process, as_f64(own.threads));
        match descriptors {
            Some(count) => hand
                .rows
                .push_of_process(&OWN_DESCRIPTORS, process, as_f64(count)),
            None => trouble.note(FileError::malformed(
                &self.descriptors,
                "a folder of descriptors",
            )),
        }
        trouble.result()
    }
}
