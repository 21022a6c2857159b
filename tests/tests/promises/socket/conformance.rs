//! What every make of bus promises, held against the bus in process and the bus over a socket alike.
//!
//! A table a promise; no test knows which make it runs on. What differs by nature is in
//! `weir_tests::buses`.

use std::sync::Arc;

use weir_bus::event::{ProcessEvent, TriggerEvent};
use weir_bus::pubsub::{
    BusStatistics, Comparison, CorrelationFilter, Delivery, EventBus, EventFilter, NullBus,
    Operator, Priority, PublishError, PublisherId, QueueLimits, QueuePolicy, Recv, SubscribeError,
    Subscriber, SubscriptionOptions,
};
use weir_bus::{Batch, BatchHeader, CollectionEvent, Count, DropReason, Kind, Snapshot, Timestamp};
use weir_tests::PATIENCE;
use weir_tests::buses::{Fixture, Make, Party, Seen, seen, seen_to_the_end, subscription};

const OBSERVED: &str = "events.process.observed";

/// Holds a promise against every make of bus.
fn on_every_make(promise: impl Fn(&Fixture)) {
    for make in Make::ALL {
        promise(&Fixture::new(make));
    }
}

fn everything(name: &str) -> SubscriptionOptions {
    subscription(name, &[">"])
}

fn process(pid: u32) -> CollectionEvent {
    let process = ProcessEvent {
        pid,
        name: format!("name-{pid}"),
        executable: pid.is_multiple_of(2).then(|| format!("/bin/{pid}")),
        cpu_usage: Some(f64::from(pid) / 2.0),
        ..ProcessEvent::default()
    };
    process.into()
}

fn trigger(correlation_id: &str, root_id: &str, priority: &str) -> CollectionEvent {
    let trigger = TriggerEvent {
        correlation_id: correlation_id.to_owned(),
        root_id: root_id.to_owned(),
        priority: priority.to_owned(),
        target_pid: Some(7),
        ..TriggerEvent::default()
    };
    trigger.into()
}

/// A row by what is different about it.
fn label(seen: &Seen) -> String {
    match seen {
        Seen::Gap(gap) => format!("gap {gap}"),
        Seen::Row { event, .. } => match event {
            CollectionEvent::Process(process) => process.pid.to_string(),
            CollectionEvent::Trigger(trigger) => trigger.correlation_id.clone(),
            other => format!("{other:?}"),
        },
    }
}

fn labels(subscriber: &Subscriber) -> Vec<String> {
    seen(subscriber).iter().map(label).collect()
}

/// Pids as rows are labelled.
fn pids(pids: impl IntoIterator<Item = u32>) -> Vec<String> {
    pids.into_iter().map(|pid| pid.to_string()).collect()
}

#[test]
fn a_pattern_selects_the_topics_that_the_grammar_says() {
    let topics = ["a", "b", "a.b", "a.c", "a.b.c", "x.b.c", "a.b.c.d"];
    let table: [(&[&str], &[&str]); 9] = [
        (&[">"], &topics),
        (&["a"], &["a"]),
        (&["*"], &["a", "b"]),
        (&["a.*"], &["a.b", "a.c"]),
        (&["a.>"], &["a.b", "a.c", "a.b.c", "a.b.c.d"]),
        (&["*.b.>"], &["a.b.c", "x.b.c", "a.b.c.d"]),
        (&["*.*.c"], &["a.b.c", "x.b.c"]),
        (&["a.b.c.d.>", "a.*.*.e"], &[]),
        // However many of its patterns match, a subscriber gets a batch once.
        (&["a.c", "*.c", "b", "a.c"], &["b", "a.c"]),
    ];
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let subscribers: Vec<Subscriber> = table
            .iter()
            .map(|(patterns, _)| reader.subscribe(subscription(&patterns.join(" "), patterns)))
            .collect();
        for topic in topics {
            writer.publish(topic, &[process(1)]);
        }
        bus.settle();
        for (subscriber, (patterns, expected)) in subscribers.iter().zip(&table) {
            let found = seen(subscriber);
            let found: Vec<&str> = found.iter().map(topic_of).collect();
            assert_eq!(found, *expected, "{:?}: {patterns:?}", bus.make);
        }
    });
}

fn topic_of(seen: &Seen) -> &str {
    match seen {
        Seen::Row { topic, .. } => topic.as_str(),
        Seen::Gap(gap) => gap,
    }
}

