//! A bounded queue that counts everything, and says in the stream where something is missing.
//!
//! It doesn't know topics or subscribers: the bus has one for each subscriber, the runtime one for
//! each slot. The invariant, at any instant and under one lock: `matched = delivered + dropped +
//! queued`, in rows and in batches; and no drop without a [`Gap`] at its place in the stream, but
//! after [`Queue::close`].
//!
//! What makes it cheap: nothing is allocated for an item, a receiver takes many items under one
//! lock, nobody is woken who isn't parked, and whoever finds the queue empty or full looks again for
//! a few microseconds before parking, without the lock.

mod breaker;
mod budget;
mod dropping;
mod evicted;
mod gap;
mod incarnation;
mod member;
mod policy;
mod receive;
mod send;
mod state;
mod waiting;
mod weight;

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::Clock;
use crate::batch::Batch;
use crate::count::{Count, DropReason, Drops};
use crate::sync::atomic::AtomicBool;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};
use receive::Looking;
use state::State;

pub use breaker::{CUT_OFF_PAUSE_MAX, Standing};
pub use budget::BUS_BYTES_MAX;
pub(crate) use budget::{Budget, Charge, StandsBack};
pub(crate) use evicted::Evicted;
pub use gap::Gap;
pub use incarnation::{Incarnation, Incarnations};
pub use policy::QueuePolicy;
pub(crate) use send::{Offer, Offered};
pub(crate) use state::Emptied;

/// Items that a queue holds by default. With batches of 1,000 rows, a second of a million rows.
pub const QUEUE_BATCHES_MAX: usize = 1_024;

/// Bytes that a queue's items keep alive by default: 64 slots stay within a gigabyte.
pub const QUEUE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Gaps that wait in one queue, 96 bytes each. Twice the default number of items, so that only a queue
/// that refuses every second item for two reasons gets there; then its two newest gaps become one.
pub const QUEUE_GAPS_MAX: usize = 2 * QUEUE_BATCHES_MAX;

/// What the bounds of a queue are counted in.
pub trait Weigh {
    /// How many rows it holds.
    fn rows(&self) -> u64;
    /// How many bytes it keeps alive.
    fn bytes(&self) -> u64;
    /// Whether `older`, which still waits, is of no use to who wants the latest only
    /// ([`QueuePolicy::Latest`]), now that there is this one.
    fn overtakes(&self, older: &Self) -> bool {
        let _ = older;
        false
    }
}

impl Weigh for Arc<Batch> {
    fn rows(&self) -> u64 {
        Batch::rows(self) as u64
    }

    fn bytes(&self) -> u64 {
        Batch::bytes(self) as u64
    }

    fn overtakes(&self, older: &Self) -> bool {
        self.header().overtakes(older.header())
    }
}

/// How much a queue may hold. Both bounds hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueLimits {
    /// Items; at least 1.
    pub items_max: usize,
    /// Bytes that the items keep alive. An item that alone has more is dropped as `too-large`, and so
    /// is one of more than `u32::MAX` bytes or `i32::MAX` rows.
    pub bytes_max: u64,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            items_max: QUEUE_BATCHES_MAX,
            bytes_max: QUEUE_BYTES_MAX,
        }
    }
}

/// What a receiver gets, in the order of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery<T> {
    /// An item.
    Batch {
        /// The position that it was pushed with.
        position: u64,
        /// The item.
        item: T,
    },
    /// Something is missing just here. Boxed: gaps are rare, and so a delivery stays 16 bytes.
    Gap(Box<Gap>),
}

/// How a receive ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recv<R> {
    /// With what was there.
    Got(R),
    /// There was nothing, within the time given.
    Empty,
    /// Somebody called [`Queue::interrupt`].
    Interrupted,
    /// The queue is closed and there is nothing left in it.
    Closed,
}

impl<R> Recv<R> {
    /// What was there, if anything was.
    pub fn got(self) -> Option<R> {
        match self {
            Self::Got(what) => Some(what),
            Self::Empty | Self::Interrupted | Self::Closed => None,
        }
    }
}

/// What became of an item that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the queue. Older ones may have made room, counted.
    Queued,
    /// It was dropped, and counted.
    Dropped(DropReason),
    /// The queue's receiver left for good ([`Queue::retire`]): nothing was counted, as if the push had
    /// come to a bus without that subscriber.
    Gone,
}

/// A queue's counts, read at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QueueCounts {
    /// What was pushed.
    pub matched: Count,
    /// What was received.
    pub delivered: Count,
    /// What was dropped, by reason.
    pub dropped: Drops,
    /// What is in the queue.
    pub queued: Count,
    /// Bytes that the queue's items keep alive; an item that several queues share counts in each. What
    /// waits for a receiver that is away is kept elsewhere, and counts here with none.
    pub queued_bytes: u64,
    /// What of the delivered was delivered before, to a connection that ended before it said so.
    pub resent: Count,
}

impl QueueCounts {
    /// Whether the law of counting holds: `matched = delivered + dropped + queued`.
    pub fn balances(&self) -> bool {
        self.matched == self.delivered + self.dropped.total() + self.queued
    }
}

impl std::ops::AddAssign<&Self> for QueueCounts {
    fn add_assign(&mut self, other: &Self) {
        self.matched += other.matched;
        self.delivered += other.delivered;
        self.dropped += &other.dropped;
        self.queued += other.queued;
        self.queued_bytes = self.queued_bytes.saturating_add(other.queued_bytes);
        self.resent += other.resent;
    }
}

/// A flag that is polled without the lock; on a cache line of its own, so that polling it costs
/// nothing to whoever holds the lock.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Flag(AtomicBool);

