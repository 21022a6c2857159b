//! What every make of bus promises, held against the bus in process and the bus over a socket alike.
//!
//! A table a promise; no test knows which make it runs on. What differs by nature is in
//! `weir_tests::buses`.

mod counts;
mod gaps;
mod selecting;
mod streams;

use weir_bus::CollectionEvent;
use weir_bus::event::{ProcessEvent, TriggerEvent};
use weir_bus::pubsub::{Subscriber, SubscriptionOptions};
use weir_tests::buses::{Fixture, Make, Seen, seen, subscription};

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
        Seen::Row { event, .. } => match &**event {
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
