//! What the filter remembers of each process, by (pid, start time).
//!
//! Invariant: CPU and memory are those with which the process last went on, so that a slow drift
//! adds up to a step, and a value that swings about a border goes on once.

use super::Settings;
use weir_guest::Recent;

/// A process: pid and start time in ns since the epoch.
type Key = (u32, i64);

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    /// The digest of all other fields.
    pub digest: u64,
    /// In % of one core.
    pub cpu_usage: Option<f64>,
    /// Resident.
    pub memory_bytes: Option<u64>,
}

/// The processes seen.
#[derive(Debug)]
pub(crate) struct Memory(Recent<Key, Seen>);

impl Memory {
    /// Remembers at most so many.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self(Recent::new(entries_max))
    }

    /// Whether the process is new, or moved since it last went on; remembers it as it goes on.
    pub(crate) fn moved(&mut self, key: Key, now: Seen, settings: &Settings) -> bool {
        let Some(last) = self.0.get(key) else {
            self.0.insert(key, now);
            return true;
        };
        let changed = last.digest != now.digest;
        // A measurement that was missing (CPU use needs two looks) starts from nothing, and one
        // that is missing now says nothing.
        let cpu_moved = now.cpu_usage.is_some_and(|cpu| {
            (cpu - last.cpu_usage.unwrap_or_default()).abs() >= settings.cpu_step_percent
        });
        let memory_moved = now
            .memory_bytes
            .is_some_and(|bytes| match last.memory_bytes {
                Some(last) => last.abs_diff(bytes) >= settings.memory_step_bytes,
                None => bytes >= settings.memory_step_bytes,
            });
        if changed || cpu_moved || memory_moved {
            last.digest = now.digest;
            last.cpu_usage = now.cpu_usage.or(last.cpu_usage);
            last.memory_bytes = now.memory_bytes.or(last.memory_bytes);
            return true;
        }
        false
    }

    /// The process is gone.
    pub(crate) fn forget(&mut self, key: Key) {
        self.0.remove(key);
    }
}
