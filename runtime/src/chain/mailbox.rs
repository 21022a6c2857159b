//! What the runner's thread is told, and how it waits for that.
//!
//! Invariant: its lock is the innermost: who holds it takes no other. So a worker may answer wherever it is.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::task::Completion;

#[derive(Default)]
struct Inbox {
    completions: Vec<Completion>,
    is_woken: bool,
    /// No more requests are waited for, and what goes on then is cancelled.
    drain_until: Option<Instant>,
    has_ended: bool,
}

/// What the runner is told.
#[derive(Default)]
pub(super) struct Mailbox {
    inbox: Mutex<Inbox>,
    told: Condvar,
    ended: Condvar,
}

/// What there was.
pub(super) struct Mail {
    pub(super) completions: Vec<Completion>,
    /// The end is wanted, and when it has to be.
    pub(super) drain_until: Option<Instant>,
}

impl Mailbox {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to look for elsewhere: a request, a cancellation.
    pub(super) fn wake(&self) {
        self.inbox().is_woken = true;
        self.told.notify_one();
    }

    /// An attempt has ended. After the runner's end nobody hears it.
    pub(super) fn complete(&self, completion: Completion) {
        let mut inbox = self.inbox();
        if !inbox.has_ended {
            inbox.completions.push(completion);
            self.told.notify_one();
        }
    }

    /// The end is wanted.
    pub(super) fn drain(&self, until: Instant) {
        let mut inbox = self.inbox();
        let sooner = inbox.drain_until.is_none_or(|known| until < known);
        if sooner {
            inbox.drain_until = Some(until);
        }
        inbox.is_woken = true;
        self.told.notify_one();
    }

    /// Waits until there is something, or until then.
    pub(super) fn wait(&self, until: Option<Instant>) -> Mail {
        let mut inbox = self.inbox();
        while !inbox.is_woken && inbox.completions.is_empty() {
            let Some(until) = [until, inbox.drain_until].into_iter().flatten().min() else {
                let waited = self.told.wait(inbox);
                inbox = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.told.wait_timeout(inbox, left);
            inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inbox.is_woken = false;
        Mail {
            completions: std::mem::take(&mut inbox.completions),
            drain_until: inbox.drain_until,
        }
    }

    /// The runner has ended.
    pub(super) fn end(&self) {
        let mut inbox = self.inbox();
        inbox.has_ended = true;
        let late = std::mem::take(&mut inbox.completions);
        drop(inbox);
        drop(late);
        self.ended.notify_all();
    }

    /// Waits for the runner's end; false if the deadline came first.
    pub(super) fn wait_ended(&self, deadline: Instant) -> bool {
        let mut inbox = self.inbox();
        while !inbox.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.ended.wait_timeout(inbox, left);
            inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