#[test]
fn a_batch_arrives_as_it_was_published() {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let all = reader.subscribe(everything("all"));
        let rows = [process(1), process(2)];
        let drawn = writer.batch(OBSERVED, &rows);
        let header = BatchHeader {
            opened: Timestamp(-1),
            closed: Timestamp(i64::MAX),
            snapshot: Some(Snapshot { id: 9, last: true }),
            first_sequence: 1 << 60,
            ..drawn.header().clone()
        };
        let columns = drawn.records().columns().to_vec();
        let published = Batch::new(header, columns).expect("a batch");
        let from = writer.publisher;
        let receipt = writer.bus.publish(from, Arc::new(published.clone()));
        receipt.expect("an open bus");
        let Recv::Got(Delivery::Batch { position, item }) = all.recv_timeout(PATIENCE) else {
            panic!("{:?}: no batch", bus.make);
        };
        assert_eq!((position, item.header()), (1, published.header()));
        assert_eq!(item.records(), published.records());
        assert_eq!(item.stamp(1), Some((&*writer.source, 1)));
    });
}

#[test]
fn a_batch_without_rows_goes_nowhere_unless_it_ends_a_snapshot() {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let all = reader.subscribe(everything("all"));
        let columns = writer.batch(OBSERVED, &[]).records().columns().to_vec();
        let (id, from) = (9, writer.publisher);
        for snapshot in [
            None,
            Some(Snapshot { id, last: false }),
            Some(Snapshot { id, last: true }),
        ] {
            let header = BatchHeader {
                snapshot,
                ..writer.batch(OBSERVED, &[]).header().clone()
            };
            let batch = Batch::new(header, columns.clone()).expect("a batch");
            let published = writer.bus.publish(from, Arc::new(batch));
            published.expect("an open bus");
            // Who publishes from the broker's own process reaches the same clients.
            let none = Batch::of_events(
                weir_bus::topic::of_event(Kind::Process, "none"),
                "core",
                0,
                &[],
            );
            let published = bus.core.publish(from, Arc::new(none.expect("a batch")));
            published.expect("an open bus");
        }
        writer.publish(OBSERVED, &[process(1)]);
        bus.settle();
        let batches = std::iter::from_fn(|| all.try_recv().got());
        let shapes: Vec<_> = batches.map(|delivery| shape(&delivery)).collect();
        assert_eq!(shapes, [(1, 0, true), (2, 1, false)], "{:?}", bus.make);
        assert_eq!(bus.balanced().published, Count::new(1, 2), "{:?}", bus.make);
        assert_eq!(writer.bus.statistics().published.rows, 1);
    });
}

/// The position of a batch, its rows, and whether it belongs to a snapshot.
fn shape(delivery: &Delivery<Arc<Batch>>) -> (u64, usize, bool) {
    match delivery {
        Delivery::Batch { position, item } => {
            (*position, item.rows(), item.header().snapshot.is_some())
        }
        Delivery::Gap(gap) => panic!("{gap:?}"),
    }
}

#[test]
fn each_publishers_rows_reach_each_subscriber_in_their_order() {
    const EACH: u32 = 400;
    on_every_make(|bus| {
        let writers = [bus.party("first"), bus.party("second")];
        let reader = bus.party("reader");
        let odd = Comparison::new("ppid", Operator::Equal, 1_u32);
        let odd = everything("odd").filter(EventFilter::new().compare(odd));
        let subscribers = [
            (reader.subscribe(everything("all")), 1),
            (writers[0].subscribe(everything("publishes too")), 1),
            (reader.subscribe(odd), 2),
        ];
        std::thread::scope(|scope| {
            for (number, writer) in (0..).zip(&writers) {
                scope.spawn(move || {
                    for pid in 0..EACH {
                        writer.publish(OBSERVED, &[numbered(number, pid)]);
                    }
                });
            }
        });
        bus.settle();
        for (subscriber, step) in &subscribers {
            let found = seen(subscriber);
            for (number, name) in (0..).zip(["first", "second"]) {
                let found: Vec<u32> = found.iter().filter_map(|row| pid_of(row, number)).collect();
                let expected: Vec<u32> = (step - 1..EACH).step_by(*step as usize).collect();
                assert_eq!(found, expected, "{:?}: {name}", bus.make);
            }
        }
    });
}

/// A publisher's row of that number.
fn numbered(publisher: u32, pid: u32) -> CollectionEvent {
    let row = ProcessEvent {
        pid,
        ppid: Some(pid % 2),
        user_id: Some(publisher),
        ..ProcessEvent::default()
    };
    row.into()
}

fn pid_of(row: &Seen, publisher: u32) -> Option<u32> {
    match row {
        Seen::Row {
            event: CollectionEvent::Process(process),
            ..
        } => (process.user_id == Some(publisher)).then_some(process.pid),
        other => panic!("nothing may be missing, and {other:?} is"),
    }
}

