//! What lies under a queue's lock. Plain data: nothing here wakes anybody or knows a thread.
//!
//! The invariant: `matched = delivered + dropped + queued` between any two calls, and each drop is
//! part of exactly one gap, which stands between the items that it stood between.

mod held;

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use held::Held;

use super::evicted::Evicted;
use super::waiting::Waiting;
use super::{Delivery, Gap, QUEUE_GAPS_MAX, QueueCounts, QueueLimits};
use crate::count::{Count, DropReason, Drops};

/// An item's weight, read once, before the lock. 32 bits each, so that a queue's weights stay in the
/// first cache; what has more is refused as too large.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    pub(super) rows: u32,
    pub(super) bytes: u32,
}

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
    stream: VecDeque<Delivery<T>>,
    /// One for each item of the stream.
    weights: VecDeque<Weight>,
    queued_rows: u64,
    queued_bytes: u64,
    matched: Count,
    slow: Box<Slow>,
    /// Threads that are parked and tasks that wait.
    waiting: u32,
    life: Life,
    interrupted: bool,
    /// A pusher found no room, and nothing was taken since.
    full: bool,
    full_shown: bool,
    readable_shown: bool,
}

#[derive(Debug, Default)]
struct Slow {
    delivered: Count,
    dropped: Drops,
    /// What waits elsewhere: it counts as queued.
    held: Held,
    /// How many gaps are in the stream.
    gaps: usize,
    /// Since when the queue has been full without anything being taken, as far as a pusher has seen.
    full_since: Option<Instant>,
    waiting: Waiting,
}

