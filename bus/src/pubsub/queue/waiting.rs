//! Who waits on a queue: threads that are parked, and tasks.
//!
//! Bookkeeping only; the parking itself is done elsewhere. The invariant: whoever waits for what has
//! happened is woken, and nobody twice before having looked.

use std::mem;
use std::task::Waker;

/// Async receivers that wait on one queue at a time; one more wakes the one that waits longest, which
/// then looks again.
const WAITING_TASKS_MAX: usize = 64;

/// Whom to wake after the lock.
#[derive(Debug, Default)]
pub(super) struct Wake {
    pub(super) receiver: bool,
    pub(super) pushers: bool,
    pub(super) tasks: Tasks,
}

/// Tasks that wait. There is seldom more than one, and that one costs no allocation.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Tasks {
    fn iter(&self) -> impl Iterator<Item = &Waker> {
        self.first.iter().chain(&self.others)
    }

    pub(super) fn wake_all(self) {
        for waker in self.first.into_iter().chain(self.others) {
            waker.wake();
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    receivers_parked: u32,
    receivers_notified: u32,
    pushers_parked: u32,
    pushers_notified: bool,
    tasks: Tasks,
}

impl Waiting {
    /// How many wait and may have to be woken.
    pub(super) fn count(&self) -> u32 {
        let tasks = u32::try_from(self.tasks.iter().count()).unwrap_or(u32::MAX);
        tasks
            .saturating_add(self.receivers_parked)
            .saturating_add(self.pushers_parked)
    }

    /// One receiver for each call, all pushers (their items differ in size) and all tasks (one that
    /// was dropped must not swallow the only call).
    pub(super) fn whom_to_wake(&mut self, readable: bool, room: bool) -> Wake {
        let mut wake = Wake::default();
        if readable {
            if self.receivers_parked > self.receivers_notified {
                self.receivers_notified += 1;
                wake.receiver = true;
            }
            wake.tasks = mem::take(&mut self.tasks);
        }
        if room && self.pushers_parked > 0 && !self.pushers_notified {
            self.pushers_notified = true;
            wake.pushers = true;
        }
        wake
    }

    pub(super) fn receiver_parks(&mut self) {
        self.receivers_parked += 1;
    }

    /// Woken, by whatever: it looks for itself.
    pub(super) fn receiver_looks(&mut self) {
        self.receivers_parked = self.receivers_parked.saturating_sub(1);
        self.receivers_notified = self.receivers_notified.saturating_sub(1);
    }

    pub(super) fn pusher_parks(&mut self) {
        self.pushers_parked += 1;
        self.pushers_notified = false;
    }

    /// Woken, by whatever: it looks for itself.
    pub(super) fn pusher_looks(&mut self) {
        self.pushers_parked = self.pushers_parked.saturating_sub(1);
    }

    /// Remembers a task that waits; returns one that has to look again, where there are too many.
    pub(super) fn task_waits(&mut self, waker: &Waker) -> Option<Waker> {
        if self.tasks.iter().any(|known| known.will_wake(waker)) {
            return None;
        }
        let Tasks { first, others } = &mut self.tasks;
        let longest = (others.len() + 1 >= WAITING_TASKS_MAX)
            .then(|| first.replace(others.remove(0)))
            .flatten();
        if first.is_none() {
            *first = Some(waker.clone());
        } else {
            others.push(waker.clone());
        }
        longest
    }
}
