//! What fired a moment ago: the same again is no news.
//!
//! A key is a digest of the trigger and of what its firing was about, under a key of this process: who chooses names
//! and paths can't make two of them meet. Invariant: at most [`Dedup::entries_max`] keys are held; the oldest are
//! forgotten, and counted where they still held.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::Instant;

/// What a firing was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DedupKey(u64, u64);

/// Makes keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    // Two halves under two random keys: one alone would meet by chance after some billions.
    halves: (RandomState, RandomState),
}

impl Keys {
    /// The key of some values.
    pub(super) fn of(&self, values: impl Hash) -> DedupKey {
        DedupKey(
            self.halves.0.hash_one(&values),
            self.halves.1.hash_one(&values),
        )
    }
}

/// The keys that hold, each until its time.
#[derive(Debug)]
pub(super) struct Dedup {
    entries_max: usize,
    until: HashMap<DedupKey, (Instant, u64)>,
    /// In the order in which they were written; an entry whose number isn't the map's was written anew since.
    order: VecDeque<(DedupKey, u64)>,
    next: u64,
    forgotten: u64,
}

impl Dedup {
    /// An empty one.
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            entries_max,
            until: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
            forgotten: 0,
        }
    }

    /// Another bound; what is too much goes with the next write.
    pub(super) fn set_entries_max(&mut self, entries_max: usize) {
        self.entries_max = entries_max;
    }

    /// Whether that was written, and still holds.
    pub(super) fn holds(&self, key: DedupKey, now: Instant) -> bool {
        self.until.get(&key).is_some_and(|(until, _)| now < *until)
    }

    /// Writes a key that holds until then.
    pub(super) fn write(&mut self, key: DedupKey, until: Instant, now: Instant) {
        let number = self.next;
        self.next += 1;
        self.until.insert(key, (until, number));
        self.order.push_back((key, number));
        if self.order.len() > self.entries_max.saturating_mul(2) {
            // What was written anew has left a stale place behind.
            let until = &self.until;
            self.order
                .retain(|(key, number)| until.get(key).is_some_and(|(_, of)| of == number));
        }
        while self.until.len() > self.entries_max {
            let Some((oldest, number)) = self.order.pop_front() else {
                break;
            };
            if let Some((until, of)) = self.until.get(&oldest)
                && *of == number
            {
                self.forgotten += u64::from(now < *until);
                self.until.remove(&oldest);
            }
        }
    }

    /// How many keys are held.
    pub(super) fn len(&self) -> usize {
        self.until.len()
    }

    /// How many were forgotten before their time.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_key_holds_until_its_time_and_not_beyond() {
        let (keys, now) = (Keys::default(), Instant::now());
        let mut dedup = Dedup::new(10);
        let key = keys.of(("trigger", "/tmp/x"));
        assert!(!dedup.holds(key, now));
        dedup.write(key, now + SECOND, now);
        assert!(dedup.holds(key, now));
        assert!(!dedup.holds(keys.of(("trigger", "/tmp/y")), now));
        assert!(!dedup.holds(keys.of(("other", "/tmp/x")), now));
        assert!(!dedup.holds(key, now + SECOND));
    }

    #[test]
    fn the_oldest_is_forgotten_and_counted_where_it_still_held() {
        let (keys, now) = (Keys::default(), Instant::now());
        let mut dedup = Dedup::new(3);
        dedup.write(keys.of(0), now + SECOND, now);
        for number in 1..=3 {
            dedup.write(keys.of(number), now + 10 * SECOND, now + 2 * SECOND);
        }
        assert_eq!((dedup.len(), dedup.forgotten()), (3, 0));
        dedup.write(keys.of(4), now + 10 * SECOND, now + 2 * SECOND);
        assert_eq!((dedup.len(), dedup.forgotten()), (3, 1));
        assert!(!dedup.holds(keys.of(1), now + 2 * SECOND));
        assert!(dedup.holds(keys.of(2), now + 2 * SECOND));
    }

    #[test]
    fn one_key_that_is_written_again_and_again_takes_the_place_of_one() {
        let (keys, now) = (Keys::default(), Instant::now());
        let mut dedup = Dedup::new(3);
        dedup.write(keys.of("other"), now + SECOND, now);
        for _ in 0..1_000 {
            dedup.write(keys.of("same"), now + SECOND, now);
        }
        assert_eq!(dedup.len(), 2);
        assert!(dedup.order.len() <= 6);
        assert!(dedup.holds(keys.of("same"), now));
    }
}
