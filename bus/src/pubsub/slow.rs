//! Who is too slow: told by name, with what was lost, and not too often.
//!
//! It counts nothing itself: it compares a bus's counts with those it saw last. The invariants: a subscriber is told of
//! once in [`TOLD_AGAIN_AFTER`], however much it loses; and all that a subscriber loses stands in some warning, as long
//! as anything is published.

use std::collections::BTreeMap;
use std::sync::Mutex;
#[cfg(test)]
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::queue::Budget;
use super::{BusStatistics, QueuePolicy, SubscriberStatistics, SubscriptionId};
use crate::count::{DropReason, Drops};

/// A subscriber that goes on losing rows is told of again after this time.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Subscribers that are told of by name at once, those that lost most. A thousand stalled ones are no thousand lines.
const TOLD_AT_ONCE_MAX: usize = 16;

/// Rows that were dropped because their subscriber was too slow.
pub(super) fn rows_lost(drops: &Drops) -> u64 {
    let lost = drops.iter().filter(|(reason, _)| reason.is_slowness());
    lost.fold(0, |sum, (_, count)| sum.saturating_add(count.rows))
}

/// A subscriber that is too slow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slow {
    pub(super) name: String,
    /// Lost since it was told of last.
    pub(super) rows: u64,
    why: Vec<DropReason>,
    policy: QueuePolicy,
    queued: [u64; 4],
}

impl Slow {
    fn of(subscriber: &SubscriberStatistics, rows: u64) -> Self {
        let counts = &subscriber.counts;
        let reasons = counts.dropped.iter().map(|(reason, _)| reason);
        Self {
            name: subscriber.name.clone(),
            rows,
            why: reasons.filter(|reason| reason.is_slowness()).collect(),
            policy: subscriber.policy,
            queued: [
                counts.queued.batches,
                subscriber.limits.items_max as u64,
                counts.queued_bytes,
                subscriber.limits.bytes_max,
            ],
        }
    }

    fn tell(&self) {
        let [batches, batches_max, bytes, bytes_max] = self.queued;
        let reasons: Vec<_> = self.why.iter().map(|reason| reason.as_str()).collect();
        tracing::warn!(
            subscriber = self.name,
            rows = self.rows,
            reasons = reasons.join(", "),
            policy = self.policy.as_str(),
            batches,
            batches_max,
            bytes,
            bytes_max,
            "a subscriber is too slow: rows were dropped for it"
        );
    }
}

#[derive(Debug, Default)]
struct Told {
    next_look: Option<Instant>,
    /// Rows that each subscriber had lost when it was told of last, and when that was.
    subscribers: BTreeMap<SubscriptionId, (u64, Instant)>,
}

impl Told {
    /// Those that have lost something and whose turn it is, who lost most first; and whether others lost something and
    /// have to wait.
    fn due(&mut self, now: Instant, statistics: &BusStatistics) -> (Vec<Slow>, bool) {
        let (mut due, mut others_wait) = (Vec::new(), false);
        let mut kept = BTreeMap::new();
        for subscriber in &statistics.subscribers {
            let lost = rows_lost(&subscriber.counts.dropped);
            if lost == 0 {
                continue;
            }
            let before = self.subscribers.get(&subscriber.id).copied();
            let new = lost.saturating_sub(before.map_or(0, |(rows, _)| rows));
            let waits = before
                .is_some_and(|(_, told)| now.saturating_duration_since(told) < TOLD_AGAIN_AFTER);
            match before {
                Some(before) if new == 0 || waits => {
                    others_wait |= new > 0;
                    kept.insert(subscriber.id, before);
                }
                _ => {
                    due.push(Slow::of(subscriber, new));
                    kept.insert(subscriber.id, (lost, now));
                }
            }
        }
        // Who has left is forgotten with it.
        self.subscribers = kept;
        due.sort_by(|one, other| (other.rows, &one.name).cmp(&(one.rows, &other.name)));
        (due, others_wait)
    }
}

