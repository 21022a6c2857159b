//! Receiving: at once, for a time, for as long as it takes, from a thread or from a task.
//!
//! The invariant: a receiver that parks is woken by whatever makes the queue readable; a task that is
//! dropped while it waits has taken nothing.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::state::State;
use super::waiting::Waiting;
use super::{Delivery, Queue, Recv, Weigh};
use crate::count::{Count, DropReason};
use crate::sync::atomic::AtomicU32;
use crate::sync::{MutexGuard, yield_now};

/// How often a receiver yields before it looks again, where the last time there was little: two or three
/// microseconds on an idle machine, in which many items arrive where many do, so that the lock is taken
/// for all of them, and its cache lines move less often. With 3 the bus carried 0.85–0.92 of what
/// crossbeam's channel does from one publisher to one subscriber, with 10 it carries 1.03–1.17.
#[cfg(not(all(test, feature = "loom")))]
const YIELDS_BEFORE_LOOKING: usize = 10;
/// A model has fewer: each is an order of steps more.
#[cfg(all(test, feature = "loom"))]
const YIELDS_BEFORE_LOOKING: usize = 1;

/// From how many items at once on a receiver looks again at once: fewer don't pay for the lock.
const PLENTY_ITEMS: usize = 64;

/// How often a receiver yields and looks before it parks. Being woken costs the pusher a system call
/// and the receiver 20 microseconds and more.
#[cfg(not(all(test, feature = "loom")))]
const YIELDS_BEFORE_PARKING: usize = 32;
#[cfg(all(test, feature = "loom"))]
const YIELDS_BEFORE_PARKING: usize = 1;

/// How many receives at most park at once after looks in vain. Where items come one by one, each look is in
/// vain, and 40 yields: with 64 guests on one stream they were more than half of all that the guests' threads did.
const LOOKS_SKIPPED_MAX: u32 = 64;

/// Whether a look before parking pays. After one in vain the next is left out, after another the next two, then
/// four, and so on; one that finds something has the next receive look again.
///
/// Several receivers may disturb each other's counts, which costs a look.
#[derive(Debug, Default)]
pub(super) struct Looking {
    /// How many are left out now.
    left: AtomicU32,
    /// How many were left out after the last in vain.
    skipped: AtomicU32,
}

impl Looking {
    fn pays(&self) -> bool {
        let left = self.left.load(Relaxed);
        if left > 0 {
            self.left.store(left - 1, Relaxed);
        }
        left == 0
    }

    fn note(&self, found: bool) {
        let before = self.skipped.load(Relaxed);
        let skipped = if found {
            0
        } else {
            before.saturating_mul(2).clamp(1, LOOKS_SKIPPED_MAX)
        };
        if skipped != 0 || before != 0 {
            self.skipped.store(skipped, Relaxed);
            self.left.store(skipped, Relaxed);
        }
    }
}

impl<T: Weigh> Queue<T> {
    /// What is there, without waiting: never [`Recv::Interrupted`].
    pub fn try_recv(&self) -> Recv<Delivery<T>> {
        let mut state = self.lock();
        let taken = state.take();
        let ended = if state.is_closed() {
            Recv::Closed
        } else {
            Recv::Empty
        };
        self.unlock(state);
        taken.map_or(ended, Recv::Got)
    }

    /// Waits for the next of the stream: never [`Recv::Empty`].
    pub fn recv_blocking(&self) -> Recv<Delivery<T>> {
        self.receive(None)
    }

    /// Waits for the next of the stream, at most `timeout`, then [`Recv::Empty`].
    pub fn recv_timeout(&self, timeout: Duration) -> Recv<Delivery<T>> {
        // A timeout past the end of the clock is none.
        self.receive(Instant::now().checked_add(timeout))
    }

    /// Waits until there is anything, then appends up to `max` (at least 1) of the stream to `out` and
    /// says how many: never [`Recv::Empty`]. One lock for all of them.
    pub fn recv_many_blocking(&self, out: &mut Vec<Delivery<T>>, max: usize) -> Recv<usize> {
        self.receive_many(out, max.max(1), None)
    }

    /// As [`Queue::recv_many_blocking`], at most for `timeout`, then [`Recv::Empty`].
    pub fn recv_many_timeout(
        &self,
        out: &mut Vec<Delivery<T>>,
        max: usize,
        timeout: Duration,
    ) -> Recv<usize> {
        self.receive_many(out, max.max(1), Instant::now().checked_add(timeout))
    }

    /// Waits for the next of the stream: never [`Recv::Empty`]. Needs no particular async runtime.
    ///
    /// Cancel safe: dropped before it is ready, it has taken nothing.
    pub fn recv(&self) -> impl Future<Output = Recv<Delivery<T>>> + Send + '_
    where
        T: Send,
    {
        Receiving { queue: self }
    }

