//! What this process itself uses: CPU time and memory. Not a source; the daemon's health tells of it.

use std::time::Duration;

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// CPU time and memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnCost {
    /// CPU time of all its threads since it began.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

impl OwnCost {
    /// Reads it; none where the system doesn't tell.
    #[must_use]
    pub fn read() -> Option<Self> {
        let pid = sysinfo::get_current_pid().ok()?;
        let wanted = ProcessRefreshKind::nothing().with_cpu().with_memory();
        let mut system = System::new_with_specifics(RefreshKind::nothing()).ok()?;
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, wanted);
        let process = system.process(pid)?;
        Some(Self {
            cpu: Duration::from_millis(process.accumulated_cpu_time()),
            resident_bytes: process.memory(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        assert!(OwnCost::read().unwrap().resident_bytes > 1 << 20);
    }
}
