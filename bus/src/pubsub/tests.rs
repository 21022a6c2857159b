//! Promises of the bus in one process, and of none.

mod pressure;

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::count::{Count, DropReason};
use crate::event::{CollectionEvent, Kind, ProcessEvent, TriggerEvent};
use crate::topic::TopicPattern;
use crate::topic::of_event;

/// A deadline that no test reaches.
const NEVER: Duration = Duration::from_secs(600);

fn pattern(text: &str) -> TopicPattern {
    TopicPattern::parse(text).unwrap()
}

fn everything(name: &str) -> SubscriptionOptions {
    SubscriptionOptions::new(name).pattern(pattern(">"))
}

/// One row for each pid, published by `source`.
fn processes(source: &str, leaf: &str, pids: &[u32]) -> Arc<Batch> {
    let rows: Vec<CollectionEvent> = pids
        .iter()
        .map(|&pid| {
            let process = ProcessEvent {
                pid,
                name: format!("name-{pid}"),
                executable: pid.is_multiple_of(2).then(|| format!("/bin/{pid}")),
                cpu_usage: Some(f64::from(pid) / 2.0),
                ..ProcessEvent::default()
            };
            process.into()
        })
        .collect();
    let topic = of_event(Kind::Process, leaf);
    Arc::new(Batch::of_events(topic, source, 0, &rows).unwrap())
}

fn triggers(rows: &[(&str, &str, &str)]) -> Arc<Batch> {
    let rows: Vec<CollectionEvent> = rows
        .iter()
        .map(|&(priority, correlation, root)| {
            let trigger = TriggerEvent {
                priority: priority.to_owned(),
                correlation_id: correlation.to_owned(),
                root_id: root.to_owned(),
                target_pid: Some(7),
                ..TriggerEvent::default()
            };
            trigger.into()
        })
        .collect();
    let topic = of_event(Kind::Trigger, "hash");
    Arc::new(Batch::of_events(topic, "manager", 0, &rows).unwrap())
}

fn publish(bus: &dyn EventBus, batch: &Arc<Batch>) -> Receipt {
    bus.publish(PublisherId::unique(), Arc::clone(batch))
        .unwrap()
}

fn drain(subscriber: &Subscriber) -> Vec<Delivery<Arc<Batch>>> {
    std::iter::from_fn(|| subscriber.try_recv().got()).collect()
}

fn batches(subscriber: &Subscriber) -> Vec<Arc<Batch>> {
    let batch = |delivery| match delivery {
        Delivery::Batch { item, .. } => item,
        Delivery::Gap(gap) => panic!("{gap:?}"),
    };
    drain(subscriber).into_iter().map(batch).collect()
}

fn balanced(bus: &dyn EventBus) -> BusStatistics {
    let statistics = bus.statistics();
    assert!(statistics.balances(), "{statistics:?}");
    let mut sum = statistics.departed.clone();
    for subscriber in &statistics.subscribers {
        sum += &subscriber.counts;
    }
    assert_eq!(sum, statistics.total);
    statistics
}

#[test]
fn a_batch_goes_to_whom_it_matches_as_it_is() {
    let bus = LocalBus::new();
    let started = bus
        .subscribe(
            SubscriptionOptions::new("started")
                .patterns([pattern("events.*.started"), pattern("events.process.>")]),
        )
        .unwrap();
    let findings = bus
        .subscribe(SubscriptionOptions::new("findings").pattern(pattern("findings.>")))
        .unwrap();
    let batch = processes("source", "started", &[1, 2, 3]);
    let receipt = publish(&bus, &batch);
    let expected = Receipt {
        position: 1,
        matched: 1,
        queued: 1,
    };
    assert_eq!(receipt, expected);
    let [received] = batches(&started).try_into().unwrap();
    assert!(Arc::ptr_eq(&received, &batch));
    assert!(batches(&findings).is_empty());
    let statistics = balanced(&bus);
    assert_eq!(statistics.published, Count::batch(3));
    assert_eq!(statistics.total.delivered, Count::batch(3));
    assert_eq!(
        statistics.subscriber("findings").unwrap().counts,
        QueueCounts::default()
    );
}

