//! Coming and going: own rows, leaving, closing, and what the counts say of it all.

use std::sync::Arc;

use weir_bus::pubsub::{
    BusStatistics, EventBus as _, EventFilter, NullBus, PublishError, PublisherId, Recv,
    SubscribeError, Subscriber, SubscriptionOptions,
};
use weir_bus::{Batch, Count, DropReason, Kind};
use weir_tests::PATIENCE;
use weir_tests::buses::{Party, seen_to_the_end, subscription};

use super::{OBSERVED, everything, label, labels, on_every_make, pids, process};

#[test]
fn a_publisher_gets_its_own_rows_only_if_it_asks() {
    on_every_make(|bus| {
        let (me, other) = (bus.party("me"), bus.party("other"));
        let mine = |name: &str| everything(name).owner(me.publisher);
        let table = [
            (everything("nobody's"), "1 2"),
            (mine("mine"), "2"),
            (mine("mine too").own_events(true), "1 2"),
            (everything("unowned").own_events(false), "1 2"),
        ];
        let subscribers = table.map(|(options, expected)| (me.subscribe(options), expected));
        me.publish(OBSERVED, &[process(1)]);
        bus.settle();
        other.publish(OBSERVED, &[process(2)]);
        bus.settle();
        for (subscriber, expected) in &subscribers {
            let name = subscriber.name();
            assert_eq!(
                labels(subscriber).join(" "),
                *expected,
                "{:?}: {name}",
                bus.make
            );
        }
    });
}

#[test]
fn nothing_more_is_matched_for_a_subscriber_that_has_left() {
    check_leaving(|_, leaves| drop(leaves));
    check_leaving(|reader, leaves| {
        assert!(reader.bus.unsubscribe(leaves.id()));
        assert!(!reader.bus.unsubscribe(leaves.id()));
        assert!(matches!(leaves.recv_timeout(PATIENCE), Recv::Closed));
    });
}

fn check_leaving(leave: fn(&Party, Subscriber)) {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let leaves = reader.subscribe(everything("leaves"));
        let stays = reader.subscribe(everything("stays"));
        for pid in 1..=2 {
            writer.publish(OBSERVED, &[process(pid)]);
            bus.settle();
        }
        assert!(leaves.try_recv().got().is_some());
        leave(&reader, leaves);
        bus.settle();
        writer.publish(OBSERVED, &[process(3)]);
        bus.settle();
        assert_eq!(labels(&stays), pids(1..=3), "{:?}", bus.make);
        let BusStatistics { departed, .. } = reader.bus.statistics();
        let was_queued = departed.dropped.get(DropReason::Closed);
        assert_eq!(departed.matched, Count::new(2, 2), "{:?}", bus.make);
        assert_eq!(
            (departed.delivered, was_queued),
            (Count::batch(1), Count::batch(1))
        );
        let there = bus.balanced();
        assert_eq!(
            (there.subscribers.len(), there.departed.matched),
            (1, Count::new(2, 2))
        );
    });
}

#[test]
fn the_counts_at_rest_are_exact_for_who_publishes_and_for_who_reads() {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let all = reader.subscribe(everything("all"));
        let some = EventFilter::new().pids([1, 3]);
        let some = reader.subscribe(everything("some").filter(some));
        let none = reader.subscribe(subscription("none", &["findings.>"]));
        for rows in [&[1][..], &[1, 2, 3], &[2]] {
            let rows: Vec<_> = rows.iter().map(|&pid| process(pid)).collect();
            writer.publish(OBSERVED, &rows);
            bus.settle();
        }
        assert_eq!(writer.bus.statistics().published, Count::new(5, 3));
        assert_eq!(bus.balanced().published, Count::new(5, 3));
        assert!(all.try_recv().got().is_some());
        let statistics = reader.bus.statistics();
        assert!(statistics.balances());
        let table = [(all, 5, 3, 1), (some, 3, 2, 0), (none, 0, 0, 0)];
        for (subscriber, rows, batches, taken) in table {
            let name = subscriber.name();
            let counts = statistics
                .subscriber(name)
                .expect("a subscriber")
                .counts
                .clone();
            assert_eq!(counts, subscriber.counts(), "{:?}: {name}", bus.make);
            assert_eq!(
                counts.matched,
                Count::new(rows, batches),
                "{:?}: {name}",
                bus.make
            );
            assert_eq!(
                counts.delivered,
                Count::new(taken, taken),
                "{:?}: {name}",
                bus.make
            );
            assert!(counts.dropped.is_empty(), "{:?}: {name}", bus.make);
        }
        assert_eq!(statistics.total.matched.rows, 8);
    });
}

#[test]
fn a_closed_bus_hands_out_what_it_has_and_takes_nothing_in() {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let all = reader.subscribe(everything("all"));
        for pid in 0..100 {
            writer.publish(OBSERVED, &[process(pid)]);
        }
        // What a publisher handed over before it closed arrives.
        writer.bus.close();
        let until = std::time::Instant::now() + PATIENCE;
        while all.counts().matched.rows < 100 {
            assert!(std::time::Instant::now() < until, "{:?}", all.counts());
            std::thread::yield_now();
        }
        let late = writer.batch(OBSERVED, &[process(100), process(101)]);
        let refused = writer.bus.publish(writer.publisher, late);
        let closed = matches!(refused, Err(PublishError::Closed { rows: 2, .. }));
        assert!(closed, "{:?}: {refused:?}", bus.make);
        reader.bus.close();
        let refused = reader.bus.subscribe(everything("late"));
        assert!(
            matches!(refused, Err(SubscribeError::Closed { .. })),
            "{refused:?}"
        );
        let found: Vec<String> = seen_to_the_end(&all).iter().map(label).collect();
        assert_eq!(found, pids(0..100), "{:?}", bus.make);
        let counts = all.counts();
        assert!(counts.balances() && counts.queued.is_zero(), "{counts:?}");
        assert_eq!(counts.delivered.rows, 100);
    });
}

#[test]
fn without_a_bus_publishing_counts_and_nobody_gets_anything() {
    let bus = NullBus::new();
    let all = bus.subscribe(everything("all")).expect("a subscription");
    let refused = bus.subscribe(SubscriptionOptions::new("wrong"));
    assert!(matches!(refused, Err(SubscribeError::NoPattern { .. })));
    for (rows, total) in [(1, 1), (3, 4), (2, 6)] {
        let rows: Vec<_> = (0..rows).map(process).collect();
        let topic = weir_bus::topic::of_event(Kind::Process, "observed");
        let batch = Batch::of_events(topic, "s", 0, &rows).expect("a batch");
        let receipt = bus.publish(PublisherId::unique(), Arc::new(batch));
        let receipt = receipt.expect("an open bus");
        assert_eq!((receipt.matched, receipt.queued), (0, 0));
        let statistics = bus.statistics();
        let disabled = statistics.total.dropped.get(DropReason::Disabled);
        assert_eq!((statistics.published.rows, disabled.rows), (total, total));
        assert!(statistics.balances());
    }
    assert!(matches!(all.try_recv(), Recv::Empty));
    bus.close();
    assert_eq!(seen_to_the_end(&all), []);
}
