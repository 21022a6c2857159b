//! Receivers that go away and come back: nothing twice, nothing missing without its rows, counts exact.

use std::collections::VecDeque;
use std::task::Waker;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::batch::Batch;
use crate::event::CollectionEvent;
use crate::pubsub::{
    Comparison, EventBus as _, EventFilter, LocalBus, Operator, PublisherId, QueueLimits,
    SubscriptionOptions,
};
use crate::topic::{Topic, TopicPattern};

/// A batch on one of two topics: `yes` rows that the filter selects, `no` that it doesn't.
fn batch(topic: usize, yes: usize, no: usize) -> Arc<Batch> {
    let event = |item: &str| {
        let row = json!({"kind": "inventory", "class": "c", "item": item});
        serde_json::from_value::<CollectionEvent>(row).unwrap()
    };
    let mut events = vec![event("yes"); yes];
    events.extend(vec![event("no"); no]);
    let topic = ["events.inventory.a", "events.inventory.b"][topic];
    Arc::new(Batch::of_events(Topic::parse(topic).unwrap(), "s", 0, &events).unwrap())
}

/// A client, as far as a bus sees it.
struct Reader {
    subscription: Resumable,
    name: &'static str,
    is_away: bool,
    /// Taken of the bus and not yet read: what lies in the kernel's buffers.
    wire: VecDeque<Delivery<Parcel>>,
    /// The last that was read.
    point: u64,
    read: Vec<(u64, u64)>,
    gaps: Vec<Gap>,
    /// What it matched, by the test's own reckoning.
    matched: Vec<(u64, u64)>,
}

impl Reader {
    fn new(bus: &LocalBus, name: &'static str, items_max: usize) -> Self {
        let pattern = if name == "one" {
            "events.*.a"
        } else {
            "events.>"
        };
        let mut options = SubscriptionOptions::new(name)
            .pattern(TopicPattern::parse(pattern).unwrap())
            .limits(QueueLimits {
                items_max,
                ..QueueLimits::default()
            });
        if name == "some" {
            let yes = Comparison::new("item", Operator::Equal, "yes");
            options = options.filter(EventFilter::new().compare(yes));
        }
        Self {
            subscription: bus.subscribe_resumable(options).unwrap(),
            name,
            is_away: false,
            wire: VecDeque::new(),
            point: 0,
            read: Vec::new(),
            gaps: Vec::new(),
            matched: Vec::new(),
        }
    }

    fn note(&mut self, position: u64, topic: usize, yes: usize, no: usize) {
        let rows = match self.name {
            "one" if topic != 0 => 0,
            "some" => yes,
            _ => yes + no,
        };
        if rows > 0 {
            self.matched.push((position, rows as u64));
        }
    }

    fn take(&mut self, max: usize) -> bool {
        let mut taken = Vec::new();
        let context = Context::from_waker(Waker::noop());
        let polled = self.subscription.poll_take(&context, &mut taken, max);
        self.wire.extend(taken);
        polled.is_ready()
    }

    fn read(&mut self, count: usize) {
        for delivery in self.wire.drain(..count.min(self.wire.len())) {
            match delivery {
                Delivery::Batch { position, item } => {
                    self.point = position;
                    self.read.push((position, item.rows()));
                }
                Delivery::Gap(gap) => {
                    self.point = gap.to;
                    self.gaps.push(*gap);
                }
            }
        }
    }

    fn go(&mut self) {
        self.wire.clear();
        self.subscription.go_away();
        self.is_away = true;
    }

    fn come_back(&mut self) {
        if std::mem::take(&mut self.is_away) {
            self.subscription.come_back(self.point, 0).unwrap();
        }
    }

    fn read_all(&mut self) {
        self.come_back();
        while self.take(7) {}
        self.read(usize::MAX);
    }

    /// Everything was read once, in its order, or is part of a gap; and no gap tells more.
    fn check(&self) {
        assert!(self.read.is_sorted_by(|a, b| a.0 < b.0), "{:?}", self.read);
        let mut missing = self.matched.clone();
        missing.retain(|one| !self.read.contains(one));
        assert_eq!(missing.len() + self.read.len(), self.matched.len());
        let rows: u64 = missing.iter().map(|one| one.1).sum();
        let told: Option<u64> = self.gaps.iter().map(|gap| gap.missed).sum();
        assert_eq!(told, Some(rows), "{}: {:?}", self.name, self.gaps);
        for (position, _) in missing {
            let told = |gap: &Gap| (gap.from..=gap.to).contains(&position);
            assert!(self.gaps.iter().any(told), "{position} of {:?}", self.gaps);
        }
    }
}

