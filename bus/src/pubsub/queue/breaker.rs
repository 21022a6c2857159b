//! The circuit breaker of the policy `disconnect`: when a subscriber is cut off, and let in again.
//!
//! It is told what happened and when; it has no clock, lock or queue. The invariant: between being cut off and
//! the end of the pause nothing is let in, and each time in a row that a trial finds the queue full the pause
//! is twice as long, up to its maximum.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

/// The longest pause that doubling leads to: a subscriber that comes back to life waits at most so long. One that
/// asked for a longer pause keeps that.
pub const CUT_OFF_PAUSE_MAX: Duration = Duration::from_secs(300);

/// How a subscriber with the policy `disconnect` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Standing {
    /// It gets what it matches.
    LetIn {
        /// Pushes that found the queue full since something was received.
        full_times: u32,
    },
    /// Nothing is taken in for it.
    CutOff {
        /// How much of the pause is left. 0: the next batch is a trial.
        #[serde(rename = "pause_left_ms", serialize_with = "as_ms")]
        pause_left: Duration,
    },
    /// It is let in on trial: found full, it is cut off anew; once the trial batch is received, it is let in.
    HalfOpen,
}

fn as_ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[derive(Debug, Clone, Copy)]
enum State {
    LetIn {
        full_times: u32,
    },
    CutOff {
        until: Instant,
        pause: Duration,
    },
    HalfOpen {
        pause: Duration,
        /// Items of the queue up to and with the trial; none while no trial is in it.
        trial: Option<usize>,
    },
}

/// A subscriber's breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    times: u32,
    pause: Duration,
    state: State,
}

impl Breaker {
    pub(super) fn new(times: u32, pause: Duration) -> Self {
        Self {
            times: times.max(1),
            pause,
            state: State::LetIn { full_times: 0 },
        }
    }

    /// Whether a push has to ask it even where there is room.
    pub(super) fn is_wary(&self) -> bool {
        !matches!(self.state, State::LetIn { .. })
    }

    pub(super) fn is_cut_off(&self, now: Instant) -> bool {
        matches!(self.state, State::CutOff { until, .. } if now < until)
    }

    /// A push comes. `false`: nothing is let in now. The first one past the pause is let in on trial.
    pub(super) fn lets_in(&mut self, now: Instant) -> bool {
        if self.is_cut_off(now) {
            return false;
        }
        if let State::CutOff { pause, .. } = self.state {
            self.state = State::HalfOpen { pause, trial: None };
        }
        true
    }

    /// A push that was let in found the queue full. `true` where the subscriber was on trial, and is cut off anew
    /// by it.
    pub(super) fn found_full(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::LetIn { full_times } => {
                *full_times = full_times.saturating_add(1);
                if *full_times >= self.times {
                    self.cut_off(now, self.pause);
                }
                false
            }
            State::HalfOpen { pause, .. } | State::CutOff { pause, .. } => {
                let longest = CUT_OFF_PAUSE_MAX.max(self.pause);
                let pause = pause.saturating_mul(2).min(longest);
                self.cut_off(now, pause);
                true
            }
        }
    }

    fn cut_off(&mut self, now: Instant, pause: Duration) {
        // A pause past the end of the clock: a day is as good.
        const FAR: Duration = Duration::from_secs(86_400);
        let until = now.checked_add(pause).or_else(|| now.checked_add(FAR));
        self.state = State::CutOff {
            until: until.unwrap_or(now),
            pause,
        };
    }

    /// A push was taken in; with it the queue has `items`.
    pub(super) fn taken_in(&mut self, items: usize) {
        if let State::HalfOpen { trial, .. } = &mut self.state {
            trial.get_or_insert(items);
        }
    }

    /// So many items were received.
    pub(super) fn received(&mut self, count: usize) {
        match &mut self.state {
            State::LetIn { full_times } => *full_times = 0,
            State::CutOff { .. } | State::HalfOpen { trial: None, .. } => {}
            State::HalfOpen {
                trial: Some(ahead), ..
            } if *ahead > count => *ahead -= count,
            State::HalfOpen { .. } => self.state = State::LetIn { full_times: 0 },
        }
    }

    /// The item at `index` among the items was dropped. Where that was the trial, the next one is.
    pub(super) fn dropped(&mut self, index: usize) {
        if let State::HalfOpen { trial, .. } = &mut self.state {
            *trial = match *trial {
                Some(ahead) if ahead == index + 1 => None,
                Some(ahead) if ahead > index => Some(ahead - 1),
                other => other,
            };
        }
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        match self.state {
            State::LetIn { full_times } => Standing::LetIn { full_times },
            State::CutOff { until, .. } => Standing::CutOff {
                pause_left: until.saturating_duration_since(now),
            },
            State::HalfOpen { .. } => Standing::HalfOpen,
        }
    }
}
