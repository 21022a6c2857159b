//! Runs sources side by side, each so that it harms only itself.
//!
//! A source runs on an operating system thread of its own: one that blocks, panics, floods or fails
//! does so there. What watches over it are tasks that never call it. A thread can't be killed, so one
//! that doesn't come back is left behind and named; there is never more than one for a source.
//!
//! The start timeout covers starting, never running. The invariant: when a source has ended for good
//! its batcher is closed, so that whatever drains it comes to an end.

mod backoff;
mod keeper;
mod report;
mod run;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use weir_bus::{Batcher, BatcherLimits, Pace};

pub use backoff::RestartLimits;
pub use report::{SourceState, SourceStatus};

use crate::registry::{Registry, Unavailable};
use crate::schedule::{Clock, Schedule};
use crate::source::EventSource;
use keeper::{Ended, Keeper};
use report::Report;
pub(crate) use report::short;

/// How long a source may take to start: a cold machine at boot, with room.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(10);
/// How often sources are asked how they do.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
/// After how long without an answer a source is blocked: longer than any one look at the machine.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a periodic source waits for room: half of its usual interval.
const BACKPRESSURE_WAIT_MAX: Duration = Duration::from_millis(500);
/// Age at which a realtime source's batch closes: its reader wants it soon.
const REALTIME_BATCH_AGE_MAX: Duration = Duration::from_millis(5);

/// How sources are run.
#[derive(Clone, Debug, PartialEq)]
pub struct SupervisorOptions {
    /// The bounds of each source's batcher.
    pub batcher: BatcherLimits,
    /// Age at which a realtime source's batch closes, if below that of all.
    pub realtime_batch_age_max: Duration,
    /// How long a periodic source waits for room.
    pub backpressure_wait_max: Duration,
    /// How long a source may take until it says that it is ready.
    pub startup_timeout: Duration,
    /// How often each source is asked how it does; must not be zero.
    pub health_interval: Duration,
    /// After how long without an answer it is blocked.
    pub health_timeout: Duration,
    /// How a source that failed is started again.
    pub restart: RestartLimits,
    /// The time of schedules, which a test may advance.
    pub clock: Clock,
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        Self {
            batcher: BatcherLimits::default(),
            realtime_batch_age_max: REALTIME_BATCH_AGE_MAX,
            backpressure_wait_max: BACKPRESSURE_WAIT_MAX,
            startup_timeout: STARTUP_TIMEOUT,
            health_interval: HEALTH_INTERVAL,
            health_timeout: HEALTH_TIMEOUT,
            restart: RestartLimits::default(),
            clock: Clock::monotonic(),
        }
    }
}

impl SupervisorOptions {
    fn schedule_of(&self, source: &dyn EventSource) -> Option<Schedule> {
        let options = source.schedule()?;
        Some(if self.clock == Clock::monotonic() {
            Schedule::new(options)
        } else {
            Schedule::with_clock(options, self.clock.clone())
        })
    }

    fn limits_of(&self, pace: Pace) -> BatcherLimits {
        let mut limits = self.batcher.clone();
        if pace == Pace::Realtime {
            limits.batch_age_max = limits.batch_age_max.min(self.realtime_batch_age_max);
        }
        limits
    }
}

/// How the stop of all sources went.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stopped {
    /// Sources whose threads have ended.
    pub ended: Vec<String>,
    /// Sources whose threads are left behind.
    pub abandoned: Vec<String>,
}

struct Kept {
    name: String,
    task: JoinHandle<Ended>,
}

/// Sources that run. Dropping it tells them all to stop, and waits for none.
pub struct Supervisor {
    reports: Vec<Arc<Report>>,
    unavailable: Vec<Unavailable>,
    kept: Mutex<Vec<Kept>>,
    stop: watch::Sender<Option<Instant>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Supervisor {
    /// Starts all sources at once, and returns without waiting for any.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or if the health interval is zero.
    #[must_use]
    pub fn start(registry: &Registry, options: SupervisorOptions) -> Self {
        let options = Arc::new(options);
        let changes = Arc::new(watch::Sender::new(0));
        let stop = watch::Sender::new(None);
        let mut reports = Vec::with_capacity(registry.sources().len());
        let mut kept = Vec::with_capacity(registry.sources().len());
        for source in registry.sources() {
            let pace = source.pace();
            let batcher = Batcher::new(source.name(), pace, options.limits_of(pace));
            let report = Arc::new(Report::new(
                Arc::clone(source),
                Arc::new(batcher),
                options.schedule_of(source.as_ref()),
                Arc::clone(&changes),
            ));
            let keeper = Keeper {
                report: Arc::clone(&report),
                options: Arc::clone(&options),
                stop: stop.subscribe(),
            };
            kept.push(Kept {
                name: source.name().to_owned(),
                task: tokio::spawn(keeper.keep()),
            });
            reports.push(report);
        }
        Self {
            reports,
            unavailable: registry.unavailable().to_vec(),
            kept: Mutex::new(kept),
            stop,
            changes,
        }
    }

    /// Each source's batcher, in the order of the registry: what the pipeline drains.
    #[must_use]
    pub fn batchers(&self) -> Vec<Arc<Batcher>> {
        let batchers = self.reports.iter();
        batchers.map(|report| Arc::clone(&report.batcher)).collect()
    }

    /// Each source's schedule, in the order of the registry; none for a source that doesn't look at intervals.
    #[must_use]
    pub fn schedules(&self) -> Vec<Option<Schedule>> {
        let reports = self.reports.iter();
        reports.map(|report| report.schedule.clone()).collect()
    }

    /// Each source's status, in the order of the registry; still there after the stop.
    #[must_use]
    pub fn statuses(&self) -> Vec<SourceStatus> {
        self.reports.iter().map(|report| report.status()).collect()
    }

    /// What this host can't offer.
    #[must_use]
    pub fn unavailable(&self) -> &[Unavailable] {
        &self.unavailable
    }

    /// Changes whenever a source's state or health does; [`Self::statuses`] says what is true now.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Stops all sources at the same time, and waits for them at most `timeout`; those that haven't
    /// ended by then are left behind, and named. All batchers are closed afterwards. A second call
    /// names none.
    pub async fn stop_all(&self, timeout: Duration) -> Stopped {
        self.stop.send_replace(Some(Instant::now() + timeout));
        let kept = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *kept)
        };
        let mut stopped = Stopped::default();
        for Kept { name, task } in kept {
            // A keeper that panicked is our own fault; what became of its thread isn't known.
            match task.await.unwrap_or(Ended::Abandoned) {
                Ended::Properly => stopped.ended.push(name),
                Ended::Abandoned => stopped.abandoned.push(name),
            }
        }
        stopped
    }
}

#[cfg(test)]
mod tests;
