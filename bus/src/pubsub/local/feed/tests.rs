//! Promises of subscriptions with an interval: whole tables and nothing else, counted like all the rest.

use std::time::Duration;

use super::super::super::testing::{Served, seen, table};
use super::super::super::{
    Comparison, Delivery, EventBus as _, EventFilter, LocalBus, Operator, PublisherId, QueueLimits,
    QueuePolicy, Recv, Subscriber, SubscriptionOptions,
};
use super::*;
use crate::event::Kind;
use crate::topic::TopicPattern;

const EVERY: Duration = Duration::from_secs(10);

fn asking(pattern: &str) -> SubscriptionOptions {
    SubscriptionOptions::new("asks")
        .pattern(TopicPattern::parse(pattern).unwrap())
        .every(EVERY)
}

fn served() -> (LocalBus, Arc<Served>) {
    let (bus, tables) = (LocalBus::new(), Arc::new(Served::default()));
    bus.serve_tables(Arc::clone(&tables) as Arc<dyn super::super::Tables>);
    (bus, tables)
}

fn push(tables: &Served, table: &[Arc<Batch>], rows_missing: u64) {
    tables.asked(|asked| {
        for request in asked {
            assert!(request.feed.push(table, rows_missing));
        }
    });
}

/// What is queued: the parts of tables, and gaps as the rows that they miss.
fn drain(subscriber: &Subscriber) -> Vec<(String, Vec<u32>, bool)> {
    let mut found = Vec::new();
    while let Recv::Got(delivery) = subscriber.try_recv() {
        found.push(match delivery {
            Delivery::Batch { item, .. } => seen(&item),
            Delivery::Gap(gap) => (format!("gap: {:?}", gap.missed), vec![], false),
        });
    }
    found
}

fn part(leaf: &str, pids: &[u32], last: bool) -> (String, Vec<u32>, bool) {
    (leaf.to_owned(), pids.to_vec(), last)
}

/// Pushes one table to such a subscription, and compares what it gets.
fn check(options: SubscriptionOptions, expected: &[(String, Vec<u32>, bool)]) {
    let (bus, tables) = served();
    let subscriber = bus.subscribe(options).unwrap();
    let whole = table(
        7,
        &[
            ("exited", &[1]),
            ("started", &[2, 3]),
            ("observed", &[4, 5, 6]),
        ],
    );
    push(&tables, &whole, 0);
    assert_eq!(drain(&subscriber), expected);
    let statistics = bus.statistics();
    assert!(statistics.balances());
    assert_eq!(statistics.published.batches, 0);
    let counts = subscriber.counts();
    assert_eq!(counts.matched.batches, expected.len() as u64);
    assert_eq!(counts.delivered, counts.matched);
}

#[test]
fn a_table_comes_whole_through_patterns_and_filters_and_its_end_is_marked() {
    let (exited, started) = (part("exited", &[1], false), part("started", &[2, 3], false));
    let observed = part("observed", &[4, 5, 6], true);
    check(
        asking("events.process.>"),
        &[exited.clone(), started, observed.clone()],
    );
    check(asking("events.process.observed"), &[observed]);
    check(
        asking("events.process.started"),
        &[part("started", &[2, 3], true)],
    );
    let small = EventFilter::new().compare(Comparison::new("pid", Operator::Less, 3));
    check(
        asking("events.process.>").filter(small),
        &[exited, part("started", &[2], true)],
    );
    // Nothing is left: the subscriber learns that there was a table.
    let end = [part("looks", &[], true)];
    check(
        asking("events.process.>").filter(EventFilter::new().pids([99])),
        &end,
    );
    check(asking("events.process.execed"), &end);
    check(
        asking(">").filter(EventFilter::new().source("another")),
        &end,
    );
}

