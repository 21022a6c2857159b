//! The peer `native`: the loop over the rows of the Arrow columns that one would write without a
//! sandbox, and without its safety.

use anyhow::Context as _;
use arrow_array::Array as _;
use memchr::memmem::Finder;
use weir_bus::Batch;
use weir_bus::event::ProcessColumns;

/// What `two-string-columns` looks for.
pub(super) struct Texts {
    name_contains: Finder<'static>,
    executable_starts: &'static str,
}

impl Texts {
    pub(super) fn new(name_contains: &'static str, executable_starts: &'static str) -> Self {
        Self {
            name_contains: Finder::new(name_contains),
            executable_starts,
        }
    }

    /// The rows whose name contains the one text, or whose path starts with the other.
    pub(super) fn keep(&self, batch: &Batch) -> anyhow::Result<Vec<u32>> {
        let columns = ProcessColumns::of(batch).context("not a process batch")?;
        let (names, paths) = (columns.name, columns.executable);
        let mut kept = Vec::new();
        for row in 0..names.len() {
            let is_odd =
                paths.is_valid(row) && paths.value(row).starts_with(self.executable_starts);
            if is_odd
                || self
                    .name_contains
                    .find(names.value(row).as_bytes())
                    .is_some()
            {
                kept.push(u32::try_from(row)?);
            }
        }
        Ok(kept)
    }
}

impl Texts {
    /// The same rows, by one search over the bytes of all names, as the guest does it: what somebody
    /// writes who has measured the loop.
    pub(super) fn keep_by_column(&self, batch: &Batch) -> anyhow::Result<Vec<u32>> {
        let columns = ProcessColumns::of(batch).context("not a process batch")?;
        let (names, paths) = (columns.name, columns.executable);
        let mut is_kept: Vec<bool> = (0..paths.len())
            .map(|row| paths.is_valid(row) && paths.value(row).starts_with(self.executable_starts))
            .collect();
        let needle = self.name_contains.needle().len();
        let ends = names.value_offsets().get(1..).unwrap_or_default();
        let mut rows = ends.iter().zip(&mut is_kept);
        let mut from = usize::try_from(names.value_offsets().first().copied().unwrap_or(0))?;
        while let Some(found) = names
            .value_data()
            .get(from..)
            .and_then(|bytes| self.name_contains.find(bytes))
        {
            let hit = from + found;
            // The row that the hit starts in: rows before it are done with.
            let Some((end, is_kept)) =
                rows.find(|(end, _)| usize::try_from(**end).is_ok_and(|end| hit < end))
            else {
                break;
            };
            from = usize::try_from(*end)?;
            // One that runs over into the next row is none.
            *is_kept |= hit + needle <= from;
        }
        let kept = is_kept.iter().zip(0_u32..).filter(|(is_kept, _)| **is_kept);
        Ok(kept.map(|(_, row)| row).collect())
    }
}

/// The rows with at least that much memory and a pid below that one.
pub(super) fn keep_numbers(
    batch: &Batch,
    memory_bytes_min: u64,
    pid_max: u32,
) -> anyhow::Result<Vec<u32>> {
    let columns = ProcessColumns::of(batch).context("not a process batch")?;
    let (memory, pids) = (columns.memory_bytes, columns.pid);
    let mut kept = Vec::new();
    for row in 0..pids.len() {
        if memory.is_valid(row)
            && memory.value(row) >= memory_bytes_min
            && pids.value(row) < pid_max
        {
            kept.push(u32::try_from(row)?);
        }
    }
    Ok(kept)
}
