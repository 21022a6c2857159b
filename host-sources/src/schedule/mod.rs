//! When sources run that look at intervals: once, however many ask.
//!
//! It knows no source and no bus. Who wants a source's rows at an interval asks for it, and holds an [`Asking`]
//! for as long as it does; the shortest interval that anybody asks for is the source's. Its configured interval
//! is one of them, and may be none. Runs that are asked for one by one are one run for all who ask meanwhile.
//! A source that costs more than its share of a core runs more seldom, whoever asks, and says so.
//!
//! A source's side is [`SourceContext::next_run`](crate::SourceContext::next_run):
//!
//! ```
//! # use weir_sources::schedule::Tier;
//! # async fn start(context: weir_sources::SourceContext) {
//! while let Some(run) = context.next_run().await {
//!     if run.due(Tier::Slow) {
//!         // read what changes slowly
//!     }
//!     // read the rest, send it all as a snapshot
//!     run.finished();
//! }
//! # }
//! ```
//!
//! The invariant: at most one run of a source is under way, and it was due or asked for.

mod budget;
mod clock;
mod plan;
mod run;
mod tier;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub use budget::{COST_SHARE_DEFAULT, COST_SHARE_MIN};
pub use clock::Clock;
pub use plan::ASKERS_MAX;
pub use run::Run;
pub use tier::Tier;
pub use weir_bus::pubsub::{EVERY_MAX, EVERY_MIN};

use crate::supervisor::short;
use plan::{Next, Plan, Wanted};

/// The shortest interval of a source's own: below it a look at a large host would never end before the next.
pub const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// How a source is scheduled, by its config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleOptions {
    /// How often it runs by itself, at least [`INTERVAL_MIN`]; none: only while somebody asks.
    pub interval: Option<Duration>,
    /// The share of a core that it may cost, as 0.01: what costs more runs more seldom.
    pub cost_share: f64,
}

impl ScheduleOptions {
    /// A run each `interval`, at the default share.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self {
            interval: Some(interval),
            cost_share: COST_SHARE_DEFAULT,
        }
    }

    /// What is wrong with a run that took so long; none if nothing is.
    pub(crate) fn trouble_of(&self, took: Duration) -> Option<String> {
        let interval = self.interval.filter(|interval| took > *interval)?;
        Some(format!(
            "a look took {took:?}, longer than its interval of {interval:?}: choose a longer one"
        ))
    }
}

impl Default for ScheduleOptions {
    /// What changes fast, at the default share.
    fn default() -> Self {
        Self::every(Tier::Fast.period())
    }
}

/// A source's last run that came to its end. Times are the schedule's clock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LastRun {
    /// When it began.
    #[serde(rename = "begun_ms", serialize_with = "weir_bus::pubsub::as_ms::one")]
    pub begun: Duration,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "weir_bus::pubsub::as_ms::one")]
    pub took: Duration,
    /// The CPU time of the source's thread.
    #[serde(rename = "cpu_us", serialize_with = "micros")]
    pub cpu: Duration,
}

fn micros<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// Who asks for an interval.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Asker {
    /// As it is called: a subscription's name, or `config`.
    pub name: String,
    /// Its interval.
    #[serde(rename = "every_ms", serialize_with = "weir_bus::pubsub::as_ms::one")]
    pub every: Duration,
}

/// How a source is scheduled, read at one instant.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ScheduleStatus {
    /// The interval of its config; none: only while somebody asks.
    #[serde(
        rename = "configured_ms",
        serialize_with = "weir_bus::pubsub::as_ms::or_null"
    )]
    pub configured: Option<Duration>,
    /// Who asks, the config among them, in the order of their coming.
    pub askers: Vec<Asker>,
    /// The shortest interval that is asked for.
    #[serde(
        rename = "asked_ms",
        serialize_with = "weir_bus::pubsub::as_ms::or_null"
    )]
    pub asked: Option<Duration>,
    /// The interval at which it runs: what is asked for, or what its budget allows; none while nobody asks.
    #[serde(
        rename = "in_force_ms",
        serialize_with = "weir_bus::pubsub::as_ms::or_null"
    )]
    pub in_force: Option<Duration>,
    /// Whether the budget makes it run more seldom than is asked for.
    pub stretched: bool,
    /// What the last runs have cost, as a share of a core; none before the second.
    pub cost_share: Option<f64>,
    /// What they may cost.
    pub cost_share_max: f64,
    /// Runs that came to their end.
    pub runs: u64,
    /// Runs that did not.
    pub runs_failed: u64,
    /// Whether a run is under way.
    pub running: bool,
    /// The last run that came to its end.
    pub last: Option<LastRun>,
    /// How long ago that began.
    #[serde(
        rename = "last_age_ms",
        serialize_with = "weir_bus::pubsub::as_ms::or_null"
    )]
    pub last_age: Option<Duration>,
    /// Whether the source isn't there to run: it failed, and wasn't started again.
    pub is_down: bool,
    /// Why there is no newer run, where the source has failed since.
    pub failure: Option<String>,
    /// Whether the last run did not come to its end.
    pub is_unfinished: bool,
}

