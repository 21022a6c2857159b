//! Promises of tables: one look for all who ask, whole, and a word with its age where there is none.
//!
//! A real source under a real supervisor, a real bus and a real lane; only the clock is the test's.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weir_bus::event::ProcessEvent;
use weir_bus::pubsub::{Delivery, EventBus as _, LocalBus, Recv, Subscriber, SubscriptionOptions};
use weir_bus::{Batch, CollectionEvent, Pace, Settlement};

use super::*;
use crate::registry::Registry;
use crate::schedule::{AskError, Clock, ScheduleOptions};
use crate::source::{EventSource, SourceContext, SourceError};
use crate::supervisor::{RestartLimits, Supervisor, SupervisorOptions};
use crate::testing::PATIENCE;

/// Rows of a table.
const ROWS: u32 = 700;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A source that shows the same processes at each look, and fails when it is told to.
struct Looks {
    interval: Option<Duration>,
    fails: AtomicBool,
    /// How many looks there were, well or not.
    looks: watch::Sender<u64>,
    rows: Mutex<u32>,
}

impl Looks {
    fn new(interval: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            interval,
            fails: AtomicBool::new(false),
            looks: watch::Sender::new(0),
            rows: Mutex::new(ROWS),
        })
    }
}

#[async_trait]
impl EventSource for Looks {
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
        Some(ScheduleOptions {
            interval: self.interval,
            // What the test's machine takes is nobody's business.
            cost_share: 1e6,
        })
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        while let Some(run) = context.next_run().await {
            context.ready();
            self.looks.send_modify(|looks| *looks += 1);
            if self.fails.load(Ordering::Relaxed) {
                return Err(SourceError::Failed("no luck".to_owned()));
            }
            let rows = *self.rows.lock().unwrap();
            context.emitter().begin_snapshot(*self.looks.borrow());
            for pid in 0..rows {
                let row = ProcessEvent {
                    pid,
                    lifecycle: "observed".to_owned(),
                    ..ProcessEvent::default()
                };
                context.emitter().emit(&row).await;
            }
            context.emitter().end_snapshot();
            run.finished();
        }
        Ok(())
    }
}

/// The source, its supervisor, its lane and a bus.
struct World {
    source: Arc<Looks>,
    clock: Clock,
    bus: LocalBus,
    tables: Arc<SourceTables>,
    supervisor: Supervisor,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    fn new(interval: Option<Duration>) -> Self {
        Self::bounded(interval, TABLE_BYTES_MAX)
    }

    fn bounded(interval: Option<Duration>, bytes_max: u64) -> Self {
        let (source, clock) = (Looks::new(interval), Clock::manual());
        let mut registry = Registry::new();
        registry
            .register(Arc::clone(&source) as Arc<dyn EventSource>)
            .unwrap();
        let mut options = SupervisorOptions {
            clock: clock.clone(),
            restart: RestartLimits {
                delay_min: Duration::from_millis(1),
                delay_max: Duration::from_millis(1),
                healthy_after: PATIENCE,
            },
            ..SupervisorOptions::default()
        };
        options.batcher.batch_rows_max = 200;
        let supervisor = Supervisor::start(&registry, options);
        let mut tables = SourceTables::default();
        let schedule = supervisor.schedules().remove(0).unwrap();
        let table = tables.add_bounded("looks", SourceCaps::PROCESS, schedule, bytes_max);
        let batcher = supervisor.batchers().remove(0);
        let lane = Arc::clone(&table);
        let carry = tokio::spawn(async move {
            while let Some(batch) = batcher.next().await {
                lane.take(&batch, 0);
                batcher.settle(&Settlement {
                    published: batch.rows() as u64,
                    ..Settlement::default()
                });
            }
        });
        let watch = tokio::spawn(async move { table.watch().await });
        let (bus, tables) = (LocalBus::new(), Arc::new(tables));
        bus.serve_tables(Arc::clone(&tables) as Arc<dyn Tables>);
        Self {
            source,
            clock,
            bus,
            tables,
            supervisor,
            tasks: vec![carry, watch],
        }
    }

    fn table(&self) -> &Arc<SourceTable> {
        self.tables.get("looks").unwrap()
    }

    fn ask(&self, name: &str, every: Duration) -> Subscriber {
        let options = SubscriptionOptions::new(name)
            .pattern(TopicPattern::parse("events.process.>").unwrap())
            .every(every);
        self.bus.subscribe(options).unwrap()
    }

    fn looks(&self) -> u64 {
        *self.source.looks.borrow()
    }

