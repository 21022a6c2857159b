//! A token bucket: so many at once, and so many in each window.
//!
//! Has no clock: it is told the time. Invariant: within any window at most twice its capacity is taken, and over many
//! windows once.

use std::time::{Duration, Instant};

/// Tokens that come back evenly over a window.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    capacity: u32,
    window: Duration,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(capacity: u32, window: Duration, now: Instant) -> Self {
        Self {
            capacity,
            window,
            tokens: f64::from(capacity),
            filled_at: now,
        }
    }

    /// The same tokens under another rate; never more than the new one holds.
    pub(super) fn set_rate(&mut self, capacity: u32, window: Duration) {
        self.capacity = capacity;
        self.window = window;
        self.tokens = self.tokens.min(f64::from(capacity));
    }

    /// Whether there is a token.
    pub(super) fn has_one(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        let share = passed.as_secs_f64() / self.window.as_secs_f64().max(f64::MIN_POSITIVE);
        let capacity = f64::from(self.capacity);
        self.tokens = (self.tokens + share * capacity).min(capacity);
        // What adds up to a token in many steps may be a hair less.
        self.tokens > 1.0 - 1e-9
    }

    /// Takes one; there must be one.
    pub(super) fn take(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn take(bucket: &mut Bucket, tries: u32, now: Instant) -> u32 {
        let one = |bucket: &mut Bucket| {
            let has = bucket.has_one(now);
            if has {
                bucket.take();
            }
            u32::from(has)
        };
        (0..tries).map(|_| one(bucket)).sum()
    }

    #[test]
    fn a_full_bucket_gives_its_capacity_and_no_more() {
        let now = Instant::now();
        let mut bucket = Bucket::new(100, WINDOW, now);
        assert_eq!(take(&mut bucket, 100_000, now), 100);
    }

    #[test]
    fn tokens_come_back_evenly_and_never_more_than_the_capacity() {
        let now = Instant::now();
        let mut bucket = Bucket::new(100, WINDOW, now);
        assert_eq!(take(&mut bucket, 200, now), 100);
        for (seconds, expected) in [(6, 10), (6, 0), (66, 100), (1_000, 100)] {
            let at = now + Duration::from_secs(seconds);
            assert_eq!(take(&mut bucket, 1_000, at), expected, "after {seconds} s");
        }
    }

    #[test]
    fn many_short_steps_give_as_much_as_a_long_one() {
        let now = Instant::now();
        let mut bucket = Bucket::new(100, WINDOW, now);
        take(&mut bucket, 100, now);
        let steps = (1..=60_000).map(|step| now + Duration::from_millis(step));
        assert_eq!(steps.map(|at| take(&mut bucket, 1, at)).sum::<u32>(), 100);
    }

    #[test]
    fn another_rate_gives_nothing_for_free() {
        let now = Instant::now();
        let mut bucket = Bucket::new(100, WINDOW, now);
        take(&mut bucket, 90, now);
        bucket.set_rate(1_000, WINDOW);
        assert_eq!(take(&mut bucket, 100, now), 10);
        bucket.set_rate(5, WINDOW);
        assert_eq!(take(&mut bucket, 100, now + WINDOW), 5);
    }
}
