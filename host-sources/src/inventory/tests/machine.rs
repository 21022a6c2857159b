//! Over this machine: the source as it runs, beside what sysinfo says, and while mounts change.

use std::sync::Arc;

use sysinfo::System;
use tokio::task::JoinHandle;
use weir_bus::{Batcher, BatcherLimits, CollectionEvent, Settlement, Snapshot};

use super::super::linux::Look;
use super::super::*;
use crate::kernel_files::testing::FakeRoots;
use crate::schedule::{Clock, Schedule, ScheduleOptions};
use crate::source::ContextHandle;
use crate::testing::PATIENCE;

const INTERVAL: Duration = Duration::from_secs(10);

/// The source at work, by a clock of the test.
struct Watched {
    batcher: Arc<Batcher>,
    clock: Clock,
    schedule: Schedule,
    handle: ContextHandle,
    task: JoinHandle<Result<(), SourceError>>,
}

impl Watched {
    fn start(source: InventorySource) -> Self {
        let limits = BatcherLimits::default();
        let batcher = Arc::new(Batcher::new("inventory", Pace::Periodic, limits.clone()));
        let emitter = Emitter::new(Arc::clone(&batcher), Pace::Periodic, &limits, PATIENCE);
        let clock = Clock::manual();
        let schedule = Schedule::with_clock(source.schedule().unwrap(), clock.clone());
        let (context, handle) = SourceContext::new(emitter, Some(schedule.clone()));
        let task = tokio::spawn(async move { source.start(context).await });
        Self {
            batcher,
            clock,
            schedule,
            handle,
            task,
        }
    }

    async fn batch(&self) -> (Vec<InventoryEvent>, Option<Snapshot>, String) {
        let next = tokio::time::timeout(PATIENCE, self.batcher.next());
        let batch = next.await.expect("the source sends nothing").unwrap();
        self.batcher.settle(&Settlement {
            published: batch.rows() as u64,
            ..Settlement::default()
        });
        let rows = (0..batch.rows()).map(|row| match batch.row(row) {
            Some(CollectionEvent::Inventory(event)) => event,
            other => panic!("no inventory: {other:?}"),
        });
        let topic = batch.header().topic.as_str().to_owned();
        (rows.collect(), batch.header().snapshot, topic)
    }

    /// All rows of the next whole look.
    async fn table(&self) -> Vec<InventoryEvent> {
        let mut all = Vec::new();
        loop {
            let (rows, snapshot, _) = self.batch().await;
            all.extend(rows);
            if snapshot.expect("no whole look").last {
                return all;
            }
        }
    }

    async fn stop(self) {
        self.handle.stop();
        self.batcher.close();
        self.task.await.unwrap().unwrap();
    }
}

fn value(rows: &[InventoryEvent], class: &str, item: &str, attribute: &str) -> String {
    let row = rows
        .iter()
        .find(|row| row.class == class && row.item == item && row.attribute == attribute);
    row.unwrap_or_else(|| panic!("no {class} {item} {attribute}"))
        .value
        .clone()
}

#[tokio::test]
async fn this_machine_is_told_as_sysinfo_tells_it() {
    let watched = Watched::start(InventorySource::default());
    let rows = watched.table().await;
    let mut system = System::new().unwrap();
    system.refresh_memory();
    system.refresh_cpu_usage();
    for (class, item, attribute, expected) in [
        (
            "kernel",
            "kernel",
            "release",
            System::kernel_version().unwrap(),
        ),
        ("host", "host", "name", System::host_name().unwrap()),
        (
            "host",
            "host",
            "boot_time_unix_s",
            System::boot_time().unwrap().to_string(),
        ),
        ("cpu", "cpu", "threads", system.cpus().len().to_string()),
        (
            "memory",
            "memory",
            "total_bytes",
            system.total_memory().to_string(),
        ),
        ("os", "os", "id", System::distribution_id()),
    ] {
        assert_eq!(
            value(&rows, class, item, attribute),
            expected,
            "{class} {attribute}"
        );
    }
    assert_eq!(value(&rows, "mount", "/proc", "type"), "proc");
    assert!(rows.iter().all(|row| !row.value.is_empty()));
    watched.stop().await;
}

