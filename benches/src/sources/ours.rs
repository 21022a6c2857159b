//! A source of ours as the daemon runs it: on a thread of its own, into a batcher of its own.
//!
//! It is the source that the daemon has, started through the same trait and scheduled by the same schedule, with
//! the same limits; only that a look is asked for, and that batches go to the bench and not to lanes. The
//! invariant: nothing of what the source made was dropped.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::runtime::{Builder, Runtime};
use weir_bus::{Batch, Batcher, CollectionEvent, Pace, Settlement};
use weir_sources::{
    ContextHandle, Emitter, EventSource, Schedule, ScheduleOptions, SourceContext, SourceError,
    SupervisorOptions,
};

use super::PATIENCE;

/// A source that runs only when it is asked, whatever that costs: what it costs is what is measured.
pub(super) const WHEN_ASKED: ScheduleOptions = ScheduleOptions {
    interval: None,
    cost_share: 1.0,
};

/// A source that runs.
pub(super) struct Running {
    schedule: Option<Schedule>,
    batcher: Arc<Batcher>,
    batches: Receiver<Batch>,
    handle: ContextHandle,
    runtime: Runtime,
    /// The source's thread, by the kernel's number.
    thread: i32,
    source: Option<JoinHandle<Result<(), SourceError>>>,
    drain: Option<JoinHandle<()>>,
}

/// One look at everything.
pub(super) struct Look {
    /// CPU time of the source's thread, its rows' columns included.
    pub(super) cpu: Duration,
    pub(super) batches: Vec<Batch>,
}

impl Look {
    /// Rows of it.
    pub(super) fn rows(&self) -> usize {
        self.batches.iter().map(Batch::rows).sum()
    }

    /// Its rows as events.
    pub(super) fn events(&self) -> impl Iterator<Item = CollectionEvent> {
        self.batches.iter().flat_map(events_of)
    }
}

/// A batch's rows as events.
pub(super) fn events_of(batch: &Batch) -> impl Iterator<Item = CollectionEvent> {
    (0..batch.rows()).filter_map(|row| batch.row(row))
}

impl Running {
    /// Starts it; it is ready when this returns.
    pub(super) fn start(source: impl EventSource + 'static) -> anyhow::Result<Self> {
        let options = SupervisorOptions::default();
        let pace = source.pace();
        let mut limits = options.batcher.clone();
        if pace == Pace::Realtime {
            limits.batch_age_max = limits.batch_age_max.min(options.realtime_batch_age_max);
        }
        let batcher = Arc::new(Batcher::new(source.name(), pace, limits.clone()));
        let wait_max = options.backpressure_wait_max;
        let emitter = Emitter::new(Arc::clone(&batcher), pace, &limits, wait_max);
        let schedule = source.schedule().map(Schedule::new);
        let (context, handle) = SourceContext::new(emitter, schedule.clone());
        let (batch_sender, batches) = channel();
        let drained = Arc::clone(&batcher);
        let drain = std::thread::spawn(move || drain(&drained, &batch_sender));
        let (thread_sender, thread) = channel();
        let name = format!("source-{}", source.name());
        let source = std::thread::Builder::new().name(name).spawn(move || {
            let thread = rustix::thread::gettid().as_raw_nonzero().get();
            // Who waits for it would have gone with an error.
            let _ = thread_sender.send(thread);
            run(&source, context)
        })?;
        let running = Self {
            schedule,
            batcher,
            batches,
            handle,
            runtime: Builder::new_current_thread().enable_time().build()?,
            thread: thread.recv()?,
            source: Some(source),
            drain: Some(drain),
        };
        running.until_ready()?;
        Ok(running)
    }

    fn until_ready(&self) -> anyhow::Result<()> {
        let ready = async { tokio::time::timeout(PATIENCE, self.handle.ready()).await };
        let ready = self.runtime.block_on(ready);
        ready.context("the source isn't ready")
    }

    /// Looks at everything, now.
    pub(super) fn look(&self) -> anyhow::Result<Look> {
        let schedule = self
            .schedule
            .as_ref()
            .context("a source that doesn't look")?;
        let look = async { tokio::time::timeout(PATIENCE, schedule.ask_now(Duration::ZERO)).await };
        let ran = self.runtime.block_on(look);
        let ran = ran.context("the source doesn't come to the end of a look")??;
        let mut batches = Vec::new();
        loop {
            let batch = self.batches.recv_timeout(PATIENCE)?;
            // What ended between two looks is in none.
            let Some(snapshot) = batch.header().snapshot else {
                continue;
            };
            batches.push(batch);
            if snapshot.last {
                break;
            }
        }
        self.ensure_nothing_dropped()?;
        Ok(Look {
            cpu: ran.cpu,
            batches,
        })
    }

    /// The next batch; none if there is none for so long.
    pub(super) fn batch(&self, patience: Duration) -> anyhow::Result<Option<Batch>> {
        match self.batches.recv_timeout(patience) {
            Ok(batch) => Ok(Some(batch)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the source has ended"),
        }
    }

    /// CPU time of the source's thread until now.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        super::program::on_cpu(&format!("/proc/self/task/{}", self.thread))
    }

    /// Fails if rows were dropped, or lost before they could be made.
    pub(super) fn ensure_nothing_dropped(&self) -> anyhow::Result<()> {
        let counts = self.batcher.counts();
        let dropped = counts.dropped.total().rows;
        ensure!(dropped == 0, "{dropped} rows were dropped: {counts:?}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        self.batcher.close();
        if let Some(Ok(Err(error))) = self.source.take().map(JoinHandle::join) {
            eprintln!("sources: a source ended with an error: {error}");
        }
        // It ends with the batcher.
        let _ = self.drain.take().map(JoinHandle::join);
    }
}

fn run(source: &impl EventSource, context: SourceContext) -> Result<(), SourceError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| SourceError::Failed(error.to_string()))?;
    let ended = runtime.block_on(source.start(context));
    runtime.shutdown_background();
    ended
}

/// Takes batches out as a lane does.
fn drain(batcher: &Batcher, to: &Sender<Batch>) {
    let Ok(runtime) = Builder::new_current_thread().enable_time().build() else {
        return;
    };
    runtime.block_on(async {
        while let Some(batch) = batcher.next().await {
            batcher.settle(&Settlement {
                published: batch.rows() as u64,
                ..Settlement::default()
            });
            // Whoever has seen enough is closing it.
            let _ = to.send(batch);
        }
    });
}
