//! Publish and subscribe: who gets which batch, through bounded queues, with exact counts.
//!
//! This folder alone knows subscribers. It knows nothing of sources, guests or config files. The
//! invariant: what a subscriber matched is delivered, dropped with a reason, or queued, at any instant;
//! and every transport keeps the order of a publisher for each subscriber.

pub mod as_ms;
mod clock;
mod compare;
mod cover;
mod filter;
mod filtered;
mod health;
mod kind;
mod local;
mod null;
mod offering;
mod options;
mod outlet;
mod queue;
mod resume;
mod rows;
mod slow;
mod statistics;
mod subscriber;
mod subscription;
mod tables;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, SourceLoss};
use crate::topic::Topic;

pub use clock::Clock;
pub use compare::{Comparison, Literal, Operator, UnknownOperator};
pub use filter::{
    CorrelationFilter, EventFilter, FILTER_PIDS_MAX, FILTER_TEXT_BYTES_MAX, FilterError, Priority,
    UnknownPriority,
};
pub use health::{BusHealth, HEALTH_SUBSCRIBERS_MAX};
pub use kind::{BusKind, UnknownBusKind};
pub use local::{LocalBus, LocalBusOptions};
pub use null::NullBus;
pub use offering::Waiting;
pub use options::{
    PATTERNS_PER_SUBSCRIPTION_MAX, SUBSCRIPTIONS_MAX, SubscribeError, SubscriptionOptions,
};
pub use outlet::Parcel;
pub use queue::{
    BUS_BYTES_MAX, CUT_OFF_PAUSE_MAX, Delivery, Gap, Incarnation, Incarnations, Pushed,
    QUEUE_BATCHES_MAX, QUEUE_BYTES_MAX, QUEUE_GAPS_MAX, Queue, QueueCounts, QueueLimits,
    QueuePolicy, Recv, Standing, Weigh,
};
pub(crate) use queue::{Budget, Offered};
pub(crate) use resume::Resumable;
pub use resume::{RING_AGE_MAX, RING_BATCHES_MAX, RING_BYTES_MAX, RingCounts, RingLimits};
pub(crate) use slow::SlowWatch;
pub use statistics::{BusStatistics, SubscriberStatistics};
pub(crate) use subscriber::Registry;
pub use subscriber::Subscriber;
pub use tables::{EVERY_MAX, EVERY_MIN, TableFeed, TableGuard, TableRequest, Tables};

/// What carries batches from publishers to subscribers.
pub trait EventBus: fmt::Debug + Send + Sync {
    /// Hands a batch to every subscriber that it matches.
    ///
    /// Waits only for subscribers whose policy is [`QueuePolicy::Block`], after all others have the
    /// batch, and at most for the longest of their deadlines. The batches of one publisher reach each
    /// subscriber in the order of these calls, if they aren't made from several threads at once.
    ///
    /// A batch without rows goes nowhere and counts nowhere, but for one that ends a snapshot.
    ///
    /// # Errors
    ///
    /// [`PublishError`], and then no subscriber got the batch.
    fn publish(&self, from: PublisherId, batch: Arc<Batch>) -> Result<Receipt, PublishError>;

    /// Leaves a gap in the queue of every subscriber that could have got the rows that a source lost. Over a socket
    /// it goes nowhere: only the source's health tells of it there.
    fn lost(&self, from: PublisherId, loss: &SourceLoss) {
        let _ = (from, loss);
    }

    /// Adds a subscriber; it gets what is published from now on.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`], and then nothing has changed.
    fn subscribe(&self, options: SubscriptionOptions) -> Result<Subscriber, SubscribeError>;

    /// Takes a subscriber off the bus: what is in its queue is dropped\[closed\]. `false` where there is
    /// none of that id. Dropping the [`Subscriber`] does the same.
    fn unsubscribe(&self, id: SubscriptionId) -> bool;

    /// Says where subscriptions with an interval get their tables from; until then they are refused. A bus that is
    /// another process's gets them from there, and one that carries nothing from nowhere.
    fn serve_tables(&self, tables: Arc<dyn Tables>) {
        drop(tables);
    }

    /// The counts of every subscriber, and their sums.
    fn statistics(&self) -> BusStatistics;

    /// Nothing can be published or subscribed any more. Subscribers get what is queued, and then
    /// [`Recv::Closed`].
    fn close(&self);
}

/// Who publishes. A publisher doesn't get its own events unless it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublisherId(u64);

impl PublisherId {
    /// An id that nothing else in this process has.
    pub fn unique() -> Self {
        Self(next_id())
    }
}

impl fmt::Display for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a subscription, in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubscriptionId(u64);

impl SubscriptionId {
    pub(crate) fn unique() -> Self {
        Self(next_id())
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What became of a batch that was published. All 0 where it goes over a socket: nobody knows yet; and
/// where it went nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Its number on this bus, from 1. A subscriber's batches come with rising positions; only one that
    /// had to wait for room in its queue can come behind what others published meanwhile.
    pub position: u64,
    /// How many subscribers it matched.
    pub matched: usize,
    /// How many of their queues took it.
    pub queued: usize,
}

/// Why a batch wasn't published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The bus was closed.
    #[error(
        "the bus is closed, {rows} rows on `{topic}` were not published; count them as dropped[closed]"
    )]
    Closed {
        /// Where they should have gone.
        topic: Topic,
        /// How many.
        rows: usize,
    },
    /// It came over a wire, and its values aren't what its columns say.
    #[error("{rows} rows on `{topic}` are dropped[invalid]: {problem}")]
    Invalid {
        /// Where they should have gone.
        topic: Topic,
        /// How many.
        rows: usize,
        /// What is wrong.
        problem: String,
    },
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
