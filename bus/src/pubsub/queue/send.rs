//! Pushing: what a full queue does, and how a pusher waits.
//!
//! The invariant: a pusher waits only under the policy `block`, never longer than its deadline, and
//! never holds the lock while it waits.

use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::evicted::Evicted;
use super::state::{State, Weight};
use super::waiting::Waiting;
use super::{Gap, Pushed, Queue, QueuePolicy, Weigh};
use crate::count::DropReason;

/// How often a pusher yields and looks for room before it parks: some ten microseconds on an idle
/// machine, one turn of everybody else on a busy one. Parking and being woken costs 20 and more.
const YIELDS_BEFORE_PARKING: usize = 32;

/// What a push that never waits ends in.
#[derive(Debug)]
pub(crate) enum Offer<T> {
    /// It is decided.
    Done(Pushed),
    /// The queue is full and its policy is to wait; nothing is counted yet.
    Full(T),
}

/// What a push that may have to be waited for ends in.
#[derive(Debug)]
pub(crate) enum Offered<T> {
    /// It is decided, and counted.
    Done,
    /// The queue is full and its policy is to wait: [`Queue::push`] does.
    Full(T),
}

impl<T: Weigh> Queue<T> {
    /// Puts an item at the end, or hands it back where that would wait.
    pub(crate) fn offer_or_return(&self, position: u64, item: T) -> Offered<T> {
        match self.offer(position, item) {
            Offer::Done(_) => Offered::Done,
            Offer::Full(item) => Offered::Full(item),
        }
    }

    /// Puts an item at the end. `position` goes with it and names it in a gap, where it is dropped.
    ///
    /// Waits only under the policy [`QueuePolicy::Block`].
    pub fn push(&self, position: u64, item: T) -> Pushed {
        match self.offer(position, item) {
            Offer::Done(pushed) => pushed,
            Offer::Full(item) => self.push_waiting(position, item, Instant::now()),
        }
    }

    /// As [`Queue::push`], but hands the item back where it would wait.
    #[inline]
    pub(crate) fn offer(&self, position: u64, item: T) -> Offer<T> {
        let Some(weight) = weigh(&item) else {
            return Offer::Done(self.refuse_huge(position, item.rows()));
        };
        let mut state = self.lock();
        if state.admits(weight, &self.limits) {
            state.append(position, item, weight);
            self.unlock(state);
            return Offer::Done(Pushed::Queued);
        }
        self.offer_without_room(state, position, item, weight)
    }

    #[cold]
    fn offer_without_room(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        position: u64,
        item: T,
        weight: Weight,
    ) -> Offer<T> {
        let mut evicted = Evicted::none();
        let offer = self.decide(&mut state, position, item, weight, &mut evicted);
        self.unlock(state);
        offer
    }

    /// Counts an item that doesn't come, because of something that happened before this queue, and
    /// leaves its gap at the end of the stream.
    pub(crate) fn refuse(&self, position: u64, rows: u64, reason: DropReason) -> Pushed {
        let mut evicted = Evicted::none();
        let mut state = self.lock();
        if state.is_retired() {
            return Pushed::Gone;
        }
        state.refuse(position, rows, reason, &mut evicted);
        self.unlock(state);
        Pushed::Dropped(reason)
    }

    /// Puts in a gap that was made elsewhere: what another queue, or a connection's end, has swallowed.
    /// Its rows count as matched and dropped here, where they are known.
    pub(crate) fn push_gap(&self, gap: Gap) {
        let mut evicted = Evicted::none();
        let mut state = self.lock();
        if !state.is_closed() {
            state.take_gap(gap, &mut evicted);
        }
        self.unlock(state);
    }

    #[cold]
    fn refuse_huge(&self, position: u64, rows: u64) -> Pushed {
        let reason = if self.is_closed() {
            DropReason::Closed
        } else {
            DropReason::TooLarge
        };
        self.refuse(position, rows, reason)
    }

    fn decide(
        &self,
        state: &mut State<T>,
        position: u64,
        item: T,
        weight: Weight,
        evicted: &mut Evicted<T>,
    ) -> Offer<T> {
        if state.admits(weight, &self.limits) {
            state.append(position, item, weight);
            return Offer::Done(Pushed::Queued);
        }
        if state.is_retired() {
            return Offer::Done(Pushed::Gone);
        }
        let reason = if state.is_closed() {
            DropReason::Closed
        } else if u64::from(weight.bytes) > self.limits.bytes_max {
            DropReason::TooLarge
        } else {
            match self.policy {
                QueuePolicy::DropNewest => DropReason::QueueFull,
                QueuePolicy::Block { .. } => return Offer::Full(item),
                QueuePolicy::DropOldest => {
                    while !state.admits(weight, &self.limits) && state.drop_oldest(evicted) {}
                    state.append(position, item, weight);
                    return Offer::Done(Pushed::Queued);
                }
            }
        };
        state.refuse(position, u64::from(weight.rows), reason, evicted);
        Offer::Done(Pushed::Dropped(reason))
    }

    /// Waits for room, at most until the deadline, which runs from `since` or from when the queue was
    /// found full with nothing taken since.
    pub(crate) fn push_waiting(&self, position: u64, mut item: T, since: Instant) -> Pushed {
        let deadline = match self.policy {
            QueuePolicy::Block { deadline } => deadline,
            // They never find the queue full.
            QueuePolicy::DropOldest | QueuePolicy::DropNewest => Duration::ZERO,
        };
        let Some(weight) = weigh(&item) else {
            return self.refuse_huge(position, item.rows());
        };
        let mut evicted = Evicted::none();
        let mut yields = 0;
        let mut state = self.lock();
        loop {
            item = match self.decide(&mut state, position, item, weight, &mut evicted) {
                Offer::Full(item) => item,
                Offer::Done(pushed) => {
                    self.unlock(state);
                    return pushed;
                }
            };
            let now = Instant::now();
            let waiting_since = state.note_full(now).min(since);
            let left = deadline.saturating_sub(now.saturating_duration_since(waiting_since));
            if left.is_zero() {
                let rows = u64::from(weight.rows);
                state.refuse(position, rows, DropReason::Blocked, &mut evicted);
                self.unlock(state);
                return Pushed::Dropped(DropReason::Blocked);
            }
            if yields < YIELDS_BEFORE_PARKING {
                self.unlock(state);
                while yields < YIELDS_BEFORE_PARKING && self.full.get() {
                    thread::yield_now();
                    yields += 1;
                }
                yields += 1;
                state = self.lock();
                continue;
            }
            state.waiting(Waiting::pusher_parks);
            state = self
                .room
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.waiting(Waiting::pusher_looks);
        }
    }
}

/// `None` where it is past what a queue counts in; no batch gets near.
#[inline]
fn weigh<T: Weigh>(item: &T) -> Option<Weight> {
    Some(Weight {
        rows: u32::try_from(item.rows()).ok()?,
        bytes: u32::try_from(item.bytes()).ok()?,
    })
}
