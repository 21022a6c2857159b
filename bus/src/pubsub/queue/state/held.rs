//! What a queue has counted and somebody else keeps for it: for a receiver that lost its connection.
//!
//! Only counts; where the items are, and in which order they come back, `pubsub/resume` knows. The
//! invariant: what is held counts as queued, so that `matched = delivered + dropped + queued` holds while
//! items go back from delivered, are kept elsewhere, and are delivered again.

use super::{Emptied, State};
use crate::count::{Count, DropReason};
use crate::pubsub::queue::{Pushed, Queue, Weigh};

/// Held now, and delivered once more in all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) now: Count,
    pub(super) resent: Count,
}

impl<T> State<T> {
    /// Moves what was delivered to what is held, at most as much as was.
    fn hold_received(&mut self, count: Count) {
        if let Some(left) = self.slow.delivered.checked_sub(count) {
            self.slow.delivered = left;
            self.slow.held.now += count;
        }
    }

    /// Hands over all of the stream; its items are held from now on.
    fn hold_queued(&mut self) -> Emptied<T> {
        self.slow.held.now += self.queued();
        self.slow.gaps = 0;
        self.taken(self.weights.len());
        let shared = self.unweigh_all();
        (std::mem::take(&mut self.stream), shared)
    }

    /// Takes away from what is held; false, and nothing, where that isn't so much.
    fn unhold(&mut self, count: Count) -> bool {
        let left = self.slow.held.now.checked_sub(count);
        self.slow.held.now = left.unwrap_or(self.slow.held.now);
        left.is_some()
    }
}

impl<T: Weigh> Queue<T> {
    /// What was `received` and all that is queued is held from now on. Gives the stream as it was queued.
    pub(crate) fn hold_all(&self, received: Count) -> Emptied<T> {
        let mut state = self.lock();
        state.hold_received(received);
        let stream = state.hold_queued();
        self.unlock(state);
        stream
    }

    /// Counts an item of so many rows that is pushed to who holds it.
    pub(crate) fn push_held(&self, rows: u64) -> Pushed {
        let mut state = self.lock();
        if state.is_retired() {
            return Pushed::Gone;
        }
        let count = Count::batch(rows);
        state.matched += count;
        let pushed = if state.is_closed() {
            state.slow.dropped.add(DropReason::Closed, count);
            Pushed::Dropped(DropReason::Closed)
        } else {
            state.slow.held.now += count;
            Pushed::Queued
        };
        self.unlock(state);
        pushed
    }

    /// What was held is delivered; `resent` of it for the second time.
    pub(crate) fn deliver_held(&self, count: Count, resent: Count) {
        let mut state = self.lock();
        if state.unhold(count) {
            state.slow.delivered += count;
            state.slow.held.resent += resent;
        }
        self.unlock(state);
    }

    /// What was held is dropped. Who holds it tells the gap.
    pub(crate) fn drop_held(&self, count: Count, reason: DropReason) {
        let mut state = self.lock();
        if state.unhold(count) {
            state.slow.dropped.add(reason, count);
        }
        self.unlock(state);
    }
}
