//! Promises of the process source, over real processes that the tests make.

use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::task::JoinHandle;
use weir_bus::{Batcher, BatcherLimits, CollectionEvent, Settlement};

use super::*;
use crate::schedule::{Schedule, ScheduleOptions};
use crate::source::ContextHandle;
use crate::testing::{IDLE, IDLE_SECONDS, Kept, PATIENCE};

const INTERVAL: Duration = Duration::from_millis(20);

/// A process source that runs, and what it has sent.
struct Watched {
    batcher: Arc<Batcher>,
    handle: ContextHandle,
    task: JoinHandle<Result<(), SourceError>>,
}

impl Watched {
    fn start() -> Self {
        Self::of(quick())
    }

    fn of(source: ProcessSource) -> Self {
        let limits = BatcherLimits::default();
        let batcher = Arc::new(Batcher::new("process", Pace::Periodic, limits.clone()));
        let emitter = Emitter::new(Arc::clone(&batcher), Pace::Periodic, &limits, PATIENCE);
        let schedule = source.schedule().map(Schedule::new);
        let (context, handle) = SourceContext::new(emitter, schedule);
        let task = tokio::spawn(async move { source.start(context).await });
        Self {
            batcher,
            handle,
            task,
        }
    }

    /// The rows of the next batch, with what its header says of its snapshot.
    async fn batch(&self) -> (Vec<ProcessEvent>, weir_bus::Snapshot) {
        let next = tokio::time::timeout(PATIENCE, self.batcher.next());
        let batch = next.await.expect("the source sends nothing").unwrap();
        self.batcher.settle(&Settlement {
            published: batch.rows() as u64,
            ..Settlement::default()
        });
        let rows = (0..batch.rows()).map(|row| match batch.row(row) {
            Some(CollectionEvent::Process(event)) => event,
            other => panic!("no process: {other:?}"),
        });
        (rows.collect(), batch.header().snapshot.unwrap())
    }

    /// All rows of the next look.
    async fn look(&self) -> Vec<ProcessEvent> {
        let mut rows = Vec::new();
        loop {
            let (more, snapshot) = self.batch().await;
            rows.extend(more);
            if snapshot.last {
                return rows;
            }
        }
    }

    /// The first row that is wanted.
    async fn row(&self, wanted: impl Fn(&ProcessEvent) -> bool) -> ProcessEvent {
        let find = async {
            loop {
                if let Some(row) = self.look().await.into_iter().find(|row| wanted(row)) {
                    return row;
                }
            }
        };
        tokio::time::timeout(PATIENCE, find)
            .await
            .expect("no such row comes")
    }

    async fn stop(self) {
        self.handle.stop();
        self.batcher.close();
        self.task.await.unwrap().unwrap();
    }
}

/// Looks often, whatever that costs.
fn quick() -> ProcessSource {
    ProcessSource::default().scheduled(ScheduleOptions {
        interval: Some(INTERVAL),
        cost_share: 1.0,
    })
}

#[tokio::test]
async fn the_first_look_shows_what_is_there_as_observed() {
    let child = Kept::idle();
    let watched = Watched::start();
    let rows = watched.look().await;
    assert!(rows.iter().all(|row| row.lifecycle == "observed"));
    assert!(rows.iter().all(|row| row.cpu_usage.is_none()));
    let pids: Vec<u32> = rows.iter().map(|row| row.pid).collect();
    assert!(pids.contains(&std::process::id()));
    assert!(pids.contains(&child.id()));
    // Threads are no processes.
    let mut sorted = pids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), pids.len());
    let again = watched.look().await;
    let own = again.iter().find(|row| row.pid == std::process::id());
    assert!(own.unwrap().cpu_usage.is_some());
    watched.stop().await;
}