#[test]
fn a_publisher_does_not_get_its_own_events_unless_it_asks() {
    let bus = LocalBus::new();
    let (me, other) = (PublisherId::unique(), PublisherId::unique());
    let check = |options: SubscriptionOptions, expected: usize| {
        let subscriber = bus.subscribe(options).unwrap();
        for from in [me, other] {
            bus.publish(from, processes("s", "observed", &[1])).unwrap();
        }
        assert_eq!(batches(&subscriber).len(), expected);
    };
    check(everything("nobody's"), 2);
    check(everything("mine").owner(me), 1);
    check(everything("mine too").owner(me).own_events(true), 2);
    check(everything("unowned").own_events(false), 2);
    balanced(&bus);
}

/// Publishes a batch of processes 1 to 6 and one of three triggers, and says which pids and which
/// correlation ids arrive.
fn check_filter(
    filter: EventFilter,
    correlation: CorrelationFilter,
    pids: &[u32],
    correlations: &[&str],
) {
    let bus = LocalBus::new();
    let what = format!("{filter:?} {correlation:?}");
    let options = everything("filtered")
        .filter(filter)
        .correlation(correlation);
    let subscriber = bus.subscribe(options).unwrap();
    publish(
        &bus,
        &processes("source-a", "observed", &[1, 2, 3, 4, 5, 6]),
    );
    publish(
        &bus,
        &triggers(&[
            ("low", "run-1", "r1"),
            ("high", "run-2", "r1"),
            ("critical", "x", "r2"),
        ]),
    );
    let (mut got_pids, mut got_correlations) = (Vec::new(), Vec::new());
    for batch in batches(&subscriber) {
        for row in 0..Batch::rows(&batch) {
            match batch.row(row).unwrap() {
                CollectionEvent::Process(process) => got_pids.push(process.pid),
                CollectionEvent::Trigger(trigger) => got_correlations.push(trigger.correlation_id),
                _ => unreachable!(),
            }
        }
    }
    assert_eq!(got_pids, pids, "{what}");
    assert_eq!(got_correlations, correlations, "{what}");
    let matched = (pids.len() + correlations.len()) as u64;
    assert_eq!(balanced(&bus).total.matched.rows, matched);
}

#[test]
fn filters_select_whole_batches_by_kind_and_source() {
    let check = |filter, pids: &[u32], correlations: &[&str]| {
        check_filter(filter, CorrelationFilter::new(), pids, correlations);
    };
    let (all, three) = (&[1, 2, 3, 4, 5, 6], &["run-1", "run-2", "x"]);
    check(EventFilter::new(), all, three);
    check(EventFilter::new().kinds([Kind::Process]), all, &[]);
    check(
        EventFilter::new().kinds([Kind::Network, Kind::Trigger]),
        &[],
        three,
    );
    check(EventFilter::new().source("source-a"), all, &[]);
    check(EventFilter::new().source("source"), &[], &[]);
}

#[test]
fn filters_select_rows() {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let check = |filter, pids: &[u32], correlations: &[&str]| {
        check_filter(filter, CorrelationFilter::new(), pids, correlations);
    };
    let three = &["run-1", "run-2", "x"];
    check(EventFilter::new().pids([6, 2, 99]), &[2, 6], &[]);
    check(EventFilter::new().pids([7]), &[], three);
    check(
        EventFilter::new().priority_min(Priority::High),
        &[],
        &["run-2", "x"],
    );
    let compare = |column: &str, operator, literal: Literal| {
        EventFilter::new().compare(Comparison::new(column, operator, literal))
    };
    check(compare("pid", Equal, 3_u32.into()), &[3], &[]);
    check(
        compare("pid", NotEqual, 3_u32.into()),
        &[1, 2, 4, 5, 6],
        &[],
    );
    check(compare("pid", Less, 3_u32.into()), &[1, 2], &[]);
    check(compare("pid", LessOrEqual, (-1_i64).into()), &[], &[]);
    check(
        compare("pid", Greater, Literal::Integer(i128::MIN)),
        &[1, 2, 3, 4, 5, 6],
        &[],
    );
    check(
        compare("cpu_usage", GreaterOrEqual, 2.5.into()),
        &[5, 6],
        &[],
    );
    check(compare("cpu_usage", Less, 1_u32.into()), &[1], &[]);
    check(compare("name", Greater, "name-4".into()), &[5, 6], &[]);
    // Null is neither equal nor unequal.
    check(
        compare("executable", NotEqual, "/bin/4".into()),
        &[2, 6],
        &[],
    );
    check(compare("executable", Equal, "/bin/4".into()), &[4], &[]);
    check(compare("priority", Equal, "low".into()), &[], &["run-1"]);
    let both = compare("pid", Greater, 2_u32.into()).pids([1, 2, 3]);
    check(both.kinds([Kind::Process]), &[3], &[]);
}

