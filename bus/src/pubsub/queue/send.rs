//! Pushing: what a full queue does, and how a pusher waits.
//!
//! The invariants: a pusher waits only under the policy `block`, never longer than its deadline, and
//! never holds the lock while it waits; under a bound over many queues nothing is taken in whose bytes weren't
//! reserved before.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::budget::{Budget, Charge, StandsBack};
use super::evicted::Evicted;
use super::state::State;
use super::waiting::Waiting;
use super::weight::Weight;
use super::{Gap, Pushed, Queue, QueuePolicy, Weigh};
use crate::count::DropReason;
use crate::sync::{Arc, MutexGuard, yield_now};

/// How often a pusher yields and looks for room before it parks: some ten microseconds on an idle
/// machine, one turn of everybody else on a busy one. Parking and being woken costs 20 and more.
#[cfg(not(all(test, feature = "loom")))]
const YIELDS_BEFORE_PARKING: usize = 32;
#[cfg(all(test, feature = "loom"))]
const YIELDS_BEFORE_PARKING: usize = 1;

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

/// A queue whose receiver has stalled keeps this part of its bytes. What is kept and not read is memory that goes round
/// through the caches of those who do read: beside three clients that had stalled, with 16 MiB kept for them, the
/// one that read got 0.78 of what it got alone; with 1 MiB, 0.91; with 256 KiB as much as alone. A core has 2 MiB of
/// cache that nobody else uses.
const STALLED_DIVISOR: u64 = 64;

/// How many items more than is needed a push drops of such a queue, so that no push pays for all of it.
const STALLED_DROPS_MAX: usize = 8;

/// An item on its way in: its weight, and its bytes among those of all queues.
struct Arrival<T> {
    position: u64,
    item: T,
    /// With a charge where other queues have it too; else the queue reserves its bytes alone.
    weight: Weight,
}

/// What the policy says to an item.
enum Room {
    /// It can be taken in now.
    Made,
    /// It has to wait.
    Wait,
    /// It is dropped.
    None(DropReason),
}

impl<T: Weigh> Queue<T> {
    /// Puts an item at the end, or hands it back where that would wait.
    pub(crate) fn offer_or_return(&self, position: u64, item: T) -> Offered<T> {
        match self.offer(position, item, None) {
            Offer::Done(_) => Offered::Done,
            Offer::Full(item) => Offered::Full(item),
        }
    }

    /// Puts an item at the end. `position` goes with it and names it in a gap, where it is dropped.
    ///
    /// Waits only under the policy [`QueuePolicy::Block`].
    pub fn push(&self, position: u64, item: T) -> Pushed {
        match self.offer(position, item, None) {
            Offer::Done(pushed) => pushed,
            Offer::Full(item) => self.push_waiting(position, item, None, Instant::now()),
        }
    }

    /// As [`Queue::push`], but hands the item back where it would wait. An item that other queues get too comes
    /// with what it is charged by.
    #[inline]
    pub(crate) fn offer(&self, position: u64, item: T, charge: Option<&Arc<Charge>>) -> Offer<T> {
        let Some(weight) = Weight::new(item.rows(), item.bytes()) else {
            return Offer::Done(self.refuse_huge(position, item.rows()));
        };
        let weight = weight.shared(charge);
        if let Some(budget) = &self.budget
            && charge.is_none()
            && !budget.try_take(weight.bytes())
        {
            let arrival = Arrival {
                position,
                item,
                weight,
            };
            return self.offer_to_a_full_bus(budget, arrival);
        }
        let mut state = self.lock();
        if state.admits_at_once(&weight, &self.limits) {
            state.append(position, item, weight);
            self.unlock(state);
            return Offer::Done(Pushed::Queued);
        }
        let arrival = Arrival {
            position,
            item,
            weight,
        };
        self.offer_by_policy(state, arrival)
    }

    /// The item's bytes are reserved, where they have to be.
    #[cold]
    fn offer_by_policy(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        arrival: Arrival<T>,
    ) -> Offer<T> {
        let alone = arrival.weight.bytes_alone();
        let mut evicted = Evicted::none();
        let offer = match self.decide(&mut state, arrival, &mut evicted) {
            Ok(pushed) => Offer::Done(pushed),
            Err(item) => Offer::Full(item),
        };
        self.unlock(state);
        if alone > 0
            && !matches!(offer, Offer::Done(Pushed::Queued))
            && let Some(budget) = &self.budget
        {
            budget.give_back(alone);
        }
        self.note_decided(&offer, &evicted);
        offer
    }

