//! What a queue that nobody reads costs, in bytes that are really allocated. A binary of its own: it counts all that is
//! allocated in the process.

use std::alloc::System;
use std::sync::Arc;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use weir_bus::event::ProcessEvent;
use weir_bus::pubsub::{
    EventBus as _, LocalBus, PublisherId, QUEUE_BYTES_MAX, QueuePolicy, SubscriptionOptions,
};
use weir_bus::{Batch, CollectionEvent, Kind, Timestamp, Topic, TopicPattern, topic};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

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

fn batch(topic: &Topic, first: u32, rows: u32) -> Arc<Batch> {
    let events: Vec<_> = (first..first + rows).map(process).collect();
    let batch = Batch::of_events(topic.clone(), "process", first.into(), &events);
    Arc::new(batch.expect("events of one kind"))
}

/// Publishes 300,000 rows that nobody reads, in batches of `rows`, and gives the bytes that are kept alive and those that
/// are counted.
fn unread(rows: u32, policy: QueuePolicy) -> (u64, u64) {
    let topic = topic::of_event(Kind::Process, "observed");
    let bus = LocalBus::new();
    let all = TopicPattern::parse(">").expect("a pattern");
    let options = SubscriptionOptions::new("stalled").pattern(all);
    let stalled = bus
        .subscribe(options.policy(policy))
        .expect("a subscription");
    let from = PublisherId::unique();
    // What is made once for all, as schemas, is there.
    drop(batch(&topic, 0, 1));
    let region = Region::new(ALLOCATOR);
    for first in (0..ROWS).step_by(rows as usize) {
        bus.publish(from, batch(&topic, first, rows.min(ROWS - first)))
            .expect("an open bus");
    }
    let change = region.change();
    let kept = change.bytes_allocated as u64 - change.bytes_deallocated as u64;
    let statistics = bus.statistics();
    assert!(statistics.balances(), "{statistics:?}");
    let counts = stalled.counts();
    assert_eq!(counts.matched.rows, u64::from(ROWS));
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
    for policy in [QueuePolicy::DropOldest, QueuePolicy::DropNewest, disconnect] {
        for rows in [1_000, 100, 10, 1] {
            let (kept, counted) = unread(rows, policy);
            let what = format!("{policy:?}, {rows} rows a batch: {kept} kept, {counted} counted");
            println!("{what}");
            assert!(counted <= QUEUE_BYTES_MAX, "{what}");
            // The bound, and a tenth for what isn't columns.
            assert!(kept <= QUEUE_BYTES_MAX + QUEUE_BYTES_MAX / 10, "{what}");
            // And what is counted is what is there, not more: the bound can be used.
            assert!(counted <= kept + kept / 10, "{what}");
        }
    }
}
