//! A bus's counts as events, for `system.bus.health`: rows of kind `inventory`, an attribute each.
//!
//! It reads counts and makes rows; who publishes them, and when, is another's business. Invariant: however many
//! subscribers there are, the rows are bounded.

use std::collections::BTreeMap;

use super::slow::rows_lost;
use super::{BusStatistics, QueueCounts, Standing, SubscriberStatistics, SubscriptionId};
use crate::event::{CollectionEvent, InventoryEvent, Timestamp};

/// Subscribers that are told of one by one, those that lost most first: with some 20 rows each, a batch of 2,500. The
/// others are in the sums, and a row says how many they are.
pub const HEALTH_SUBSCRIBERS_MAX: usize = 128;

/// The class of the rows.
const CLASS: &str = "bus";
/// What the sums' rows are about.
const WHOLE: &str = "bus";
/// How what is about a subscriber begins.
const SUBSCRIBER: &str = "subscriber";

/// Tells a bus's counts again and again, and who became slow since the last time.
#[derive(Debug, Default)]
pub struct BusHealth {
    /// Rows that each subscriber had lost the last time.
    lost: BTreeMap<SubscriptionId, u64>,
}

impl BusHealth {
    /// The rows. The bus itself is item `bus`, a subscriber `subscriber/NAME`; a subscriber is `slow` that has lost
    /// rows since the last call.
    pub fn events(&mut self, statistics: &BusStatistics) -> Vec<CollectionEvent> {
        let mut lost = BTreeMap::new();
        let mut subscribers = Vec::with_capacity(statistics.subscribers.len());
        for subscriber in &statistics.subscribers {
            let now = rows_lost(&subscriber.counts.dropped);
            let before = self.lost.get(&subscriber.id).copied().unwrap_or(0);
            lost.insert(subscriber.id, now);
            subscribers.push((now.saturating_sub(before), subscriber));
        }
        self.lost = lost;
        subscribers.sort_by_key(|(lost, subscriber)| (u64::MAX - lost, subscriber.id));
        let slow = subscribers.iter().filter(|(lost, _)| *lost > 0).count();
        let mut rows = Rows::default();
        rows.add(WHOLE, "published_rows", statistics.published.rows);
        rows.add(WHOLE, "published_batches", statistics.published.batches);
        rows.counts(WHOLE, &statistics.total);
        rows.add(WHOLE, "bytes", statistics.bytes);
        rows.add(WHOLE, "bytes_max", statistics.bytes_max);
        rows.add(WHOLE, "subscribers", subscribers.len());
        rows.add(WHOLE, "subscribers_slow", slow);
        let told = subscribers.len().min(HEALTH_SUBSCRIBERS_MAX);
        rows.add(WHOLE, "subscribers_left_out", subscribers.len() - told);
        for (lost, subscriber) in subscribers.into_iter().take(told) {
            rows.subscriber(subscriber, lost);
        }
        rows.events
    }
}

struct Rows {
    timestamp: Timestamp,
    events: Vec<CollectionEvent>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            timestamp: Timestamp::now(),
            events: Vec::new(),
        }
    }
}

impl Rows {
    fn add(&mut self, item: &str, attribute: &str, value: impl ToString) {
        let event = InventoryEvent {
            timestamp: self.timestamp,
            class: CLASS.to_owned(),
            item: item.to_owned(),
            attribute: attribute.to_owned(),
            value: value.to_string(),
        };
        self.events.push(event.into());
    }

    fn counts(&mut self, item: &str, counts: &QueueCounts) {
        self.add(item, "matched_rows", counts.matched.rows);
        self.add(item, "delivered_rows", counts.delivered.rows);
        for (reason, count) in counts.dropped.iter() {
            self.add(item, &format!("dropped_rows[{reason}]"), count.rows);
        }
        self.add(item, "queued_rows", counts.queued.rows);
        self.add(item, "queued_batches", counts.queued.batches);
        self.add(item, "queued_bytes", counts.queued_bytes);
    }

    fn subscriber(&mut self, subscriber: &SubscriberStatistics, lost: u64) {
        let item = format!("{SUBSCRIBER}/{}", subscriber.name);
        self.add(&item, "policy", subscriber.policy.as_str());
        self.counts(&item, &subscriber.counts);
        self.add(&item, "batches_max", subscriber.limits.items_max);
        self.add(&item, "bytes_max", subscriber.limits.bytes_max);
        self.add(&item, "slow", lost > 0);
        if lost > 0 {
            self.add(&item, "lost_rows", lost);
        }
        if let Some(standing) = subscriber.standing {
            let text = match standing {
                Standing::LetIn { .. } => "let-in".to_owned(),
                Standing::HalfOpen => "half-open".to_owned(),
                Standing::CutOff { pause_left } => {
                    format!("cut-off for {} ms more", pause_left.as_millis())
                }
            };
            self.add(&item, "standing", text);
        }
    }
}
