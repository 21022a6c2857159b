//! A subscriber's end of its queue.
//!
//! It receives and reads counts; it can't push. The invariant: when it is dropped its subscription is
//! gone from the bus, and what was queued is counted as dropped\[closed\].

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Delivery, Queue, QueueCounts, Recv, SubscriptionId, Weigh};
use crate::batch::Batch;
use crate::count::{Count, DropReason};

/// Where a subscription is registered.
pub(crate) trait Registry: Send + Sync {
    /// Takes it out; `false` where it isn't there.
    fn unsubscribe(&self, id: SubscriptionId) -> bool;
}

/// Receives what a subscription matches. Receiving from several threads is possible, each batch goes
/// to one of them.
pub struct Subscriber<T: Weigh = Arc<Batch>> {
    pub(super) id: SubscriptionId,
    pub(super) name: Arc<str>,
    pub(super) queue: Arc<Queue<T>>,
    pub(super) registry: Weak<dyn Registry>,
}

impl<T: Weigh> Subscriber<T> {
    /// The receiving end of a queue that somebody else fills.
    pub(crate) const fn new(
        id: SubscriptionId,
        name: Arc<str>,
        queue: Arc<Queue<T>>,
        registry: Weak<dyn Registry>,
    ) -> Self {
        Self {
            id,
            name,
            queue,
            registry,
        }
    }

    /// The subscription's id.
    pub fn id(&self) -> SubscriptionId {
        self.id
    }

    /// The subscription's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The queue's counts at this instant.
    pub fn counts(&self) -> QueueCounts {
        self.queue.counts()
    }

    /// As [`Queue::try_recv`].
    pub fn try_recv(&self) -> Recv<Delivery<T>> {
        self.queue.try_recv()
    }

    /// As [`Queue::recv_blocking`].
    pub fn recv_blocking(&self) -> Recv<Delivery<T>> {
        self.queue.recv_blocking()
    }

    /// As [`Queue::recv_timeout`].
    pub fn recv_timeout(&self, timeout: Duration) -> Recv<Delivery<T>> {
        self.queue.recv_timeout(timeout)
    }

    /// As [`Queue::recv_many_blocking`].
    pub fn recv_many_blocking(&self, out: &mut Vec<Delivery<T>>, max: usize) -> Recv<usize> {
        self.queue.recv_many_blocking(out, max)
    }

    /// As [`Queue::recv_many_timeout`].
    pub fn recv_many_timeout(
        &self,
        out: &mut Vec<Delivery<T>>,
        max: usize,
        timeout: Duration,
    ) -> Recv<usize> {
        self.queue.recv_many_timeout(out, max, timeout)
    }

    /// As [`Queue::recv`]; cancel safe.
    pub fn recv(&self) -> impl Future<Output = Recv<Delivery<T>>> + Send + '_
    where
        T: Send,
    {
        self.queue.recv()
    }

    /// As [`Queue::poll_recv_many`].
    pub fn poll_recv_many(
        &self,
        context: &Context<'_>,
        out: &mut Vec<Delivery<T>>,
        max: usize,
    ) -> Poll<Recv<usize>> {
        self.queue.poll_recv_many(context, out, max)
    }

    /// Counts again what was received and got lost before it reached anybody: a connection's end.
    pub(crate) fn lose_received(&self, count: Count, reason: DropReason) {
        self.queue.lose_received(count, reason);
    }

    /// Takes no more: what is queued can still be received, and then [`Recv::Closed`]. What matches
    /// from now on is dropped\[closed\].
    pub fn finish(&self) {
        self.queue.close();
    }

    /// As [`Queue::interrupt`].
    pub fn interrupt(&self) {
        self.queue.interrupt();
    }
}

impl<T: Weigh> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<T: Weigh> Drop for Subscriber<T> {
    fn drop(&mut self) {
        match self.registry.upgrade() {
            Some(registry) => {
                registry.unsubscribe(self.id);
            }
            // The bus is gone already, and nobody will read the counts.
            None => drop(self.queue.retire()),
        }
    }
}
