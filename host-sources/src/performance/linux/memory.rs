//! Memory and swap: `/proc/meminfo`.
//!
//! The invariant: used, free, buffers and cached sum up to the limit, as long as the kernel's own numbers do.

use super::super::counters::as_f64;
use super::super::metric::{
    MEMORY_AVAILABLE, MEMORY_LIMIT, MEMORY_SHARED, MEMORY_SLAB, MEMORY_USAGE, MEMORY_UTILIZATION,
    Metric, PAGING_USAGE, PAGING_UTILIZATION,
};
use super::{FILE_BYTES_MAX, First, Hand, Part, Trouble};
use crate::kernel_files::text::{fields, lines, number};
use crate::kernel_files::{FileError, KeptFile, Roots};

/// The unit of the file.
const KIB: u64 = 1024;

/// What is read of the file, in bytes; none where a kernel doesn't tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::performance) struct MemoryInfo {
    pub(in crate::performance) total: Option<u64>,
    pub(in crate::performance) free: Option<u64>,
    pub(in crate::performance) available: Option<u64>,
    buffers: Option<u64>,
    cached: Option<u64>,
    shared: Option<u64>,
    reclaimable: Option<u64>,
    unreclaimable: Option<u64>,
    pub(in crate::performance) swap_total: Option<u64>,
    swap_free: Option<u64>,
}

impl MemoryInfo {
    /// Reads the file; of a line that doesn't read as it should, nothing is known.
    pub(in crate::performance) fn parse(bytes: &[u8]) -> Self {
        let mut info = Self::default();
        for line in lines(bytes) {
            let mut fields = fields(line);
            let (Some(name), Some(value)) = (fields.next(), fields.next()) else {
                continue;
            };
            let place = match name {
                b"MemTotal:" => &mut info.total,
                b"MemFree:" => &mut info.free,
                b"MemAvailable:" => &mut info.available,
                b"Buffers:" => &mut info.buffers,
                b"Cached:" => &mut info.cached,
                b"Shmem:" => &mut info.shared,
                b"SReclaimable:" => &mut info.reclaimable,
                b"SUnreclaim:" => &mut info.unreclaimable,
                b"SwapTotal:" => &mut info.swap_total,
                b"SwapFree:" => &mut info.swap_free,
                _ => continue,
            };
            *place = number(value).and_then(|kib| kib.checked_mul(KIB));
        }
        info
    }
}

pub(super) struct Memory {
    file: KeptFile,
}

impl Memory {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            file: KeptFile::new(roots.proc.join("meminfo"), FILE_BYTES_MAX),
        }
    }
}

impl Part for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble> {
        let contents = self.file.read()?;
        let mut trouble = First::default();
        trouble.note_if(contents.cut);
        let info = MemoryInfo::parse(contents.bytes);
        let mut push = |metric: &Metric, state: &str, bytes: Option<u64>| match (bytes, state) {
            (None, _) => {}
            (Some(bytes), "") => hand.rows.push(metric, as_f64(bytes)),
            (Some(bytes), state) => {
                hand.rows
                    .push_of(metric, format_args!("{state}"), as_f64(bytes));
            }
        };
        let used = used(&info);
        push(&MEMORY_LIMIT, "", info.total);
        push(&MEMORY_AVAILABLE, "", info.available);
        push(&MEMORY_SHARED, "", info.shared);
        push(&MEMORY_USAGE, "used", used);
        push(&MEMORY_USAGE, "free", info.free);
        push(&MEMORY_USAGE, "buffers", info.buffers);
        push(&MEMORY_USAGE, "cached", cached(&info));
        push(&MEMORY_SLAB, "reclaimable", info.reclaimable);
        push(&MEMORY_SLAB, "unreclaimable", info.unreclaimable);
        share(hand, &MEMORY_UTILIZATION, used, info.total);
        if info.swap_total.is_some_and(|bytes| bytes > 0) {
            let used = info.swap_total.zip(info.swap_free);
            let used = used.and_then(|(total, free)| total.checked_sub(free));
            for (state, bytes) in [("used", used), ("free", info.swap_free)] {
                if let Some(bytes) = bytes {
                    hand.rows
                        .push_of(&PAGING_USAGE, format_args!("{state}"), as_f64(bytes));
                }
            }
            share(hand, &PAGING_UTILIZATION, used, info.swap_total);
        }
        if used.is_none() {
            let path = self.file.path();
            trouble.note(FileError::malformed(path, "`MemTotal` and `MemFree`"));
        }
        trouble.result()
    }
}

fn cached(info: &MemoryInfo) -> Option<u64> {
    info.cached?.checked_add(info.reclaimable.unwrap_or(0))
}

fn used(info: &MemoryInfo) -> Option<u64> {
    let unused = [Some(info.free?), info.buffers, cached(info)];
    let unused = unused
        .into_iter()
        .flatten()
        .fold(0_u64, u64::saturating_add);
    Some(info.total?.saturating_sub(unused))
}

fn share(hand: &mut Hand<'_>, metric: &Metric, part: Option<u64>, whole: Option<u64>) {
    if let (Some(part), Some(whole)) = (part, whole.filter(|whole| *whole > 0)) {
        let share = as_f64(part) / as_f64(whole);
        hand.rows.push_of(metric, format_args!("used"), share);
    }
}