    /// The bus has no room for the item. First this queue's own policy makes what room it would make anyway; then the
    /// fullest queue drops.
    #[cold]
    fn offer_to_a_full_bus(&self, budget: &Budget, arrival: Arrival<T>) -> Offer<T> {
        let position = arrival.position;
        let (rows, bytes) = (arrival.weight.rows(), arrival.weight.bytes());
        let mut evicted = Evicted::none();
        let mut state = self.lock();
        if !self.makes_own_room(&mut state, &arrival, &mut evicted) {
            // Without room here nothing is taken in, and nothing needs to be reserved.
            let offer = match self.decide(&mut state, arrival, &mut evicted) {
                Ok(pushed) => Offer::Done(pushed),
                Err(item) => Offer::Full(item),
            };
            self.unlock(state);
            self.note_decided(&offer, &evicted);
            return offer;
        }
        self.unlock(state);
        drop(evicted);
        let key = self.key();
        let stand_back = &mut |other| {
            if other == key {
                StandsBack::Last
            } else {
                StandsBack::No
            }
        };
        if budget.take_with_room(bytes, stand_back) {
            return self.offer_by_policy(self.lock(), arrival);
        }
        Offer::Done(self.refuse(position, rows, budget.reason(bytes)))
    }

    /// Makes room by the policy for an item that comes, without taking it in. `false` where it would not be taken in
    /// now.
    pub(crate) fn makes_room_for(&self, item: T) -> bool {
        let Some(weight) = Weight::new(item.rows(), item.bytes()) else {
            return false;
        };
        let arrival = Arrival {
            position: 0,
            item,
            weight,
        };
        let mut evicted = Evicted::none();
        let mut state = self.lock();
        let made = self.makes_own_room(&mut state, &arrival, &mut evicted);
        self.unlock(state);
        made
    }

    fn makes_own_room(
        &self,
        state: &mut State<T>,
        arrival: &Arrival<T>,
        evicted: &mut Evicted<T>,
    ) -> bool {
        let weight = &arrival.weight;
        if state.is_closed() || weight.bytes() > self.limits.bytes_max {
            return false;
        }
        match self.policy {
            QueuePolicy::DropOldest => self.drop_oldest_for(state, weight, evicted),
            QueuePolicy::Latest => {
                state.drop_overtaken(&arrival.item, evicted);
                self.drop_for(state, weight, evicted);
            }
            QueuePolicy::Disconnect { .. } => {
                let now = self.clock.now();
                if state.tell_breaker(|breaker| breaker.is_cut_off(now)) == Some(true) {
                    return false;
                }
            }
            QueuePolicy::DropNewest | QueuePolicy::Block { .. } => {}
        }
        state.admits(weight, &self.limits)
    }

    /// The policy `drop-oldest`: what makes room is the oldest, and where nobody has received for a whole queue, more
    /// than is needed, so that what is kept is little.
    fn drop_oldest_for(&self, state: &mut State<T>, weight: &Weight, evicted: &mut Evicted<T>) {
        let before = state.bytes();
        self.drop_for(state, weight, evicted);
        let dropped = before.saturating_sub(state.bytes());
        if dropped > 0 {
            state.note_overrun(dropped, &self.limits);
        }
        if !state.is_stalled(&self.limits) {
            return;
        }
        let kept = self.limits.bytes_max / STALLED_DIVISOR;
        for _ in 0..STALLED_DROPS_MAX {
            if state.bytes().saturating_add(weight.bytes()) <= kept
                || !state.drop_oldest(DropReason::QueueFull, evicted)
            {
                break;
            }
        }
    }

    fn drop_for(&self, state: &mut State<T>, weight: &Weight, evicted: &mut Evicted<T>) {
        while !state.admits(weight, &self.limits)
            && state.drop_oldest(DropReason::QueueFull, evicted)
        {}
    }

