//! The last batches of a bus, kept once for everybody who may have missed them.
//!
//! It knows no subscriber. The invariant: it keeps at most so many bytes, batches and seconds as its
//! limits say, the newest of what it was given; little while nobody is away or has still to get what it missed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::pubsub::queue::Evicted;
use crate::pubsub::{Parcel, Weigh as _};

/// Bytes that the batches of a ring keep alive by default.
pub const RING_BYTES_MAX: u64 = 16 << 20;

/// How long a ring keeps a batch by default.
pub const RING_AGE_MAX: Duration = Duration::from_secs(60);

/// Batches of a ring, 64 bytes each: a flood of the smallest costs 4 MiB besides its own bytes.
pub const RING_BATCHES_MAX: usize = 65_536;

/// What a ring keeps while every receiver is there. What a connection's end leaves unread lies in the kernel, some 200 KiB,
/// and what a slow one has not been sent yet lies in its queue, and is taken over from there. Keeping all of 16 MiB meanwhile
/// sends each message through as much memory, past the caches: a third of the throughput.
const PRESENT_BYTES_MAX: u64 = 512 << 10;

/// What is noted for receivers that are away, over all of them: 16 bytes each.
const NOTED_MAX: usize = 1 << 20;

/// What may be noted for one of them, however many there are.
const NOTED_EACH_MIN: usize = 1_024;

/// How much a ring keeps. All bounds hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RingLimits {
    /// Bytes that its batches keep alive; 0: it keeps nothing.
    pub bytes_max: u64,
    /// For how long.
    pub age_max: Duration,
}

impl Default for RingLimits {
    fn default() -> Self {
        Self {
            bytes_max: RING_BYTES_MAX,
            age_max: RING_AGE_MAX,
        }
    }
}

impl RingLimits {
    /// Keeps nothing.
    pub const NONE: Self = Self {
        bytes_max: 0,
        age_max: Duration::ZERO,
    };
}

/// What a ring keeps at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RingCounts {
    /// Batches.
    pub batches: u64,
    /// Bytes that they keep alive.
    pub bytes: u64,
    /// Subscribers that are away and may come back for them.
    pub away: u64,
}

#[derive(Debug)]
struct Slot {
    position: u64,
    since: Instant,
    bytes: u64,
    parcel: Parcel,
}

/// The batches, under the ring's lock.
#[derive(Debug)]
pub(super) struct Kept {
    limits: RingLimits,
    slots: VecDeque<Slot>,
    bytes: u64,
}

impl Kept {
    fn evict(&mut self, now: Instant, is_anybody_away: bool, evicted: &mut Evicted<Parcel>) {
        let bytes_max = if is_anybody_away {
            self.limits.bytes_max
        } else {
            self.limits.bytes_max.min(PRESENT_BYTES_MAX)
        };
        while let Some(first) = self.slots.front() {
            // The newest is on its way, however large it is.
            let is_last = self.slots.len() == 1 && self.bytes <= self.limits.bytes_max;
            let fits = (self.bytes <= bytes_max || is_last)
                && self.slots.len() <= RING_BATCHES_MAX
                && now.saturating_duration_since(first.since) < self.limits.age_max;
            if fits {
                break;
            }
            self.bytes = self.bytes.saturating_sub(first.bytes);
            if let Some(slot) = self.slots.pop_front() {
                evicted.put(slot.parcel);
            }
        }
    }

    fn index(&self, position: u64) -> Option<usize> {
        let found = self
            .slots
            .binary_search_by_key(&position, |slot| slot.position);
        found.ok()
    }

    pub(super) fn holds(&self, position: u64) -> bool {
        self.index(position).is_some()
    }

    pub(super) fn get(&self, position: u64) -> Option<Parcel> {
        let slot = self.slots.get(self.index(position)?)?;
        Some(slot.parcel.clone())
    }
}

/// The last batches of a bus.
#[derive(Debug)]
pub(crate) struct Ring {
    kept: Mutex<Kept>,
    away: AtomicUsize,
    /// Receivers that are back and haven't got all that they missed.
    behind: AtomicUsize,
}

