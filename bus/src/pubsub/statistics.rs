//! What a bus counts, as it was read at one moment.
//!
//! Values only. The invariant: every subscriber's counts were read under its queue's lock, so each
//! balances, and so do the sums.

use std::time::Duration;

use serde::Serialize;

use super::{QueueCounts, QueueLimits, QueuePolicy, RingCounts, Standing, SubscriptionId};
use crate::count::Count;
use crate::topic::TopicPattern;

/// The counts of a bus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BusStatistics {
    /// What was published, whether anybody wanted it or not. Counted before the batch is offered.
    pub published: Count,
    /// The sum over all subscribers, those that left included.
    pub total: QueueCounts,
    /// The sum over the subscribers that left; what was in their queues is in dropped\[closed\].
    pub departed: QueueCounts,
    /// Bytes that all queues together keep alive, a batch that several share counted once. With what is just being put in or
    /// received counted, it is never less than what there is.
    pub bytes: u64,
    /// How many they may be.
    pub bytes_max: u64,
    /// What is kept for connections that come back.
    pub ring: RingCounts,
    /// The subscribers that are there, in the order in which they came.
    pub subscribers: Vec<SubscriberStatistics>,
}

impl BusStatistics {
    /// Whether the law of counting holds for every subscriber, and for the sums.
    pub fn balances(&self) -> bool {
        self.total.balances()
            && self.departed.balances()
            && self.subscribers.iter().all(|one| one.counts.balances())
    }

    /// The subscriber of that name that came first.
    pub fn subscriber(&self, name: &str) -> Option<&SubscriberStatistics> {
        self.subscribers.iter().find(|one| one.name == name)
    }
}

/// One subscriber's counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubscriberStatistics {
    /// Its id.
    pub id: SubscriptionId,
    /// Its name.
    pub name: String,
    /// Its patterns.
    pub patterns: Vec<TopicPattern>,
    /// What its queue does when it is full.
    pub policy: QueuePolicy,
    /// How much its queue may hold.
    pub limits: QueueLimits,
    /// Whether it is cut off, with the policy [`QueuePolicy::Disconnect`]; `None` with any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// How often it gets whole tables; none: the stream.
    #[serde(rename = "every_ms", serialize_with = "super::as_ms::or_null")]
    pub every: Option<Duration>,
    /// Whether its connection is gone, and may come back.
    pub away: bool,
    /// Its counts.
    pub counts: QueueCounts,
}
