//! The daemon's own pipeline at work, with a source and a sink of the bench's: what the suites share that
//! measure all of it.
//!
//! The invariant: what was sent came to the bus, and both laws of counting held, or [`Live::finish`] is an error.

pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod threads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;
use weir::config::{self, Config, LoadRequest};
use weir::guests::Guests;
use weir::pipeline::{Pipeline, PipelineStatus};
use weir::sink::{Console, Output};
use weir::slot::SlotHandle;
use weir_sources::EventSource;

use crate::guests::Workshop;
use sink::{Arrivals, Keep};
use source::{BenchSource, Plan};

/// Longer than any run takes: reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the counts are looked at when a run should be at its end.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// Threads that carry lanes and timers, as the daemon has them.
const RUNTIME_THREADS: usize = 2;
/// How the daemon calls these threads.
const RUNTIME_THREAD_NAME: &str = "weir";

/// A config's text, with the bus in this process and the workshop's folders.
pub(crate) fn config(workshop: &Workshop, text: &str) -> anyhow::Result<Config> {
    let text = format!("bus.kind = \"local\"\n{text}");
    let loaded = config::load(&LoadRequest {
        flags: workshop.flags()?,
        embedded_default: &text,
        ..LoadRequest::default()
    })?;
    Ok(loaded.config)
}

/// Waits for a run, on threads such as the daemon has; whatever is measured after it has their turns, too.
pub(crate) fn block_on<T>(run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    weir::turns::take_short_turns();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name(RUNTIME_THREAD_NAME)
        .enable_all()
        .build()?;
    let ran = runtime.block_on(run);
    runtime.shutdown_background();
    ran
}

/// A pipeline, and what is sent through it.
pub(crate) struct Live<T> {
    pub(crate) pipeline: Pipeline,
    source: Arc<BenchSource>,
    arrivals: Arrivals<T>,
    plan: Plan,
    _folder: TempDir,
}

/// What a run came to.
pub(crate) struct Done<T> {
    pub(crate) status: PipelineStatus,
    /// What was kept of the firings, in the order in which they came.
    pub(crate) arrived: Vec<T>,
}

impl<T: Send + 'static> Live<T> {
    /// Everything is ready, and nothing flows yet.
    pub(crate) async fn open(
        config: &Config,
        guests: &Guests,
        plan: Plan,
        keep: Keep<T>,
    ) -> anyhow::Result<Self> {
        let source = Arc::new(BenchSource::new(plan));
        let console = Arc::new(Console::new(Output::Json));
        let sources: Vec<Arc<dyn EventSource>> = vec![Arc::clone(&source) as _];
        // What one run's slots have is kept for no other run.
        let folder = tempfile::tempdir()?;
        let mut config = config.clone();
        config.sandbox.state_folder = folder.path().to_owned();
        let pipeline = Pipeline::start(&config, guests, &console, sources)?;
        let arrivals = Arrivals::subscribe(&pipeline.bus(), keep)?;
        source.wait_ready().await;
        Ok(Self {
            pipeline,
            source,
            arrivals,
            plan,
            _folder: folder,
        })
    }

    /// The source begins.
    pub(crate) fn go(&self) {
        self.source.go();
    }

    /// The slot of that name.
    pub(crate) fn slot(&self, name: &str) -> anyhow::Result<&Arc<dyn SlotHandle>> {
        let slot = self.pipeline.slots().get(name);
        slot.with_context(|| format!("there is no slot {name}"))
    }

    /// Waits until those slots have answered for every row. Must begin when the source does.
    pub(crate) async fn wait_answered(
        &self,
        is_meant: impl Fn(&dyn SlotHandle) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.plan.time() + PATIENCE;
        let slots = self.pipeline.slots().values();
        let slots: Vec<_> = slots.filter(|slot| is_meant(slot.as_ref())).collect();
        ensure!(!slots.is_empty(), "no slot is waited for");
        // Looking costs: not before it could be done.
        tokio::time::sleep(self.plan.time()).await;
        let is_done =
            |slot: &Arc<dyn SlotHandle>| slot.statistics().rows_answered >= self.plan.rows;
        // The last slot to be done is looked at first: most looks cost one slot's lock.
        while !slots.iter().rev().all(|slot| is_done(slot)) {
            if Instant::now() > deadline {
                let status = self.pipeline.status();
                bail!("the guests aren't done after {PATIENCE:?}: {status:?}");
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// Whether the source has emitted all that it will.
    pub(crate) fn is_over(&self) -> bool {
        let sources = self.pipeline.status().sources;
        let mut produced = sources.iter().map(|source| source.counts.produced);
        produced.all(|rows| rows >= self.plan.rows)
    }

    /// Drains everything, and looks whether the counts are right.
    pub(crate) async fn finish(self) -> anyhow::Result<Done<T>> {
        let rows = self.plan.rows;
        let (report, status) = self.pipeline.drain(Instant::now() + PATIENCE).await;
        let counts = report.sources.first().context("a source's counts")?;
        ensure!(
            counts.1.produced == rows && counts.1.published == rows,
            "not every row came to the bus: {:?}",
            counts.1
        );
        ensure!(status.bus.balances(), "the bus's counts don't balance");
        Ok(Done {
            status,
            arrived: self.arrivals.finish()?,
        })
    }
}

impl<T> Done<T> {
    /// Nothing was dropped, and all those slots answered for every row, without a fault.
    pub(crate) fn all_answered(&self, rows: u64) -> anyhow::Result<()> {
        let dropped = self.status.bus.total.dropped.total();
        ensure!(dropped.rows == 0, "{} rows were dropped", dropped.rows);
        for slot in &self.status.slots {
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
}