impl ScheduleStatus {
    /// What is wrong with it, in words that stay the same while it is; none if nothing is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let asked = self.asked.filter(|_| self.stretched)?;
        Some(format!(
            "costs more than its share of {} % of a core, and runs more seldom than the {} that are asked for",
            self.cost_share_max * 100.0,
            short(asked)
        ))
    }
}

/// Why nobody runs for somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// An interval that can't be asked for.
    #[error(
        "a table every {every:?} can't be had; ask for one every {EVERY_MIN:?} to {EVERY_MAX:?}"
    )]
    Interval {
        /// What was asked for.
        every: Duration,
    },
    /// Too many ask.
    #[error(
        "{ASKERS_MAX} ask for this source already, as many as may; leave one subscription first"
    )]
    TooMany,
    /// The source has failed.
    #[error("the source failed: {reason}")]
    Failed {
        /// Why.
        reason: String,
    },
    /// Its budget is used up.
    #[error("the source costs more than its share of a core; it can run again in {wait:?}")]
    OverBudget {
        /// In how long.
        wait: Duration,
    },
}

struct Shared {
    plan: Mutex<Plan>,
    clock: Clock,
    /// Changes with every run's beginning and end, and with who asks.
    changes: watch::Sender<u64>,
}

/// When one source runs. Clones are of the same schedule; it outlives the source's runs and restarts.
#[derive(Clone)]
pub struct Schedule {
    shared: Arc<Shared>,
}

impl Schedule {
    /// A schedule by the machine's clock.
    #[must_use]
    pub fn new(options: ScheduleOptions) -> Self {
        // Never 0, which would be no jitter.
        let seed = RandomState::new().build_hasher().finish() | 1;
        Self::of(options, Clock::monotonic(), seed)
    }

    /// A schedule by another clock, without jitter: for tests.
    #[must_use]
    pub fn with_clock(options: ScheduleOptions, clock: Clock) -> Self {
        Self::of(options, clock, 0)
    }

    fn of(options: ScheduleOptions, clock: Clock, seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                plan: Mutex::new(Plan::new(options, seed)),
                clock,
                changes: watch::Sender::new(0),
            }),
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.shared
            .plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Plan, Duration) -> R) -> R {
        let now = self.shared.clock.now();
        let result = change(&mut self.plan(), now);
        self.shared.changes.send_modify(|changes| *changes += 1);
        result
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Asks for a run every `every`, until the guard is dropped.
    ///
    /// # Errors
    /// [`AskError::Interval`] and [`AskError::TooMany`]; then nothing has changed.
    pub fn ask(&self, name: &str, every: Duration) -> Result<Asking, AskError> {
        let id = self.change(|plan, now| plan.ask(name, every, now))?;
        Ok(Asking {
            schedule: self.clone(),
            id,
        })
    }

    /// Returns once there is a run that came to its end and began at most `ttl` ago: at once if there is one, else
    /// after one run for all who ask meanwhile. One that is under way serves, too. Waits for as long as that takes.
    /// Cancel safe.
    ///
    /// # Errors
    /// [`AskError::Failed`] if the source fails or is down, and [`AskError::OverBudget`] if it has used up its
    /// share.
    pub async fn ask_now(&self, ttl: Duration) -> Result<LastRun, AskError> {
        let mut changes = self.changes();
        let ended_before = match self.change(|plan, now| plan.want(ttl, now))? {
            Wanted::There(last) => return Ok(last),
            Wanted::After(ended) => ended,
        };
        loop {
            if let Some(answer) = self.plan().answer(ended_before) {
                return answer;
            }
            // The sender is ours, so that it can't be gone.
            let _ = changes.changed().await;
        }
    }

    /// Returns when it is time to run, with a run that has begun. Cancel safe.
    pub(crate) async fn due(&self, on_wait: impl Fn()) -> Run {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            let next = self.plan().next(self.shared.clock.now());
            if next == Next::Now {
                return Run::begin(self);
            }
            on_wait();
            let come = async {
                match next {
                    Next::At(at) => self.shared.clock.sleep_until(at).await,
                    Next::Now | Next::Idle => std::future::pending().await,
                }
            };
            tokio::select! {
                () = come => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// The source is started, anew or again.
    pub(crate) fn started(&self) {
        self.change(|plan, _| plan.started());
    }

    /// The source is down, for this reason.
    pub(crate) fn failed(&self, reason: &str) {
        self.change(|plan, _| plan.failed(reason.to_owned()));
    }

    /// Wants a run now, and waits for nothing; over the budget there is none before the next that is due.
    pub(crate) fn want_run(&self) {
        // Over the budget, or down: then the next run is as good.
        drop(self.change(|plan, now| plan.want(Duration::ZERO, now)));
    }

    /// Changes with every run's beginning and end, and with who asks.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> ScheduleStatus {
        let now = self.shared.clock.now();
        self.plan().status(now)
    }
}

/// Asks for an interval until it is dropped.
#[must_use = "the interval is asked for until this is dropped"]
pub struct Asking {
    schedule: Schedule,
    id: u64,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.schedule.change(|plan, _| plan.leave(self.id));
    }
}

#[cfg(test)]
mod tests;
