//! What is known of a supervised source, and how it is told to others.
//!
//! It decides nothing. The invariant: state and health always belong together, read at one instant;
//! whoever waits for a change sees every last one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::{Duration, Instant};
use weir_bus::{Batcher, SourceCaps, SourceCounts};

use crate::schedule::{Schedule, ScheduleStatus};
use crate::source::{EventSource, SourceHealth};
use crate::tiers::TierReport;

/// Where a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceState {
    /// It was started, and hasn't said that it is ready.
    Starting,
    /// It runs.
    Running,
    /// It doesn't answer. It is running again as soon as it does.
    Blocked,
    /// It failed, and will be started again after a pause.
    Waiting,
    /// It didn't start or stop in time; its thread is left behind. It is started again if that ends.
    Abandoned,
    /// It ended by itself: nothing more is to come.
    Finished,
    /// It failed, and starting it again would be of no use.
    Failed,
    /// It was stopped.
    Stopped,
}

/// What is known of a source, read at one instant (its counts at another, but each exact).
#[derive(Clone, Debug, serde::Serialize)]
pub struct SourceStatus {
    /// The source's name.
    pub name: String,
    /// What it can do.
    pub capabilities: SourceCaps,
    /// Where it stands.
    pub state: SourceState,
    /// How it does.
    pub health: SourceHealth,
    /// How often it was started again.
    pub restarts: u64,
    /// Threads that were left behind, ended since or not.
    pub threads_abandoned: u64,
    /// What became of its rows.
    pub counts: SourceCounts,
    /// Command lines in which it has replaced secrets.
    pub redacted: u64,
    /// When it runs; none for a source that doesn't look at intervals.
    pub schedule: Option<ScheduleStatus>,
    /// How it reaches into the host, and why not otherwise; empty for a source that has one way only.
    pub tiers: Vec<TierReport>,
}

/// A state, with what its health text needs.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Starting,
    Running { own: SourceHealth },
    Blocked { since: Instant },
    Waiting { until: Instant },
    AbandonedAtStart { after: Duration },
    AbandonedAtStop,
    Finished,
    Failed,
    Stopped,
}

impl Phase {
    /// Why nothing comes any more, where that isn't a failure of its own.
    const fn why_over(&self) -> Option<&'static str> {
        match self {
            Self::AbandonedAtStart { .. } => Some("it did not start in time"),
            Self::AbandonedAtStop | Self::Stopped => Some("it was stopped"),
            Self::Finished => Some("it has ended"),
            Self::Starting
            | Self::Running { .. }
            | Self::Blocked { .. }
            | Self::Waiting { .. }
            | Self::Failed => None,
        }
    }

    const fn state(&self) -> SourceState {
        match self {
            Self::Starting => SourceState::Starting,
            Self::Running { .. } => SourceState::Running,
            Self::Blocked { .. } => SourceState::Blocked,
            Self::Waiting { .. } => SourceState::Waiting,
            Self::AbandonedAtStart { .. } | Self::AbandonedAtStop => SourceState::Abandoned,
            Self::Finished => SourceState::Finished,
            Self::Failed => SourceState::Failed,
            Self::Stopped => SourceState::Stopped,
        }
    }
}

/// Failures that no healthy time has cleared.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) last: String,
}

struct Known {
    phase: Phase,
    failures: Failures,
    restarts: u64,
    threads_abandoned: u64,
}

/// One source's place in the supervisor.
pub(super) struct Report {
    pub(super) source: Arc<dyn EventSource>,
    pub(super) batcher: Arc<Batcher>,
    pub(super) schedule: Option<Schedule>,
    known: Mutex<Known>,
    changes: Arc<watch::Sender<u64>>,
}

