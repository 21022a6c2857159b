//! The share of a core that a slot may use: a bucket of CPU time that fills as time goes by.
//!
//! What a batch has used is known when it is done, so that the bucket may owe; the next batch waits
//! until it doesn't. Nothing is ever stopped here.

use std::time::{Duration, Instant};

/// How long the bucket takes to fill: a slot may use a whole core for a while, if it rests for the rest.
const WINDOW: Duration = Duration::from_secs(10);

/// A bucket of CPU time.
#[derive(Clone, Debug)]
pub(in crate::slot) struct CpuShare {
    /// In 0..=1; 0 is no bound.
    share: f64,
    /// CPU time that may be used at once, in seconds; below 0 it owes.
    left_seconds: f64,
    filled: Option<Instant>,
}

impl CpuShare {
    pub(in crate::slot) const fn new(share: f64) -> Self {
        Self {
            share,
            left_seconds: share * WINDOW.as_secs() as f64,
            filled: None,
        }
    }

    /// Another guest has another share; what is owed stays.
    pub(super) fn set(&mut self, share: f64) {
        let before = std::mem::replace(&mut self.share, share);
        self.left_seconds += (share - before) * WINDOW.as_secs_f64();
    }

    fn fill(&mut self, now: Instant) {
        let since = self.filled.replace(now);
        let passed = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let full = self.share * WINDOW.as_secs_f64();
        self.left_seconds = (self.left_seconds + passed.as_secs_f64() * self.share).min(full);
    }

    /// The slot has used so much.
    pub(in crate::slot) fn used(&mut self, now: Instant, cpu: Duration) {
        self.fill(now);
        self.left_seconds -= cpu.as_secs_f64();
    }

    /// Until when the next batch waits; none if it needn't.
    pub(in crate::slot) fn until(&self, now: Instant) -> Option<Instant> {
        if self.share <= 0.0 {
            return None;
        }
        let filled = self.filled.unwrap_or(now);
        let seconds = -self.left_seconds / self.share;
        let wait = Duration::try_from_secs_f64(seconds).ok()?;
        filled.checked_add(wait).filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quarter_of_a_core_is_ten_seconds_for_two_and_a_half() {
        let (mut share, start) = (CpuShare::new(0.25), Instant::now());
        share.used(start, Duration::from_millis(2_500));
        assert_eq!(share.until(start), None);
        share.used(start, Duration::from_secs(1));
        assert_eq!(share.until(start), Some(start + Duration::from_secs(4)));
        assert_eq!(share.until(start + Duration::from_secs(4)), None);
    }

    #[test]
    fn without_a_share_nothing_waits() {
        let (mut share, start) = (CpuShare::new(0.0), Instant::now());
        share.used(start, Duration::from_hours(1));
        assert_eq!(share.until(start), None);
    }

    #[test]
    fn a_larger_share_is_in_force_at_once() {
        let (mut share, start) = (CpuShare::new(0.25), Instant::now());
        share.used(start, Duration::from_secs(3));
        assert!(share.until(start).is_some());
        share.set(1.0);
        assert_eq!(share.until(start), None);
    }

    proptest! {
        /// Whatever batches take: who waits as it is told uses no more than its share and a bucket.
        #[test]
        fn in_the_long_run_it_is_no_more_than_its_share(
            batches_ms in prop::collection::vec(1_u64..2_000, 1..200),
        ) {
            let (mut share, start) = (CpuShare::new(0.25), Instant::now());
            let (mut now, mut used) = (start, Duration::ZERO);
            for ms in batches_ms {
                if let Some(until) = share.until(now) {
                    now = until;
                }
                let batch = Duration::from_millis(ms);
                now += batch;
                used += batch;
                share.used(now, batch);
                let most = (now - start).as_secs_f64() * 0.25 + 2.5 + 2.0;
                prop_assert!(used.as_secs_f64() <= most);
            }
        }
    }
}
