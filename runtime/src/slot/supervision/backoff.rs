//! Pauses between restarts: a guest that breaks whatever it gets is called less and less often.
//!
//! A batch of which the guest answered anything is no reason to pause: it works, and the rows that
//! break it have been found. Nor is a single batch without any answer: it may be one poisonous row.

use std::time::{Duration, Instant};

/// Of a pause, so much at least is kept; the rest is chance, so that guests that broke together don't
/// come back together.
const JITTER_KEEPS: f64 = 0.5;

/// When a guest that breaks may be called again.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    pause_min: Duration,
    pause_max: Duration,
    /// Batches in a row that broke it, and of which it answered nothing.
    broken: u32,
    until: Option<Instant>,
}

impl Backoff {
    pub(super) const fn new(pause_min: Duration, pause_max: Duration) -> Self {
        Self {
            pause_min,
            pause_max,
            broken: 0,
            until: None,
        }
    }

    /// It answered.
    pub(super) const fn answered(&mut self) {
        self.broken = 0;
        self.until = None;
    }

    /// It broke, and answered nothing. `chance` is in 0..1.
    pub(super) fn broke(&mut self, now: Instant, chance: f64) {
        self.broken = self.broken.saturating_add(1);
        // The second one in a row brings the first pause.
        if let Some(doubled) = self.broken.checked_sub(2) {
            let longest = self.pause_max.max(self.pause_min);
            let factor = 2_u32.saturating_pow(doubled);
            let pause = self.pause_min.saturating_mul(factor).min(longest);
            let kept = JITTER_KEEPS + (1.0 - JITTER_KEEPS) * chance.clamp(0.0, 1.0);
            self.until = now.checked_add(pause.mul_f64(kept));
        }
    }

    /// Until when it may not be called; none if it may.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn pauses_double_from_the_second_time_on_up_to_the_longest() {
        let (mut backoff, now) = (Backoff::new(MIN, MAX), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            backoff.broke(now, 1.0);
            let until = backoff.until(now);
            pauses.push(until.map_or(0, |until| (until - now).as_millis()));
        }
        let expected = [
            0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000,
        ];
        assert_eq!(pauses, expected);
    }

    #[test]
    fn an_answer_ends_the_pauses() {
        let (mut backoff, now) = (Backoff::new(MIN, MAX), Instant::now());
        for _ in 0..5 {
            backoff.broke(now, 0.5);
        }
        assert!(backoff.until(now).is_some());
        backoff.answered();
        assert_eq!(backoff.until(now), None);
        backoff.broke(now, 0.5);
        assert_eq!(backoff.until(now), None);
    }

    proptest! {
        #[test]
        fn a_pause_is_never_longer_than_the_longest_and_never_under_half(
            times in 2_u32..200,
            chance in 0.0_f64..1.0,
        ) {
            let (mut backoff, now) = (Backoff::new(MIN, MAX), Instant::now());
            for _ in 0..times {
                backoff.broke(now, chance);
            }
            let pause = backoff.until(now).unwrap() - now;
            prop_assert!(pause <= MAX);
            prop_assert!(pause >= MIN / 2);
        }
    }
}
