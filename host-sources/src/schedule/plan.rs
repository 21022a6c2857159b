//! When a source runs: a state machine that is told the time.
//!
//! No clock, thread or lock. The invariant: at most one run is under way; without a budget that is owed, two
//! runs are the shortest interval that is asked for apart (but for the jitter, and for who asks for one run
//! now); nobody asks, nothing runs.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_bus::pubsub::{EVERY_MAX, EVERY_MIN};

use super::budget::Budget;
use super::tier::Tier;
use super::{AskError, Asker, INTERVAL_MIN, LastRun, ScheduleOptions, ScheduleStatus};

/// Who may ask for intervals of one source at a time: as many as there may be subscriptions, and the config.
pub const ASKERS_MAX: usize = 1_025;
/// The least time between the beginnings of two runs that are asked for one by one.
const WANTED_GAP: Duration = Duration::from_millis(100);
/// The part of an interval by which a run may come later, so that sources and hosts don't all look at once.
const JITTER_PART: u32 = 20;
/// The longest jitter: whoever asks for a table every hour expects it within moments of its time.
const JITTER_MAX: Duration = Duration::from_millis(500);

/// What is said of a run that ended before its end, where the source says no more.
const UNFINISHED: &str = "its last run did not come to its end";

struct Asking {
    name: String,
    every: Duration,
    /// When it wants the next run; before the first run as early as can be.
    due: Duration,
}

struct Running {
    begun: Duration,
    tiers: [bool; 3],
    /// Somebody besides the config waits for its table.
    is_asked_for: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Well, and all of the table was sent.
    Whole,
    /// Well, and only what changed was sent: the table of before is none of this run's.
    ChangesOnly,
    /// Not well.
    Failed,
}

/// When to run next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Now.
    Now,
    /// At that time, if nothing changes.
    At(Duration),
    /// When somebody asks.
    Idle,
}

/// What becomes of who wants a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One is there that is new enough.
    There(LastRun),
    /// The next that ends after so many have.
    After(u64),
}

/// A source's plan.
pub(super) struct Plan {
    options: ScheduleOptions,
    askers: BTreeMap<u64, Asking>,
    ids: u64,
    /// Somebody wants a run now.
    wanted: bool,
    running: Option<Running>,
    /// The source was started again: what is due is due at once.
    fresh: bool,
    /// The source isn't there to run.
    is_down: bool,
    /// Runs that have ended, well or not, and failures in between.
    ended: u64,
    /// By how much the next run comes later than its time.
    offset: Duration,
    random: u64,
    budget: Budget,
    /// When each tier was read last; none after a start.
    read: [Option<Duration>; 3],
    last: Option<LastRun>,
    /// Why the source was down last, where no run has come to its end since.
    failure: Option<String>,
    /// The last run didn't come to its end.
    is_unfinished: bool,
    /// The interval that the budget allows, where it is longer than what is asked for.
    stretched: Option<Duration>,
    runs: u64,
    runs_failed: u64,
}

impl Plan {
    /// A plan by these options; `seed` decides on the jitter, 0 is none.
    pub(super) fn new(options: ScheduleOptions, seed: u64) -> Self {
        let mut plan = Self {
            askers: BTreeMap::new(),
            ids: 0,
            wanted: false,
            running: None,
            fresh: true,
            is_down: false,
            ended: 0,
            offset: Duration::ZERO,
            random: seed,
            budget: Budget::new(options.cost_share),
            read: [None; 3],
            last: None,
            failure: None,
            is_unfinished: false,
            stretched: None,
            runs: 0,
            runs_failed: 0,
            options,
        };
        if let Some(interval) = plan.options.interval {
            plan.enter("config", interval.max(INTERVAL_MIN), Duration::ZERO);
        }
        plan
    }

    fn enter(&mut self, name: &str, every: Duration, now: Duration) -> u64 {
        self.ids += 1;
        // What is known is as good for the new one until it is as old as its interval.
        let due = self.last.map_or(now, |last| last.begun + every);
        let asking = Asking {
            name: name.to_owned(),
            every,
            due,
        };
        self.askers.insert(self.ids, asking);
        self.ids
    }

