//! What a source is, and what it is given to work with.
//!
//! Not how sources are run: that is the supervisor's. The invariant: whatever a source does in its
//! own functions happens on its own thread, so that it can block, panic or flood only itself.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use weir_bus::{Pace, SourceCaps};

use crate::emitter::Emitter;
use crate::replay::ReplayError;
use crate::schedule::{Run, Schedule, ScheduleOptions};
use crate::tiers::TierReport;

/// Produces events: the only code that reads the host for data.
///
/// [`start`](Self::start), [`stop`](Self::stop) and [`health_check`](Self::health_check) are called
/// on the source's own thread, within a tokio runtime of its own that runs on that thread alone.
/// They take turns at their awaits: a source that never awaits answers no health check and is
/// reported as blocked. The other functions are called from anywhere, and must not block.
#[async_trait]
pub trait EventSource: Send + Sync + 'static {
    /// The name, unique within a registry: one topic token, `[A-Za-z0-9_-]+`.
    fn name(&self) -> &str;

    /// What it observes, and how.
    fn capabilities(&self) -> SourceCaps;

    /// How it meets backpressure.
    fn pace(&self) -> Pace;

    /// Why this host can't offer the source, in words that a person can act on; none if it can.
    /// Asked once, when the source is registered.
    fn unavailable(&self) -> Option<String> {
        None
    }

    /// When it runs, for a source that looks at intervals: it then awaits [`SourceContext::next_run`]. Asked once,
    /// when the sources are started. A source without a schedule runs as it likes, and has no latest table.
    fn schedule(&self) -> Option<ScheduleOptions> {
        None
    }

    /// Runs until told to stop ([`SourceContext::stopping`]), and calls [`SourceContext::ready`] once
    /// it has started. Ending by itself with `Ok` means that there is nothing more to come.
    ///
    /// It is called again after a failure, so what a run needs is made within it.
    ///
    /// # Errors
    /// Whatever keeps the source from going on; it is then started again after a pause, unless
    /// [`SourceError::is_final`].
    async fn start(&self, context: SourceContext) -> Result<(), SourceError>;

    /// Called once when the source shall stop, besides the context's signal: for sources that have to
    /// close something for `start` to return. Not called for a source that has ended, or is blocked.
    async fn stop(&self) {}

    /// The ways in which it reaches into the host, as far as they are known now: those in use, and why not the
    /// others. Empty for a source that has one way only.
    fn tiers(&self) -> Vec<TierReport> {
        Vec::new()
    }

    /// Command lines in which it has replaced secrets, since it was made.
    fn redacted(&self) -> u64 {
        0
    }

    /// How it does. Called at an interval while the source runs.
    async fn health_check(&self) -> SourceHealth {
        SourceHealth::Healthy
    }
}

/// How a source does. The order is from good to bad.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "status", content = "reason", rename_all = "lowercase")]
pub enum SourceHealth {
    /// As it should be.
    #[default]
    Healthy,
    /// It works, but not as it should, for this reason.
    Degraded(String),
    /// It doesn't work, for this reason.
    Unhealthy(String),
}

impl SourceHealth {
    /// Whether all is well.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy)
    }

    /// The reason; none if healthy.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Degraded(reason) | Self::Unhealthy(reason) => Some(reason),
        }
    }

    /// The worse of two; the first where they are equally bad.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() {
            other
        } else {
            self
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded(_) => 1,
            Self::Unhealthy(_) => 2,
        }
    }
}

/// `healthy`, or the status and its reason.
impl std::fmt::Display for SourceHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Degraded(reason) => write!(f, "degraded: {reason}"),
            Self::Unhealthy(reason) => write!(f, "unhealthy: {reason}"),
        }
    }
}

/// What ended a source's run.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It can't go on, for this reason.
    #[error("{0}")]
    Failed(String),
    /// A recording can't be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl SourceError {
    /// Whether starting again would be of no use: a broken recording stays broken, and what was sent
    /// of it would be sent again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Replay(_))
    }
}

/// What a source is given for one run. Clones are of the same run.
#[derive(Clone)]
pub struct SourceContext {
    emitter: Emitter,
    schedule: Option<Schedule>,
    stop: watch::Receiver<bool>,
    ready: Arc<watch::Sender<bool>>,
}

impl SourceContext {
    /// A context, and the handle of whoever runs the source: a supervisor, or a test. `schedule`: of a source that
    /// has one.
    #[must_use]
    pub fn new(emitter: Emitter, schedule: Option<Schedule>) -> (Self, ContextHandle) {
        let (stop_sender, stop) = watch::channel(false);
        let (ready, ready_receiver) = watch::channel(false);
        let context = Self {
            emitter: emitter.clone(),
            schedule,
            stop,
            ready: Arc::new(ready),
        };
        let handle = ContextHandle {
            emitter,
            stop: stop_sender,
            ready: ready_receiver,
        };
        (context, handle)
    }

    /// Where the rows go.
    #[must_use]
    pub const fn emitter(&self) -> &Emitter {
        &self.emitter
    }

    /// Says that the source has started: from now on it may take as long as it likes.
    pub fn ready(&self) {
        self.ready.send_replace(true);
    }

    /// Returns with a run when it is time for the source's next one: at its interval, or when somebody asks. None
    /// if the source shall stop; a source without a schedule gets nothing else. The source is ready once it
    /// has to wait here: one that nobody asks has started, too. Cancel safe.
    pub async fn next_run(&self) -> Option<Run> {
        let due = async {
            match &self.schedule {
                Some(schedule) => schedule.due(|| self.ready()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stopping() => None,
            run = due => Some(run),
        }
    }

    /// Wants a run before its time, within the budget: something was missed that a look at everything makes up for.
    pub fn want_run(&self) {
        if let Some(schedule) = &self.schedule {
            schedule.want_run();
        }
    }

    /// The source's schedule, if it has one.
    #[must_use]
    pub const fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// Returns when the source shall stop. Cancel safe.
    pub async fn stopping(&self) {
        // An error means that whoever ran the source is gone: that is a reason to stop, too.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// Whether the source shall stop: for loops without an await.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

/// The other side of a [`SourceContext`]. Dropping it tells the source to stop.
pub struct ContextHandle {
    emitter: Emitter,
    stop: watch::Sender<bool>,
    ready: watch::Receiver<bool>,
}

impl ContextHandle {
    /// Tells the source to stop.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns once the source has said that it is ready; never if it ends before. Cancel safe.
    pub async fn ready(&self) {
        if self.ready.clone().wait_for(|ready| *ready).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Gives the run up: tells it to stop, and takes no more rows of it.
    pub fn abandon(&self) {
        self.stop();
        self.emitter.close();
    }
}