#[test]
fn correlation_filters_select_rows() {
    let check = |correlation, correlations: &[&str]| {
        check_filter(EventFilter::new(), correlation, &[], correlations);
    };
    check(CorrelationFilter::new().id("run-2"), &["run-2"]);
    check(CorrelationFilter::new().glob("run-*"), &["run-1", "run-2"]);
    check(CorrelationFilter::new().glob("?"), &["x"]);
    check(CorrelationFilter::new().root("r1"), &["run-1", "run-2"]);
    check(CorrelationFilter::new().root("r1").glob("*1"), &["run-1"]);
}

#[test]
fn a_filter_that_can_not_be_evaluated_is_refused_with_what_would_be_right() {
    let bus = LocalBus::new();
    let check = |filter: EventFilter, expected: &str| {
        let error = bus.subscribe(everything("s").filter(filter)).unwrap_err();
        assert_eq!(error.to_string(), format!("subscription `s`: {expected}"));
    };
    let compare = |column: &str, operator, literal: Literal| {
        EventFilter::new().compare(Comparison::new(column, operator, literal))
    };
    let process = |filter: EventFilter| filter.kinds([Kind::Process]);
    check(
        process(compare("executible", Operator::Equal, "x".into())),
        "process events have no column `executible`; the nearest is `executable`",
    );
    check(
        compare("tiemstamp", Operator::Equal, "x".into()).kinds([]),
        "no kind of event has a column `tiemstamp`; the nearest is `timestamp`",
    );
    check(
        process(compare("pid", Operator::Equal, "x".into())),
        "column `pid` of process events is u32 and can't be compared with 'x'; write a whole number",
    );
    check(
        process(compare("pid", Operator::Equal, 1.5.into())),
        "column `pid` of process events is u32 and can't be compared with 1.5; write a whole number",
    );
    check(
        process(compare("command_line", Operator::Equal, "x".into())),
        "column `command_line` of process events is a list of texts and can't be compared; a guest can look into it",
    );
    check(
        process(compare("accessible", Operator::Less, true.into())),
        "column `accessible` of process events is true or false and has no order for `<`; use `=` or `!=`",
    );
    check(
        process(EventFilter::new().priority_min(Priority::Low)),
        "process events have no priority, none would ever be selected; leave the kind or the condition out",
    );
    check(
        EventFilter::new().pids(0..1_025),
        "the filter names 1025 pids, at most 1024 are allowed; use several subscriptions, or a guest",
    );
    let empty = everything("s").correlation(CorrelationFilter::new().glob(""));
    assert_eq!(
        bus.subscribe(empty).unwrap_err().to_string(),
        "subscription `s`: the correlation glob has 0 bytes, 1 to 255 are allowed"
    );
    assert!(balanced(&bus).subscribers.is_empty());
}

#[test]
fn a_filtered_batch_is_made_once_for_all_who_get_the_same_rows() {
    let bus = LocalBus::new();
    let by = |filter: EventFilter| bus.subscribe(everything("s").filter(filter)).unwrap();
    let pid = Comparison::new("pid", Operator::Equal, 2_u32);
    let subscribers = [
        by(EventFilter::new().pids([2])),
        by(EventFilter::new().pids([2])),
        by(EventFilter::new().compare(pid)),
    ];
    let batch = processes("s", "observed", &[1, 2]);
    publish(&bus, &batch);
    let received: Vec<_> = subscribers.iter().flat_map(batches).collect();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|one| Arc::ptr_eq(one, &received[0])));
    // All rows selected: it is the batch itself.
    let all = processes("s", "observed", &[2, 2]);
    publish(&bus, &all);
    assert!(
        subscribers
            .iter()
            .flat_map(batches)
            .all(|one| Arc::ptr_eq(&one, &all))
    );
}

