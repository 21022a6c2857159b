//! A queue under a bound that it shares with others.

use std::sync::PoisonError;

use super::budget::{Budget, Member};
use super::evicted::Evicted;
use super::{Clock, Queue, QueueLimits, QueuePolicy, Weigh};
use crate::count::DropReason;
use crate::sync::{Arc, Weak};

impl<T: Weigh + Send + 'static> Queue<T> {
    /// An empty queue under a bound over many, by a clock that they share.
    pub(crate) fn under(
        budget: &Arc<Budget>,
        policy: QueuePolicy,
        limits: QueueLimits,
        clock: Clock,
    ) -> Arc<Self> {
        let queue = Arc::new(Self::with(policy, limits, Some(Arc::clone(budget)), clock));
        let member: Weak<Self> = Arc::downgrade(&queue);
        budget.join(member);
        queue
    }
}

impl<T: Weigh + Send> Member for Queue<T> {
    fn key(&self) -> usize {
        Self::key(self)
    }

    fn bytes(&self) -> u64 {
        let state = self.state.0.lock();
        state.unwrap_or_else(PoisonError::into_inner).bytes()
    }

    fn keeps_what_it_has(&self) -> bool {
        match self.policy {
            QueuePolicy::DropNewest | QueuePolicy::Block { .. } => true,
            QueuePolicy::DropOldest | QueuePolicy::Disconnect { .. } | QueuePolicy::Latest => false,
        }
    }

    fn drop_one(&self) -> Option<u64> {
        let mut evicted = Evicted::none();
        let mut state = self.lock();
        let dropped = if self.keeps_what_it_has() {
            state.drop_newest(DropReason::BusFull, &mut evicted)
        } else {
            state.drop_oldest(DropReason::BusFull, &mut evicted)
        };
        let left = state.bytes();
        self.unlock(state);
        self.note_loss();
        dropped.then_some(left)
    }
}

impl<T: Weigh> Queue<T> {
    /// Names it among the queues of its bus.
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Something was dropped here because somebody is slow.
    pub(super) fn note_loss(&self) {
        if let Some(budget) = &self.budget {
            budget.note_loss();
        }
    }
}
