//! From a source to a sink: the daemon's own pipeline with a source of the bench's, one filter, the
//! bus, ten rules in ten slots, and a sink that hears of every firing.
//!
//! Two runs take turns, each with a pipeline of its own. *Full speed*: rows as fast as the queues,
//! which block, let them through; from the first row until the last of the ten slots has answered
//! for the last row. *Paced*: 100,000 rows a second; a row that fires carries the time when it was
//! built, and the sink looks at the clock when it has the trigger's event. A third, [`wide`], has 64 rules.
//!
//! Every row passes the filter and is looked at by all ten rules; one row in [`FULL_MARKED_EVERY`]
//! fires. All of that is read from the statistics afterwards, and a run that lost or skipped a row
//! fails. CPU time is that of each thread, read from the kernel before and after; the sum of the
//! steps must be the process's own CPU time within [`CPU_SUM_TOLERANCE`].

mod wide;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use weir::config::Config;
use weir::guests::Guests;
use weir::sandbox::World;

use crate::guests::Workshop;
use crate::live::source::Plan;
use crate::live::threads::{CpuTimes, Step, resident_bytes};
use crate::live::{self, Live, sink};
use crate::measure::{Effort, figure, median, quantile};
use crate::report::{Better, Case};
use crate::rows::MARK;

/// Rows of a run at full speed.
const FULL_ROWS: usize = 2_000_000;
/// At full speed one row in so many fires: findings are rare.
const FULL_MARKED_EVERY: u64 = 10_000;
/// Rows of a paced run: two seconds.
const PACED_ROWS: usize = 200_000;
/// Rows a second of a paced run.
const PACED_ROWS_PER_SECOND: u64 = 100_000;
/// In a paced run one row in so many fires: a prime, so that these rows stand everywhere in batches.
const PACED_MARKED_EVERY: u64 = 97;
/// Rows that the source hands over at a time.
const CHUNK_ROWS: u64 = 100;
/// How far the sum of the steps may be from the process's CPU time.
const CPU_SUM_TOLERANCE: f64 = 0.1;

/// What is quoted of a run at full speed, but for the steps.
const FULL_CASES: [&str; 3] = ["rows", "cpu-process", "resident"];
/// What is quoted of a paced run, and which part of its latencies.
const PACED_CASES: [(&str, f64); 2] = [("latency-p50", 0.5), ("latency-p99", 0.99)];

/// The ten rules. The first fires; no other ever does, and each looks at all rows of its column.
const RULES: [&str; 10] = [
    "{ name-contains = \"canary\" }",
    "{ executable-starts = \"/tmp/\" }",
    "{ command-line-contains = \"--not-there\" }",
    "{ parent-name-contains = \"not-there\" }",
    "{ cgroup-starts = \"/not-there\" }",
    "{ memory-above = 1099511627776 }",
    "{ cpu-above = 6400.0 }",
    "{ pid-below = 1 }",
    "{ user-is = 4294967294 }",
    "{ started-after = 9000000000000000000 }",
];

/// What one run came to.
struct Ran {
    time: Duration,
    cpu: CpuTimes,
    /// From source to sink, in milliseconds, sorted.
    latencies: Vec<f64>,
    resident_bytes: u64,
}

/// Measures the suite.
pub(crate) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let workshop = Workshop::open()?;
    let config = load(&workshop)?;
    let guests = Guests::new(workshop.sandbox()?);
    let full = Plan {
        rows: effort.of(FULL_ROWS) as u64,
        rows_per_second: None,
        chunk_rows: CHUNK_ROWS,
        marked_every: FULL_MARKED_EVERY,
    };
    let paced = Plan {
        rows: effort.of(PACED_ROWS) as u64,
        rows_per_second: Some(PACED_ROWS_PER_SECOND),
        chunk_rows: CHUNK_ROWS,
        marked_every: PACED_MARKED_EVERY,
    };
    let steps = Step::ALL.map(Step::case);
    let is_full_wanted = effort.wants_any(&FULL_CASES) || effort.wants_any(&steps);
    let is_paced_wanted = effort.wants_any(&PACED_CASES.map(|(case, _)| case));
    let (mut fulls, mut paceds) = (Vec::new(), Vec::new());
    for _ in 0..effort.pairs {
        if is_full_wanted {
            fulls.push(one_run(&config, &guests, full).context("at full speed")?);
        }
        if is_paced_wanted {
            paceds.push(one_run(&config, &guests, paced).context("paced")?);
        }
    }
    let mut cases = Vec::new();
    if is_full_wanted {
        cases.extend(full_cases(&fulls, full.rows)?);
    }
    if is_paced_wanted {
        cases.extend(paced_cases(&paceds));
    }
    // Last: its 64 guests would be counted as resident.
    cases.extend(wide::run(effort, &workshop, &guests).context("64 rules")?);
    Ok(cases)
}

