//! Promises of the source of events, over real processes that the tests make.

use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::task::JoinHandle;
use weir_bus::{Batcher, BatcherLimits, CollectionEvent, Settlement};

use super::super::ProcessSource;
use super::*;
use crate::emitter::Emitter;
use crate::source::ContextHandle;

/// Longer than anything here takes on the busiest machine: reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source of events that runs, and what it has sent.
struct Heard {
    batcher: Arc<Batcher>,
    handle: ContextHandle,
    task: JoinHandle<Result<(), SourceError>>,
}

impl Heard {
    /// Begins to listen by that way; none where an ordinary user may not, which is printed. As root it must do.
    async fn by(feed: FeedName) -> Option<Self> {
        let source = ProcessSource::new(Duration::from_secs(1)).events().only(feed);
        if let Some(reason) = source.unavailable() {
            assert!(!rustix::process::geteuid().is_root(), "{reason}");
            println!("not by {}: {reason}", feed.as_str());
            return None;
        }
        Some(Self::of(source).await)
    }

    async fn of(source: ProcessEvents) -> Self {
        // Room for all that a machine that others use may do meanwhile.
        let limits = BatcherLimits {
            event_buffer_rows_max: 1_000_000,
            ..BatcherLimits::default()
        };
        let batcher = Arc::new(Batcher::new("events", Pace::Realtime, limits.clone()));
        let emitter = Emitter::new(Arc::clone(&batcher), Pace::Realtime, &limits, PATIENCE);
        let (context, handle) = SourceContext::new(emitter);
        let task = tokio::spawn(async move { source.start(context).await });
        handle.ready().await;
        Self {
            batcher,
            handle,
            task,
        }
    }

    /// Rows until one that is wanted, that one last.
    async fn until(&self, wanted: impl Fn(&ProcessEvent) -> bool) -> Vec<ProcessEvent> {
        let collect = async {
            let mut rows = Vec::new();
            loop {
                let batch = self.batcher.next().await.unwrap();
                self.batcher.settle(&Settlement {
                    published: batch.rows() as u64,
                    ..Settlement::default()
                });
                for row in 0..batch.rows() {
                    match batch.row(row) {
                        Some(CollectionEvent::Process(event)) => rows.push(event),
                        other => panic!("no process: {other:?}"),
                    }
                }
                if rows.iter().any(&wanted) {
                    return rows;
                }
            }
        };
        tokio::time::timeout(PATIENCE, collect)
            .await
            .expect("no such row comes")
    }

    async fn stop(self) {
        self.handle.stop();
        self.task.await.unwrap().unwrap();
    }
}

/// Runs a command, and answers its pid and how it ended.
fn run(program: &str, arguments: &[&str]) -> u32 {
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    child.wait().unwrap();
    pid
}

/// Rows of one process, by lifecycle; rows of different lifecycles come in different batches.
fn of<'r>(rows: &'r [ProcessEvent], pid: u32, lifecycle: &str) -> Vec<&'r ProcessEvent> {
    rows.iter()
        .filter(|row| row.pid == pid && row.lifecycle == lifecycle)
        .collect()
}

const RUNS: usize = 1_000;

async fn thousand_runs(feed: FeedName) -> Option<(Vec<u32>, Vec<ProcessEvent>)> {
    let heard = Heard::by(feed).await?;
    let pids: Vec<u32> = tokio::task::spawn_blocking(|| {
        (0..RUNS)
            .map(|number| run("/bin/true", &["run", &number.to_string()]))
            .collect()
    })
    .await
    .unwrap();
    let last = *pids.last().unwrap();
    let rows = heard
        .until(|row| row.pid == last && row.lifecycle == "exited")
        .await;
    heard.stop().await;
    Some((pids, rows))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_short_processes_are_all_told_with_arguments_and_codes() {
    let Some((pids, rows)) = thousand_runs(FeedName::Ebpf).await else {
        return;
    };
    for (number, pid) in pids.iter().enumerate() {
        let started = of(&rows, *pid, "started");
        assert_eq!(started.len(), 1, "{started:?}");
        let started = started[0];
        assert_eq!(started.command_line, ["/bin/true", "run", &number.to_string()]);
        assert_eq!(started.name, "true");
        assert_eq!(started.ppid, Some(std::process::id()));
        assert!(started.executable.as_deref().unwrap().ends_with("true"));
        assert!(started.parent_name.is_some() && started.parent_start_time.is_some());
        assert!(started.cgroup.is_some());
        let exited = of(&rows, *pid, "exited");
        assert_eq!(exited.len(), 1, "{exited:?}");
        let exited = exited[0];
        assert_eq!(exited.exit_code, Some(0));
        assert_eq!(exited.command_line, started.command_line);
        assert_eq!(exited.start_time, started.start_time);
        assert!(exited.lifetime_ns.unwrap() > 0);
        assert!(exited.timestamp > started.timestamp);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_proc_connector_all_starts_and_ends_are_told() {
    let Some((pids, rows)) = thousand_runs(FeedName::Connector).await else {
        return;
    };
    let mut with_arguments = 0;
    for (number, pid) in pids.iter().enumerate() {
        let started = of(&rows, *pid, "started");
        assert_eq!(started.len(), 1, "{started:?}");
        match started[0].command_line.as_slice() {
            [] => {}
            arguments => {
                assert_eq!(arguments, ["/bin/true", "run", &number.to_string()]);
                with_arguments += 1;
            }
        }
        let exited = of(&rows, *pid, "exited");
        assert_eq!(exited.len(), 1, "{exited:?}");
        assert_eq!(exited[0].exit_code, Some(0));
        assert!(exited[0].lifetime_ns.is_some());
    }
    println!("{with_arguments} of {RUNS} with arguments");
}
