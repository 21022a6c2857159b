//! The latest table of processes: what is known of each, by (pid, start time).
//!
//! It is fed batches of kind process, from whatever source, and copies no row: it keeps the batches
//! that hold the latest ones. The invariant: entries and bytes are bounded; what finds no room is
//! counted as lost, and what a complete snapshot doesn't show any more is gone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use weir_bus::event::{ProcessColumns, ProcessEvent};
use weir_bus::{Batch, Snapshot, Timestamp};

/// Processes that the table keeps where nothing else is said: twice the pids of an ordinary host.
pub const ENTRIES_MAX_DEFAULT: usize = 65_536;
/// Bytes of the batches that the table keeps where nothing else is said: while a snapshot replaces the
/// one before, both are kept; 65,536 processes take about 25 MiB.
pub const BYTES_MAX_DEFAULT: usize = 64 << 20;
/// Processes that have exited and are still kept; the oldest goes first, and isn't counted as lost.
pub const EXITED_MAX: usize = 4_096;
/// Sources whose snapshots are told apart; those of more are kept like rows outside of snapshots.
const SOURCES_MAX: usize = 64;
/// What a process's last row says.
const EXITED: &str = "exited";

/// A batch that the table keeps for the rows of it that are the latest.
struct Held {
    batch: Batch,
    /// The number of the update that brought it.
    number: u64,
    /// The bytes of all held batches.
    total_bytes: Arc<AtomicUsize>,
}

impl Held {
    fn new(batch: &Batch, number: u64, total_bytes: &Arc<AtomicUsize>) -> Arc<Self> {
        total_bytes.fetch_add(batch.bytes(), Ordering::Relaxed);
        Arc::new(Self {
            batch: batch.clone(),
            number,
            total_bytes: Arc::clone(total_bytes),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total_bytes
            .fetch_sub(self.batch.bytes(), Ordering::Relaxed);
    }
}

struct Entry {
    held: Arc<Held>,
    row: u32,
    /// The source in whose snapshot it was seen; none outside of one.
    source: Option<u16>,
    exited: bool,
}

/// A process's name: its pid, and its start in ns since the epoch.
type Key = (u32, i64);

/// The snapshot that a source is sending.
struct Current {
    source: Arc<str>,
    id: u64,
    /// The number of its first batch.
    first_number: u64,
}

#[derive(Default)]
struct Table {
    entries: FxHashMap<Key, Entry>,
    /// The start of the latest process of each pid.
    latest_start: FxHashMap<u32, i64>,
    /// Who exited, oldest first, with the number of snapshots that were complete then.
    exited: VecDeque<(Key, u64)>,
    sources: Vec<Current>,
    updates: u64,
    snapshots: u64,
    rows_lost: u64,
}

/// What the table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TableStatistics {
    /// Processes, those that have exited among them.
    pub entries: usize,
    /// Bytes of the batches that it keeps.
    pub bytes: usize,
    /// Rows that found no room.
    pub rows_lost: u64,
}

/// The latest row of every process. Shared by reference: its lock is inside.
pub struct ProcessTable {
    table: RwLock<Table>,
    bytes: Arc<AtomicUsize>,
    entries_max: usize,
    bytes_max: usize,
}

impl Default for ProcessTable {
    fn default() -> Self {
        Self::new(ENTRIES_MAX_DEFAULT, BYTES_MAX_DEFAULT)
    }
}

impl ProcessTable {
    /// An empty table with these bounds.
    #[must_use]
    pub fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            table: RwLock::default(),
            bytes: Arc::default(),
            entries_max,
            bytes_max,
        }
    }

    /// Takes in the rows of a batch; one of another kind changes nothing.
    ///
    /// The last batch of a snapshot ends it: what that snapshot's source has shown before, and not in
    /// it, is gone; so is what was only ever seen outside of snapshots, before this one began. A
    /// process that exited stays until the end of the next snapshot, for those who look into it.
    pub fn update(&self, batch: &Batch) {
        let Some(columns) = ProcessColumns::of(batch) else {
            return;
        };
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.updates += 1;
        let number = table.updates;
        let snapshot = batch.header().snapshot;
        let source = snapshot.and_then(|of| table.source(&batch.header().source, of, number));
        // A batch without rows only ends its snapshot.
        if batch.rows() > 0 {
            if self
                .bytes
                .load(Ordering::Relaxed)
                .saturating_add(batch.bytes())
                > self.bytes_max
            {
                table.rows_lost += batch.rows() as u64;
            } else {
                let held = Held::new(batch, number, &self.bytes);
                table.take_rows(&held, &columns, source, self.entries_max);
            }
        }
        if snapshot.is_some_and(|of| of.last) {
            table.end_snapshot(source);
        }
    }

    /// The latest row of a process; none if it is unknown.
    #[must_use]
    pub fn get(&self, pid: u32, start_time: Timestamp) -> Option<ProcessEvent> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.row((pid, start_time.0))
    }

    /// The batch and the row of it that the process is in; none if it is unknown.
    #[must_use]
    pub fn find(&self, pid: u32, start_time: Timestamp) -> Option<(Batch, usize)> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let entry = table.entries.get(&(pid, start_time.0))?;
        Some((entry.held.batch.clone(), usize::try_from(entry.row).ok()?))
    }

    /// The latest row of the process that last had the pid; none if it is unknown.
    #[must_use]
    pub fn by_pid(&self, pid: u32) -> Option<ProcessEvent> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let start = *table.latest_start.get(&pid)?;
        table.row((pid, start))
    }

    /// What the table holds now.
    #[must_use]
    pub fn statistics(&self) -> TableStatistics {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        TableStatistics {
            entries: table.entries.len(),
            bytes: self.bytes.load(Ordering::Relaxed),
            rows_lost: table.rows_lost,
        }
    }
}