    /// Appends up to `max` (at least 1) of the stream to `out` and says how many, or has the task woken
    /// when there is anything: never [`Recv::Empty`].
    pub fn poll_recv_many(
        &self,
        context: &Context<'_>,
        out: &mut Vec<Delivery<T>>,
        max: usize,
    ) -> Poll<Recv<usize>> {
        let mut state = self.lock();
        let mut displaced = None;
        let polled = if let Some(ended) = ended(&mut state) {
            Poll::Ready(ended)
        } else if state.has_any() {
            Poll::Ready(Recv::Got(state.take_some(out, max.max(1))))
        } else {
            displaced = state.waiting(|waiting| waiting.task_waits(context.waker()));
            Poll::Pending
        };
        self.unlock(state);
        if let Some(waker) = displaced {
            waker.wake();
        }
        polled
    }

    /// Counts again what was received and got lost before it reached anybody: a connection's end.
    pub(crate) fn lose_received(&self, count: Count, reason: DropReason) {
        let mut state = self.lock();
        state.lose_received(count, reason);
        self.unlock(state);
    }

    fn receive(&self, deadline: Option<Instant>) -> Recv<Delivery<T>> {
        let Some(mut state) = self.wait_readable(deadline) else {
            return Recv::Empty;
        };
        let received = next_outcome(&mut state).unwrap_or(Recv::Empty);
        self.note_plenty(state.has_any());
        self.unlock(state);
        received
    }

    fn receive_many(
        &self,
        out: &mut Vec<Delivery<T>>,
        max: usize,
        deadline: Option<Instant>,
    ) -> Recv<usize> {
        let Some(mut state) = self.wait_readable(deadline) else {
            return Recv::Empty;
        };
        if let Some(ended) = ended(&mut state) {
            self.unlock(state);
            return ended;
        }
        if state.stream_len() > max {
            let count = state.take_some(out, max);
            self.unlock(state);
            self.note_plenty(true);
            return Recv::Got(count);
        }
        // All of it changes places with the caller's empty vector: a moment under the lock, no copy,
        // and no allocation where the caller comes again with the same vector.
        let room = if out.is_empty() {
            mem::take(out)
        } else {
            Vec::new()
        };
        let (all, shared) = state.take_all(room.into());
        self.unlock(state);
        drop(shared);
        let count = all.len();
        self.note_plenty(count >= PLENTY_ITEMS);
        if out.is_empty() {
            *out = all.into();
        } else {
            out.extend(all);
        }
        Recv::Got(count)
    }

    fn note_plenty(&self, plenty: bool) {
        if self.plenty.get() != plenty {
            self.plenty.set(plenty);
        }
    }

    /// The lock, with something to read under it; `None` past the deadline.
    fn wait_readable(&self, deadline: Option<Instant>) -> Option<MutexGuard<'_, State<T>>> {
        if !self.plenty.get() && self.looking.pays() {
            self.looking.note(self.look_for_a_while());
        }
        let mut state = self.lock();
        while !state.is_readable() {
            let left = match deadline {
                None => None,
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    None | Some(Duration::ZERO) => return None,
                    left => left,
                },
            };
            state.waiting(Waiting::receiver_parks);
            state = match left {
                None => self
                    .arrived
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.arrived
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            state.waiting(Waiting::receiver_looks);
        }
        Some(state)
    }

    /// Whether there is anything.
    fn look_for_a_while(&self) -> bool {
        for _ in 0..YIELDS_BEFORE_LOOKING {
            yield_now();
        }
        for _ in 0..YIELDS_BEFORE_PARKING {
            if self.readable.get() {
                return true;
            }
            yield_now();
        }
        self.readable.get()
    }
}

/// How a receive ends now without taking anything; `None` where there is something to take, or the
/// receiver has to wait.
fn ended<T, R>(state: &mut State<T>) -> Option<Recv<R>> {
    if state.take_interrupt() {
        return Some(Recv::Interrupted);
    }
    (!state.has_any() && state.is_closed()).then_some(Recv::Closed)
}

/// How a receive of the next one ends now; `None` where it has to wait.
fn next_outcome<T>(state: &mut State<T>) -> Option<Recv<Delivery<T>>> {
    ended(state).or_else(|| state.take().map(Recv::Got))
}

struct Receiving<'a, T> {
    queue: &'a Queue<T>,
}

impl<T: Weigh> Future for Receiving<'_, T> {
    type Output = Recv<Delivery<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.queue.lock();
        let received = next_outcome(&mut state);
        let displaced = match received {
            Some(_) => None,
            None => state.waiting(|waiting| waiting.task_waits(context.waker())),
        };
        self.queue.unlock(state);
        if let Some(waker) = displaced {
            waker.wake();
        }
        received.map_or(Poll::Pending, Poll::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_in_vain_is_left_out_ever_longer_until_one_finds_something() {
        let looking = Looking::default();
        let skipped = || (0..).take_while(|_| !looking.pays()).count();
        for expected in [0, 1, 2, 4, 8, 16, 32, 64, 64] {
            assert_eq!(skipped(), expected);
            looking.note(false);
        }
        assert_eq!(skipped(), 64);
        looking.note(true);
        assert_eq!((skipped(), skipped()), (0, 0));
    }
}