/// Warns of the slow subscribers of one bus.
#[derive(Debug, Default)]
pub(crate) struct SlowWatch(Mutex<Told>);

impl SlowWatch {
    /// Looks who is slow, where it is time to; called when something was lost. Cheap where it isn't.
    pub(crate) fn look(
        &self,
        now: Instant,
        statistics: impl FnOnce() -> BusStatistics,
        budget: &Budget,
    ) {
        // Who finds somebody else at it has nothing to do.
        let Ok(mut told) = self.0.try_lock() else {
            return;
        };
        if told.next_look.is_some_and(|next| now < next) {
            return;
        }
        // Before the counts are read: what is lost from now on is noted anew.
        budget.told();
        let (due, others_wait) = told.due(now, &statistics());
        // The first loss is told at once, and then all look together.
        told.next_look = now.checked_add(TOLD_AGAIN_AFTER);
        drop(told);
        if others_wait {
            budget.note_loss();
        }
        tell(&due);
    }

    /// Whom it would tell of now, and with how many rows.
    #[cfg(test)]
    pub(super) fn due(&self, now: Instant, statistics: &BusStatistics) -> Vec<(String, u64)> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, _) = told.due(now, statistics);
        due.into_iter().map(|slow| (slow.name, slow.rows)).collect()
    }
}

fn tell(due: &[Slow]) {
    let (named, others) = due.split_at(due.len().min(TOLD_AT_ONCE_MAX));
    for slow in named {
        slow.tell();
    }
    if !others.is_empty() {
        let rows: u64 = others
            .iter()
            .fold(0, |sum, slow| sum.saturating_add(slow.rows));
        tracing::warn!(
            subscribers = others.len(),
            rows,
            "more subscribers are too slow: rows were dropped for them"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::Count;
    use crate::pubsub::{EventBus as _, LocalBus, SubscriptionOptions};
    use crate::topic::TopicPattern;

    /// Rows lost by the subscribers `a` and `b`, in the queue and because they were overtaken.
    fn statistics(bus: &LocalBus, lost: [(u64, u64); 2]) -> BusStatistics {
        let mut statistics = bus.statistics();
        for (subscriber, (full, overtaken)) in statistics.subscribers.iter_mut().zip(lost) {
            let drops = &mut subscriber.counts.dropped;
            drops.add(DropReason::QueueFull, Count::batch(full));
            drops.add(DropReason::Superseded, Count::batch(overtaken));
        }
        statistics
    }

    #[test]
    fn a_slow_subscriber_is_told_of_once_in_a_while_with_all_that_it_lost() {
        let bus = LocalBus::new();
        let _held = ["a", "b"].map(|name| {
            let all = TopicPattern::parse(">").unwrap();
            bus.subscribe(SubscriptionOptions::new(name).pattern(all))
                .unwrap()
        });
        let (watch, began) = (SlowWatch::default(), Instant::now());
        type Lost = [(u64, u64); 2];
        type Due = &'static [(&'static str, u64)];
        let table: [(u64, Lost, Due); 7] = [
            (0, [(0, 0), (0, 9)], &[]),
            (1, [(3, 0), (0, 9)], &[("a", 3)]),
            (2, [(5, 0), (7, 9)], &[("b", 7)]),
            (5, [(6, 0), (7, 9)], &[]),
            (6, [(8, 0), (9, 9)], &[("a", 5)]),
            (7, [(8, 0), (29, 9)], &[("b", 22)]),
            (60, [(9, 0), (31, 9)], &[("b", 2), ("a", 1)]),
        ];
        for (second, lost, expected) in table {
            let now = began + Duration::from_secs(second);
            let due = watch.due(now, &statistics(&bus, lost));
            let expected = expected
                .iter()
                .map(|(name, rows)| ((*name).to_owned(), *rows));
            assert_eq!(due, expected.collect::<Vec<_>>(), "second {second}");
        }
    }
}
