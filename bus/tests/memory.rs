//! What a queue that nobody reads costs, in bytes that are really allocated. A binary of its own: it counts all that is
//! allocated in the process.

use std::alloc::System;
use std::sync::Arc;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use weir_bus::event::ProcessEvent;
use weir_bus::pubsub::{
    EventBus as _, LocalBus, PublisherId, QUEUE_BYTES_MAX, QueueLimits, QueuePolicy,
    SubscriptionOptions,
};
use weir_bus::{Batch, CollectionEvent, Kind, Timestamp, Topic, TopicPattern, topic};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Rows that nobody reads; small batches reach the bound with fewer.
const ROWS: u32 = 300_000;

/// A process as a busy machine has them.
fn process(number: u32) -> CollectionEvent {
    let daemon = number.is_multiple_of(3);
    ProcessEvent {
        timestamp: Timestamp(i64::from(number) * 1_000),
        pid: 300 + number % 32_000,
        start_time: Timestamp(i64::from(number / 7) * 1_000_000),
        ppid: Some(1 + number % 900),
        parent_start_time: Some(Timestamp(i64::from(number / 70))),
        parent_name: Some(if daemon { "systemd" } else { "bash" }.to_owned()),
        parent_executable: Some(
            if daemon {
                "/usr/lib/systemd/systemd"
            } else {
                "/usr/bin/bash"
            }
            .to_owned(),
        ),
        name: format!("worker-{}", number % 50),
        executable: Some(format!("/usr/lib/service-{}/bin/worker", number % 50)),
        command_line: ["worker", "--config", "/etc/service/worker.toml", "--shard"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{}", number % 500)])
            .collect(),
        cpu_usage: Some(f64::from(number % 100) / 7.0),
        memory_bytes: Some(u64::from(number % 9_000) << 12),
        user_id: Some(number % 1_100),
        cgroup: daemon.then(|| format!("/system.slice/service-{}.service", number % 50)),
        lifecycle: "observed".to_owned(),
        accessible: true,
        ..ProcessEvent::default()
    }
    .into()
}

fn batch(topic: &Topic, first: u32, events: &[CollectionEvent]) -> Arc<Batch> {
    let batch = Batch::of_events(topic.clone(), "process", first.into(), events);
    Arc::new(batch.expect("events of one kind"))
}

/// Publishes rows that nobody reads, in batches of so many events, and gives the bytes that are kept alive and those that
/// are counted.
fn unread(
    total: u32,
    events: &[CollectionEvent],
    limits: QueueLimits,
    policy: QueuePolicy,
) -> (u64, u64) {
    let topic = topic::of_event(Kind::Process, "observed");
    let bus = LocalBus::new();
    let all = TopicPattern::parse(">").expect("a pattern");
    let options = SubscriptionOptions::new("stalled").pattern(all);
    let stalled = bus
        .subscribe(options.policy(policy).limits(limits))
        .expect("a subscription");
    let from = PublisherId::unique();
    // What is made once for all, as schemas, is there.
    drop(batch(&topic, 0, events));
    let region = Region::new(ALLOCATOR);
    for first in (0..total).step_by(events.len()) {
        bus.publish(from, batch(&topic, first, events))
            .expect("an open bus");
    }
    let change = region.change();
    let kept = change.bytes_allocated as u64 - change.bytes_deallocated as u64;
    let statistics = bus.statistics();
    assert!(statistics.balances(), "{statistics:?}");
    let counts = stalled.counts();
    assert_eq!(counts.matched.rows, u64::from(total));
    let accounted = counts.queued + counts.dropped.total();
    assert_eq!(accounted, counts.matched);
    assert_eq!(statistics.bytes, counts.queued_bytes);
    (kept, counts.queued_bytes)
}

#[test]
fn rows_that_nobody_reads_stay_within_the_queue_s_bytes_and_all_are_accounted_for() {
    let disconnect = QueuePolicy::Disconnect {
        times: 3,
        pause: std::time::Duration::from_secs(600),
    };
    let events: Vec<_> = (0..1_000).map(process).collect();
    // As many batches as the bytes allow: the bound in bytes must hold by itself, however small the batches are.
    let unbounded = QueueLimits {
        items_max: usize::MAX,
        ..QueueLimits::default()
    };
    let oldest = QueuePolicy::DropOldest;
    let table = [
        (ROWS, 1_000, QueueLimits::default(), oldest),
        (ROWS, 1_000, QueueLimits::default(), QueuePolicy::DropNewest),
        (ROWS, 1_000, QueueLimits::default(), disconnect),
        (ROWS, 100, unbounded, oldest),
        (ROWS / 10, 10, unbounded, oldest),
        (ROWS / 100, 1, unbounded, QueuePolicy::DropNewest),
    ];
    for (total, rows, limits, policy) in table {
        let (kept, counted) = unread(total, &events[..rows], limits, policy);
        let what = format!("{policy:?}, {rows} rows a batch: {kept} kept, {counted} counted");
        println!("{what}");
        // The bound is used, and no more than it and a tenth; or where all of it made room for newer ones 1/64.
        let is_used = |bound: u64| counted <= bound && counted > bound / 10 * 8;
        // The newest batch is kept in any case, and one of 1,000 rows is larger than that.
        let little = QUEUE_BYTES_MAX / 64;
        let stalled = policy == oldest && counted <= little * 2 && counted > little / 2;
        assert!(stalled || is_used(QUEUE_BYTES_MAX), "{what}");
        assert!(kept <= counted + QUEUE_BYTES_MAX / 10, "{what}");
        assert!(kept >= counted / 10 * 8, "{what}");
    }
}
