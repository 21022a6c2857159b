//! What became of the firings of each trigger: exact, and adding up.
//!
//! `fired` is the sum of `excepted`, `duplicates`, all that was refused, and `admitted`; `admitted` is the sum of what
//! waits, what is under way and what has ended. All of it lies under the manager's lock, so it holds at any instant.

use serde::Serialize;

use super::Ending;

/// Why a firing goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The same trigger fired about the same a moment ago.
    Duplicate,
    /// An `[[exception]]` keeps it silent.
    Excepted,
    /// It says too much, or is about nothing.
    Invalid,
    /// Too many requests came before it in its cascade.
    TooDeep,
    /// What it is to be answered by isn't there.
    NoTarget,
    /// Its trigger fires more often than it may.
    RateLimited,
    /// It is of low priority, and too many wait.
    LowPriority,
    /// Too many wait.
    QueueFull,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Duplicate,
        Self::Excepted,
        Self::Invalid,
        Self::TooDeep,
        Self::NoTarget,
        Self::RateLimited,
        Self::LowPriority,
        Self::QueueFull,
    ];

    /// The reason's code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Excepted => "excepted",
            Self::Invalid => "invalid",
            Self::TooDeep => "too-deep",
            Self::NoTarget => "no-target",
            Self::RateLimited => "rate-limited",
            Self::LowPriority => "low-priority",
            Self::QueueFull => "queue-full",
        }
    }
}

/// The counts of a trigger, or of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TriggerCounts {
    /// Rows that it fired on.
    pub fired: u64,
    /// Rows that it could not decide.
    pub undecided: u64,
    /// See [`Refusal::Excepted`].
    pub excepted: u64,
    /// See [`Refusal::Duplicate`].
    pub duplicates: u64,
    /// See [`Refusal::Invalid`].
    pub invalid: u64,
    /// See [`Refusal::TooDeep`].
    pub too_deep: u64,
    /// See [`Refusal::NoTarget`].
    pub no_target: u64,
    /// See [`Refusal::RateLimited`].
    pub rate_limited: u64,
    /// See [`Refusal::LowPriority`].
    pub low_priority: u64,
    /// See [`Refusal::QueueFull`].
    pub queue_full: u64,
    /// Became requests.
    pub admitted: u64,
    /// Requests that nobody works on yet.
    pub waiting: u64,
    /// Requests that are worked on.
    pub under_way: u64,
    /// Requests that ended as they should.
    pub answered: u64,
    /// Requests that somebody failed.
    pub failed: u64,
    /// Requests whose time was over.
    pub timed_out: u64,
    /// Requests that were cancelled.
    pub cancelled: u64,
}

impl TriggerCounts {
    /// The count of a refusal.
    pub(crate) const fn refused(&mut self, why: Refusal) -> &mut u64 {
        match why {
            Refusal::Duplicate => &mut self.duplicates,
            Refusal::Excepted => &mut self.excepted,
            Refusal::Invalid => &mut self.invalid,
            Refusal::TooDeep => &mut self.too_deep,
            Refusal::NoTarget => &mut self.no_target,
            Refusal::RateLimited => &mut self.rate_limited,
            Refusal::LowPriority => &mut self.low_priority,
            Refusal::QueueFull => &mut self.queue_full,
        }
    }

    /// The count of an ending.
    pub(crate) const fn ended(&mut self, how: Ending) -> &mut u64 {
        match how {
            Ending::Answered => &mut self.answered,
            Ending::Failed => &mut self.failed,
            Ending::TimedOut => &mut self.timed_out,
            Ending::Cancelled => &mut self.cancelled,
        }
    }

    /// Whether everything adds up.
    #[must_use]
    pub fn balance(&self) -> bool {
        let mut copy = *self;
        let refused: u64 = Refusal::ALL.iter().map(|why| *copy.refused(*why)).sum();
        let ended = self.answered + self.failed + self.timed_out + self.cancelled;
        self.fired == refused + self.admitted
            && self.admitted == self.waiting + self.under_way + ended
    }

    /// Adds another's.
    pub(super) fn add(&mut self, other: &Self) {
        let mut other = *other;
        for why in Refusal::ALL {
            *self.refused(why) += *other.refused(why);
        }
        self.fired += other.fired;
        self.undecided += other.undecided;
        self.admitted += other.admitted;
        self.waiting += other.waiting;
        self.under_way += other.under_way;
        self.answered += other.answered;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.cancelled += other.cancelled;
    }
}
