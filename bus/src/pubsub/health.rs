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
        rows.add(WHOLE, "published_rows", &statistics.published.rows);
        rows.add(WHOLE, "published_batches", &statistics.published.batches);
        rows.counts(WHOLE, &statistics.total);
        rows.add(WHOLE, "bytes", &statistics.bytes);
        rows.add(WHOLE, "bytes_max", &statistics.bytes_max);
        rows.add(WHOLE, "subscribers", &subscribers.len());
        rows.add(WHOLE, "subscribers_slow", &slow);
        let told = subscribers.len().min(HEALTH_SUBSCRIBERS_MAX);
        rows.add(WHOLE, "subscribers_left_out", &(subscribers.len() - told));
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
    fn add(&mut self, item: &str, attribute: &str, value: &dyn ToString) {
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
        self.add(item, "matched_rows", &counts.matched.rows);
        self.add(item, "delivered_rows", &counts.delivered.rows);
        for (reason, count) in counts.dropped.iter() {
            self.add(item, &format!("dropped_rows[{reason}]"), &count.rows);
        }
        self.add(item, "queued_rows", &counts.queued.rows);
        self.add(item, "queued_batches", &counts.queued.batches);
        self.add(item, "queued_bytes", &counts.queued_bytes);
    }

    fn subscriber(&mut self, subscriber: &SubscriberStatistics, lost: u64) {
        let item = format!("{SUBSCRIBER}/{}", subscriber.name);
        self.add(&item, "policy", &subscriber.policy.as_str());
        self.counts(&item, &subscriber.counts);
        self.add(&item, "batches_max", &subscriber.limits.items_max);
        self.add(&item, "bytes_max", &subscriber.limits.bytes_max);
        self.add(&item, "slow", &(lost > 0));
        if lost > 0 {
            self.add(&item, "lost_rows", &lost);
        }
        if let Some(standing) = subscriber.standing {
            let text = match standing {
                Standing::LetIn { .. } => "let-in".to_owned(),
                Standing::HalfOpen => "half-open".to_owned(),
                Standing::CutOff { pause_left } => {
                    format!("cut-off for {} ms more", pause_left.as_millis())
                }
            };
            self.add(&item, "standing", &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::{Count, DropReason};
    use crate::pubsub::{EventBus as _, LocalBus, SubscriptionOptions};
    use crate::topic::TopicPattern;

    /// `item attribute=value` of each row.
    fn texts(events: &[CollectionEvent]) -> Vec<String> {
        let text = |event: &CollectionEvent| match event {
            CollectionEvent::Inventory(row) => {
                assert_eq!(row.class, CLASS);
                format!("{} {}={}", row.item, row.attribute, row.value)
            }
            other => panic!("{other:?}"),
        };
        events.iter().map(text).collect()
    }

    fn statistics(subscribers: usize) -> BusStatistics {
        let bus = LocalBus::new();
        let held: Vec<_> = (0..subscribers)
            .map(|number| {
                let all = TopicPattern::parse(">").unwrap();
                let options = SubscriptionOptions::new(format!("s{number}")).pattern(all);
                bus.subscribe(options).unwrap()
            })
            .collect();
        let statistics = bus.statistics();
        drop(held);
        statistics
    }

    #[test]
    fn who_lost_rows_since_the_last_time_is_slow() {
        let mut health = BusHealth::default();
        let mut statistics = statistics(2);
        let mut check = |lost: u64, expected: [&str; 3]| {
            let drops = &mut statistics.subscribers[1].counts.dropped;
            drops.add(DropReason::QueueFull, Count::batch(lost));
            let texts = texts(&health.events(&statistics));
            for text in expected {
                assert!(
                    texts.iter().any(|found| found == text),
                    "{text}: {texts:#?}"
                );
            }
        };
        let (fast, none) = ("subscriber/s0 slow=false", "bus subscribers_slow=0");
        check(0, [fast, none, "subscriber/s1 slow=false"]);
        check(
            7,
            [fast, "bus subscribers_slow=1", "subscriber/s1 lost_rows=7"],
        );
        check(0, [fast, none, "subscriber/s1 dropped_rows[queue-full]=7"]);
    }

    #[test]
    fn however_many_subscribers_there_are_the_rows_are_bounded_and_the_slow_come_first() {
        let mut statistics = statistics(HEALTH_SUBSCRIBERS_MAX + 9);
        let last = statistics.subscribers.last_mut().unwrap();
        let slow = format!("subscriber/{} lost_rows=3", last.name);
        last.counts
            .dropped
            .add(DropReason::BusFull, Count::batch(3));
        let texts = texts(&BusHealth::default().events(&statistics));
        assert!(texts.contains(&"bus subscribers_left_out=9".to_owned()));
        assert!(texts.contains(&slow), "{texts:#?}");
        let told = texts.iter().filter(|text| text.contains(" policy="));
        assert_eq!(told.count(), HEALTH_SUBSCRIBERS_MAX);
    }
}
