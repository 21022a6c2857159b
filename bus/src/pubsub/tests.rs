//! Promises of the bus in one process, and of none.

mod filters;
mod pressure;
mod slow;
mod threads;

use std::time::Duration;

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
