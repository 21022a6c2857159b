//! What a process has used of the CPU, and which of its threads did.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use procfs::process::Process;

use crate::sources::program::on_cpu;

/// Threads that are told of.
const THREADS_TOLD: usize = 8;

/// CPU times at a moment.
pub(super) struct Usage {
    at: Instant,
    /// Of the process, with threads and children that have ended.
    process: Duration,
    /// Of the threads that are there, by name.
    threads: BTreeMap<String, Duration>,
}

impl Usage {
    /// Of that process, now.
    pub(super) fn of(process: u32) -> anyhow::Result<Self> {
        let process = Process::new(i32::try_from(process)?)?;
        let stat = process.stat().context("the daemon is gone")?;
        let children = u64::try_from(stat.cutime.saturating_add(stat.cstime)).unwrap_or_default();
        let ticks = stat
            .utime
            .saturating_add(stat.stime)
            .saturating_add(children);
        let per_second = u32::try_from(procfs::ticks_per_second())?;
        let mut threads = BTreeMap::new();
        for thread in process.tasks()?.filter_map(Result::ok) {
            let folder = format!("/proc/{}/task/{}", thread.pid, thread.tid);
            // A thread that ends just now has nothing more to say.
            if let (Ok(stat), Ok(used)) = (thread.stat(), on_cpu(&folder)) {
                *threads.entry(stat.comm).or_default() += used;
            }
        }
        Ok(Self {
            at: Instant::now(),
            process: Duration::from_secs(ticks) / per_second,
            threads,
        })
    }

    /// Since then, as a share of a core.
    pub(super) fn share_since(&self, before: &Self) -> f64 {
        let used = self.process.saturating_sub(before.process);
        used.as_secs_f64() / self.elapsed_s(before)
    }

    fn elapsed_s(&self, before: &Self) -> f64 {
        self.at.duration_since(before.at).as_secs_f64()
    }

    /// The threads that used most since then, in % of a core.
    pub(super) fn threads_since(&self, before: &Self) -> String {
        let used = self.threads.iter().map(|(name, now)| {
            let before = before.threads.get(name).copied().unwrap_or_default();
            (now.saturating_sub(before), name)
        });
        let mut used: Vec<_> = used.collect();
        used.sort_unstable_by(|one, other| other.cmp(one));
        let elapsed_s = self.elapsed_s(before);
        let told = used.iter().take(THREADS_TOLD).map(|(used, name)| {
            let percent = used.as_secs_f64() / elapsed_s * 100.0;
            format!("{name} {percent:.3} %")
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_used_is_told_with_the_threads_that_did() {
        let before = Usage::of(std::process::id()).expect("this process");
        let own = before.threads.clone();
        let mut burnt = 0_u64;
        while before.at.elapsed() < Duration::from_millis(100) {
            burnt = burnt.wrapping_add(1);
        }
        let after = Usage::of(std::process::id()).expect("this process");
        assert!(burnt > 0 && !own.is_empty());
        assert!(after.share_since(&before) > 0.0);
        assert!(after.threads_since(&before).contains('%'));
    }
}