/// Publishes processes 1 to 6 and three triggers, and says which of them arrive.
fn check_selections(table: impl Fn(&Party) -> Vec<(EventFilter, CorrelationFilter, &'static str)>) {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let table = table(&writer);
        let subscribe = |(number, (filter, correlation, _)): (usize, &(_, _, _))| {
            let (filter, correlation): (&EventFilter, &CorrelationFilter) = (filter, correlation);
            let options = everything(&number.to_string()).filter(filter.clone());
            reader.subscribe(options.correlation(correlation.clone()))
        };
        let subscribers: Vec<Subscriber> = table.iter().enumerate().map(subscribe).collect();
        let rows: Vec<_> = (1..=6).map(process).collect();
        writer.publish(OBSERVED, &rows);
        let triggers = [
            trigger("run-1", "r1", "low"),
            trigger("run-2", "r1", "high"),
            trigger("x", "r2", "critical"),
        ];
        writer.publish("control.trigger.hash", &triggers);
        bus.settle();
        for (subscriber, (filter, correlation, expected)) in subscribers.iter().zip(&table) {
            let found = labels(subscriber).join(" ");
            assert_eq!(
                found, *expected,
                "{:?}: {filter:?} {correlation:?}",
                bus.make
            );
        }
        assert!(bus.balanced().total.queued.is_zero());
    });
}

#[test]
fn an_event_filter_selects_the_same_rows() {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let any = EventFilter::new;
    check_selections(|writer| {
        let compare = |column: &str, operator, literal: weir_bus::pubsub::Literal| {
            any().compare(Comparison::new(column, operator, literal))
        };
        let table = [
            (any(), "1 2 3 4 5 6 run-1 run-2 x"),
            (any().kinds([Kind::Process]), "1 2 3 4 5 6"),
            (any().kinds([Kind::Network, Kind::Trigger]), "run-1 run-2 x"),
            (any().kinds([Kind::Finding]), ""),
            (any().source(&writer.source), "1 2 3 4 5 6 run-1 run-2 x"),
            (any().source("somebody else"), ""),
            (any().pids([6, 2, 99]), "2 6"),
            (any().pids([7]), "run-1 run-2 x"),
            (any().priority_min(Priority::High), "run-2 x"),
            (compare("pid", Equal, 3_u32.into()), "3"),
            (compare("pid", NotEqual, 3_u32.into()), "1 2 4 5 6"),
            (compare("pid", Less, 3_u32.into()), "1 2"),
            (compare("pid", LessOrEqual, (-1_i64).into()), ""),
            (compare("pid", Greater, u64::MAX.into()), ""),
            (compare("cpu_usage", GreaterOrEqual, 2.5.into()), "5 6"),
            (compare("cpu_usage", Less, 1_u32.into()), "1"),
            (compare("name", Greater, "name-4".into()), "5 6"),
            // Null is neither equal nor unequal.
            (compare("executable", NotEqual, "/bin/4".into()), "2 6"),
            (compare("accessible", Equal, false.into()), "1 2 3 4 5 6"),
            (compare("priority", Equal, "low".into()), "run-1"),
            (
                compare("pid", Greater, 2_u32.into())
                    .pids([1, 2, 3])
                    .kinds([Kind::Process]),
                "3",
            ),
        ];
        let row = |(filter, expected)| (filter, CorrelationFilter::new(), expected);
        table.into_iter().map(row).collect()
    });
}

#[test]
fn a_correlation_filter_selects_the_same_rows() {
    let any = CorrelationFilter::new;
    check_selections(|_| {
        let table = [
            (any().id("run-2"), "run-2"),
            (any().id("run-"), ""),
            (any().glob("run-*"), "run-1 run-2"),
            (any().glob("?"), "x"),
            (any().root("r1"), "run-1 run-2"),
            (any().root("r1").glob("*1"), "run-1"),
            (any().root("r2").id("run-1"), ""),
        ];
        let row = |(filter, expected)| (EventFilter::new(), filter, expected);
        table.into_iter().map(row).collect()
    });
}

#[test]
fn a_subscription_that_makes_no_sense_is_refused_in_the_same_words() {
    let compare = |column: &str| {
        let comparison = Comparison::new(column, Operator::Equal, "x");
        everything("s").filter(
            EventFilter::new()
                .kinds([Kind::Process])
                .compare(comparison),
        )
    };
    let nothing = QueueLimits {
        items_max: 0,
        bytes_max: 1,
    };
    let table = [
        (SubscriptionOptions::new("s"), "has no pattern"),
        (everything("s").limits(nothing), "must be at least 1"),
        (compare("executible"), "the nearest is `executable`"),
        (compare("pid"), "write a whole number"),
        (
            everything("s").filter(EventFilter::new().pids(0..1_025)),
            "at most 1024",
        ),
        (
            everything("s").correlation(CorrelationFilter::new().glob("")),
            "1 to 255 are allowed",
        ),
    ];
    on_every_make(|bus| {
        let reader = bus.party("reader");
        for (options, expected) in &table {
            let refused = reader.bus.subscribe(options.clone());
            let error = refused.expect_err(expected).to_string();
            assert!(
                error.starts_with("subscription `s`")
                    || error.starts_with("the queue of subscription `s`"),
                "{error}"
            );
            assert!(error.contains(expected), "{:?}: {error}", bus.make);
        }
        assert!(bus.balanced().subscribers.is_empty());
    });
}

