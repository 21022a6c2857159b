//! Over this machine: the source as it runs, beside what sysinfo says.

use std::sync::Arc;

use sysinfo::System;
use tokio::task::JoinHandle;
use weir_bus::{Batcher, BatcherLimits, CollectionEvent, Settlement};

use super::super::*;
use crate::schedule::{Clock, Schedule, ScheduleOptions};
use crate::source::ContextHandle;
use crate::testing::PATIENCE;

/// Time in which the kernel surely counts some.
const TICKS: Duration = Duration::from_millis(50);

/// The source at work, by a clock of the test.
struct Watched {
    source: Arc<PerformanceSource>,
    batcher: Arc<Batcher>,
    clock: Clock,
    handle: ContextHandle,
    task: JoinHandle<Result<(), SourceError>>,
}

impl Watched {
    fn start() -> Self {
        let source = Arc::new(PerformanceSource::default().scheduled(ScheduleOptions {
            interval: Some(Duration::from_secs(1)),
            cost_share: 1.0,
        }));
        let limits = BatcherLimits::default();
        let batcher = Arc::new(Batcher::new("performance", Pace::Periodic, limits.clone()));
        let emitter = Emitter::new(Arc::clone(&batcher), Pace::Periodic, &limits, PATIENCE);
        let clock = Clock::manual();
        let schedule = Schedule::with_clock(source.schedule().unwrap(), clock.clone());
        let (context, handle) = SourceContext::new(emitter, Some(schedule));
        let running = Arc::clone(&source);
        let task = tokio::spawn(async move { running.start(context).await });
        Self {
            source,
            batcher,
            clock,
            handle,
            task,
        }
    }

    /// All rows of the next look, and the topics that they came on.
    async fn look(&self) -> (Vec<PerformanceEvent>, Vec<String>) {
        let (mut rows, mut topics) = (Vec::new(), Vec::new());
        loop {
            let next = tokio::time::timeout(PATIENCE, self.batcher.next());
            let batch = next.await.expect("the source sends nothing").unwrap();
            self.batcher.settle(&Settlement {
                published: batch.rows() as u64,
                ..Settlement::default()
            });
            topics.push(batch.header().topic.as_str().to_owned());
            rows.extend((0..batch.rows()).map(|row| match batch.row(row) {
                Some(CollectionEvent::Performance(event)) => event,
                other => panic!("no measurement: {other:?}"),
            }));
            if batch.header().snapshot.unwrap().last {
                return (rows, topics);
            }
        }
    }
}

fn value(rows: &[PerformanceEvent], metric: &str, component: Option<&str>) -> f64 {
    let row = rows
        .iter()
        .find(|row| row.metric == metric && row.component.as_deref() == component);
    row.unwrap_or_else(|| panic!("no {metric} {component:?}"))
        .value
}

#[tokio::test]
async fn this_machine_is_told_as_sysinfo_tells_it() {
    let watched = Watched::start();
    watched.look().await;
    assert_eq!(watched.source.health_check().await, SourceHealth::Healthy);
    // Ticks go by the machine's clock, not by the test's.
    let began = thread_cpu();
    while thread_cpu().saturating_sub(began) < TICKS {
        std::hint::spin_loop();
    }
    watched.clock.advance(Duration::from_secs(2));
    let (rows, topics) = watched.look().await;
    let mut system = System::new().unwrap();
    system.refresh_memory();
    system.refresh_cpu_usage();
    let near = |metric, component, expected: f64, tolerance: f64| {
        let is = value(&rows, metric, component);
        assert!(
            (is - expected).abs() <= tolerance,
            "{metric}: {is}, not {expected}"
        );
    };
    let bytes = counters::as_f64;
    let a_tenth = bytes(system.total_memory()) / 10.0;
    near(
        "system.memory.limit",
        None,
        bytes(system.total_memory()),
        0.0,
    );
    near(
        "system.memory.linux.available",
        None,
        bytes(system.available_memory()),
        a_tenth,
    );
    near(
        "system.memory.usage",
        Some("free"),
        bytes(system.free_memory()),
        a_tenth,
    );
    near(
        "system.cpu.logical.count",
        None,
        bytes(system.cpus().len() as u64),
        0.0,
    );
    let load = System::load_average().unwrap();
    near("system.cpu.load_average.15m", None, load.fifteen, 1.0);
    near(
        "system.uptime",
        None,
        bytes(System::uptime().unwrap()),
        60.0,
    );
    let modes = rows.iter().filter(|row| {
        let component = row.component.as_deref().unwrap_or_default();
        row.metric == "system.cpu.utilization" && component.starts_with("cpu:")
    });
    let all: f64 = modes.map(|row| row.value).sum();
    assert!((all - 1.0).abs() < 1e-9, "{all}");
    let own = rows
        .iter()
        .find(|row| row.metric == "process.memory.usage")
        .unwrap();
    assert_eq!(own.pid, Some(std::process::id()));
    assert!(own.value > 1e6);
    assert!(value(&rows, "process.unix.file_descriptor.count", None) >= 3.0);
    for topic in ["cpu", "memory", "process"] {
        assert!(
            topics.contains(&format!("events.performance.{topic}")),
            "{topics:?}"
        );
    }
    watched.handle.stop();
    watched.batcher.close();
    watched.task.await.unwrap().unwrap();
}

/// The CPU time of this thread: on a busy machine a clock tells of others' work.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

#[test]
fn a_look_costs_little() {
    let mut look = Look::new(&Roots::default());
    let mut timed = Vec::new();
    for second in 0..50 {
        let moment = Moment::new(Duration::from_secs(second), None);
        let began = thread_cpu();
        look.take(&moment, Timestamp(1), |_| true);
        timed.push(thread_cpu().checked_sub(began).unwrap());
    }
    timed.sort();
    println!(
        "a look: {:?} (median of {}), {} rows",
        timed[timed.len() / 2],
        timed.len(),
        look.rows().flatten().count()
    );
    // A thousandth of the default interval: a tenth of what a source may cost.
    assert!(timed[timed.len() / 2] < PERFORMANCE_INTERVAL_DEFAULT / 1_000);
}