impl Ring {
    pub(crate) fn new(limits: RingLimits) -> Self {
        Self {
            kept: Mutex::new(Kept {
                limits,
                slots: VecDeque::new(),
                bytes: 0,
            }),
            away: AtomicUsize::new(0),
            behind: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how much it keeps.
    pub(crate) fn limit(&self, limits: RingLimits) {
        self.lock().limits = limits;
        self.trim(Instant::now());
    }

    /// Keeps a batch. Positions rise. What it pushes out is destroyed with the answer: not under a lock.
    pub(crate) fn push(&self, position: u64, parcel: &Parcel, now: Instant) -> Evicted<Parcel> {
        let mut evicted = Evicted::none();
        let bytes = kept_bytes(parcel);
        let mut kept = self.lock();
        // One that is larger than all may be would push out everything, and then itself.
        if bytes <= kept.limits.bytes_max {
            kept.bytes += bytes;
            kept.slots.push_back(Slot {
                position,
                since: now,
                bytes,
                parcel: parcel.clone(),
            });
        }
        kept.evict(now, self.is_anybody_away(), &mut evicted);
        evicted
    }

    /// Takes over what waited for a receiver that goes away, in the order of the positions; what is there already stays.
    pub(super) fn adopt(&self, parcels: impl Iterator<Item = (u64, Parcel)>, now: Instant) {
        let mut evicted = Evicted::none();
        let mut kept = self.lock();
        for (position, parcel) in parcels {
            let bytes = kept_bytes(&parcel);
            let place = kept
                .slots
                .binary_search_by_key(&position, |slot| slot.position);
            if let Err(place) = place
                && bytes <= kept.limits.bytes_max
            {
                kept.bytes += bytes;
                let slot = Slot {
                    position,
                    since: now,
                    bytes,
                    parcel,
                };
                kept.slots.insert(place, slot);
            }
        }
        kept.evict(now, true, &mut evicted);
    }

    /// Whether there is somebody whom the newest alone isn't enough for.
    fn is_anybody_away(&self) -> bool {
        self.away.load(Ordering::Relaxed) > 0 || self.behind.load(Ordering::Relaxed) > 0
    }

    /// Lets go of what is too old.
    pub(crate) fn trim(&self, now: Instant) {
        let mut evicted = Evicted::none();
        let is_anybody_away = self.is_anybody_away();
        self.lock().evict(now, is_anybody_away, &mut evicted);
    }

    /// The batches that are not too old.
    pub(super) fn look<R>(&self, now: Instant, look: impl FnOnce(&Kept) -> R) -> R {
        let mut evicted = Evicted::none();
        let mut kept = self.lock();
        kept.evict(now, self.is_anybody_away(), &mut evicted);
        look(&kept)
    }

    pub(crate) fn counts(&self) -> RingCounts {
        let kept = self.lock();
        RingCounts {
            batches: kept.slots.len() as u64,
            bytes: kept.bytes,
            away: self.away.load(Ordering::Relaxed) as u64,
        }
    }

    pub(super) fn one_goes(&self) {
        self.away.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn one_is_back(&self) {
        self.away.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn one_is_behind(&self) {
        self.behind.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn one_caught_up(&self) {
        self.behind.fetch_sub(1, Ordering::Relaxed);
    }

    /// What may be noted for one that is away: its share of what may be noted for all.
    pub(super) fn noted_max(&self) -> usize {
        let share = NOTED_MAX / self.away.load(Ordering::Relaxed).max(1);
        share.clamp(NOTED_EACH_MIN, RING_BATCHES_MAX)
    }
}

/// Columns are encoded when the first connection takes them, and then both are kept: about as much again.
fn kept_bytes(parcel: &Parcel) -> u64 {
    match parcel {
        Parcel::Wire(_) => parcel.bytes(),
        Parcel::Batch(_) => parcel.bytes().saturating_mul(2),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::Batch;
    use crate::event::CollectionEvent;
    use crate::topic::Topic;

    fn parcel() -> Parcel {
        let row = serde_json::json!({"kind": "inventory", "class": "c", "item": "i"});
        let event: CollectionEvent = serde_json::from_value(row).unwrap();
        let topic = Topic::parse("events.inventory.item").unwrap();
        Parcel::Batch(Arc::new(Batch::of_events(topic, "s", 0, &[event]).unwrap()))
    }

    #[test]
    fn a_ring_keeps_the_newest_within_its_bytes_and_its_age() {
        let one = kept_bytes(&parcel());
        let ring = Ring::new(RingLimits {
            bytes_max: 3 * one,
            age_max: Duration::from_secs(10),
        });
        let begin = Instant::now();
        let after = |seconds: u64| begin + Duration::from_secs(seconds);
        for position in 1..=5 {
            drop(ring.push(position * 10, &parcel(), after(position)));
        }
        let held = |now: Instant| {
            let positions = [10, 20, 30, 40, 50, 45];
            ring.look(now, |kept| positions.map(|position| kept.holds(position)))
        };
        assert_eq!(held(after(5)), [false, false, true, true, true, false]);
        assert_eq!(ring.counts().bytes, 3 * one);
        assert_eq!(held(after(13)), [false, false, false, true, true, false]);
        ring.trim(after(15));
        assert_eq!(ring.counts(), RingCounts::default());
    }

    #[test]
    fn while_nobody_is_away_little_is_kept_and_what_waited_for_who_goes_is_taken_over() {
        let one = kept_bytes(&parcel());
        let ring = Ring::new(RingLimits::default());
        let now = Instant::now();
        let many = PRESENT_BYTES_MAX / one + 10;
        for position in 1..=many {
            drop(ring.push(position, &parcel(), now));
        }
        assert!(ring.counts().bytes <= PRESENT_BYTES_MAX);
        let holds = |position: u64| ring.look(now, |kept| kept.holds(position));
        assert!(!holds(1) && !holds(10) && holds(11) && holds(many));
        ring.one_goes();
        ring.adopt((5..=15).map(|position| (position, parcel())), now);
        assert_eq!(
            [4, 5, 10, 11, many].map(holds),
            [false, true, true, true, true]
        );
        assert_eq!(ring.counts().batches, many - 4);
        drop(ring.push(many + 1, &parcel(), now));
        assert!(holds(5), "somebody is away");
        ring.one_is_back();
        drop(ring.push(many + 2, &parcel(), now));
        assert!(!holds(5) && holds(many + 2));
    }

    #[test]
    fn what_is_larger_than_the_ring_pushes_nothing_out() {
        let one = kept_bytes(&parcel());
        let ring = Ring::new(RingLimits {
            bytes_max: one,
            ..RingLimits::default()
        });
        let now = Instant::now();
        drop(ring.push(1, &parcel(), now));
        let row =
            serde_json::json!({"kind": "inventory", "class": "c", "item": "x".repeat(99_000)});
        let event: CollectionEvent = serde_json::from_value(row).unwrap();
        let topic = Topic::parse("events.inventory.item").unwrap();
        let large = Batch::of_events(topic, "s", 0, &[event]).unwrap();
        drop(ring.push(2, &Parcel::Batch(Arc::new(large)), now));
        assert!(ring.look(now, |kept| kept.holds(1) && !kept.holds(2)));
        ring.limit(RingLimits::NONE);
        drop(ring.push(3, &parcel(), now));
        assert_eq!(ring.counts().batches, 0);
    }
}
