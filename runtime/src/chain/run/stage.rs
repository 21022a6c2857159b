//! A stage of a run: where it is, and what becomes of it when an attempt fails.

use std::time::{Duration, Instant};

use super::{Action, Moment};
use crate::chain::plan::PlannedStage;

/// The longest pause before a retry.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Where a stage of a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageState {
    /// Others have to end first.
    Waiting,
    /// Somebody works on it, and is given up then.
    Running {
        /// When.
        until: Instant,
    },
    /// An attempt failed; the next begins then.
    Retrying {
        /// When.
        at: Instant,
    },
    /// It ended in findings, be it none.
    Done,
    /// It failed for good, or what it needs did.
    Failed(String),
    /// Its last attempt, or the run, took too long.
    TimedOut,
    /// It failed, and the run can do without it.
    Skipped(String),
    /// The run was ended before it was.
    Cancelled,
}

impl StageState {
    /// The state's code.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running { .. } => "running",
            Self::Retrying { .. } => "retrying",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::TimedOut => "timed-out",
            Self::Skipped(_) => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Why, where that says more than the state.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed(why) | Self::Skipped(why) => Some(why),
            _ => None,
        }
    }

    /// Whether it stays so.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        !matches!(
            self,
            Self::Waiting | Self::Running { .. } | Self::Retrying { .. }
        )
    }

    /// Whether those that wait for it can't begin any more.
    pub(super) const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::TimedOut | Self::Cancelled)
    }
}

/// What a stage has cost, all its attempts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Fuel of guests; 0 for a source.
    pub fuel: u64,
    /// Time at work, without waiting.
    pub time: Duration,
}

impl Spent {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            fuel: self.fuel.saturating_add(other.fuel),
            time: self.time.saturating_add(other.time),
        }
    }
}

/// A stage of a run.
#[derive(Clone, Debug)]
pub struct StageRun {
    /// Where it is.
    pub state: StageState,
    /// Attempts that have begun.
    pub attempts: u32,
    /// What they cost, as far as they have said.
    pub spent: Spent,
    /// The stage whose failure it was, where it failed without having been asked.
    pub(super) because: Option<usize>,
}

impl StageRun {
    pub(super) fn ask(&mut self, place: usize, planned: &PlannedStage, now: Instant) -> Action {
        self.attempts = self.attempts.saturating_add(1);
        self.state = StageState::Running {
            until: now + planned.timeout,
        };
        Action::Ask {
            stage: place,
            attempt: self.attempts,
        }
    }
}

/// What becomes of a stage when its so many-th attempt has failed.
pub(super) fn after_failure(
    planned: &PlannedStage,
    attempts: u32,
    moment: Moment,
    failed: impl FnOnce() -> StageState,
) -> StageState {
    if attempts <= planned.retries_max {
        return StageState::Retrying {
            at: moment.now + retry_pause(planned.retry_pause, attempts, moment.chance),
        };
    }
    match failed() {
        failed if !planned.optional => failed,
        StageState::Failed(why) => StageState::Skipped(why),
        _ => StageState::Skipped(format!("not ended within {:?}", planned.timeout)),
    }
}

/// The pause after the so many-th attempt: it doubles with each, give or take half by chance, and is bounded.
pub(super) fn retry_pause(first: Duration, attempts: u32, chance: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(u32::BITS - 1);
    let pause = first.saturating_mul(1 << doublings).min(RETRY_PAUSE_MAX);
    pause
        .mul_f64(0.5 + chance.clamp(0.0, 1.0))
        .min(RETRY_PAUSE_MAX)
}