#[tokio::test]
async fn a_process_is_seen_to_start_and_to_exit_with_its_parent() {
    let watched = Watched::start();
    watched.look().await;
    let mut child = Kept::idle();
    let pid = child.id();
    let started = watched.row(|row| row.pid == pid).await;
    assert_eq!(started.lifecycle, "started");
    assert_eq!(started.ppid, Some(std::process::id()));
    assert_eq!(started.exit_code, None);
    assert!(started.accessible);
    let own = std::env::current_exe().unwrap();
    let parent = started.parent_executable.as_deref();
    assert_eq!(parent, Some(own.to_string_lossy().as_ref()));
    assert!(started.parent_name.is_some());
    assert!(started.parent_start_time <= Some(started.start_time));
    let observed = watched.row(|row| row.pid == pid).await;
    assert_eq!(observed.lifecycle, "observed");
    assert_eq!(observed.start_time, started.start_time);

    child.end();
    let exited = watched
        .row(|row| row.pid == pid && row.lifecycle == "exited")
        .await;
    assert_eq!(exited.command_line, [IDLE, IDLE_SECONDS]);
    let same_but = ProcessEvent {
        timestamp: observed.timestamp,
        lifecycle: observed.lifecycle.clone(),
        cpu_usage: observed.cpu_usage,
        memory_bytes: observed.memory_bytes,
        ..exited
    };
    assert_eq!(same_but, observed);
    assert!(watched.look().await.iter().all(|row| row.pid != pid));
    watched.stop().await;
}

#[tokio::test]
async fn snapshots_are_numbered_and_each_ends_once() {
    let watched = Watched::start();
    let mut ids = Vec::new();
    while ids.len() < 3 {
        let (_, snapshot) = watched.batch().await;
        if snapshot.last {
            ids.push(snapshot.id);
        }
    }
    assert_eq!(ids, [1, 2, 3]);
    watched.stop().await;
}

#[tokio::test]
async fn a_process_keeps_its_name_from_run_to_run() {
    let child = Kept::idle();
    let pid = child.id();
    let mut starts = Vec::new();
    for _ in 0..3 {
        let watched = Watched::start();
        for _ in 0..3 {
            starts.push(watched.row(|row| row.pid == pid).await.start_time);
        }
        watched.stop().await;
    }
    starts.dedup();
    assert_eq!(starts.len(), 1, "{starts:?}");
    let age_ns = Timestamp::now().0 - starts[0].0;
    assert!((0..120_000_000_000).contains(&age_ns), "{age_ns}");
}

