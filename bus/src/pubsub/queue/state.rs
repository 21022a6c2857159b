//! What lies under a queue's lock. Plain data: nothing here wakes anybody or knows a thread.
//!
//! The invariant: `matched = delivered + dropped + queued` between any two calls, and each drop is
//! part of exactly one gap, which stands between the items that it stood between.

mod held;

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use held::Held;

use super::breaker::Breaker;
use super::waiting::Waiting;
use super::weight::Weight;
use super::{Delivery, QueueCounts, QueueLimits, QueuePolicy};
use crate::count::{Count, DropReason, Drops};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    Closed,
    Retired,
}

/// What every push and receive touches; with the lock it fits two cache lines, which is what moves
/// between the processors of a pusher and a receiver. The rest is in `slow`.
#[derive(Debug)]
pub(super) struct State<T> {
    /// Items and gaps. At one place there is at most one gap for each reason.
    pub(super) stream: VecDeque<Delivery<T>>,
    /// One for each item of the stream.
    pub(super) weights: VecDeque<Weight>,
    queued_rows: u64,
    queued_bytes: u64,
    matched: Count,
    pub(super) slow: Box<Slow>,
    /// Threads that are parked and tasks that wait.
    waiting: u32,
    life: Life,
    interrupted: bool,
    /// A pusher found no room, and nothing was taken since.
    full: bool,
    full_shown: bool,
    readable_shown: bool,
    /// The policy has to look at a push even where there is room.
    wary: bool,
    /// Items have left that the queue had reserved alone, and the budget hasn't been told.
    owes: bool,
    /// There may be an item that other queues have too.
    shares: bool,
}

#[derive(Debug, Default)]
pub(super) struct Slow {
    delivered: Count,
    pub(super) dropped: Drops,
    /// What waits elsewhere: it counts as queued.
    held: Held,
    /// How many gaps are in the stream.
    pub(super) gaps: usize,
    /// Since when the queue has been full without anything being taken, as far as a pusher has seen.
    full_since: Option<Instant>,
    /// With the policy `disconnect`.
    pub(super) breaker: Option<Breaker>,
    /// Bytes of items that the queue had reserved alone, and that have left.
    owed: u64,
    /// Bytes of items that made room for newer ones since the last receive.
    overrun: u64,
    waiting: Waiting,
}

/// All that was in a queue, to be destroyed after the lock; and the weights of what it shared, with their charges.
pub(crate) type Emptied<T> = (VecDeque<Delivery<T>>, VecDeque<Weight>);

impl<T> State<T> {
    pub(super) fn new(policy: QueuePolicy) -> Self {
        let mut slow = Box::<Slow>::default();
        if let QueuePolicy::Disconnect { times, pause } = policy {
            slow.breaker = Some(Breaker::new(times, pause));
        }
        Self {
            stream: VecDeque::new(),
            weights: VecDeque::new(),
            queued_rows: 0,
            queued_bytes: 0,
            matched: Count::ZERO,
            slow,
            waiting: 0,
            life: Life::Open,
            interrupted: false,
            full: false,
            full_shown: false,
            readable_shown: false,
            wary: policy == QueuePolicy::Latest,
            owes: false,
            shares: false,
        }
    }

    pub(super) fn counts(&self) -> QueueCounts {
        QueueCounts {
            matched: self.matched,
            delivered: self.slow.delivered,
            dropped: self.slow.dropped,
            queued: self.queued() + self.slow.held.now,
            queued_bytes: self.queued_bytes,
            resent: self.slow.held.resent,
        }
    }

    fn queued(&self) -> Count {
        Count::new(self.queued_rows, self.weights.len() as u64)
    }

    /// Counts what matched.
    pub(super) fn match_more(&mut self, count: Count) {
        self.matched += count;
    }

    // Pushing.

    pub(super) fn is_closed(&self) -> bool {
        self.life != Life::Open
    }

    pub(super) fn is_retired(&self) -> bool {
        self.life == Life::Retired
    }

    /// Whether an item of this weight can be taken in now.
    #[inline]
    pub(super) fn admits(&self, weight: &Weight, limits: &QueueLimits) -> bool {
        self.weights.len() < limits.items_max
            && self.queued_bytes.saturating_add(weight.bytes()) <= limits.bytes_max
            && self.life == Life::Open
    }