#[tokio::test]
async fn a_whole_look_comes_first_then_changes_and_a_whole_one_for_who_asks() {
    let fake = FakeRoots::new();
    fake.write("proc/self/mountinfo", "1 0 0:1 / /a rw - tmpfs one rw\n");
    fake.write("proc/meminfo", "MemTotal: 5 kB\n");
    fake.write("sys/class/net/eth0/mtu", "1500\n");
    let source = InventorySource::default().reading(fake.roots());
    let watched = Watched::start(source.scheduled(ScheduleOptions {
        interval: Some(INTERVAL),
        cost_share: 1.0,
    }));
    let whole = watched.table().await.len();
    // Nothing changed: nothing is sent, and the run is over.
    let mut changes = watched.schedule.changes();
    watched.clock.advance(INTERVAL);
    let done = changes.wait_for(|_| watched.schedule.status().runs == 2);
    tokio::time::timeout(PATIENCE, done).await.unwrap().unwrap();
    assert_eq!(watched.batcher.counts().in_channel, 0);

    fake.write("sys/class/net/eth0/mtu", "9000\n");
    watched.clock.advance(INTERVAL);
    let (rows, snapshot, topic) = watched.batch().await;
    assert_eq!((rows.len(), snapshot), (1, None));
    assert_eq!(rows[0].value, "9000");
    assert_eq!(topic, "events.inventory.interface");

    fake.remove("sys/class/net/eth0");
    let asking = watched.schedule.ask("somebody", INTERVAL).unwrap();
    watched.clock.advance(INTERVAL);
    let rows = watched.table().await;
    // What is gone stands before what is there.
    let gone = rows.iter().filter(|row| row.value.is_empty()).count();
    assert_eq!(gone, 2);
    assert!(rows[..gone].iter().all(|row| row.item == "eth0"));
    assert_eq!(rows.len(), whole);
    drop(asking);
    watched.stop().await;
}

#[tokio::test]
async fn what_the_source_was_started_for_it_does_on_demand_only() {
    let watched = Watched::start(InventorySource::default().scheduled(ScheduleOptions {
        interval: None,
        ..ScheduleOptions::default()
    }));
    watched.handle.ready().await;
    assert_eq!(watched.batcher.counts().produced, 0);
    let (asked, rows) = tokio::join!(watched.schedule.ask_now(Duration::ZERO), watched.table());
    assert!(asked.is_ok() && rows.len() > 20);
    watched.stop().await;
}

/// A shell that mounts and unmounts in a namespace of its own, a line of input at a time.
struct Mounter {
    child: std::process::Child,
    input: std::process::ChildStdin,
    output: std::io::BufReader<std::process::ChildStdout>,
}

impl Mounter {
    fn start(point: &std::path::Path) -> Self {
        use std::process::{Command, Stdio};
        let script = "echo; read line; mount -t tmpfs here \"$0\"; echo; read line; umount \"$0\"; echo; read line";
        let mut child = Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .arg(point)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut mounter = Self {
            child,
            input,
            output,
        };
        mounter.answer();
        mounter
    }

    fn answer(&mut self) {
        use std::io::BufRead as _;
        assert_eq!(self.output.read_line(&mut String::new()).unwrap(), 1);
    }

    fn step(&mut self) {
        use std::io::Write as _;
        self.input.write_all(b"\n").unwrap();
        self.answer();
    }
}

#[tokio::test]
async fn a_mount_is_told_when_it_comes_and_when_it_goes_without_a_look() {
    if !rustix::process::geteuid().is_root() {
        println!("only root may mount: not tried");
        return;
    }
    let fake = FakeRoots::new();
    let point = fake.path().join("a point");
    std::fs::create_dir(&point).unwrap();
    let mut mounter = Mounter::start(&point);
    let of_child = format!("/proc/{}", mounter.child.id());
    std::os::unix::fs::symlink(of_child, fake.path().join("proc/self")).unwrap();
    let source = InventorySource::default().reading(fake.roots());
    let watched = Watched::start(source.watching_every(Duration::from_millis(10)));
    watched.table().await;

    mounter.step();
    let (rows, snapshot, topic) = watched.batch().await;
    let item = point.to_string_lossy();
    assert_eq!(value(&rows, "mount", &item, "device"), "here");
    assert_eq!(value(&rows, "mount", &item, "type"), "tmpfs");
    assert_eq!((snapshot, topic.as_str()), (None, "events.inventory.mount"));
    let told = rows.len();

    mounter.step();
    let (rows, _, _) = watched.batch().await;
    assert_eq!(rows.len(), told);
    assert!(
        rows.iter()
            .all(|row| row.item == item && row.value.is_empty())
    );
    assert_eq!(watched.schedule.status().runs, 1);
    watched.stop().await;
    mounter.child.kill().unwrap();
    mounter.child.wait().unwrap();
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
    for _ in 0..20 {
        let began = thread_cpu();
        look.take(|_| true);
        timed.push(thread_cpu().checked_sub(began).unwrap());
    }
    timed.sort();
    let rows = look.table().rows(Timestamp(1)).count();
    let median = timed[timed.len() / 2];
    println!(
        "a look: {median:?} (median of {}), {rows} rows",
        timed.len()
    );
    // A hundredth of a percent of a core, looked at by the default interval.
    assert!(median < INVENTORY_INTERVAL_DEFAULT / 10_000);
}