    /// Takes in who asks for a run every `every`.
    pub(super) fn ask(
        &mut self,
        name: &str,
        every: Duration,
        now: Duration,
    ) -> Result<u64, AskError> {
        if !(EVERY_MIN..=EVERY_MAX).contains(&every) {
            return Err(AskError::Interval { every });
        }
        if self.askers.len() >= ASKERS_MAX {
            return Err(AskError::TooMany);
        }
        Ok(self.enter(name, every, now))
    }

    /// Forgets who asked.
    pub(super) fn leave(&mut self, id: u64) {
        self.askers.remove(&id);
    }

    /// Wants a run that began at most `ttl` ago.
    pub(super) fn want(&mut self, ttl: Duration, now: Duration) -> Result<Wanted, AskError> {
        let last = self.last;
        if let Some(last) = last.filter(|last| now.saturating_sub(last.begun) <= ttl) {
            return Ok(Wanted::There(last));
        }
        if let Some(reason) = self.failure.as_ref().filter(|_| self.is_down) {
            let reason = reason.clone();
            return Err(AskError::Failed { reason });
        }
        if let Some(running) = &mut self.running {
            running.is_asked_for = true;
        } else {
            let free_at = self.budget.free_at().unwrap_or_default();
            let wait = free_at.saturating_sub(now);
            if !wait.is_zero() {
                return Err(AskError::OverBudget { wait });
            }
            self.wanted = true;
        }
        Ok(Wanted::After(self.ended))
    }

    /// What became of the run that was waited for since so many had ended; none while it is to come.
    pub(super) fn answer(&self, ended_before: u64) -> Option<Result<LastRun, AskError>> {
        if self.ended == ended_before {
            return None;
        }
        let failed = |reason: &str| AskError::Failed {
            reason: reason.to_owned(),
        };
        match &self.failure {
            Some(reason) => Some(Err(failed(reason))),
            None if self.is_unfinished => Some(Err(failed(UNFINISHED))),
            None => self.last.map(Ok),
        }
    }

    /// The source was started, anew or again, and knows nothing.
    pub(super) fn started(&mut self) {
        self.fresh = true;
        self.is_down = false;
        self.running = None;
        self.read = [None; 3];
    }

    /// Who asks for the shortest interval.
    fn leader(&self) -> Option<&Asking> {
        self.askers
            .values()
            .min_by_key(|asking| (asking.every, asking.due))
    }

    fn shortest(&self) -> Option<Duration> {
        self.leader().map(|asking| asking.every)
    }

    /// When the next run is due by who asks, whatever it costs.
    fn asked_at(&self) -> Option<Duration> {
        let leader = self.leader()?;
        Some(if self.fresh {
            Duration::ZERO
        } else {
            leader.due.saturating_add(self.offset)
        })
    }

    pub(super) fn next(&self, now: Duration) -> Next {
        if self.running.is_some() {
            return Next::Idle;
        }
        let wanted = self.wanted.then(|| {
            let last = self.last.map(|last| last.begun.saturating_add(WANTED_GAP));
            last.unwrap_or_default()
        });
        let Some(at) = [wanted, self.asked_at()].into_iter().flatten().min() else {
            return Next::Idle;
        };
        let at = at.max(self.budget.free_at().unwrap_or_default());
        if at <= now { Next::Now } else { Next::At(at) }
    }

    /// A run begins.
    pub(super) fn begin(&mut self, now: Duration) {
        let of_config = usize::from(self.options.interval.is_some());
        let is_asked_for = self.wanted || self.askers.len() > of_config;
        self.wanted = false;
        self.fresh = false;
        if let Some(every) = self.shortest() {
            self.offset = self.jitter(every);
            let half = every / 2;
            for asking in self.askers.values_mut() {
                // The run nearest to its time is its.
                if asking.due <= now.saturating_add(half) {
                    let then = asking.due.saturating_add(asking.every);
                    // What was missed isn't made up for.
                    asking.due = if then <= now {
                        now + asking.every
                    } else {
                        then
                    };
                }
            }
        }
        self.running = Some(Running {
            begun: now,
            tiers: Tier::ALL.map(|tier| self.is_due(tier, now)),
            is_asked_for,
        });
    }