/// What is done to a full queue.
enum Act {
    /// So many rows more, each a batch.
    Publish(u32),
    /// So many are received.
    Receive(usize),
}

/// What a queue for four batches hands out where its receiver is slow.
fn check_gaps(policy: QueuePolicy, bytes_max: u64, acts: &[Act], expected: &[&str]) {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let limits = QueueLimits {
            items_max: 4,
            bytes_max,
        };
        let slow = reader.subscribe(everything("slow").policy(policy).limits(limits));
        let (mut pid, mut found) = (0, Vec::new());
        for act in acts {
            match act {
                Act::Publish(count) => {
                    for _ in 0..*count {
                        pid += 1;
                        writer.publish(OBSERVED, &[process(pid)]);
                        // One at a time, so that it's the receiver's queue that is full, exactly.
                        bus.settle();
                    }
                }
                Act::Receive(count) => {
                    found.extend((0..*count).filter_map(|_| slow.try_recv().got()));
                }
            }
        }
        found.extend(std::iter::from_fn(|| slow.try_recv().got()));
        let found: Vec<String> = found
            .into_iter()
            .flat_map(weir_tests::buses::rows_of)
            .map(|seen| label(&seen))
            .collect();
        assert_eq!(found, expected, "{:?}: {policy:?}", bus.make);
        let _balanced = bus.balanced();
    });
}

#[test]
fn what_a_full_queue_drops_is_a_gap_in_its_place() {
    use Act::{Publish, Receive};
    let acts = [Publish(7), Receive(3), Publish(4), Receive(1), Publish(1)];
    let bytes_max = QueueLimits::default().bytes_max;
    check_gaps(
        QueuePolicy::DropOldest,
        bytes_max,
        &acts,
        &[
            "gap 3 queue-full 1-3",
            "4",
            "5",
            "gap 2 queue-full 6-7",
            "gap 1 queue-full 8-8",
            "9",
            "10",
            "11",
            "12",
        ],
    );
    check_gaps(
        QueuePolicy::DropNewest,
        bytes_max,
        &acts,
        &[
            "1",
            "2",
            "3",
            "4",
            "gap 3 queue-full 5-7",
            "8",
            "9",
            "10",
            "gap 1 queue-full 11-11",
            "12",
        ],
    );
    let too_large = ["gap 12 too-large 1-12"];
    check_gaps(QueuePolicy::DropOldest, 1, &[Publish(12)], &too_large);
    check_gaps(QueuePolicy::DropNewest, 1, &[Publish(12)], &too_large);
}

#[test]
fn in_a_burst_every_row_arrives_or_is_counted_where_it_is_missing() {
    const EACH: u32 = 400;
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let limits = QueueLimits {
            items_max: 3,
            ..QueueLimits::default()
        };
        let slow = |policy| {
            let options = everything(&format!("{policy:?}"));
            reader.subscribe(options.policy(policy).limits(limits))
        };
        let subscribers = [QueuePolicy::DropOldest, QueuePolicy::DropNewest].map(slow);
        let mut found = [Vec::new(), Vec::new()];
        for burst in 0..4 {
            for pid in burst * EACH..(burst + 1) * EACH {
                writer.publish(OBSERVED, &[process(pid)]);
            }
            // In the midst of it, whatever there is.
            for (found, subscriber) in found.iter_mut().zip(&subscribers) {
                found.extend(seen(subscriber));
            }
            bus.settle();
        }
        for (mut found, subscriber) in found.into_iter().zip(&subscribers) {
            found.extend(seen(subscriber));
            assert_eq!(rows_accounted(&found), 4 * EACH, "{:?}", bus.make);
            let counts = subscriber.counts();
            assert_eq!(counts.matched.rows, u64::from(4 * EACH));
        }
        let _balanced = bus.balanced();
    });
}

/// Walks a stream in which the rows' pids count up from 0: each row stands where the rows and gaps
/// before it say. Gives what is there and missing in all.
fn rows_accounted(stream: &[Seen]) -> u32 {
    let mut next = 0;
    for seen in stream {
        let label = label(seen);
        match label.strip_prefix("gap ") {
            None => {
                assert_eq!(label, next.to_string(), "{stream:?}");
                next += 1;
            }
            Some(gap) => {
                let missed = gap.split(' ').next().map(str::parse::<u32>);
                next += missed.and_then(Result::ok).expect("rows that are known");
            }
        }
    }
    next
}

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