#[test]
fn what_a_subscription_may_ask_for_is_bounded() {
    let bus = LocalBus::new();
    let check = |options: SubscriptionOptions, expected: &str| {
        let error = bus.subscribe(options).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        SubscriptionOptions::new("s"),
        "subscription `s` has no pattern; give it one, `>` selects every topic",
    );
    check(
        SubscriptionOptions::new("s").patterns((0..257).map(|n| pattern(&format!("t.{n}")))),
        "subscription `s` has 257 patterns, at most 256 are allowed; use wildcards, or several subscriptions",
    );
    let limits = QueueLimits {
        items_max: 0,
        bytes_max: 1,
    };
    check(
        everything("s").limits(limits),
        "the queue of subscription `s` may hold 0 batches and 1 bytes; both must be at least 1",
    );
    let many: Vec<_> = (0..SUBSCRIPTIONS_MAX)
        .map(|_| bus.subscribe(everything("one of many")).unwrap())
        .collect();
    check(
        everything("s"),
        "the bus has 1024 subscriptions, `s` would be one more than is allowed; end one first",
    );
    drop(many);
    assert!(bus.subscribe(everything("s")).is_ok());
}

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
    assert!(started.elapsed() < deadline * 10);
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

#[test]
fn without_a_bus_everything_is_counted_as_disabled() {
    let bus = NullBus::new();
    let subscriber = bus.subscribe(everything("s")).unwrap();
    assert!(bus.subscribe(SubscriptionOptions::new("wrong")).is_err());
    for rows in [&[1][..], &[1, 2, 3]] {
        let receipt = publish(&bus, &processes("s", "observed", rows));
        assert_eq!((receipt.matched, receipt.queued), (0, 0));
    }
    assert!(matches!(subscriber.try_recv(), Recv::Empty));
    let statistics = bus.statistics();
    assert!(statistics.balances());
    assert_eq!(statistics.published, Count::new(4, 2));
    let disabled = statistics.total.dropped.get(DropReason::Disabled);
    assert_eq!(disabled, Count::new(4, 2));
    assert_eq!(statistics.subscribers.len(), 1);
    bus.close();
    assert!(matches!(subscriber.recv_blocking(), Recv::Closed));
    let late = bus.publish(PublisherId::unique(), processes("s", "observed", &[1]));
    assert!(matches!(late, Err(PublishError::Closed { rows: 1, .. })));
    assert!(bus.unsubscribe(subscriber.id()));
    drop(subscriber);
    assert!(bus.statistics().subscribers.is_empty());
}

#[test]
fn a_kind_of_bus_is_named_as_in_the_config() {
    for kind in BusKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    assert_eq!(
        "nats".parse::<BusKind>().map_err(|error| error.to_string()),
        Err("`nats` is no kind of bus; the kinds are local, broker, client, none".to_owned())
    );
}

#[test]
fn each_publishers_batches_arrive_in_order_and_none_is_lost() {
    const EACH: u32 = 5_000;
    let bus = LocalBus::new();
    let limits = QueueLimits {
        items_max: 8,
        ..QueueLimits::default()
    };
    let block = QueuePolicy::Block { deadline: NEVER };
    let subscribers: Vec<_> = (0..3)
        .map(|n| {
            let options = everything(&format!("s{n}")).policy(block).limits(limits);
            bus.subscribe(options).unwrap()
        })
        .collect();
    let names = ["a", "b"];
    thread::scope(|scope| {
        for subscriber in &subscribers {
            scope.spawn(move || {
                let (mut next, mut many) = ([0; 2], Vec::new());
                while let Recv::Got(_) = subscriber.recv_many_blocking(&mut many, 64) {
                    for delivery in many.drain(..) {
                        let Delivery::Batch { item, .. } = delivery else {
                            panic!("nothing may be missing");
                        };
                        let publisher = names
                            .iter()
                            .position(|name| **name == *item.header().source);
                        let next = &mut next[publisher.unwrap()];
                        assert_eq!(item.header().first_sequence, *next);
                        *next += 1;
                    }
                }
                assert_eq!(next, [u64::from(EACH); 2]);
            });
        }
        let publishers = names.map(|name| {
            let bus = &bus;
            scope.spawn(move || {
                let from = PublisherId::unique();
                let rows: [CollectionEvent; 1] = [ProcessEvent::default().into()];
                for sequence in 0..u64::from(EACH) {
                    let topic = of_event(Kind::Process, "observed");
                    let batch = Batch::of_events(topic, name, sequence, &rows).unwrap();
                    bus.publish(from, Arc::new(batch)).unwrap();
                }
            })
        });
        for publisher in publishers {
            publisher.join().unwrap();
        }
        bus.close();
    });
    let total = balanced(&bus).total;
    assert_eq!(total.delivered.batches, 2 * 3 * u64::from(EACH));
    assert!(total.dropped.is_empty());
}

