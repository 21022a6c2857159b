//! Where the CPU time goes: each thread's own, as the kernel counts it, by the step that it does.
//!
//! Linux only: it reads `/proc/self`. The invariant: a thread is of exactly one step.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::time::ClockId;

use crate::measure::cpu_time;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Builds rows and appends them to columns; closes batches.
    Source,
    /// Carries batches from the batcher through the filter to the bus.
    Lane,
    /// Filters.
    Filter,
    /// Evaluates the ten rules.
    Triggers,
    /// All else: the sink, the epoch clock, the bench's own looking.
    Rest,
}

impl Step {
    /// All of them, in the order of the way.
    pub(crate) const ALL: [Self; 5] = [
        Self::Source,
        Self::Lane,
        Self::Filter,
        Self::Triggers,
        Self::Rest,
    ];

    /// The case's name.
    pub(crate) const fn case(self) -> &'static str {
        match self {
            Self::Source => "cpu-source",
            Self::Lane => "cpu-lane",
            Self::Filter => "cpu-filter",
            Self::Triggers => "cpu-triggers",
            Self::Rest => "cpu-rest",
        }
    }

    /// The step of the thread of that name; the kernel keeps 15 bytes of it.
    fn of(thread: &str) -> Self {
        const NAMES: [(&str, Step); 3] = [
            ("source-", Step::Source),
            ("slot-filter", Step::Filter),
            ("slot-rule", Step::Triggers),
        ];
        if thread == super::RUNTIME_THREAD_NAME {
            return Self::Lane;
        }
        let known = NAMES.iter().find(|(start, _)| thread.starts_with(start));
        known.map_or(Self::Rest, |(_, step)| *step)
    }
}

/// CPU times at a moment, or between two.
#[derive(Clone, Debug)]
pub(crate) struct CpuTimes {
    steps: BTreeMap<Step, Duration>,
    pub(crate) process: Duration,
}

impl CpuTimes {
    /// Reads all threads of this process, and the process.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut steps = BTreeMap::new();
        for thread in fs::read_dir("/proc/self/task").context("this process's threads")? {
            let folder = thread?.path();
            // A thread that ends just now has nothing more to say.
            let (Ok(name), Ok(times)) = (
                fs::read_to_string(folder.join("comm")),
                fs::read_to_string(folder.join("schedstat")),
            ) else {
                continue;
            };
            let Some(on_cpu) = times.split_whitespace().next() else {
                bail!("this kernel keeps no CPU time of threads (schedstat)");
            };
            let step = steps.entry(Step::of(name.trim_end())).or_default();
            *step += Duration::from_nanos(on_cpu.parse()?);
        }
        Ok(Self {
            steps,
            process: cpu_time(ClockId::ProcessCPUTime),
        })
    }

    /// What was used since then.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let steps = self.steps.keys().map(|step| {
            let used = self.step(*step).saturating_sub(before.step(*step));
            (*step, used)
        });
        Self {
            steps: steps.collect(),
            process: self.process.saturating_sub(before.process),
        }
    }

    /// What a step used.
    pub(crate) fn step(&self, step: Step) -> Duration {
        self.steps.get(&step).copied().unwrap_or_default()
    }
}

/// Bytes of this process that are in memory now.
pub(crate) fn resident_bytes() -> anyhow::Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm").context("this process's memory")?;
    let pages = statm
        .split_whitespace()
        .nth(1)
        .context("no resident pages")?;
    Ok(pages.parse::<u64>()? * rustix::param::page_size() as u64)
}