    /// Waits until so many looks were made and have come through, and the next one is waited for.
    async fn settle(&self, looks: u64) {
        let mut seen = self.source.looks.subscribe();
        let wait = async {
            seen.wait_for(|seen| *seen >= looks).await.unwrap();
            while self.table().schedule().status().runs < looks
                || self.table().latest().is_none_or(|latest| latest.id < looks)
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
        assert_eq!(self.looks(), looks);
    }

    async fn stop(self) {
        self.supervisor.stop_all(PATIENCE).await;
        self.tasks.iter().for_each(JoinHandle::abort);
        assert!(self.bus.statistics().balances());
    }
}

/// What came: a whole table by its number, or the state and age of a word about it.
async fn next(subscriber: &Subscriber) -> String {
    let mut rows = 0;
    loop {
        let received = tokio::time::timeout(PATIENCE, subscriber.recv()).await;
        let Ok(Recv::Got(Delivery::Batch { item, .. })) = received else {
            panic!("no table: {received:?}");
        };
        if item.kind() == Kind::Inventory {
            return word(&item);
        }
        let snapshot = item.header().snapshot.unwrap();
        rows += item.rows();
        if snapshot.last {
            assert_eq!(rows, ROWS as usize);
            return format!("table {}", snapshot.id);
        }
    }
}

fn word(batch: &Batch) -> String {
    assert_eq!(batch.topic().as_str(), "control.tables.looks");
    let rows = (0..batch.rows()).filter_map(|row| match batch.row(row) {
        Some(CollectionEvent::Inventory(row)) => Some(row),
        _ => None,
    });
    let words = rows.filter(|row| row.attribute != "in-force-ms" && row.attribute != "every-ms");
    let words: Vec<String> = words
        .map(|row| format!("{} {}", row.attribute, row.value))
        .collect();
    words.join(", ")
}

fn waiting(subscriber: &Subscriber) -> u64 {
    subscriber.counts().queued.batches
}

#[tokio::test]
async fn a_source_that_is_off_runs_as_often_as_the_most_impatient_asks_and_all_are_served_from_it()
{
    let world = World::new(None);
    world.clock.advance(s(100));
    assert_eq!(world.looks(), 0);
    let slow = world.ask("slow", s(10));
    assert_eq!(next(&slow).await, "table 1");
    world.settle(1).await;
    let quick = world.ask("quick", s(1));
    // What is there is new enough for it.
    assert_eq!(next(&quick).await, "table 1");
    for second in 1..=25_u64 {
        world.clock.advance(s(1));
        assert_eq!(next(&quick).await, format!("table {}", second + 1));
        world.settle(second + 1).await;
        assert_eq!(waiting(&quick), 0);
        if second % 10 == 0 {
            assert_eq!(next(&slow).await, format!("table {}", second + 1));
        }
        assert_eq!(waiting(&slow), 0);
    }
    let status = world.table().status();
    assert_eq!((status.readers, status.rows), (2, u64::from(ROWS)));
    assert_eq!(status.reads, 26 + 3);
    // The second's first, and the first's at ten and at twenty seconds.
    assert_eq!(status.reads_without_run, 3);
    assert!(status.bytes > 0);

    drop(quick);
    let scheduled = world.table().schedule().status();
    assert_eq!(scheduled.in_force, Some(s(10)));
    assert_eq!(scheduled.askers.first().unwrap().name, "slow");
    for ten in 1..=3_u64 {
        world.clock.advance(s(4));
        assert_eq!(waiting(&slow), 0);
        world.clock.advance(s(if ten == 1 { 1 } else { 6 }));
        assert_eq!(next(&slow).await, format!("table {}", 26 + ten));
        world.settle(26 + ten).await;
    }
    drop(slow);
    world.clock.advance(s(1_000));
    assert_eq!(world.table().schedule().status().in_force, None);
    assert_eq!(world.looks(), 29);
    world.stop().await;
}

#[tokio::test]
async fn all_who_asked_are_told_when_the_source_fails_with_the_age_of_their_table() {
    let world = World::new(None);
    let (slow, quick) = (world.ask("slow", s(10)), world.ask("quick", s(1)));
    assert_eq!(next(&slow).await, "table 1");
    assert_eq!(next(&quick).await, "table 1");
    world.settle(1).await;
    world.source.fails.store(true, Ordering::Relaxed);
    let failed = |age_s: u64| {
        format!(
            "state failed, reason the source failed: no luck, age-ms {}",
            age_s * 1_000
        )
    };
    // The supervisor tries again all the time: nobody is told more often than it asked for.
    for second in 1..=9 {
        world.clock.advance(s(1));
        assert_eq!(next(&quick).await, failed(second));
    }
    assert_eq!(waiting(&slow), 0);
    world.clock.advance(s(1));
    assert_eq!(next(&slow).await, failed(10));
    assert_eq!(next(&quick).await, failed(10));
    assert_eq!(waiting(&quick) + waiting(&slow), 0);

    world.source.fails.store(false, Ordering::Relaxed);
    world.clock.advance(Duration::from_millis(1));
    for subscriber in [&slow, &quick] {
        let table = next(subscriber).await;
        assert!(table.starts_with("table"), "{table}");
    }
    world.stop().await;
}

#[tokio::test]
async fn however_many_read_at_once_it_is_one_look_and_what_is_new_enough_is_none() {
    let world = World::new(None);
    let reads: Vec<_> = (0..20)
        .map(|_| {
            let table = Arc::clone(world.table());
            tokio::spawn(async move { table.read(s(5)).await.map(|table| table.id) })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.unwrap(), Ok(1));
    }
    world.clock.advance(s(5));
    assert_eq!(world.table().read(s(5)).await.unwrap().id, 1);
    assert_eq!(world.looks(), 1);
    let status = world.table().status();
    assert_eq!((status.reads, status.reads_without_run), (21, 20));
    world.clock.advance(s(1));
    let table = world.table().read(s(5)).await.unwrap();
    assert_eq!((table.id, table.rows), (2, u64::from(ROWS)));
    // Whoever reads it, it is the same memory.
    assert!(Arc::ptr_eq(&table, &world.table().latest().unwrap()));
    world.source.fails.store(true, Ordering::Relaxed);
    world.clock.advance(s(6));
    let failed = world.table().read(s(5)).await.unwrap_err();
    assert!(matches!(failed, AskError::Failed { .. }), "{failed}");
    world.stop().await;
}

#[tokio::test]
async fn subscriptions_may_end_at_any_moment_of_a_table() {
    let world = Arc::new(World::new(Some(Duration::from_millis(100))));
    let until = Arc::new(AtomicBool::new(false));
    let (of_thread, ends) = (Arc::clone(&world), Arc::clone(&until));
    let coming_and_going = std::thread::spawn(move || {
        for round in 0..500 {
            let subscriber = of_thread.ask("somebody", Duration::from_millis(100));
            if round % 2 == 0 {
                drop(subscriber.recv_timeout(Duration::from_micros(100)));
            }
        }
        ends.store(true, Ordering::Relaxed);
    });
    while !until.load(Ordering::Relaxed) {
        world.clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    coming_and_going.join().unwrap();
    assert_eq!(world.table().status().readers, 0);
    assert_eq!(world.table().schedule().status().askers.len(), 1);
    let last = world.ask("last", Duration::from_millis(100));
    world.clock.advance(Duration::from_millis(100));
    assert!(next(&last).await.starts_with("table"));
    drop(last);
    Arc::into_inner(world).unwrap().stop().await;
}

#[tokio::test]
async fn a_thread_that_waits_for_tables_has_them_or_goes_on_in_its_time() {
    let world = World::new(None);
    let tables = Arc::clone(&world.tables);
    let read = move |kind, wait| {
        let tables = Arc::clone(&tables);
        tokio::task::spawn_blocking(move || tables.read_blocking(kind, s(1), wait))
    };
    assert!(read(Kind::Process, PATIENCE).await.unwrap());
    // New enough, and nobody has any.
    assert!(!read(Kind::Process, PATIENCE).await.unwrap());
    assert!(!read(Kind::Network, PATIENCE).await.unwrap());
    assert_eq!(world.looks(), 1);
    world.clock.advance(s(2));
    world.supervisor.stop_all(PATIENCE).await;
    assert!(!read(Kind::Process, PATIENCE).await.unwrap());
    world.stop().await;
}

#[tokio::test]
async fn a_table_that_is_too_large_is_told_and_not_cut() {
    let world = World::bounded(Some(s(1)), 1_000);
    let subscriber = world.ask("somebody", s(1));
    let told = next(&subscriber).await;
    assert!(
        told.starts_with("state too-large, reason its table has"),
        "{told}"
    );
    assert!(told.ends_with("and 1000 are kept at most"), "{told}");
    assert!(world.table().latest().is_none());
    world.clock.advance(s(1));
    let refused = world.table().read(Duration::ZERO).await.unwrap_err();
    assert!(
        refused.to_string().contains("1000 are kept at most"),
        "{refused}"
    );
    world.stop().await;
}

#[tokio::test]
async fn what_no_source_has_tables_of_is_refused_by_name() {
    let world = World::new(None);
    let check = |options: SubscriptionOptions| {
        let refused = world
            .bus
            .subscribe(options.every(s(1)))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("looks (events.process.>)"), "{refused}");
    };
    let options = |pattern: &str| {
        SubscriptionOptions::new("asks").pattern(TopicPattern::parse(pattern).unwrap())
    };
    check(options("findings.>"));
    check(options("events.network.*"));
    let filter = weir_bus::pubsub::EventFilter::new;
    check(options(">").filter(filter().source("other")));
    check(options(">").filter(filter().kinds([Kind::Network])));
    assert!(
        world
            .bus
            .subscribe(options("events.*.started").every(s(1)))
            .is_ok()
    );
    world.stop().await;
}