fn check_counts(bus: &LocalBus, readers: &[Reader]) {
    let statistics = bus.statistics();
    assert!(statistics.balances(), "{statistics:#?}");
    for reader in readers {
        let found = statistics.subscriber(reader.name).unwrap();
        let rows: u64 = reader.matched.iter().map(|one| one.1).sum();
        assert_eq!(found.counts.matched.rows, rows);
        assert_eq!(found.away, reader.is_away);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Publish { topic: usize, yes: usize, no: usize },
    Take { reader: usize, max: usize },
    Read { reader: usize, count: usize },
    Confirm { reader: usize },
    Go { reader: usize },
    Back { reader: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let reader = 0..3_usize;
    prop_oneof![
        6 => (0..2_usize, 0..3_usize, 0..3_usize)
            .prop_map(|(topic, yes, no)| Step::Publish { topic, yes, no }),
        3 => (reader.clone(), 1..5_usize).prop_map(|(reader, max)| Step::Take { reader, max }),
        3 => (reader.clone(), 1..5_usize).prop_map(|(reader, count)| Step::Read { reader, count }),
        1 => reader.clone().prop_map(|reader| Step::Confirm { reader }),
        1 => reader.clone().prop_map(|reader| Step::Go { reader }),
        1 => reader.prop_map(|reader| Step::Back { reader }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_all_that_matched_was_read_once_or_is_missing_with_its_rows(
        steps in prop::collection::vec(step(), 1..120),
        ring_batches in prop_oneof![Just(0_u64), 1..8_u64, Just(1_000)],
        items_max in prop_oneof![1..6_usize, Just(1_000)],
    ) {
        let bus = LocalBus::new();
        bus.keep(RingLimits {
            bytes_max: ring_batches * 2 * batch(0, 2, 2).bytes(),
            ..RingLimits::default()
        });
        let mut readers = ["all", "one", "some"].map(|name| Reader::new(&bus, name, items_max));
        let publisher = PublisherId::unique();
        for step in steps {
            match step {
                Step::Publish { topic, yes, no } => {
                    let receipt = bus.publish(publisher, batch(topic, yes, no)).unwrap();
                    for reader in &mut readers {
                        reader.note(receipt.position, topic, yes, no);
                    }
                }
                Step::Take { reader, max } if !readers[reader].is_away => {
                    readers[reader].take(max);
                }
                Step::Read { reader, count } => readers[reader].read(count),
                Step::Confirm { reader } if readers[reader].wire.is_empty() => {
                    let mark = readers[reader].subscription.mark();
                    if !readers[reader].is_away {
                        readers[reader].subscription.confirm(mark);
                    }
                }
                Step::Go { reader } => readers[reader].go(),
                Step::Back { reader } => readers[reader].come_back(),
                Step::Take { .. } | Step::Confirm { .. } => {}
            }
            check_counts(&bus, &readers);
        }
        for reader in &mut readers {
            reader.read_all();
            reader.check();
        }
        check_counts(&bus, &readers);
        let total = bus.statistics().total;
        prop_assert_eq!(total.queued, Count::ZERO);
        let read: u64 = readers.iter().flat_map(|reader| &reader.read).map(|one| one.1).sum();
        prop_assert_eq!(total.delivered.rows, read);
    }
}

#[test]
fn what_was_sent_and_not_read_counts_as_queued_then_as_resent_and_never_twice() {
    let bus = LocalBus::new();
    bus.keep(RingLimits::default());
    let mut reader = Reader::new(&bus, "all", 100);
    let publisher = PublisherId::unique();
    for _ in 0..4 {
        bus.publish(publisher, batch(0, 1, 1)).unwrap();
    }
    reader.take(3);
    reader.read(1);
    let counts = |bus: &LocalBus| bus.statistics().subscriber("all").unwrap().counts.clone();
    assert_eq!(counts(&bus).delivered, Count::new(6, 3));
    reader.go();
    bus.publish(publisher, batch(0, 1, 1)).unwrap();
    // The one that was read too: nobody has said so.
    assert_eq!(counts(&bus).queued, Count::new(10, 5));
    reader.come_back();
    assert_eq!(counts(&bus).queued, Count::new(8, 4));
    assert_eq!(counts(&bus).delivered, Count::new(2, 1));
    reader.read_all();
    let after = counts(&bus);
    assert_eq!(
        (after.delivered, after.resent),
        (Count::new(10, 5), Count::new(4, 2))
    );
    assert!(reader.gaps.is_empty());
}

#[test]
fn what_nobody_comes_back_for_is_dropped_as_disconnected() {
    let bus = LocalBus::new();
    bus.keep(RingLimits::default());
    let mut reader = Reader::new(&bus, "all", 100);
    for _ in 0..4 {
        bus.publish(PublisherId::unique(), batch(0, 1, 0)).unwrap();
    }
    reader.take(2);
    reader.go();
    assert_eq!(bus.statistics().ring.away, 1);
    drop(reader);
    let statistics = bus.statistics();
    assert!(statistics.balances());
    let dropped = statistics.departed.dropped.get(DropReason::Disconnected);
    assert_eq!((dropped, statistics.ring.away), (Count::new(4, 4), 0));
}

#[test]
fn a_bus_that_nobody_can_come_back_to_keeps_nothing() {
    let bus = LocalBus::new();
    let here =
        bus.subscribe(SubscriptionOptions::new("here").pattern(TopicPattern::parse(">").unwrap()));
    let _here = here.unwrap();
    bus.keep(RingLimits::default());
    bus.publish(PublisherId::unique(), batch(0, 1, 0)).unwrap();
    assert_eq!(bus.statistics().ring, RingCounts::default());
}

#[test]
fn a_large_batch_that_was_read_in_part_goes_on_with_its_next_row() {
    let bus = LocalBus::new();
    bus.keep(RingLimits::default());
    let mut reader = Reader::new(&bus, "some", 100);
    bus.publish(PublisherId::unique(), batch(0, 6, 3)).unwrap();
    reader.take(1);
    reader.wire.clear();
    reader.subscription.go_away();
    reader.subscription.come_back(0, 2).unwrap();
    reader.read_all();
    assert_eq!(reader.read, [(1, 4)]);
    let counts = bus.statistics().total;
    assert_eq!(
        (counts.delivered, counts.resent),
        (Count::new(6, 1), Count::new(4, 1))
    );
    assert!(counts.balances());
}

#[test]
fn what_waited_in_the_queue_of_who_goes_comes_when_it_is_back_without_a_gap() {
    let bus = LocalBus::new();
    bus.keep(RingLimits::default());
    let mut reader = Reader::new(&bus, "all", 10_000);
    let publisher = PublisherId::unique();
    // While all are there the ring keeps less than this: the first lie in the queue alone.
    let each = batch(0, 100, 0);
    let count = 2 * RING_BYTES_MAX / 5 / (2 * each.bytes());
    for _ in 0..count {
        let receipt = bus.publish(publisher, batch(0, 100, 0)).unwrap();
        reader.note(receipt.position, 0, 100, 0);
    }
    let kept = bus.statistics().ring.batches;
    assert!(2 * kept < count, "{kept} of {count}");
    reader.take(3);
    reader.read(3);
    reader.go();
    assert_eq!(bus.statistics().ring.batches, count - 3);
    // And what is published meanwhile comes behind it.
    let receipt = bus.publish(publisher, batch(0, 1, 0)).unwrap();
    reader.note(receipt.position, 0, 1, 0);
    check_counts(&bus, std::slice::from_ref(&reader));
    reader.come_back();
    assert_eq!(bus.statistics().ring.away, 0);
    // It is back, and has still to get it: what comes meanwhile pushes nothing out.
    let receipt = bus.publish(publisher, batch(0, 1, 0)).unwrap();
    reader.note(receipt.position, 0, 1, 0);
    reader.read_all();
    assert_eq!(reader.gaps, []);
    assert_eq!(reader.read, reader.matched);
    // Nobody needs it any more.
    let receipt = bus.publish(publisher, batch(0, 1, 0)).unwrap();
    reader.note(receipt.position, 0, 1, 0);
    assert!(2 * bus.statistics().ring.batches < count);
    check_counts(&bus, std::slice::from_ref(&reader));
}
