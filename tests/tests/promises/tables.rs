//! Collected once, used by many: a source that is off runs as often as the most impatient of those who ask, each of them gets
//! whole tables, in the process and over the socket, and all are told when it fails.
//!
//! The collector, its lanes, the bus, the broker and its client are real; the source shows what it is told to, and the clock is
//! the test's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use weir::collector::{Collector, CollectorConfig};
use weir_bus::pubsub::{BusStatistics, Delivery, EventBus, Recv, Subscriber, SubscriptionOptions};
use weir_bus::socket::{BrokerClient, ClientOptions};
use weir_bus::{Batch, CollectionEvent, Kind, Pace, SourceCaps, TopicPattern};
use weir_sources::schedule::{Clock, ScheduleOptions};
use weir_sources::{EventSource, SourceContext, SourceError};
use weir_tests::broker::Served;
use weir_tests::{PATIENCE, rows};

/// Rows of each table, more than one batch's worth.
const ROWS: u32 = 1_200;
/// A second.
const SECOND: Duration = Duration::from_secs(1);

/// Shows the same processes at each look, or fails.
#[derive(Default)]
struct Looks {
    looks: AtomicU64,
    fails: AtomicBool,
}

/// The source as it is registered.
struct Shared(Arc<Looks>);

#[async_trait]
impl EventSource for Shared {
    fn name(&self) -> &str {
        "looks"
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS
    }

    fn pace(&self) -> Pace {
        Pace::Periodic
    }

    fn schedule(&self) -> Option<ScheduleOptions> {
        // Its configured interval is off; what it costs is another test's.
        Some(ScheduleOptions {
            interval: None,
            cost_share: 1e6,
        })
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        while let Some(run) = context.next_run().await {
            let look = self.0.looks.fetch_add(1, Ordering::Relaxed) + 1;
            if self.0.fails.load(Ordering::Relaxed) {
                return Err(SourceError::Failed("no luck".to_owned()));
            }
            context.emitter().begin_snapshot(look);
            context.emitter().emit_all(&rows::processes(1, ROWS)).await;
            context.emitter().end_snapshot();
            run.finished();
        }
        Ok(())
    }
}

/// What somebody gets: a whole table's look, or a word about one.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Table(u64),
    Word(String),
}

fn next(subscriber: &Subscriber) -> Got {
    let mut found = 0;
    loop {
        let batch = match subscriber.recv_timeout(PATIENCE) {
            Recv::Got(Delivery::Batch { item, .. }) => item,
            other => panic!("{}: {other:?}", subscriber.name()),
        };
        if batch.kind() == Kind::Inventory {
            return Got::Word(word(&batch));
        }
        let snapshot = batch.header().snapshot.expect("a part of a table");
        found += batch.rows();
        if snapshot.last {
            assert_eq!(found, ROWS as usize, "look {}", snapshot.id);
            return Got::Table(snapshot.id);
        }
    }
}

/// State and age of the table that a word is about.
fn word(batch: &Batch) -> String {
    let rows = (0..batch.rows()).filter_map(|row| match batch.row(row) {
        Some(CollectionEvent::Inventory(row)) => Some(row),
        _ => None,
    });
    let told = rows.filter(|row| ["state", "reason", "age-ms"].contains(&row.attribute.as_str()));
    let told: Vec<String> = told.map(|row| row.value).collect();
    told.join("; ")
}

fn asking(name: &str, every: Duration) -> SubscriptionOptions {
    SubscriptionOptions::new(name)
        .pattern(TopicPattern::parse("events.process.>").expect("a pattern"))
        .every(every)
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

fn waiting(statistics: &BusStatistics, name: &str) -> u64 {
    let shown = statistics
        .subscribers
        .iter()
        .find(|one| one.name.ends_with(name));
    shown.expect("a subscriber").counts.queued.batches
}

#[test]
fn one_source_serves_all_who_ask_at_the_shortest_interval_and_tells_all_when_it_fails() {
    let served = Served::new();
    let (looks, clock) = (Arc::new(Looks::default()), Clock::manual());
    let config = CollectorConfig::builder()
        .component_name("test")
        .build()
        .expect("a config");
    let bus = Arc::clone(&served.bus) as Arc<dyn EventBus>;
    let mut collector = Collector::with_bus(config, Arc::clone(&bus)).with_clock(clock.clone());
    collector
        .register(Arc::new(Shared(Arc::clone(&looks))))
        .expect("room");
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
    let looked = || looks.looks.load(Ordering::Relaxed);

    // It is off: nobody asks, nothing runs.
    let subscribe = |options: SubscriptionOptions| bus.subscribe(options);
    let mut early = None;
    wait_for("the source has no tables", || {
        early = subscribe(asking("early", SECOND)).ok();
        early.is_some()
    });
    let early = early.expect("a subscription");
    assert_eq!(next(&early), Got::Table(1));
    drop(early);
    clock.advance(100 * SECOND);
    clock.advance(100 * SECOND);
    assert_eq!(looked(), 1);

    // One every ten seconds here, one every second over the socket.
    let slow = subscribe(asking("slow", 10 * SECOND)).expect("a subscription");
    let first = 2;
    assert_eq!(next(&slow), Got::Table(first), "nothing ran meanwhile");
    let options = ClientOptions::new(served.path("weir.sock"), "client");
    let client = runtime
        .block_on(BrokerClient::connect(options))
        .expect("a welcome");
    let quick = runtime
        .block_on(client.open_subscription(asking("quick", SECOND)))
        .expect("a subscription");
    assert_eq!(
        next(&quick),
        Got::Table(first),
        "what is there is new enough"
    );
    for second in 1..=30 {
        clock.advance(SECOND);
        assert_eq!(next(&quick), Got::Table(first + second));
        if second % 10 == 0 {
            assert_eq!(next(&slow), Got::Table(first + second));
        }
        assert_eq!(looked(), first + second, "once a second, however many ask");
        assert_eq!(waiting(&bus.statistics(), "slow"), 0);
    }

    // It relaxes when the impatient one leaves.
    let asks = || bus.statistics().subscribers.len();
    drop(quick);
    wait_for("the client's subscription is gone", || asks() == 1);
    for tens in 1..=3 {
        clock.advance(5 * SECOND);
        assert_eq!(waiting(&bus.statistics(), "slow"), 0);
        clock.advance(5 * SECOND);
        assert_eq!(next(&slow), Got::Table(first + 30 + tens));
        assert_eq!(looked(), first + 30 + tens);
    }

    // It fails: each is told at its time, with the age of the latest table.
    let quick = runtime
        .block_on(client.open_subscription(asking("quick", SECOND)))
        .expect("a subscription");
    assert_eq!(next(&quick), Got::Table(first + 33));
    looks.fails.store(true, Ordering::Relaxed);
    let failed = |age: u64| Got::Word(format!("failed; the source failed: no luck; {age}000"));
    for second in 1..=10 {
        clock.advance(SECOND);
        assert_eq!(next(&quick), failed(second));
    }
    assert_eq!(next(&slow), failed(10));

    let statistics = bus.statistics();
    assert!(statistics.balances(), "{statistics:?}");
    drop((quick, client, stop));
    let report = runtime.block_on(running).expect("it ends");
    for (name, counts) in &report.sources {
        assert!(counts.balances(), "{name}: {counts:?}");
    }
    runtime.shutdown_background();
}