impl<T> State<T> {
    pub(super) fn new() -> Self {
        Self {
            stream: VecDeque::new(),
            weights: VecDeque::new(),
            queued_rows: 0,
            queued_bytes: 0,
            matched: Count::ZERO,
            slow: Box::default(),
            waiting: 0,
            life: Life::Open,
            interrupted: false,
            full: false,
            full_shown: false,
            readable_shown: false,
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

    // Pushing.

    pub(super) fn is_closed(&self) -> bool {
        self.life != Life::Open
    }

    pub(super) fn is_retired(&self) -> bool {
        self.life == Life::Retired
    }

    /// Whether an item of this weight can be taken in now.
    #[inline]
    pub(super) fn admits(&self, weight: Weight, limits: &QueueLimits) -> bool {
        self.weights.len() < limits.items_max
            && self.queued_bytes.saturating_add(u64::from(weight.bytes)) <= limits.bytes_max
            && self.life == Life::Open
    }

    #[inline]
    pub(super) fn append(&mut self, position: u64, item: T, weight: Weight) {
        self.matched += Count::batch(u64::from(weight.rows));
        self.queued_rows += u64::from(weight.rows);
        self.queued_bytes += u64::from(weight.bytes);
        self.weights.push_back(weight);
        self.stream.push_back(Delivery::Batch { position, item });
    }

    /// Counts an item that isn't taken in, and leaves a gap at the end of the stream.
    pub(super) fn refuse(
        &mut self,
        position: u64,
        rows: u64,
        reason: DropReason,
        evicted: &mut Evicted<T>,
    ) {
        self.matched += Count::batch(rows);
        self.slow.dropped.add(reason, Count::batch(rows));
        if self.is_closed() {
            return;
        }
        self.append_gap(Gap::of(position, rows, reason), evicted);
    }

    /// Takes in a gap of another queue. How many batches it was is not known.
    pub(super) fn take_gap(&mut self, gap: Gap, evicted: &mut Evicted<T>) {
        let count = Count::new(gap.missed.unwrap_or(0), 0);
        self.matched += count;
        self.slow.dropped.add(gap.reason, count);
        self.append_gap(gap, evicted);
    }

    fn append_gap(&mut self, gap: Gap, evicted: &mut Evicted<T>) {
        let reason = gap.reason;
        for delivery in self.stream.iter_mut().rev() {
            match delivery {
                Delivery::Batch { .. } => break,
                Delivery::Gap(same) if same.reason == reason => return same.merge(&gap),
                Delivery::Gap(_) => {}
            }
        }
        self.stream.push_back(Delivery::Gap(Box::new(gap)));
        self.slow.gaps += 1;
        self.bound_gaps(evicted);
    }

    /// Drops the oldest item; its gap stands at the head of the stream. `false` where there is none.
    pub(super) fn drop_oldest(&mut self, evicted: &mut Evicted<T>) -> bool {
        let is_item = |delivery: &Delivery<T>| matches!(delivery, Delivery::Batch { .. });
        let Some(index) = self.stream.iter().position(is_item) else {
            return false;
        };
        let Some(Delivery::Batch { position, item }) = self.stream.remove(index) else {
            return false;
        };
        let rows = self.unweigh_first();
        let reason = DropReason::QueueFull;
        self.slow.dropped.add(reason, Count::batch(rows));
        evicted.put(item);
        let gap = Gap::of(position, rows, reason);
        if let Some(same) = self.head_gap(index, reason) {
            same.merge(&gap);
        } else {
            self.stream.insert(index, Delivery::Gap(Box::new(gap)));
            self.slow.gaps += 1;
        }
        self.merge_head();
        self.bound_gaps(evicted);
        true
    }

    /// The gap of one reason among the first `count` of the stream.
    fn head_gap(&mut self, count: usize, reason: DropReason) -> Option<&mut Gap> {
        self.stream
            .iter_mut()
            .take(count)
            .find_map(|delivery| match delivery {
                Delivery::Gap(gap) if gap.reason == reason => Some(&mut **gap),
                _ => None,
            })
    }

    /// Makes one of all gaps at the head that have one reason: no item stands between them any more.
    fn merge_head(&mut self) {
        let mut index = 0;
        while let Some(Delivery::Gap(gap)) = self.stream.get(index) {
            let gap = **gap;
            match self.head_gap(index, gap.reason) {
                None => index += 1,
                Some(same) => {
                    same.merge(&gap);
                    self.stream.remove(index);
                    self.slow.gaps -= 1;
                }
            }
        }
    }

    /// Where there are too many gaps the two newest become one, and what lies between them is dropped
    /// too: a gap never stands where nothing is missing, nor is anything missing without one.
    fn bound_gaps(&mut self, evicted: &mut Evicted<T>) {
        if self.slow.gaps <= QUEUE_GAPS_MAX {
            return;
        }
        let is_gap = |delivery: &Delivery<T>| matches!(delivery, Delivery::Gap(_));
        let mut gaps = (0..self.stream.len())
            .rev()
            .filter(|&index| self.stream.get(index).is_some_and(is_gap));
        let (Some(newest), Some(before)) = (gaps.next(), gaps.next()) else {
            return;
        };
        // As many of those before are gaps, the others are items, and have a weight.
        let items_before = before.saturating_sub(self.slow.gaps - 2);
        let mut merged: Option<Gap> = None;
        let mut merge = |gap: Gap| match &mut merged {
            None => merged = Some(gap),
            Some(merged) => {
                if merged.reason != gap.reason {
                    merged.reason = DropReason::QueueFull;
                }
                merged.merge(&gap);
            }
        };
        for delivery in self.stream.drain(before..=newest) {
            match delivery {
                Delivery::Gap(gap) => merge(*gap),
                Delivery::Batch { position, item } => {
                    let weight = self.weights.remove(items_before);
                    let weight = weight.unwrap_or(Weight { rows: 0, bytes: 0 });
                    let rows = u64::from(weight.rows);
                    self.queued_rows -= rows;
                    self.queued_bytes -= u64::from(weight.bytes);
                    self.slow
                        .dropped
                        .add(DropReason::QueueFull, Count::batch(rows));
                    merge(Gap::of(position, rows, DropReason::QueueFull));
                    evicted.put(item);
                }
            }
        }
        if let Some(gap) = merged {
            self.stream.insert(before, Delivery::Gap(Box::new(gap)));
            self.slow.gaps -= 1;
        }
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

    /// The rows of the first item, which leaves.
    fn unweigh_first(&mut self) -> u64 {
        let Some(weight) = self.weights.pop_front() else {
            return 0;
        };
        self.queued_rows -= u64::from(weight.rows);
        self.queued_bytes -= u64::from(weight.bytes);
        u64::from(weight.rows)
    }

    /// The next of the stream.
    pub(super) fn take(&mut self) -> Option<Delivery<T>> {
        let delivery = self.stream.pop_front()?;
        match delivery {
            Delivery::Gap(_) => self.slow.gaps -= 1,
            Delivery::Batch { .. } => {
                let rows = self.unweigh_first();
                self.slow.delivered += Count::batch(rows);
                self.taken();
            }
        }
        Some(delivery)
    }

    /// Up to `max` of the stream, appended to `out`.
    pub(super) fn take_some(&mut self, out: &mut Vec<Delivery<T>>, max: usize) -> usize {
        let count = self.stream.len().min(max);
        out.reserve(count);
        if self.slow.gaps > 0 {
            out.extend((0..count).map_while(|_| self.take()));
            return count;
        }
        // Items only: counted once for all of them.
        out.extend(self.stream.drain(..count));
        let (mut rows, mut bytes) = (0, 0);
        for weight in self.weights.drain(..count) {
            rows += u64::from(weight.rows);
            bytes += u64::from(weight.bytes);
        }
        self.queued_rows -= rows;
        self.queued_bytes -= bytes;
        self.slow.delivered += Count::new(rows, count as u64);
        self.taken();
        count
    }

    /// All of the stream: in a moment, however much it is. `room` takes its place.
    pub(super) fn take_all(&mut self, room: VecDeque<Delivery<T>>) -> VecDeque<Delivery<T>> {
        self.slow.delivered += self.queued();
        self.slow.gaps = 0;
        self.taken();
        self.unweigh_all();
        mem::replace(&mut self.stream, room)
    }

    /// Moves what was delivered to what was dropped, at most as much as was.
    pub(super) fn lose_received(&mut self, count: Count, reason: DropReason) {
        if let Some(left) = self.slow.delivered.checked_sub(count) {
            self.slow.delivered = left;
            self.slow.dropped.add(reason, count);
        }
    }

    pub(super) fn stream_len(&self) -> usize {
        self.stream.len()
    }

    fn unweigh_all(&mut self) {
        self.weights.clear();
        self.queued_rows = 0;
        self.queued_bytes = 0;
    }

    fn taken(&mut self) {
        self.full = false;
        self.slow.full_since = None;
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
    pub(super) fn retire(&mut self) -> VecDeque<Delivery<T>> {
        self.close();
        self.life = Life::Retired;
        let held = mem::take(&mut self.slow.held.now);
        self.slow
            .dropped
            .add(DropReason::Closed, self.queued() + held);
        self.slow.gaps = 0;
        self.unweigh_all();
        mem::take(&mut self.stream)
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