    /// Counts an item that doesn't come, because of something that happened before this queue, and
    /// leaves its gap at the end of the stream.
    pub(crate) fn refuse(&self, position: u64, rows: u64, reason: DropReason) -> Pushed {
        let mut evicted = Evicted::none();
        let mut state = self.lock();
        if state.is_retired() {
            return Pushed::Gone;
        }
        // A closed queue has no gaps any more, whatever else was wrong.
        let reason = if state.is_closed() {
            DropReason::Closed
        } else {
            reason
        };
        state.refuse(position, rows, reason, &mut evicted);
        self.unlock(state);
        self.note_loss();
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

    /// Takes the item in, or drops it, or hands it back where it has to wait. Its bytes are reserved, where they have to
    /// be; they stay so only if it is taken in.
    fn decide(
        &self,
        state: &mut State<T>,
        arrival: Arrival<T>,
        evicted: &mut Evicted<T>,
    ) -> Result<Pushed, T> {
        if state.is_retired() {
            return Ok(Pushed::Gone);
        }
        let reason = match self.room(state, &arrival, evicted) {
            Room::Made => {
                state.append(arrival.position, arrival.item, arrival.weight);
                let items = state.weights.len();
                state.tell_breaker(|breaker| breaker.taken_in(items));
                return Ok(Pushed::Queued);
            }
            Room::Wait => return Err(arrival.item),
            Room::None(reason) => reason,
        };
        state.refuse(arrival.position, arrival.weight.rows(), reason, evicted);
        Ok(Pushed::Dropped(reason))
    }

    fn room(&self, state: &mut State<T>, arrival: &Arrival<T>, evicted: &mut Evicted<T>) -> Room {
        let weight = &arrival.weight;
        if state.is_closed() {
            return Room::None(DropReason::Closed);
        }
        if weight.bytes() > self.limits.bytes_max {
            return Room::None(DropReason::TooLarge);
        }
        match self.policy {
            QueuePolicy::Disconnect { .. } => {
                let now = self.clock.now();
                if state.tell_breaker(|breaker| breaker.lets_in(now)) == Some(false) {
                    return Room::None(DropReason::CutOff);
                }
                if state.admits(weight, &self.limits) {
                    return Room::Made;
                }
                match state.tell_breaker(|breaker| breaker.found_full(now)) {
                    Some(true) => Room::None(DropReason::CutOff),
                    _ => Room::None(DropReason::QueueFull),
                }
            }
            QueuePolicy::DropOldest => {
                self.drop_oldest_for(state, weight, evicted);
                Room::Made
            }
            QueuePolicy::Latest => {
                state.drop_overtaken(&arrival.item, evicted);
                self.drop_for(state, weight, evicted);
                Room::Made
            }
            _ if state.admits(weight, &self.limits) => Room::Made,
            QueuePolicy::DropNewest => Room::None(DropReason::QueueFull),
            QueuePolicy::Block { .. } => Room::Wait,
        }
    }

    /// Waits for room, at most until the deadline, which runs from `since` or from when the queue was
    /// found full with nothing taken since. Bytes that no charge stands for are reserved when there is room here.
    pub(crate) fn push_waiting(
        &self,
        position: u64,
        mut item: T,
        charge: Option<&Arc<Charge>>,
        since: Instant,
    ) -> Pushed {
        let deadline = match self.policy {
            QueuePolicy::Block { deadline } => deadline,
            // Nobody waits for them.
            _ => Duration::ZERO,
        };
        let Some(weight) = Weight::new(item.rows(), item.bytes()) else {
            return self.refuse_huge(position, item.rows());
        };
        let mut yields = 0;
        loop {
            match self.offer(position, item, charge) {
                Offer::Done(pushed) => return pushed,
                Offer::Full(back) => item = back,
            }
            let mut state = self.lock();
            if state.is_closed() || state.admits(&weight, &self.limits) {
                // Meanwhile.
                self.unlock(state);
                continue;
            }
            let now = Instant::now();
            let waiting_since = state.note_full(now).min(since);
            let left = deadline.saturating_sub(now.saturating_duration_since(waiting_since));
            if left.is_zero() {
                let mut evicted = Evicted::none();
                state.refuse(position, weight.rows(), DropReason::Blocked, &mut evicted);
                self.unlock(state);
                self.note_loss();
                return Pushed::Dropped(DropReason::Blocked);
            }
            if yields < YIELDS_BEFORE_PARKING {
                self.unlock(state);
                while yields < YIELDS_BEFORE_PARKING && self.full.get() {
                    yield_now();
                    yields += 1;
                }
                yields += 1;
                continue;
            }
            self.park_for_room(state, left);
        }
    }

    /// Waits until there may be room.
    fn park_for_room(&self, mut state: MutexGuard<'_, State<T>>, left: Duration) {
        state.waiting(Waiting::pusher_parks);
        self.show(&mut state);
        let woken = self.room.wait_timeout(state, left);
        let mut state = woken.unwrap_or_else(PoisonError::into_inner).0;
        state.waiting(Waiting::pusher_looks);
        self.unlock(state);
    }

    /// Whether somebody may have to be told who is slow.
    fn note_decided(&self, offer: &Offer<T>, evicted: &Evicted<T>) {
        if !evicted.is_empty() || matches!(offer, Offer::Done(Pushed::Dropped(_))) {
            self.note_loss();
        }
    }
}
