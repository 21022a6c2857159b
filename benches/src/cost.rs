//! What a process costs: resident memory and CPU time, as the kernel counts them.
//!
//! Linux only: it reads `/proc`. Memory is what is resident without the pages of files: a program's
//! text is there once for all processes that run it, and is no case's doing.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::time::ClockId;
use serde::{Deserialize, Serialize};

use crate::measure::cpu_time;

/// Bytes of what the kernel calls a kB.
const KIB: u64 = 1 << 10;

/// A process's memory at a moment, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// What is resident, files and all: what `ps` shows.
    pub(crate) resident: u64,
    /// The most that ever was.
    pub(crate) peak: u64,
    /// The part of it that is pages of files.
    files: u64,
}

impl Memory {
    /// Of the process of that id.
    pub(crate) fn of(process: u32) -> anyhow::Result<Self> {
        Self::read(&format!("/proc/{process}/status"))
    }

    /// Of this process.
    pub(crate) fn own() -> anyhow::Result<Self> {
        Self::read("/proc/self/status")
    }

    fn read(path: &str) -> anyhow::Result<Self> {
        let status = fs::read_to_string(path).with_context(|| path.to_owned())?;
        Self::parse(&status).with_context(|| format!("{path} doesn't tell the memory"))
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = status.lines();
            let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
            kib.checked_mul(KIB)
        };
        Some(Self {
            resident: field("VmRSS")?,
            peak: field("VmHWM")?,
            files: field("RssFile")?,
        })
    }

    /// By how much what is no file has grown at most since then. Pages of files only become more, so
    /// that the peak is taken for one of the other pages.
    pub(crate) const fn growth_since(&self, before: &Self) -> u64 {
        let peak = self.peak.saturating_sub(self.files);
        peak.saturating_sub(before.resident.saturating_sub(before.files))
    }
}

/// What work took of a process, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// CPU time, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Bytes by which its memory grew at most.
    pub(crate) memory: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.cpu_ns += other.cpu_ns;
        self.memory += other.memory;
    }
}

/// Watches what a process costs.
pub(crate) struct Meter {
    /// None: this one.
    process: Option<u32>,
    memory: Memory,
    cpu: Duration,
}

impl Meter {
    /// Of this process, from now on; threads that have ended by then count.
    pub(crate) fn own() -> anyhow::Result<Self> {
        Self::start(None)
    }

    /// Of another process, from now on. Its threads have to be there still when it is read.
    pub(crate) fn of(process: u32) -> anyhow::Result<Self> {
        Self::start(Some(process))
    }

    fn start(process: Option<u32>) -> anyhow::Result<Self> {
        let (memory, cpu) = look(process)?;
        Ok(Self {
            process,
            memory,
            cpu,
        })
    }

    /// CPU time counts from now on; what memory was at the start stays what it was.
    pub(crate) fn restart_cpu(&mut self) -> anyhow::Result<()> {
        (_, self.cpu) = look(self.process)?;
        Ok(())
    }

    /// Since the start.
    pub(crate) fn read(&self) -> anyhow::Result<Cost> {
        let (memory, cpu) = look(self.process)?;
        Ok(Cost {
            cpu_ns: u64::try_from(cpu.saturating_sub(self.cpu).as_nanos())?,
            memory: memory.growth_since(&self.memory),
        })
    }
}

fn look(process: Option<u32>) -> anyhow::Result<(Memory, Duration)> {
    Ok(match process {
        None => (Memory::own()?, cpu_time(ClockId::ProcessCPUTime)),
        Some(process) => (Memory::of(process)?, threads_cpu(process)?),
    })
}

/// CPU time of a process's threads that are there.
fn threads_cpu(process: u32) -> anyhow::Result<Duration> {
    let mut all = Duration::ZERO;
    let folder = format!("/proc/{process}/task");
    for thread in fs::read_dir(&folder).with_context(|| folder.clone())? {
        // A thread that ends just now has nothing more to say.
        let Ok(times) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let Some(on_cpu) = times.split_whitespace().next() else {
            bail!("this kernel keeps no CPU time of threads (schedstat)");
        };
        all += Duration::from_nanos(on_cpu.parse()?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_of_what_is_no_file() {
        let status = |resident: u64, peak: u64, files: u64| {
            let text = format!(
                "Name:\tx\nVmHWM:\t{peak} kB\nVmRSS:\t{resident} kB\nRssFile:\t  {files} kB\n"
            );
            Memory::parse(&text).expect("all fields are there")
        };
        let before = status(10, 10, 6);
        assert_eq!(status(12, 30, 8).growth_since(&before), 18 * KIB);
        // Only text was read in.
        assert_eq!(status(14, 14, 10).growth_since(&before), 0);
        assert!(Memory::parse("VmRSS:\t1 kB\n").is_none());
    }

    #[test]
    fn this_process_has_memory_and_used_the_cpu() {
        let own = Memory::own().expect("its own status");
        assert!(own.resident > 0 && own.peak >= own.resident);
        let used = threads_cpu(std::process::id()).expect("its own threads");
        assert!(used > Duration::ZERO);
    }
}
