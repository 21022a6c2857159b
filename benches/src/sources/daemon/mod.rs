//! The whole daemon on its embedded default, on a host with 2,000 processes: % of a core, and resident memory.
//!
//! It runs as anybody's would: a process of its own, all the sources that the host offers, the built-in rules. Time
//! counts when its start is over: guests are compiled, the first looks have read everything. `by-proc` has none of
//! the privileges that better ways take, and counts when its budget has stretched its interval. The CPU time is of
//! the process and its children, from one end of a minute to the other; where it went, thread by thread, is on
//! stderr.

mod process;
mod usage;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::crowd::Crowd;
use crate::cost::Memory;
use crate::measure::{Effort, figure};
use crate::report::{Better, Case};
pub(super) use process::launch;
use process::{Daemon, Processes};
use usage::Usage;

/// Processes that the bench makes, besides those that are there.
const PROCESSES: usize = 2_000;
const CPU: &str = "daemon-2000/cpu";
const MEMORY: &str = "daemon-2000/memory";
const CPU_BY_PROC: &str = "daemon-2000/cpu-by-proc";
const INTERVAL_BY_PROC: &str = "daemon-2000/interval-by-proc";

/// How long the CPU time is taken.
const SPAN: Duration = Duration::from_secs(60);
const SPAN_QUICK: Duration = Duration::from_secs(3);
/// The start is over when so many seconds in a row each used less than that share of a core.
const CALM_SECONDS: usize = 5;
const CALM_SHARE: f64 = 0.1;
/// Looks that the source of processes has made by then: the first read what later ones needn't.
const FIRST_LOOKS: u64 = 12;
/// How long is waited for that; who never gets calm is measured as he is.
const START_MAX: Duration = Duration::from_secs(60);
/// How long is waited for the budget: it has saved up a minute's worth.
const BUDGET_MAX: Duration = Duration::from_secs(180);
const QUICK_MAX: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(1);

/// What a run came to.
struct Ran {
    cpu_percent: f64,
    memory_mb: f64,
    processes: Processes,
}

/// Measures these cases.
pub(super) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let wants_defaults = effort.wants_any(&[CPU, MEMORY]);
    let wants_by_proc = effort.wants_any(&[CPU_BY_PROC, INTERVAL_BY_PROC]);
    if !wants_defaults && !wants_by_proc {
        return Ok(cases);
    }
    let crowd = Crowd::start(effort.of(PROCESSES))?;
    // Guests are compiled once for both.
    let home = tempfile::tempdir()?;
    if wants_defaults {
        let ran = one_run(effort, home.path(), false)?;
        let percent = Case::alone(CPU, "% core", Better::Lower, &[ran.cpu_percent]);
        let memory = Case::alone(MEMORY, "MB", Better::Lower, &[ran.memory_mb]);
        cases.extend([percent.aimed("< 1"), memory.aimed("< 80")]);
    }
    if wants_by_proc {
        let ran = one_run(effort, home.path(), true)?;
        let percent = Case::alone(CPU_BY_PROC, "% core", Better::Lower, &[ran.cpu_percent]);
        let interval = [ran.processes.interval_s];
        let interval = Case::alone(INTERVAL_BY_PROC, "s", Better::Lower, &interval);
        cases.extend([percent, interval]);
    }
    drop(crowd);
    Ok(cases)
}

fn one_run(effort: Effort, home: &Path, by_proc_only: bool) -> anyhow::Result<Ran> {
    let daemon = Daemon::start(home, by_proc_only)?;
    until_started(effort, &daemon, by_proc_only)?;
    let before = Usage::of(daemon.process())?;
    std::thread::sleep(if effort.is_quick { SPAN_QUICK } else { SPAN });
    let after = Usage::of(daemon.process())?;
    let memory = Memory::of(daemon.process())?;
    let processes = Processes::of(&daemon.sources()?)?;
    eprintln!(
        "sources: the daemon looks at processes by {}, every {} s, {}",
        processes.way, processes.interval_s, processes.health
    );
    eprintln!(
        "sources: the daemon's threads: {}",
        after.threads_since(&before)
    );
    Ok(Ran {
        cpu_percent: after.share_since(&before) * 100.0,
        memory_mb: figure(memory.resident) / 1e6,
        processes,
    })
}

/// Waits until what is only done at the start is over; with `by_proc_only` until the budget has its say, too.
fn until_started(effort: Effort, daemon: &Daemon, by_proc_only: bool) -> anyhow::Result<()> {
    let patience = match (effort.is_quick, by_proc_only) {
        (true, _) => QUICK_MAX,
        (false, false) => START_MAX,
        (false, true) => BUDGET_MAX,
    };
    let began = Instant::now();
    let mut calm = 0;
    let mut before = Usage::of(daemon.process())?;
    while began.elapsed() < patience {
        std::thread::sleep(WINDOW);
        let now = Usage::of(daemon.process())?;
        let is_calm = now.share_since(&before) < CALM_SHARE;
        calm = if is_calm { calm + 1 } else { 0 };
        before = now;
        if calm < CALM_SECONDS {
            continue;
        }
        let processes = daemon.sources().context("while it starts")?;
        let processes = Processes::of(&processes)?;
        let has_settled = match by_proc_only {
            true => processes.is_stretched,
            false => processes.looks >= FIRST_LOOKS,
        };
        if has_settled {
            return Ok(());
        }
    }
    Ok(())
}
