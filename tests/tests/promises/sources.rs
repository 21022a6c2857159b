//! A source harms only itself: sixteen at once, of which four do what a source mustn't; the other
//! twelve are complete.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use weir::collector::{Collector, CollectorConfig};
use weir::testing::ScriptedSource;
use weir_bus::pubsub::{Delivery, QueueLimits, Recv, SubscriptionOptions};
use weir_bus::{CollectionEvent, Pace, SourceCaps, TopicPattern};
use weir_sources::{EventSource, SourceContext, SourceError};
use weir_tests::{PATIENCE, rows};

/// Rows of each good source.
const ROWS: u32 = 2_000;
/// Sources that do as they should.
const GOOD: u32 = 12;

/// A pid that no good source has.
const FLOOD_PID: u32 = u32::MAX;

/// Rows that make a flood.
const FLOODED: usize = 1_000;

/// What a bad source does once it runs.
enum Bad {
    /// Keeps its thread until the other end is dropped.
    Blocks(Mutex<Receiver<()>>),
    Panics,
    /// Sends as fast as it can, and only looks whether it shall stop.
    Floods,
    FailsToStart,
}

#[async_trait]
impl EventSource for Bad {
    fn name(&self) -> &str {
        match self {
            Self::Blocks(_) => "blocks",
            Self::Panics => "panics",
            Self::Floods => "floods",
            Self::FailsToStart => "fails",
        }
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS
    }

    fn pace(&self) -> Pace {
        Pace::Realtime
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        if let Self::FailsToStart = self {
            return Err(SourceError::Failed(
                "there is no such thing here".to_owned(),
            ));
        }
        context.ready();
        match self {
            Self::Blocks(gate) => {
                // An error is what it waits for.
                let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
            }
            Self::Panics => panic!("a source that panics"),
            Self::Floods => {
                while !context.is_stopping() {
                    context
                        .emitter()
                        .emit(&rows::process(FLOOD_PID, "flood"))
                        .await;
                }
            }
            Self::FailsToStart => {}
        }
        Ok(())
    }
}

/// The rows of a good source: its pids are its own.
fn rows_of(source: u32) -> Vec<CollectionEvent> {
    let rows = rows::processes(source * ROWS + 1, ROWS);
    rows.into_iter().map(Into::into).collect()
}

#[test]
fn beside_sources_that_block_panic_flood_and_fail_twelve_others_are_complete() {
    let (gate, waits) = channel::<()>();
    let config = CollectorConfig::builder()
        .component_name("test")
        .event_buffer_size(100_000)
        .startup_timeout(Duration::from_secs(5))
        .shutdown_timeout(Duration::from_secs(1))
        .build()
        .expect("a config");
    let mut collector = Collector::new(config);
    for source in 0..GOOD {
        let good = ScriptedSource::new(&format!("good-{source}"), rows_of(source));
        collector.register(Arc::new(good)).expect("room");
    }
    for bad in [
        Bad::Blocks(Mutex::new(waits)),
        Bad::Panics,
        Bad::Floods,
        Bad::FailsToStart,
    ] {
        collector.register(Arc::new(bad)).expect("room");
    }
    let seventeenth = ScriptedSource::new("one-more", Vec::new());
    let error = collector.register(Arc::new(seventeenth));
    assert!(error.is_err(), "sixteen is the most");

    let bus = collector.bus();
    let options = SubscriptionOptions::new("capture")
        .pattern(TopicPattern::parse("events.>").expect("a pattern"))
        .limits(QueueLimits {
            items_max: 1 << 20,
            bytes_max: 1 << 30,
        });
    let subscriber = bus.subscribe(options).expect("a subscription");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(collector.run(async {
        // Dropped is told, too.
        let _ = stopped.await;
    }));
    let (mut pids, mut flooded) = (Vec::new(), 0);
    // However late the thread of the one that floods gets its turn.
    while pids.len() < (GOOD * ROWS) as usize || flooded < FLOODED {
        match subscriber.recv_timeout(PATIENCE) {
            Recv::Got(Delivery::Batch { item, .. }) => {
                let events = (0..item.rows()).filter_map(|row| item.row(row));
                let found = rows::pids(&events.collect::<Vec<_>>());
                flooded += found.iter().filter(|pid| **pid == FLOOD_PID).count();
                pids.extend(found.into_iter().filter(|pid| *pid != FLOOD_PID));
            }
            other => panic!(
                "after {} rows and {flooded} of the flood: {other:?}",
                pids.len()
            ),
        }
    }
    pids.sort_unstable();
    assert_eq!(pids, (1..=GOOD * ROWS).collect::<Vec<u32>>());
    drop(stop);
    let report = runtime.block_on(running).expect("it ends");
    drop(gate);
    for source in 0..GOOD {
        let name = format!("good-{source}");
        let (_, counts) = report
            .sources
            .iter()
            .find(|(found, _)| *found == name)
            .expect("its counts");
        assert_eq!(counts.produced, u64::from(ROWS), "{name}: {counts:?}");
        assert_eq!(counts.published, u64::from(ROWS), "{name}: {counts:?}");
    }
    for (name, counts) in &report.sources {
        assert!(counts.balances(), "{name}: {counts:?}");
    }
    assert_eq!(report.abandoned, ["blocks"]);
    runtime.shutdown_background();
}
