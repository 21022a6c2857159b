//! What a source may cost: a bucket of CPU time that fills at its share of a core.
//!
//! Arithmetic without a clock of its own. The invariant: over any window, what was begun while the bucket was
//! not in debt costs at most the share of that window, and one bucket and one run besides.

use std::collections::VecDeque;
use std::time::Duration;

/// The share of a core that a source may cost where nothing else is said.
pub const COST_SHARE_DEFAULT: f64 = 0.01;
/// The least share that can be asked for: below it a source of any cost would run once an hour.
pub const COST_SHARE_MIN: f64 = 0.000_1;
/// For so long a source may save up what it doesn't use: a first look reads what later ones needn't.
const WINDOW: Duration = Duration::from_mins(1);
/// Runs over which the cost is told.
const RUNS_KEPT_MAX: usize = 16;

/// A source's account.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    share: f64,
    /// What is left, in seconds of CPU time; below zero it is owed.
    left_s: f64,
    at: Duration,
    /// When the last runs began, and what each cost.
    runs: VecDeque<(Duration, Duration)>,
}

impl Budget {
    /// A full one.
    pub(super) fn new(share: f64) -> Self {
        let share = if share.is_finite() {
            share.max(COST_SHARE_MIN)
        } else {
            COST_SHARE_DEFAULT
        };
        Self {
            share,
            left_s: share * WINDOW.as_secs_f64(),
            at: Duration::ZERO,
            runs: VecDeque::new(),
        }
    }

    pub(super) const fn share(&self) -> f64 {
        self.share
    }

    fn full_s(&self) -> f64 {
        self.share * WINDOW.as_secs_f64()
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.left_s = (self.left_s + elapsed.as_secs_f64() * self.share).min(self.full_s());
    }

    /// Takes what a run that began at `begun` has cost.
    pub(super) fn charge(&mut self, now: Duration, begun: Duration, cost: Duration) {
        self.fill(now);
        self.left_s -= cost.as_secs_f64();
        if self.runs.len() >= RUNS_KEPT_MAX {
            self.runs.pop_front();
        }
        self.runs.push_back((begun, cost));
    }

    /// When what is owed is paid; none if nothing is.
    pub(super) fn free_at(&self) -> Option<Duration> {
        let owed_s = -self.left_s;
        if owed_s <= 0.0 {
            return None;
        }
        let wait = Duration::try_from_secs_f64(owed_s / self.share);
        Some(self.at.saturating_add(wait.unwrap_or(Duration::MAX)))
    }

    /// Whether so much is left again that the next runs won't owe anything.
    pub(super) fn is_at_ease(&self, now: Duration) -> bool {
        let mut filled = self.clone();
        filled.fill(now);
        filled.left_s >= filled.full_s() / 4.0
    }

    /// What the last runs have cost, as a share of a core; none before the second.
    pub(super) fn cost_share(&self) -> Option<f64> {
        let (first, _) = self.runs.front()?;
        let (last, last_cost) = self.runs.back()?;
        let elapsed = last.checked_sub(*first).filter(|over| !over.is_zero())?;
        let cost: Duration = self.runs.iter().map(|(_, cost)| *cost).sum();
        Some(cost.saturating_sub(*last_cost).as_secs_f64() / elapsed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_is_owed_is_waited_for_and_no_longer() {
        let mut budget = Budget::new(0.01);
        // 600 ms are saved up.
        budget.charge(ms(0), ms(0), ms(600));
        assert_eq!(budget.free_at(), None);
        budget.charge(ms(0), ms(0), ms(10));
        assert_eq!(budget.free_at(), Some(ms(1_000)));
        assert!(!budget.is_at_ease(ms(10_000)));
        assert!(budget.is_at_ease(ms(17_000)));
        // It saves up no more than a window's worth.
        budget.charge(ms(3_600_000), ms(3_600_000), ms(700));
        assert_eq!(budget.free_at(), Some(ms(3_610_000)));
    }

    #[test]
    fn the_cost_is_that_of_the_last_runs() {
        let mut budget = Budget::new(0.01);
        assert_eq!(budget.cost_share(), None);
        for run in 0..40 {
            budget.charge(ms(run * 1_000), ms(run * 1_000), ms(20));
        }
        let share = budget.cost_share().unwrap();
        assert!((share - 0.02).abs() < 1e-9, "{share}");
    }

    #[test]
    fn a_share_that_is_none_is_the_default() {
        for (share, taken) in [
            (f64::NAN, COST_SHARE_DEFAULT),
            (f64::INFINITY, COST_SHARE_DEFAULT),
            (-1.0, COST_SHARE_MIN),
            (0.5, 0.5),
        ] {
            assert!((Budget::new(share).share() - taken).abs() < f64::EPSILON);
        }
    }
}
