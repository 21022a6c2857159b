//! The built-in filter `rest`: lets the unchanged rows of a periodic snapshot rest.
//!
//! What goes on: processes that it hasn't seen, those that started or are gone, those of which
//! anything changed but CPU and memory, and those whose CPU or memory moved by a step since they
//! last went on. It does not judge: a row that rests has been let through before.
//!
//! Invariant: the verdict depends on the settings and the batches seen, in order; memory is
//! bounded, and what is forgotten goes on once more.

mod digest;
mod memory;

use memory::{Memory, Seen};
use serde::Deserialize;
use weir_guest::{Batch, EvalError, Filter, Guest, Mask, Selection, Wants};

weir_guest::columns! {
    process {
        pid: u32,
        start_time: timestamp,
        ppid: u32,
        parent_start_time: timestamp,
        parent_name: text,
        parent_executable: text,
        name: text,
        executable: text,
        executable_deleted: boolean,
        command_line: texts,
        cpu_usage: f64,
        memory_bytes: u64,
        user_id: u32,
        cgroup: text,
        container_id: text,
        executable_hash: text,
        hash_algorithm: text,
        hash_baseline: text,
        accessible: boolean,
        file_exists: boolean,
        lifecycle: text,
    }
}

/// The most entries that fit the memory of a guest (64 MiB): one takes about 100 bytes in the
/// table, twice that while the table grows.
const ENTRIES_MAX: usize = 200_000;
/// The lifecycle of a process in a snapshot; any other is news by itself.
const OBSERVED: &[u8] = b"observed";
/// The lifecycle of a process that is gone.
const EXITED: &[u8] = b"exited";

/// What the slot's settings may say; the defaults are in `settings.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// How many processes are remembered.
    entries_max: usize,
    /// A process goes on when its CPU use moved by so much, in % of one core.
    cpu_step_percent: f64,
    /// A process goes on when its memory moved by so much.
    memory_step_bytes: u64,
}

/// The filter, with what it has seen.
#[derive(Debug)]
struct Rest {
    settings: Settings,
    memory: Memory,
    /// Room for what is hashed of a row.
    bytes: Vec<u8>,
}

impl Rest {
    /// Which rows go on, and remembers them.
    fn moved(&mut self, columns: &process::Columns) -> Mask {
        columns.mask(|row| self.goes_on(columns, row))
    }

    fn goes_on(&mut self, columns: &process::Columns, row: process::Row<'_>) -> bool {
        // A row without its process can't be compared with anything.
        let (Some(pid), Some(start_time)) = (row.pid(), row.start_time()) else {
            return true;
        };
        let key = (pid, start_time);
        let lifecycle = columns.lifecycle.bytes(row.index());
        if lifecycle == Some(EXITED) {
            self.memory.forget(key);
            return true;
        }
        let seen = Seen {
            digest: digest::digest(columns, row, &mut self.bytes),
            cpu_usage: row.cpu_usage(),
            memory_bytes: row.memory_bytes(),
        };
        let moved = self.memory.moved(key, seen, &self.settings);
        moved || lifecycle != Some(OBSERVED)
    }
}

impl Guest for Rest {
    type Settings = Settings;
    const DEFAULTS: &'static str = include_str!("../settings.json");

    fn new(settings: Settings) -> Result<Self, String> {
        if !(2..=ENTRIES_MAX).contains(&settings.entries_max) {
            let entries = settings.entries_max;
            return Err(format!(
                "settings: entries_max: {entries} is not within 2 to {ENTRIES_MAX}"
            ));
        }
        if !settings.cpu_step_percent.is_finite() || settings.cpu_step_percent <= 0.0 {
            let step = settings.cpu_step_percent;
            return Err(format!("settings: cpu_step_percent: {step} is not above 0"));
        }
        if settings.memory_step_bytes == 0 {
            return Err("settings: memory_step_bytes: 0 is not above 0".to_owned());
        }
        Ok(Self {
            memory: Memory::new(settings.entries_max),
            bytes: Vec::new(),
            settings,
        })
    }

    fn wants(&self) -> Wants {
        process::wants()
    }

    fn self_test(&self) -> Result<(), String> {
        let mut fresh = Self::new(self.settings.clone())?;
        let snapshot = sample::snapshot(&[(1, "init"), (7, "sh")]);
        let counts = [
            fresh.moved(&snapshot).count(),
            fresh.moved(&snapshot).count(),
        ];
        match counts {
            [2, 0] => Ok(()),
            other => Err(format!(
                "of 2 processes seen twice {other:?} went on, not [2, 0]"
            )),
        }
    }
}

impl Filter for Rest {
    fn keep(&mut self, batch: &Batch<'_>) -> Result<Selection, EvalError> {
        Ok(self.moved(&process::Columns::fetch(batch)?).into())
    }
}

weir_guest::export!(filter Rest);

mod sample;
#[cfg(test)]
mod tests;