impl Report {
    pub(super) fn new(
        source: Arc<dyn EventSource>,
        batcher: Arc<Batcher>,
        schedule: Option<Schedule>,
        changes: Arc<watch::Sender<u64>>,
    ) -> Self {
        Self {
            source,
            batcher,
            schedule,
            known: Mutex::new(Known {
                phase: Phase::Starting,
                failures: Failures::default(),
                restarts: 0,
                threads_abandoned: 0,
            }),
            changes,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known, and tells those who wait if state or health differ.
    fn update(&self, change: impl FnOnce(&mut Known)) {
        let now = Instant::now();
        let mut known = self.known();
        let before = (known.phase.state(), health(&known, now));
        change(&mut known);
        let after = (known.phase.state(), health(&known, now));
        drop(known);
        if before != after {
            tracing::debug!(source = self.source.name(), state = ?after.0, health = %after.1);
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        if let (Some(schedule), Some(why)) = (&self.schedule, phase.why_over()) {
            schedule.failed(why);
        }
        self.update(|known| known.phase = phase);
    }

    /// Counts a failure; how many there are now.
    pub(super) fn failed(&self, reason: String) -> u32 {
        if let Some(schedule) = &self.schedule {
            schedule.failed(&reason);
        }
        let mut count = 0;
        self.update(|known| {
            known.failures.count = known.failures.count.saturating_add(1);
            known.failures.last = reason;
            count = known.failures.count;
        });
        count
    }

    pub(super) fn forget_failures(&self) {
        self.update(|known| known.failures = Failures::default());
    }

    pub(super) fn restarted(&self) {
        self.update(|known| known.restarts += 1);
    }

    pub(super) fn thread_abandoned(&self) {
        self.update(|known| known.threads_abandoned += 1);
    }

    pub(super) fn status(&self) -> SourceStatus {
        let schedule = self.schedule.as_ref().map(Schedule::status);
        let known = self.known();
        let mut health = health(&known, Instant::now());
        if let (SourceState::Running, Some(cost)) = (
            known.phase.state(),
            schedule.as_ref().and_then(ScheduleStatus::trouble),
        ) {
            health = health.worse(SourceHealth::Degraded(cost));
        }
        SourceStatus {
            name: self.source.name().to_owned(),
            capabilities: self.source.capabilities(),
            state: known.phase.state(),
            health,
            restarts: known.restarts,
            threads_abandoned: known.threads_abandoned,
            counts: self.batcher.counts(),
            redacted: self.source.redacted(),
            schedule,
            tiers: self.source.tiers(),
        }
    }
}

fn health(known: &Known, now: Instant) -> SourceHealth {
    let failed = failed_text(&known.failures);
    match &known.phase {
        Phase::Starting | Phase::Finished | Phase::Stopped => match failed {
            Some(failed) => SourceHealth::Degraded(failed),
            None => SourceHealth::Healthy,
        },
        Phase::Failed => SourceHealth::Unhealthy(failed.unwrap_or_else(|| "failed".to_owned())),
        Phase::Running { own } => match failed {
            Some(failed) => {
                SourceHealth::Degraded(format!("{failed}, runs again")).worse(own.clone())
            }
            None => own.clone(),
        },
        Phase::Blocked { since } => {
            let seconds = now.saturating_duration_since(*since).as_secs();
            SourceHealth::Unhealthy(format!("blocked: no answer for {seconds} s"))
        }
        Phase::Waiting { until } => {
            let pause = short(until.saturating_duration_since(now));
            let failed = failed.unwrap_or_else(|| "failed".to_owned());
            SourceHealth::Unhealthy(format!("{failed}, restarting in {pause}"))
        }
        Phase::AbandonedAtStart { after } => SourceHealth::Unhealthy(format!(
            "did not start within {}; its thread is left behind, and it starts again when that ends",
            short(*after)
        )),
        Phase::AbandonedAtStop => {
            SourceHealth::Unhealthy("did not stop in time; its thread is left behind".to_owned())
        }
    }
}

fn failed_text(failures: &Failures) -> Option<String> {
    let Failures { count, last } = failures;
    match count {
        0 => None,
        1 => Some(format!("failed: {last}")),
        _ => Some(format!("failed {count} times, last: {last}")),
    }
}

/// A duration as people say it: whole seconds, or milliseconds below one.
pub(crate) fn short(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.0} s", duration.as_secs_f64())
    }
}