impl Table {
    fn row(&self, key: Key) -> Option<ProcessEvent> {
        let entry = self.entries.get(&key)?;
        let columns = ProcessColumns::of(&entry.held.batch)?;
        let row = columns.row(usize::try_from(entry.row).ok()?)?;
        Some(row.to_owned())
    }

    /// The place of a source among those with snapshots, after noting that it sends this one.
    fn source(&mut self, name: &Arc<str>, snapshot: Snapshot, number: u64) -> Option<u16> {
        let found = self.sources.iter().position(|known| known.source == *name);
        let index = match found {
            Some(index) => index,
            None if self.sources.len() >= SOURCES_MAX => return None,
            None => {
                self.sources.push(Current {
                    source: Arc::clone(name),
                    id: snapshot.id,
                    first_number: number,
                });
                self.sources.len() - 1
            }
        };
        let current = self.sources.get_mut(index)?;
        if current.id != snapshot.id {
            current.id = snapshot.id;
            current.first_number = number;
        }
        u16::try_from(index).ok()
    }

    fn take_rows(
        &mut self,
        held: &Arc<Held>,
        columns: &ProcessColumns<'_>,
        source: Option<u16>,
        entries_max: usize,
    ) {
        let pids = columns.pid.values();
        let mut entries = self.entries.len();
        let starts = columns.start_time.values();
        for (row, (&pid, &start)) in (0_u32..).zip(pids.iter().zip(starts)) {
            let exited = columns.lifecycle.value(row as usize) == EXITED;
            let entry = Entry {
                held: Arc::clone(held),
                row,
                source,
                exited,
            };
            let key = (pid, start);
            let had_exited = match self.entries.get_mut(&key) {
                Some(known) => {
                    let had_exited = known.exited;
                    *known = entry;
                    had_exited
                }
                None if entries >= entries_max => {
                    self.rows_lost += 1;
                    continue;
                }
                None => {
                    self.entries.insert(key, entry);
                    entries += 1;
                    let latest = self.latest_start.entry(pid).or_insert(start);
                    *latest = start.max(*latest);
                    false
                }
            };
            if exited && !had_exited {
                self.note_exit(key);
                entries = self.entries.len();
            }
        }
    }

    fn note_exit(&mut self, key: Key) {
        self.exited.push_back((key, self.snapshots));
        if self.exited.len() > EXITED_MAX {
            self.forget_oldest_exit();
        }
    }

    fn forget_oldest_exit(&mut self) {
        let Some((key, _)) = self.exited.pop_front() else {
            return;
        };
        // It may have been seen alive since, by a source that is behind.
        if self.entries.get(&key).is_some_and(|entry| entry.exited) {
            self.entries.remove(&key);
            forget_latest(&mut self.latest_start, key);
        }
    }

    fn end_snapshot(&mut self, source: Option<u16>) {
        let Some(current) = source.and_then(|index| self.sources.get(usize::from(index))) else {
            return;
        };
        let first_number = current.first_number;
        let latest_start = &mut self.latest_start;
        self.entries.retain(|key, entry| {
            let belongs = entry.source.is_none() || entry.source == source;
            let keep = entry.exited || !belongs || entry.held.number >= first_number;
            if !keep {
                forget_latest(latest_start, *key);
            }
            keep
        });
        // Those that exited in this snapshot were noted at the same count, and stay for one more.
        while let Some((_, snapshots)) = self.exited.front() {
            if *snapshots >= self.snapshots {
                break;
            }
            self.forget_oldest_exit();
        }
        self.snapshots += 1;
    }
}

/// Forgets that this process is the latest of its pid.
fn forget_latest(latest_start: &mut FxHashMap<u32, i64>, (pid, start): Key) {
    if latest_start.get(&pid) == Some(&start) {
        latest_start.remove(&pid);
    }
}

#[cfg(test)]
mod tests;