/// Full speed is what is measured here: a slot's share of the CPU would hold it back.
const UNBOUND: &str = "limits = { cpu_share = 0 }";

fn load(workshop: &Workshop) -> anyhow::Result<Config> {
    let mut text = String::from(
        "[collector]\nbackpressure_wait_max = \"60s\"\n[slots.filter]\nmodule = \"text.wasm\"\n",
    );
    // Both conditions hold for every row with a path, and each row has one: all pass.
    writeln!(
        text,
        "settings = {{ name_contains = \"{MARK}\", executable_starts = \"/\" }}\n{UNBOUND}"
    )?;
    for (number, rule) in RULES.iter().enumerate() {
        writeln!(
            text,
            "[slots.rule-{number}]\nmodule = \"rules.wasm\"\nqueue_policy = \"block\"\n\
             block_deadline = \"60s\"\nsettings = {{ rule = {rule} }}\n{UNBOUND}"
        )?;
    }
    live::config(workshop, &text)
}

fn one_run(config: &Config, guests: &Guests, plan: Plan) -> anyhow::Result<Ran> {
    live::block_on(async {
        let live = Live::open(config, guests, plan, sink::age_ns).await?;
        let before = CpuTimes::read()?;
        let started = Instant::now();
        live.go();
        live.wait_answered(|slot| slot.world() == World::Trigger)
            .await?;
        let time = started.elapsed();
        let cpu = CpuTimes::read()?.since(&before);
        let resident_bytes = resident_bytes()?;
        let done = live.finish().await?;
        done.all_answered(plan.rows)?;
        Ok(Ran {
            time,
            cpu,
            latencies: sink::sorted_ms(done.arrived, plan.marked())?,
            resident_bytes,
        })
    })
}

fn of(runs: &[Ran], value: impl Fn(&Ran) -> f64) -> Vec<f64> {
    runs.iter().map(value).collect()
}

fn full_cases(fulls: &[Ran], rows: u64) -> anyhow::Result<Vec<Case>> {
    let a_row = |time: Duration| time.as_secs_f64() * 1e9 / figure(rows);
    let speeds = of(fulls, |ran| figure(rows) / ran.time.as_secs_f64());
    let mut cases = vec![Case::alone("rows", "rows/s", Better::Higher, &speeds)];
    let mut sum = 0.0;
    for step in Step::ALL {
        let times = of(fulls, |ran| a_row(ran.cpu.step(step)));
        sum += median(&times);
        cases.push(Case::alone(step.case(), "ns/row", Better::Lower, &times));
    }
    let process = of(fulls, |ran| a_row(ran.cpu.process));
    let off = (sum / median(&process) - 1.0).abs();
    ensure!(
        off <= CPU_SUM_TOLERANCE,
        "the steps' CPU time is {sum:.0} ns a row, the process's {:.0}",
        median(&process)
    );
    cases.push(Case::alone(
        "cpu-process",
        "ns/row",
        Better::Lower,
        &process,
    ));
    let resident = of(fulls, |ran| figure(ran.resident_bytes) / 1e6);
    cases.push(Case::alone("resident", "MB", Better::Lower, &resident));
    Ok(cases)
}

fn paced_cases(paceds: &[Ran]) -> impl Iterator<Item = Case> {
    PACED_CASES.into_iter().map(|(case, share)| {
        let times = of(paceds, |ran| quantile(&ran.latencies, share));
        Case::alone(case, "ms", Better::Lower, &times)
    })
}