    /// Whether a tier is to be read in a run that begins now. A tenth early counts as in time: what is read every
    /// ten runs isn't to wait for an eleventh.
    fn is_due(&self, tier: Tier, now: Duration) -> bool {
        let read = self.read.get(tier.index()).copied().flatten();
        tier == Tier::Fast
            || read.is_none_or(|read| now.saturating_sub(read) >= tier.period() * 9 / 10)
    }

    pub(super) fn due(&self, tier: Tier) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.tiers.get(tier.index()) == Some(&true))
    }

    pub(super) fn is_asked_for(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.is_asked_for)
    }

    /// The run has ended.
    pub(super) fn end(&mut self, now: Duration, cpu: Duration, ended: Ended) {
        let Some(running) = self.running.take() else {
            return;
        };
        let has_table = ended == Ended::Whole;
        if ended == Ended::ChangesOnly && running.is_asked_for {
            // Somebody came too late for its table, and waits for the next.
            self.wanted = true;
        } else {
            self.ended += 1;
        }
        self.budget.charge(now, running.begun, cpu);
        self.note_stretch(now, running.begun);
        self.is_unfinished = ended == Ended::Failed;
        if self.is_unfinished {
            self.runs_failed += 1;
            return;
        }
        self.runs += 1;
        self.failure = None;
        for (read, due) in self.read.iter_mut().zip(running.tiers) {
            if due {
                *read = Some(running.begun);
            }
        }
        if !has_table {
            return;
        }
        self.last = Some(LastRun {
            begun: running.begun,
            took: now.saturating_sub(running.begun),
            cpu,
        });
    }

    fn note_stretch(&mut self, now: Duration, begun: Duration) {
        match (self.budget.free_at(), self.asked_at()) {
            (Some(free_at), Some(asked_at)) if free_at > asked_at.max(now) => {
                self.stretched = Some(free_at.saturating_sub(begun));
            }
            _ if self.budget.is_at_ease(now) => self.stretched = None,
            _ => {}
        }
    }

    /// Why the source doesn't run, as its supervisor sees it.
    pub(super) fn failed(&mut self, reason: String) {
        self.ended += 1;
        self.is_down = true;
        self.running = None;
        self.failure = Some(reason);
    }

    /// A number within the jitter of an interval.
    fn jitter(&mut self, every: Duration) -> Duration {
        let most = (every / JITTER_PART).min(JITTER_MAX);
        let most_ns = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        if self.random == 0 {
            return Duration::ZERO;
        }
        // Marsaglia's xorshift64: nobody needs it to be secret.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Duration::from_nanos(
            self.random
                .checked_rem(most_ns.saturating_add(1))
                .unwrap_or(0),
        )
    }

    pub(super) fn status(&self, now: Duration) -> ScheduleStatus {
        let asked = self.shortest();
        let askers = self.askers.values().map(|asking| Asker {
            name: asking.name.clone(),
            every: asking.every,
        });
        ScheduleStatus {
            configured: self.options.interval,
            askers: askers.collect(),
            asked,
            in_force: asked.map(|asked| self.stretched.map_or(asked, |to| to.max(asked))),
            stretched: asked.is_some() && self.stretched.is_some_and(|to| Some(to) > asked),
            is_down: self.is_down,
            cost_share: self.budget.cost_share(),
            cost_share_max: self.budget.share(),
            runs: self.runs,
            runs_failed: self.runs_failed,
            running: self.running.is_some(),
            last: self.last,
            last_age: self.last.map(|last| now.saturating_sub(last.begun)),
            failure: self.failure.clone(),
            is_unfinished: self.is_unfinished,
        }
    }
}