impl Flag {
    #[inline]
    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    fn set(&self, value: bool) {
        self.0.store(value, Ordering::Release);
    }
}

/// The lock and the hot half of the state begin a cache line.
#[derive(Debug)]
#[repr(align(128))]
struct Locked<T>(Mutex<State<T>>);

/// A bounded queue: any number of pushers, any number of receivers, first in first out.
///
/// Blocking and async receivers can be mixed. No method needs an async runtime.
#[derive(Debug)]
pub struct Queue<T> {
    policy: QueuePolicy,
    limits: QueueLimits,
    state: Locked<T>,
    /// Receivers park here.
    arrived: Condvar,
    /// Pushers park here.
    room: Condvar,
    /// Whether a receive wouldn't wait; written under the lock.
    readable: Flag,
    /// Whether a push may have to wait; written under the lock.
    full: Flag,
    /// Whether the last receive found more than it took, or much: only receivers look at it.
    plenty: Flag,
    looking: Looking,
    /// The bound that it shares with others, if it does.
    budget: Option<Arc<Budget>>,
    clock: Clock,
}

impl<T: Weigh> Queue<T> {
    /// An empty queue. A limit of 0 items counts as 1.
    pub fn new(policy: QueuePolicy, limits: QueueLimits) -> Self {
        Self::with(policy, limits, None, Clock::system())
    }

    /// As [`Queue::new`], by another clock.
    pub fn with_clock(policy: QueuePolicy, limits: QueueLimits, clock: Clock) -> Self {
        Self::with(policy, limits, None, clock)
    }

    fn with(
        policy: QueuePolicy,
        limits: QueueLimits,
        budget: Option<Arc<Budget>>,
        clock: Clock,
    ) -> Self {
        Self {
            policy,
            limits: QueueLimits {
                items_max: limits.items_max.max(1),
                ..limits
            },
            state: Locked(Mutex::new(State::new(policy))),
            arrived: Condvar::new(),
            room: Condvar::new(),
            readable: Flag::default(),
            full: Flag::default(),
            plenty: Flag::default(),
            looking: Looking::default(),
            budget,
            clock,
        }
    }

    /// The positions of the items that it has.
    #[cfg(test)]
    pub(crate) fn positions(&self) -> Vec<u64> {
        let state = self.lock();
        let position = |delivery: &Delivery<T>| match delivery {
            Delivery::Batch { position, .. } => Some(*position),
            Delivery::Gap(_) => None,
        };
        state.stream.iter().filter_map(position).collect()
    }

    /// How it stands with the policy [`QueuePolicy::Disconnect`]; `None` with any other.
    pub fn standing(&self) -> Option<Standing> {
        let mut state = self.lock();
        let now = self.clock.now();
        state.tell_breaker(|breaker| breaker.standing(now))
    }

    /// What it does when it is full.
    pub fn policy(&self) -> QueuePolicy {
        self.policy
    }

    /// How much it may hold.
    pub fn limits(&self) -> QueueLimits {
        self.limits
    }

    /// Its counts at this instant.
    pub fn counts(&self) -> QueueCounts {
        self.lock().counts()
    }

    /// Wakes a receiver, which returns [`Recv::Interrupted`] without having taken anything. Where
    /// none waits, the next one that would wait does so at once; two interrupts before that are one.
    pub fn interrupt(&self) {
        let mut state = self.lock();
        state.interrupt();
        self.unlock(state);
    }

    /// Nothing is taken in any more: pushes are dropped\[closed\], pushers that wait too. Receivers get
    /// what is queued, and then [`Recv::Closed`].
    pub fn close(&self) {
        let mut state = self.lock();
        state.close();
        self.unlock_all(state);
    }

    /// Whether it was closed or retired.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed()
    }

    /// As [`Queue::close`], for a receiver that leaves for good: what is queued is dropped\[closed\] and
    /// later pushes count nothing. Returns the last counts, in which nothing is queued.
    pub fn retire(&self) -> QueueCounts {
        self.retire_and_keep().0
    }

    /// As [`Queue::retire`], and hands over what was queued, for who can't destroy it just now.
    pub(super) fn retire_and_keep(&self) -> (QueueCounts, Emptied<T>) {
        let mut state = self.lock();
        let left = state.retire();
        let counts = state.counts();
        self.unlock_all(state);
        (counts, left)
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what has changed to those who look without the lock.
    #[inline]
    fn show(&self, state: &mut State<T>) {
        let owed = state.take_owed();
        if owed > 0
            && let Some(budget) = &self.budget
        {
            budget.give_back(owed);
        }
        if let Some(readable) = state.readable_changed() {
            self.readable.set(readable);
        }
        if let Some(full) = state.full_changed() {
            self.full.set(full);
        }
    }

    /// Shows what has changed and ends the lock; then wakes whom it concerns, where anybody waits.
    #[inline]
    fn unlock(&self, mut state: MutexGuard<'_, State<T>>) {
        self.show(&mut state);
        if state.somebody_waits() {
            self.wake(state);
        }
    }

    #[cold]
    fn wake(&self, mut state: MutexGuard<'_, State<T>>) {
        let wake = state.whom_to_wake();
        drop(state);
        if wake.receiver {
            self.arrived.notify_one();
        }
        if wake.pushers {
            self.room.notify_all();
        }
        wake.tasks.wake_all();
    }

    /// As `unlock`, and everybody who is parked looks again.
    fn unlock_all(&self, state: MutexGuard<'_, State<T>>) {
        self.unlock(state);
        self.arrived.notify_all();
        self.room.notify_all();
    }
}

#[cfg(all(test, feature = "loom"))]
mod model;
#[cfg(test)]
mod tests;
