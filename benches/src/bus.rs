//! What the bus in process carries, beside a plain bounded channel for each subscriber.
//!
//! One thread publishes, each subscriber receives on a thread of its own; every message is a fresh
//! `Arc` of the same batch on both sides; both hold 1,024 messages for each subscriber and make the
//! publisher wait when that is full. The bus looks topics up, filters, numbers and counts on the
//! way, which a channel doesn't; its statistics are read afterwards and must be exact.
//!
//! What it carries beside the bus that it replaces is [`replaced`]'s.
//!
//! The unit is rows that arrived, summed over the subscribers, a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use weir_bus::pubsub::{
    Delivery, EventBus as _, LocalBus, PublisherId, QueueLimits, QueuePolicy, Recv, Subscriber,
    SubscriptionOptions,
};
use weir_bus::{Batch, CollectionEvent, Kind, TopicPattern, topic};

use crate::measure::{Effort, figure};
use crate::replaced;
use crate::report::{Better, Case};
use crate::rows;

/// Messages that a subscriber's queue holds, on both sides.
const QUEUE_MESSAGES: usize = 1_024;
/// Bytes that it holds: no bound, for the channel has none.
const QUEUE_BYTES: u64 = 1 << 40;
/// Longer than any wait here: nothing may be dropped.
const BLOCK_DEADLINE: Duration = Duration::from_secs(60);
/// Messages of one run.
const MESSAGES: usize = 1_000_000;

/// Subscribers and rows of a batch.
const CASES: [(usize, u64); 4] = [(1, 1), (1, 256), (4, 1), (4, 256)];

/// Measures the suite.
pub(crate) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let wanted = CASES
        .into_iter()
        .filter(|(subscribers, rows)| effort.wants(&name(*subscribers, *rows)));
    let cases = wanted.map(|(subscribers, rows)| case(effort, subscribers, rows));
    let mut cases = cases.collect::<anyhow::Result<Vec<_>>>()?;
    cases.extend(replaced::cases(effort)?);
    Ok(cases)
}

fn name(subscribers: usize, rows: u64) -> String {
    format!("1-to-{subscribers}/{rows}")
}

fn case(effort: Effort, subscribers: usize, rows: u64) -> anyhow::Result<Case> {
    let events: Vec<CollectionEvent> = rows::rows(0, rows).into_iter().map(Into::into).collect();
    let topic = topic::of_event(Kind::Process, "observed");
    let batch = Batch::of_events(topic, "bench", 0, &events)?;
    // With several subscribers each message is received several times: about the same work.
    let messages = effort.of(MESSAGES) / subscribers;
    let expected = vec![messages as u64 * rows; subscribers];
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..effort.pairs {
        for (values, arrived) in [
            (&mut ours, time_bus(&batch, subscribers, messages)?),
            (&mut peers, time_channels(&batch, subscribers, messages)?),
        ] {
            ensure!(
                arrived.rows == expected,
                "{:?} rows arrived, and {expected:?} were sent",
                arrived.rows
            );
            let rows: u64 = arrived.rows.iter().sum();
            values.push(figure(rows) / arrived.time.as_secs_f64());
        }
    }
    Ok(Case::beside(
        name(subscribers, rows),
        "rows/s",
        Better::Higher,
        &ours,
        ("crossbeam", &peers),
    ))
}

/// What a run came to: the rows that each subscriber got.
struct Arrived {
    rows: Vec<u64>,
    time: Duration,
}

fn time_bus(batch: &Batch, subscribers: usize, messages: usize) -> anyhow::Result<Arrived> {
    let bus = LocalBus::new();
    let from = PublisherId::unique();
    let subscribers: Vec<Subscriber> = (0..subscribers)
        .map(|number| {
            let options = SubscriptionOptions::new(format!("bench-{number}"))
                .pattern(TopicPattern::parse("events.process.>")?)
                .policy(QueuePolicy::Block {
                    deadline: BLOCK_DEADLINE,
                })
                .limits(QueueLimits {
                    items_max: QUEUE_MESSAGES,
                    bytes_max: QUEUE_BYTES,
                });
            Ok(bus.subscribe(options)?)
        })
        .collect::<anyhow::Result<_>>()?;
    let (rows, time) = std::thread::scope(|scope| {
        let receivers: Vec<_> = subscribers
            .iter()
            .map(|subscriber| scope.spawn(|| receive(subscriber)))
            .collect();
        let started = Instant::now();
        for _ in 0..messages {
            bus.publish(from, Arc::new(batch.clone()))?;
        }
        bus.close();
        let rows = joined(receivers)?;
        anyhow::Ok((rows, started.elapsed()))
    })?;
    let statistics = bus.statistics();
    ensure!(statistics.balances(), "the bus's counts don't balance");
    ensure!(
        statistics.total.delivered.batches == messages as u64 * subscribers.len() as u64,
        "{} batches are counted as delivered",
        statistics.total.delivered.batches
    );
    Ok(Arrived { rows, time })
}

fn receive(subscriber: &Subscriber) -> u64 {
    let mut rows = 0;
    let mut deliveries = Vec::with_capacity(QUEUE_MESSAGES);
    while let Recv::Got(_) = subscriber.recv_many_blocking(&mut deliveries, QUEUE_MESSAGES) {
        for delivery in deliveries.drain(..) {
            if let Delivery::Batch { item, .. } = delivery {
                rows += item.rows() as u64;
            }
        }
    }
    rows
}

fn time_channels(batch: &Batch, subscribers: usize, messages: usize) -> anyhow::Result<Arrived> {
    let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..subscribers)
        .map(|_| crossbeam_channel::bounded::<Arc<Batch>>(QUEUE_MESSAGES))
        .unzip();
    let last = senders.pop().context("a channel")?;
    let (rows, time) = std::thread::scope(|scope| {
        let receivers: Vec<_> = receivers
            .into_iter()
            .map(|receiver| {
                scope.spawn(move || receiver.iter().map(|item| item.rows() as u64).sum())
            })
            .collect();
        let started = Instant::now();
        for _ in 0..messages {
            let message = Arc::new(batch.clone());
            for sender in &senders {
                sender.send(Arc::clone(&message))?;
            }
            last.send(message)?;
        }
        senders.clear();
        drop(last);
        let rows = joined(receivers)?;
        anyhow::Ok((rows, started.elapsed()))
    })?;
    Ok(Arrived { rows, time })
}

fn joined(threads: Vec<std::thread::ScopedJoinHandle<'_, u64>>) -> anyhow::Result<Vec<u64>> {
    let results = threads.into_iter().map(|thread| {
        let rows = thread.join();
        rows.map_err(|_| anyhow::anyhow!("a receiver panicked"))
    });
    results.collect()
}