#[cfg(unix)]
#[tokio::test]
async fn no_secret_of_a_command_line_is_in_any_row_of_a_look() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "read line; exec sleep 1000",
        "sh",
        "--password=hunter2",
    ]);
    command.args(["--token", "hunter2", "customer-hunter2"]);
    let mut child = Kept::spawn(command.stdin(Stdio::piped()));
    let pid = child.id();
    let own = Redaction::new(true, &["customer-([a-z0-9]+)".to_owned()]);
    let mut kinds = vec![quick().redacting(own.clone().unwrap())];
    #[cfg(target_os = "linux")]
    kinds.extend(TierName::ALL.map(|tier| quick().only(tier).redacting(own.clone().unwrap())));
    for source in kinds {
        // A way that this host doesn't offer.
        if source.unavailable().is_some() {
            continue;
        }
        let watched = Watched::of(source);
        for _ in 0..7 {
            let rows = watched.look().await;
            let row = rows.iter().find(|row| row.pid == pid).unwrap();
            assert!(!format!("{row:?}").contains("hunter2"), "{row:?}");
            assert_eq!(
                row.command_line[3..],
                ["sh", "--password=***", "--token", "***", "customer-***"]
            );
        }
        watched.stop().await;
    }
    // What was known is read again after an exec, and a source that replaces nothing says all.
    let watched = Watched::of(quick().redacting(Redaction::none()));
    let row = watched.row(|row| row.pid == pid).await;
    assert!(row.command_line.contains(&"--password=hunter2".to_owned()));
    drop(child.0.stdin.take());
    let after = watched.row(|row| row.pid == pid && row.name == IDLE).await;
    assert_eq!(after.command_line, [IDLE, IDLE_SECONDS]);
    watched.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn an_exec_keeps_the_process_and_shows_its_new_program() {
    let mut command = Command::new("sh");
    command.args(["-c", "read line; exec sleep 1000"]);
    let mut child = Kept::spawn(command.stdin(Stdio::piped()));
    let pid = child.id();
    let watched = Watched::start();
    let before = watched.row(|row| row.pid == pid).await;
    assert_eq!(before.command_line.first().unwrap(), "sh");
    drop(child.0.stdin.take());
    let after = watched
        .row(|row| row.pid == pid && row.command_line != before.command_line)
        .await;
    assert_eq!(after.command_line, [IDLE, IDLE_SECONDS]);
    assert_eq!(after.name, IDLE);
    assert_ne!(after.executable, before.executable);
    assert_eq!(after.start_time, before.start_time);
    assert_eq!(after.lifecycle, "observed");
    watched.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_executable_that_is_deleted_while_it_runs_shows_as_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(IDLE);
    let child = Kept::copy(&copy);
    let pid = child.id();
    let path = copy.to_string_lossy().into_owned();
    let watched = Watched::start();
    let shown = |row: &ProcessEvent| (row.executable_deleted, row.file_exists);
    let before = watched.row(|row| row.pid == pid).await;
    assert_eq!(before.executable.as_deref(), Some(path.as_str()));
    assert_eq!(shown(&before), (Some(false), Some(true)));

    std::fs::remove_file(&copy).unwrap();
    let deleted = watched
        .row(|row| row.pid == pid && row.executable_deleted == Some(true))
        .await;
    assert_eq!(deleted.executable.as_deref(), Some(path.as_str()));
    assert_eq!(deleted.start_time, before.start_time);
    assert_eq!(deleted.file_exists, Some(false));

    std::fs::write(&copy, b"another").unwrap();
    let replaced = watched
        .row(|row| row.pid == pid && row.file_exists == Some(true))
        .await;
    assert_eq!(shown(&replaced), (Some(true), Some(true)));
    watched.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_that_is_replaced_at_its_path_has_another_digest_than_its_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(IDLE);
    let watched = Watched::of(quick().hashing(true));
    let hashed = async |child: &Kept| {
        let pid = child.id();
        let row = watched.row(|row| row.pid == pid && row.executable_hash.is_some());
        let row = row.await;
        assert_eq!(row.hash_algorithm.as_deref(), Some("sha256"));
        (row.executable_hash.unwrap(), row.hash_baseline.unwrap())
    };
    let first = Kept::copy(&copy);
    let (digest, baseline) = hashed(&first).await;
    assert_eq!((digest.len(), &digest), (64, &baseline));
    let second = Kept::copy(&folder.path().join("same"));
    assert_eq!(hashed(&second).await, (digest.clone(), digest.clone()));

    // Another program: the same with something after its end.
    std::fs::remove_file(&copy).unwrap();
    std::fs::copy(format!("/proc/{}/exe", first.id()), &copy).unwrap();
    let mut changed = std::fs::File::options().append(true).open(&copy).unwrap();
    std::io::Write::write_all(&mut changed, b"changed").unwrap();
    drop(changed);
    let replaced = Kept::run(&copy);
    let (other, baseline) = hashed(&replaced).await;
    assert_ne!(other, digest);
    assert_eq!(baseline, digest);
    // What still runs has kept what it is.
    assert_eq!(hashed(&first).await, (digest.clone(), digest));
    watched.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_whose_name_says_that_it_was_deleted_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("program (deleted)");
    let child = Kept::copy(&copy);
    let watched = Watched::start();
    let row = watched.row(|row| row.pid == child.id()).await;
    assert_eq!(
        row.executable.as_deref(),
        Some(copy.to_string_lossy().as_ref())
    );
    assert_eq!(row.executable_deleted, Some(false));
    watched.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_that_nobody_waits_for_stays_with_what_was_known() {
    let watched = Watched::start();
    let mut child = Kept::idle();
    let pid = child.id();
    let alive = watched.row(|row| row.pid == pid).await;
    child.0.kill().unwrap();
    // Its memory is gone, its entry is not.
    let dead = watched
        .row(|row| row.pid == pid && row.memory_bytes == Some(0))
        .await;
    assert_eq!(dead.lifecycle, "observed");
    assert_eq!(dead.executable, alive.executable);
    assert_eq!(dead.command_line, alive.command_line);
    child.end();
    let exited = watched
        .row(|row| row.pid == pid && row.lifecycle == "exited")
        .await;
    assert_eq!(exited.executable, alive.executable);
    watched.stop().await;
}

#[tokio::test]
async fn a_look_that_takes_too_long_or_sees_too_much_shows_in_health() {
    let source = ProcessSource::default();
    let check = async |took_ms, processes_over_limit, expected: &str| {
        source.note(LastLook {
            took: Duration::from_millis(took_ms),
            processes_over_limit,
        });
        let health = source.health_check().await.to_string();
        assert!(health.starts_with(expected), "{health}");
    };
    check(10, 0, "healthy").await;
    check(
        1_500,
        0,
        "degraded: a look took 1.5s, longer than its interval of 1s",
    )
    .await;
    check(
        10,
        3,
        "degraded: 3 processes over the 131072 that are followed",
    )
    .await;
}
