//! Who is slow, stalls or leaves costs nobody else anything, and a bus that closes is drained.

use std::time::Instant;

use super::*;

#[test]
fn a_slow_subscriber_never_delays_another() {
    let bus = LocalBus::new();
    let limits = QueueLimits {
        items_max: 4,
        ..QueueLimits::default()
    };
    let stuck = bus.subscribe(everything("stuck").limits(limits)).unwrap();
    let newest = everything("stuck too")
        .limits(limits)
        .policy(QueuePolicy::DropNewest);
    let stuck_too = bus.subscribe(newest).unwrap();
    let good = bus.subscribe(everything("good")).unwrap();
    for number in 0..1_000 {
        publish(&bus, &processes("s", "observed", &[number]));
        assert_eq!(batches(&good).len(), 1);
    }
    let missing = |subscriber: &Subscriber, at: usize| match &drain(subscriber)[at] {
        Delivery::Gap(gap) => (gap.missed, gap.reason, gap.from, gap.to),
        delivery => panic!("{delivery:?}"),
    };
    let full = DropReason::QueueFull;
    assert_eq!(missing(&stuck, 0), (Some(996), full, 1, 996));
    assert_eq!(missing(&stuck_too, 4), (Some(996), full, 5, 1_000));
    let statistics = balanced(&bus);
    let slow = statistics.subscriber("stuck").unwrap();
    assert_eq!(slow.counts.dropped.get(full), Count::new(996, 996));
    assert!(
        statistics
            .subscriber("good")
            .unwrap()
            .counts
            .dropped
            .is_empty()
    );
}

#[test]
fn stalled_subscribers_that_block_cost_a_publisher_one_deadline_together() {
    let bus = LocalBus::new();
    let deadline = Duration::from_millis(100);
    let limits = QueueLimits {
        items_max: 1,
        ..QueueLimits::default()
    };
    let options = |number: u32| {
        everything(&format!("stalled-{number}"))
            .policy(QueuePolicy::Block { deadline })
            .limits(limits)
    };
    let stalled: Vec<_> = (0..20)
        .map(|n| bus.subscribe(options(n)).unwrap())
        .collect();
    let good = bus.subscribe(everything("good")).unwrap();
    let started = Instant::now();
    for _ in 0..3 {
        publish(&bus, &processes("s", "observed", &[1]));
    }
    assert!(started.elapsed() >= deadline);
    // Each for itself would be twenty, and that for the first batch alone.
    assert!(started.elapsed() < deadline * 20);
    assert_eq!(batches(&good).len(), 3);
    for subscriber in &stalled {
        let counts = subscriber.counts();
        assert_eq!(counts.dropped.get(DropReason::Blocked), Count::new(2, 2));
    }
    balanced(&bus);
}

#[test]
fn who_leaves_takes_its_queue_along_and_the_totals_still_balance() {
    let bus = LocalBus::new();
    let stays = bus.subscribe(everything("stays")).unwrap();
    let leaves = bus.subscribe(everything("leaves")).unwrap();
    for _ in 0..3 {
        publish(&bus, &processes("s", "observed", &[1, 2]));
    }
    assert!(leaves.try_recv().got().is_some());
    drop(leaves);
    let statistics = balanced(&bus);
    assert_eq!(statistics.subscribers.len(), 1);
    assert_eq!(statistics.departed.delivered, Count::batch(2));
    let closed = statistics.departed.dropped.get(DropReason::Closed);
    assert_eq!(closed, Count::new(4, 2));
    assert_eq!(statistics.total.matched, Count::new(12, 6));
    assert_eq!(publish(&bus, &processes("s", "observed", &[1])).matched, 1);
    assert!(bus.unsubscribe(stays.id()));
    assert!(!bus.unsubscribe(stays.id()));
    assert!(matches!(stays.recv_blocking(), Recv::Closed));
    assert_eq!(publish(&bus, &processes("s", "observed", &[1])).matched, 0);
    balanced(&bus);
}

#[test]
fn a_closed_bus_is_drained_and_takes_nothing_in() {
    let check = |close: fn(LocalBus) -> Option<LocalBus>| {
        let bus = LocalBus::new();
        let subscriber = bus.subscribe(everything("s")).unwrap();
        publish(&bus, &processes("s", "observed", &[1, 2]));
        let closed = close(bus);
        if let Some(bus) = &closed {
            let error = bus
                .publish(PublisherId::unique(), processes("s", "observed", &[1, 2]))
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "the bus is closed, 2 rows on `events.process.observed` were not published; count them as dropped[closed]"
            );
            assert!(matches!(
                bus.subscribe(everything("late")),
                Err(SubscribeError::Closed { .. })
            ));
        }
        assert!(subscriber.recv_blocking().got().is_some());
        assert!(matches!(subscriber.recv_blocking(), Recv::Closed));
        assert!(subscriber.counts().balances());
        if let Some(bus) = &closed {
            assert_eq!(balanced(bus).published, Count::batch(2));
        }
    };
    check(|bus| {
        bus.close();
        Some(bus)
    });
    check(|bus| {
        drop(bus);
        None
    });
}
