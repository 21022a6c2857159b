//! No bus: whoever publishes is never disturbed, and everything is counted as dropped\[disabled\].
//!
//! Subscribing is possible, so that the rest of a program needs no second way; nothing ever arrives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::statistics::{BusStatistics, SubscriberStatistics};
use super::subscriber::Registry;
use super::{
    EventBus, PublishError, PublisherId, Queue, QueueCounts, Receipt, RingCounts,
    SUBSCRIPTIONS_MAX, SubscribeError, Subscriber, SubscriptionId, SubscriptionOptions,
};
use crate::batch::Batch;
use crate::count::{Count, DropReason};
use crate::topic::TopicPattern;

/// The bus of `bus.kind = "none"`.
#[derive(Debug, Default)]
pub struct NullBus {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    published: Count,
    closed: bool,
    subscriptions: Vec<Idle>,
}

/// A subscriber that waits for nothing.
#[derive(Debug)]
struct Idle {
    id: SubscriptionId,
    name: Arc<str>,
    patterns: Vec<TopicPattern>,
    queue: Arc<Queue<Arc<Batch>>>,
}

impl NullBus {
    /// A bus that drops everything.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for Inner {
    fn unsubscribe(&self, id: SubscriptionId) -> bool {
        let mut state = self.lock();
        let Some(index) = state.subscriptions.iter().position(|idle| idle.id == id) else {
            return false;
        };
        let idle = state.subscriptions.remove(index);
        drop(state);
        idle.queue.retire();
        true
    }
}

impl EventBus for NullBus {
    fn publish(&self, _from: PublisherId, batch: Arc<Batch>) -> Result<Receipt, PublishError> {
        if batch.is_void() {
            return Ok(Receipt::default());
        }
        let mut state = self.inner.lock();
        if state.closed {
            return Err(PublishError::Closed {
                topic: batch.topic().clone(),
                rows: batch.rows(),
            });
        }
        state.published += Count::batch(batch.rows() as u64);
        Ok(Receipt {
            position: state.published.batches,
            matched: 0,
            queued: 0,
        })
    }

    fn subscribe(&self, options: SubscriptionOptions) -> Result<Subscriber, SubscribeError> {
        options.check()?;
        let mut state = self.inner.lock();
        if state.closed {
            return Err(SubscribeError::Closed { name: options.name });
        }
        if state.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(SubscribeError::TooManySubscriptions { name: options.name });
        }
        let id = SubscriptionId::unique();
        let name: Arc<str> = options.name.into();
        let queue = Arc::new(Queue::new(options.policy, options.limits));
        state.subscriptions.push(Idle {
            id,
            name: Arc::clone(&name),
            patterns: options.patterns,
            queue: Arc::clone(&queue),
        });
        let registry: Weak<Inner> = Arc::downgrade(&self.inner);
        Ok(Subscriber {
            id,
            name,
            queue,
            registry,
        })
    }

    fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.inner.unsubscribe(id)
    }

    /// Everything that was published was dropped\[disabled\], once, however many subscribers there are.
    fn statistics(&self) -> BusStatistics {
        let state = self.inner.lock();
        let mut total = QueueCounts {
            matched: state.published,
            ..QueueCounts::default()
        };
        total.dropped.add(DropReason::Disabled, state.published);
        let subscribers = state
            .subscriptions
            .iter()
            .map(|idle| SubscriberStatistics {
                id: idle.id,
                name: idle.name.as_ref().to_owned(),
                patterns: idle.patterns.clone(),
                policy: idle.queue.policy(),
                limits: idle.queue.limits(),
                standing: idle.queue.standing(),
                every: None,
                away: false,
                counts: idle.queue.counts(),
            })
            .collect();
        BusStatistics {
            published: state.published,
            total,
            departed: QueueCounts::default(),
            bytes: 0,
            bytes_max: 0,
            ring: RingCounts::default(),
            subscribers,
        }
    }

    fn close(&self) {
        let mut state = self.inner.lock();
        state.closed = true;
        for idle in &state.subscriptions {
            idle.queue.close();
        }
    }
}

impl Drop for NullBus {
    fn drop(&mut self) {
        self.close();
    }
}
