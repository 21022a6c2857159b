//! When one who asked for tables gets one, and what it is told when there is none.
//!
//! A state machine that is told the time. The invariant: it gets a table at each of its times, the one nearest to
//! it, or is told why not.

use std::time::Duration;

use crate::schedule::ScheduleStatus;

/// For how long after its time nothing is said of a table that isn't there, at least: machines are busy.
const GRACE_MIN: Duration = Duration::from_secs(1);

/// What keeps a table from somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The source has failed.
    Failed,
    /// None has come in its time.
    Late,
    /// The source runs more seldom than was asked for, for what it costs.
    Stretched,
    /// It runs as often as was asked for again.
    Restored,
    /// The table has more bytes than may be kept.
    TooLarge,
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Stretched => "stretched",
            Self::Restored => "restored",
            Self::TooLarge => "too-large",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    every: Duration,
    /// When the next table is its.
    due: Duration,
    /// When it was last told that there is none.
    told_at: Option<Duration>,
    knows_stretch: bool,
}

impl Asker {
    /// Somebody whose first table is due at once.
    pub(super) const fn new(every: Duration, now: Duration) -> Self {
        Self {
            every,
            due: now,
            told_at: None,
            knows_stretch: false,
        }
    }

    pub(super) const fn every(&self) -> Duration {
        self.every
    }

    /// It has had a table that was taken then.
    pub(super) fn has_had(&mut self, taken: Duration) {
        self.due = taken.saturating_add(self.every);
    }

    /// Whether a table that comes now is its; then it waits for the next. `shortest`: the interval of the most
    /// impatient, who has the source run.
    pub(super) fn takes(&mut self, now: Duration, shortest: Duration) -> bool {
        if self.due > now.saturating_add(shortest / 2) {
            return false;
        }
        self.told_at = None;
        self.due = self.due.saturating_add(self.every);
        if self.due <= now {
            // What was missed isn't made up for.
            self.due = now.saturating_add(self.every);
        }
        true
    }

    /// What it has to be told now, and when to look again if nothing changes until then.
    pub(super) fn look(
        &mut self,
        now: Duration,
        status: &ScheduleStatus,
    ) -> (Option<State>, Duration) {
        let in_force = status.in_force.unwrap_or(self.every);
        // A table a little late is no news.
        let is_stretched = status.stretched && in_force > self.every + self.every / 10;
        let grace = match (&status.failure, is_stretched) {
            (Some(_), _) => Duration::ZERO,
            (None, false) => GRACE_MIN.max(self.every / 2),
            // It has been told that it gets them more seldom.
            (None, true) => GRACE_MIN.max(in_force),
        };
        let again = self
            .told_at
            .map_or(Duration::ZERO, |told| told.saturating_add(self.every));
        let overdue = self.due.saturating_add(grace).max(again);
        if overdue <= now {
            self.told_at = Some(now);
            let state = status
                .failure
                .as_ref()
                .map_or(State::Late, |_| State::Failed);
            return (Some(state), now.saturating_add(self.every));
        }
        if is_stretched != self.knows_stretch && (is_stretched || !status.stretched) {
            self.knows_stretch = is_stretched;
            let state = if is_stretched {
                State::Stretched
            } else {
                State::Restored
            };
            return (Some(state), overdue);
        }
        (None, overdue)
    }
}