/// What a thread does to the bus: publishes so many rows, or comes, receives some and leaves.
#[derive(Debug, Clone)]
enum Act {
    Publish(u32),
    Visit {
        policy: usize,
        items_max: usize,
        receive: usize,
    },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0_u32..5).prop_map(Act::Publish),
        1 => (0_usize..3, 1_usize..4, 0_usize..6).prop_map(|(policy, items_max, receive)| {
            Act::Visit { policy, items_max, receive }
        }),
    ];
    prop::collection::vec(act, 0..60)
}

fn perform(bus: &LocalBus, acts: &[Act]) {
    let policies = [
        QueuePolicy::DropOldest,
        QueuePolicy::DropNewest,
        QueuePolicy::Block {
            deadline: Duration::from_micros(50),
        },
    ];
    let mut kept = Vec::new();
    for act in acts {
        match act {
            Act::Publish(rows) => {
                let pids: Vec<u32> = (0..*rows).collect();
                publish(bus, &processes("s", "observed", &pids));
            }
            Act::Visit {
                policy,
                items_max,
                receive,
            } => {
                let limits = QueueLimits {
                    items_max: *items_max,
                    ..QueueLimits::default()
                };
                let filter = EventFilter::new().pids([0, 2]);
                let options = everything("visitor")
                    .policy(policies[*policy])
                    .limits(limits);
                let subscriber = bus.subscribe(options.filter(filter)).unwrap();
                for _ in 0..*receive {
                    let _ = subscriber.try_recv();
                }
                kept.push(subscriber);
                kept.drain(..kept.len().saturating_sub(3));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_law_holds_at_any_instant_whoever_comes_and_goes(
        acts in prop::collection::vec(acts(), 2..4),
        items_max in 1_usize..6,
    ) {
        let bus = LocalBus::new();
        let limits = QueueLimits { items_max, ..QueueLimits::default() };
        let resident = bus.subscribe(everything("resident").limits(limits)).unwrap();
        let done = AtomicBool::new(false);
        let received = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut received = Count::ZERO;
                while let Recv::Got(delivery) = resident.recv_blocking() {
                    if let Delivery::Batch { item, .. } = delivery {
                        received += Count::batch(Weigh::rows(&item));
                    }
                }
                received
            });
            let sampler = scope.spawn(|| {
                let mut before = balanced(&bus);
                while !done.load(Ordering::Acquire) {
                    thread::yield_now();
                    let now = balanced(&bus);
                    // Totals never go back, whoever leaves.
                    assert!(now.published.rows >= before.published.rows);
                    assert!(now.total.matched.rows >= before.total.matched.rows);
                    assert!(now.total.delivered.rows >= before.total.delivered.rows);
                    before = now;
                }
            });
            let actors: Vec<_> = acts.iter().map(|acts| scope.spawn(|| perform(&bus, acts))).collect();
            for actor in actors {
                actor.join().unwrap();
            }
            done.store(true, Ordering::Release);
            sampler.join().unwrap();
            bus.close();
            reader.join().unwrap()
        });
        let statistics = balanced(&bus);
        let resident = &statistics.subscriber("resident").unwrap().counts;
        prop_assert_eq!(resident.matched, statistics.published);
        prop_assert_eq!(resident.delivered, received);
        prop_assert_eq!(resident.queued, Count::ZERO);
    }
}

#[test]
fn what_a_source_lost_is_a_gap_for_whoever_could_have_got_it() {
    let bus = LocalBus::new();
    let from = PublisherId::unique();
    let subscribe = |name: &str, text: &str| {
        bus.subscribe(SubscriptionOptions::new(name).pattern(pattern(text)))
            .unwrap()
    };
    let one_topic = subscribe("one topic", "events.filesystem.create");
    let all = subscribe("all", ">");
    let other_kind = subscribe("other kind", "events.process.>");
    let other_source = everything("other source").filter(EventFilter::new().source("elsewhere"));
    let other_source = bus.subscribe(other_source).unwrap();
    let loss = |rows| SourceLoss {
        source: Arc::from("files"),
        kind: Kind::Filesystem,
        rows,
        reason: DropReason::Overflow,
    };
    bus.lost(from, &loss(Some(3)));
    bus.lost(from, &loss(None));
    for subscriber in [&one_topic, &all] {
        let stream = drain(subscriber);
        let [Delivery::Gap(gap)] = &stream[..] else {
            panic!("{stream:?}");
        };
        assert_eq!((gap.missed, gap.reason), (None, DropReason::Overflow));
    }
    for subscriber in [&other_kind, &other_source] {
        assert!(drain(subscriber).is_empty());
    }
    balanced(&bus);
}
