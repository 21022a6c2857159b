//! From a source to a sink: the daemon's own pipeline with a source of the bench's, one filter, the
//! bus, ten rules in ten slots, and a sink that hears of every firing.
//!
//! Two runs take turns, each with a pipeline of its own. *Full speed*: rows as fast as the queues,
//! which block, let them through; from the first row until the last of the ten slots has answered
//! for the last row. *Paced*: 100,000 rows a second; a row that fires carries the time when it was
//! built, and the sink looks at the clock when it has the trigger's event.
//!
//! Every row passes the filter and is looked at by all ten rules; one row in [`FULL_MARKED_EVERY`]
//! fires. All of that is read from the statistics afterwards, and a run that lost or skipped a row
//! fails. CPU time is that of each thread, read from the kernel before and after; the sum of the
//! steps must be the process's own CPU time within [`CPU_SUM_TOLERANCE`].

mod sink;
mod source;
mod threads;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use weir::config::{self, Config, LoadRequest};
use weir::guests::Guests;
use weir::pipeline::{Pipeline, PipelineStatus};
use weir::sandbox::World;
use weir::sink::{Console, Output};
use weir_sources::EventSource;

use crate::guests::Workshop;
use crate::measure::{Effort, figure, median, quantile};
use crate::report::{Better, Case};
use crate::rows::MARK;
use sink::Arrivals;
use source::{BenchSource, Plan};
use threads::{CpuTimes, Step};

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
/// How far the sum of the steps may be from the process's CPU time.
const CPU_SUM_TOLERANCE: f64 = 0.1;
/// Longer than any run takes: reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the counts are looked at while a run is under way.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// Threads that carry lanes and timers, as the daemon has them.
const RUNTIME_THREADS: usize = 2;
/// How the daemon calls these threads.
const RUNTIME_THREAD_NAME: &str = "weir";

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
        marked_every: FULL_MARKED_EVERY,
    };
    let paced = Plan {
        rows: effort.of(PACED_ROWS) as u64,
        rows_per_second: Some(PACED_ROWS_PER_SECOND),
        marked_every: PACED_MARKED_EVERY,
    };
    let (mut fulls, mut paceds) = (Vec::new(), Vec::new());
    for _ in 0..effort.pairs {
        fulls.push(one_run(&config, &guests, full).context("at full speed")?);
        paceds.push(one_run(&config, &guests, paced).context("paced")?);
    }
    cases(&fulls, full.rows, &paceds)
}

/// Full speed is what is measured here: a slot's share of the CPU would hold it back.
const UNBOUND: &str = "limits = { cpu_share = 0 }";

fn load(workshop: &Workshop) -> anyhow::Result<Config> {
    let mut text = String::from(
        "[bus]\nkind = \"local\"\n[collector]\nbackpressure_wait_max = \"60s\"\n\
         [slots.filter]\nmodule = \"text.wasm\"\n",
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
    let loaded = config::load(&LoadRequest {
        flags: workshop.flags()?,
        embedded_default: &text,
        ..LoadRequest::default()
    })?;
    Ok(loaded.config)
}

fn one_run(config: &Config, guests: &Guests, plan: Plan) -> anyhow::Result<Ran> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name(RUNTIME_THREAD_NAME)
        .enable_all()
        .build()?;
    let ran = runtime.block_on(run_pipeline(config, guests, plan));
    runtime.shutdown_background();
    ran
}

async fn run_pipeline(config: &Config, guests: &Guests, plan: Plan) -> anyhow::Result<Ran> {
    let source = Arc::new(BenchSource::new(plan));
    let console = Arc::new(Console::new(Output::Json));
    let sources: Vec<Arc<dyn EventSource>> = vec![Arc::clone(&source) as _];
    let pipeline = Pipeline::start(config, guests, &console, sources)?;
    let arrivals = Arrivals::subscribe(&pipeline.bus())?;
    source.wait_ready().await;

    let before = CpuTimes::read()?;
    let started = Instant::now();
    source.go();
    wait_evaluated(&pipeline, plan.rows).await?;
    let time = started.elapsed();
    let cpu = CpuTimes::read()?.since(&before);
    let resident_bytes = threads::resident_bytes()?;

    let (report, status) = pipeline.drain(Instant::now() + PATIENCE).await;
    let counts = report.sources.first().context("a source's counts")?;
    ensure!(
        counts.1.produced == plan.rows && counts.1.published == plan.rows,
        "not every row came to the bus: {:?}",
        counts.1
    );
    check(&status, plan.rows)?;
    let latencies = arrivals.finish()?;
    ensure!(
        latencies.len() as u64 == plan.marked(),
        "{} firings came to the sink, and {} rows fire",
        latencies.len(),
        plan.marked()
    );
    Ok(Ran {
        time,
        cpu,
        latencies,
        resident_bytes,
    })
}

/// Waits until every trigger slot has answered for every row.
async fn wait_evaluated(pipeline: &Pipeline, rows: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let slots = pipeline.slots().values();
    let triggers: Vec<_> = slots
        .filter(|slot| slot.world() == World::Trigger)
        .collect();
    ensure!(triggers.len() == RULES.len(), "{} triggers", triggers.len());
    loop {
        // The last slot to be done is looked at first: most looks cost one slot's lock.
        let is_done =
            |slot: &&&Arc<dyn weir::slot::SlotHandle>| slot.statistics().rows_answered >= rows;
        if triggers.iter().rev().all(|slot| is_done(&slot)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "the rules aren't done after {PATIENCE:?}: {:?}",
                pipeline.status()
            );
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Every row was answered for by all, nothing was dropped, and the counts balance.
fn check(status: &PipelineStatus, rows: u64) -> anyhow::Result<()> {
    ensure!(status.bus.balances(), "the bus's counts don't balance");
    let dropped = status.bus.total.dropped.total();
    ensure!(dropped.rows == 0, "{} rows were dropped", dropped.rows);
    for slot in &status.slots {
        ensure!(
            slot.rows_answered == rows && slot.faults_total() == 0,
            "slot {} answered for {} of {rows} rows, with {} faults",
            slot.slot,
            slot.rows_answered,
            slot.faults_total()
        );
    }
    Ok(())
}

fn cases(fulls: &[Ran], rows: u64, paceds: &[Ran]) -> anyhow::Result<Vec<Case>> {
    let of = |runs: &[Ran], value: &dyn Fn(&Ran) -> f64| runs.iter().map(value).collect::<Vec<_>>();
    let a_row = |time: Duration| time.as_secs_f64() * 1e9 / figure(rows);
    let speeds = of(fulls, &|ran| figure(rows) / ran.time.as_secs_f64());
    let mut cases = vec![Case::alone("rows", "rows/s", Better::Higher, &speeds)];
    let mut sum = 0.0;
    for step in Step::ALL {
        let times = of(fulls, &|ran| a_row(ran.cpu.step(step)));
        sum += median(&times);
        cases.push(Case::alone(step.case(), "ns/row", Better::Lower, &times));
    }
    let process = of(fulls, &|ran| a_row(ran.cpu.process));
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
    for (case, share) in [("latency-p50", 0.5), ("latency-p99", 0.99)] {
        let times = of(paceds, &|ran| quantile(&ran.latencies, share));
        cases.push(Case::alone(case, "ms", Better::Lower, &times));
    }
    let resident = of(fulls, &|ran| figure(ran.resident_bytes) / 1e6);
    cases.push(Case::alone("resident", "MB", Better::Lower, &resident));
    Ok(cases)
}