    /// Whether an item of this weight can be taken in now, and there is nothing to decide.
    #[inline]
    pub(super) fn admits_at_once(&self, weight: &Weight, limits: &QueueLimits) -> bool {
        !self.wary && self.admits(weight, limits)
    }

    #[inline]
    pub(super) fn append(&mut self, position: u64, item: T, weight: Weight) {
        self.matched += Count::batch(weight.rows());
        self.queued_rows += weight.rows();
        self.queued_bytes += weight.bytes();
        self.shares |= weight.is_shared();
        self.weights.push_back(weight);
        self.stream.push_back(Delivery::Batch { position, item });
    }

    /// Notes that a pusher found no room at `now`, and returns since when that has been so.
    pub(super) fn note_full(&mut self, now: Instant) -> Instant {
        self.full = true;
        *self.slow.full_since.get_or_insert(now)
    }

    // Taking.

    /// Whether a receive wouldn't wait.
    #[inline]
    pub(super) fn is_readable(&self) -> bool {
        self.has_any() || self.interrupted || self.is_closed()
    }

    #[inline]
    pub(super) fn has_any(&self) -> bool {
        !self.stream.is_empty()
    }

    /// The weight of the item at `index` among the items, which leaves.
    pub(super) fn unweigh(&mut self, index: usize) -> Weight {
        let Some(weight) = self.weights.remove(index) else {
            return Weight::NONE;
        };
        self.queued_rows -= weight.rows();
        self.queued_bytes -= weight.bytes();
        if !weight.is_shared() {
            self.slow.owed += weight.bytes();
            self.owes = true;
        }
        weight
    }

    /// Bytes of items that the queue had reserved alone and that have left since the last call.
    #[inline]
    pub(super) fn take_owed(&mut self) -> u64 {
        if mem::take(&mut self.owes) {
            mem::take(&mut self.slow.owed)
        } else {
            0
        }
    }

    /// The next of the stream.
    pub(super) fn take(&mut self) -> Option<Delivery<T>> {
        let delivery = self.stream.pop_front()?;
        match delivery {
            Delivery::Gap(_) => self.slow.gaps -= 1,
            Delivery::Batch { .. } => {
                let weight = self.unweigh(0);
                self.slow.delivered += Count::batch(weight.rows());
                self.taken(1);
            }
        }
        Some(delivery)
    }

    /// Up to `max` of the stream, appended to `out`.
    pub(super) fn take_some(&mut self, out: &mut Vec<Delivery<T>>, max: usize) -> usize {
        let count = self.stream.len().min(max);
        out.reserve(count);
        if self.slow.gaps > 0 || self.shares {
            out.extend((0..count).map_while(|_| self.take()));
            return count;
        }
        // Items only: counted once for all of them.
        out.extend(self.stream.drain(..count));
        let (mut rows, mut bytes) = (0, 0);
        for weight in self.weights.drain(..count) {
            rows += weight.rows();
            bytes += weight.bytes();
        }
        self.queued_rows -= rows;
        self.queued_bytes -= bytes;
        self.slow.owed += bytes;
        self.owes = true;
        self.slow.delivered += Count::new(rows, count as u64);
        self.taken(count);
        count
    }

    /// All of the stream: in a moment, however much it is. `room` takes its place.
    pub(super) fn take_all(&mut self, room: VecDeque<Delivery<T>>) -> Emptied<T> {
        self.slow.delivered += self.queued();
        self.slow.gaps = 0;
        if !self.weights.is_empty() {
            self.taken(self.weights.len());
        }
        let shared = self.unweigh_all();
        (mem::replace(&mut self.stream, room), shared)
    }

    /// Moves what was delivered to what was dropped, at most as much as was.
    pub(super) fn lose_received(&mut self, count: Count, reason: DropReason) {
        if let Some(left) = self.slow.delivered.checked_sub(count) {
            self.slow.delivered = left;
            self.slow.dropped.add(reason, count);
        }
    }