#[test]
fn who_asks_for_tables_gets_no_stream_and_who_does_not_gets_no_tables() {
    let (bus, tables) = served();
    let asks = bus.subscribe(asking(">")).unwrap();
    let stream = SubscriptionOptions::new("stream").pattern(TopicPattern::parse(">").unwrap());
    let stream = bus.subscribe(stream).unwrap();
    let published = table(1, &[("observed", &[1])]);
    for batch in &published {
        bus.publish(PublisherId::unique(), Arc::clone(batch))
            .unwrap();
    }
    push(&tables, &table(2, &[("observed", &[2])]), 0);
    assert_eq!(drain(&asks), [part("observed", &[2], true)]);
    assert_eq!(drain(&stream), [part("observed", &[1], true)]);
    let shown = bus.statistics();
    let every = |name: &str| shown.subscriber(name).unwrap().every;
    assert_eq!((every("asks"), every("stream")), (Some(EVERY), None));
}

#[test]
fn what_a_table_misses_and_what_finds_no_room_stands_as_a_gap_and_counts() {
    let (bus, tables) = served();
    let options = asking(">").limits(QueueLimits {
        items_max: 2,
        bytes_max: u64::MAX,
    });
    let subscriber = bus.subscribe(options).unwrap();
    push(&tables, &table(1, &[("observed", &[1])]), 5);
    let gap = part("gap: Some(5)", &[], false);
    assert_eq!(drain(&subscriber), [gap, part("observed", &[1], true)]);
    push(
        &tables,
        &table(
            2,
            &[("exited", &[1, 2]), ("started", &[3]), ("observed", &[4])],
        ),
        0,
    );
    let gap = part("gap: Some(2)", &[], false);
    let rest = [
        gap,
        part("started", &[3], false),
        part("observed", &[4], true),
    ];
    assert_eq!(drain(&subscriber), rest);
    let counts = subscriber.counts();
    assert_eq!((counts.matched.rows, counts.dropped.total().rows), (10, 7));
    assert!(bus.statistics().balances());
}

#[test]
fn the_interval_is_asked_for_as_long_as_the_subscription_is_there() {
    let (bus, tables) = served();
    let options = asking("events.process.>").filter(EventFilter::new().kinds([Kind::Process]));
    let subscriber = bus.subscribe(options).unwrap();
    tables.asked(|asked| {
        let request = asked.first().unwrap();
        assert_eq!((&*request.name, request.every), ("asks", EVERY));
        assert_eq!(request.kinds, [Kind::Process]);
        assert_eq!(
            request.patterns,
            [TopicPattern::parse("events.process.>").unwrap()]
        );
    });
    assert_eq!(tables.asking(), 1);
    let word = Arc::clone(&table(3, &[("observed", &[9])])[0]);
    // A word about the table comes whatever is asked for.
    assert!(tables.asked(|asked| asked[0].feed.tell(Arc::clone(&word))));
    assert_eq!(drain(&subscriber), [part("observed", &[9], true)]);
    drop(subscriber);
    assert_eq!(tables.asking(), 0);
    assert!(!tables.asked(|asked| asked[0].feed.push(&[word], 0)));
    assert_eq!(bus.statistics().departed.matched.batches, 1);
}

#[test]
fn what_cannot_be_had_at_an_interval_is_refused() {
    let (bus, tables) = served();
    let check = |options: SubscriptionOptions, part: &str| {
        let refused = bus.subscribe(options).unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    };
    let ms = Duration::from_millis;
    check(asking(">").every(ms(99)), "100ms to 86400s");
    check(asking(">").every(ms(86_400_001)), "100ms to 86400s");
    let waits = QueuePolicy::Block { deadline: ms(1) };
    check(asking(">").policy(waits), "tables never wait");
    let findings = EventFilter::new().kinds([Kind::Finding]);
    check(asking(">").filter(findings), "only processes have one");
    let alone = LocalBus::new()
        .subscribe(asking(">"))
        .unwrap_err()
        .to_string();
    assert!(alone.contains("no source of this bus has one"), "{alone}");
    assert_eq!(tables.asking(), 0);
    assert!(bus.statistics().subscribers.is_empty());
}