    /// Notes that an item made room for a newer one. Once all that the queue may hold has done so since the last
    /// receive, its receiver counts as stalled, and each push is looked at.
    pub(super) fn note_overrun(&mut self, bytes: u64, limits: &QueueLimits) {
        self.slow.overrun = self.slow.overrun.saturating_add(bytes);
        self.wary |= self.is_stalled(limits);
    }

    /// Whether all that the queue may hold has made room for newer items, and nothing was received meanwhile.
    pub(super) fn is_stalled(&self, limits: &QueueLimits) -> bool {
        self.slow.overrun >= limits.bytes_max
    }

    /// Bytes that the items keep alive.
    pub(super) fn bytes(&self) -> u64 {
        self.queued_bytes
    }

    pub(super) fn stream_len(&self) -> usize {
        self.stream.len()
    }

    /// The weights, where they have charges: those go after the lock, as the items do.
    fn unweigh_all(&mut self) -> VecDeque<Weight> {
        let bytes = mem::take(&mut self.queued_bytes);
        self.queued_rows = 0;
        self.owes = true;
        if !mem::take(&mut self.shares) {
            self.weights.clear();
            self.slow.owed += bytes;
            return VecDeque::new();
        }
        let alone = self.weights.iter().map(Weight::bytes_alone);
        self.slow.owed += alone.sum::<u64>();
        // As much will come again: one allocation now for several that grow.
        let room = VecDeque::with_capacity(self.weights.len());
        mem::replace(&mut self.weights, room)
    }

    fn taken(&mut self, items: usize) {
        self.full = false;
        self.slow.full_since = None;
        if mem::take(&mut self.slow.overrun) > 0 && self.slow.breaker.is_none() {
            self.wary = false;
        }
        self.tell_breaker(|breaker| breaker.received(items));
    }

    /// There is room that nobody received: whoever waits for it looks again, and the deadline runs on.
    pub(super) fn has_room_again(&mut self) {
        self.full = false;
    }

    /// Tells the breaker, where there is one; nothing where there is none.
    pub(super) fn tell_breaker<R>(&mut self, tell: impl FnOnce(&mut Breaker) -> R) -> Option<R> {
        let breaker = self.slow.breaker.as_mut()?;
        let told = tell(breaker);
        self.wary = breaker.is_wary();
        Some(told)
    }

    // Ending.

    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Whether there was an interrupt that nobody has seen; now it is seen.
    pub(super) fn take_interrupt(&mut self) -> bool {
        mem::take(&mut self.interrupted)
    }

    pub(super) fn close(&mut self) {
        if self.life == Life::Open {
            self.life = Life::Closed;
        }
        self.full = false;
    }

    /// Returns what was queued, to be destroyed after the lock.
    pub(super) fn retire(&mut self) -> Emptied<T> {
        self.close();
        self.life = Life::Retired;
        let held = mem::take(&mut self.slow.held.now);
        self.slow
            .dropped
            .add(DropReason::Closed, self.queued() + held);
        self.slow.gaps = 0;
        let shared = self.unweigh_all();
        (mem::take(&mut self.stream), shared)
    }

    // Who waits.

    /// The new state of the flag that receivers poll, where it has changed.
    #[inline]
    pub(super) fn readable_changed(&mut self) -> Option<bool> {
        let readable = self.is_readable();
        (readable != mem::replace(&mut self.readable_shown, readable)).then_some(readable)
    }

    /// The new state of the flag that pushers poll, where it has changed.
    #[inline]
    pub(super) fn full_changed(&mut self) -> Option<bool> {
        let full = self.full;
        (full != mem::replace(&mut self.full_shown, full)).then_some(full)
    }

    #[inline]
    pub(super) fn somebody_waits(&self) -> bool {
        self.waiting > 0
    }

    /// Whom to wake, now that the queue is readable or not, full or not.
    pub(super) fn whom_to_wake(&mut self) -> super::waiting::Wake {
        let (readable, full) = (self.is_readable(), self.full);
        self.waiting(|waiting| waiting.whom_to_wake(readable, !full))
    }

    /// Changes who waits.
    pub(super) fn waiting<R>(&mut self, change: impl FnOnce(&mut Waiting) -> R) -> R {
        let result = change(&mut self.slow.waiting);
        self.waiting = self.slow.waiting.count();
        result
    }
}
