//! Promises of the source of events, over real processes that the tests make.

use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::task::JoinHandle;
use weir_bus::{Batch, Batcher, BatcherLimits, CollectionEvent, Settlement};

use super::super::ProcessSource;
use super::*;
use crate::emitter::Emitter;
use crate::schedule::Schedule;
use crate::source::ContextHandle;
use crate::testing::PATIENCE;

/// A source of events that runs, and what it has sent.
struct Heard {
    batcher: Arc<Batcher>,
    handle: ContextHandle,
    task: JoinHandle<Result<(), SourceError>>,
}

impl Heard {
    /// Begins to listen by that way; none where an ordinary user may not, which is printed. As root it must do.
    async fn by(feed: FeedName) -> Option<Self> {
        let source = ProcessSource::new(Duration::from_secs(1))
            .events()
            .only(feed);
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
        let (context, handle) = SourceContext::new(emitter, None);
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
                rows.extend(rows_of(&batch));
                if rows.iter().any(&wanted) {
                    return rows;
                }
            }
        };
        tokio::time::timeout(PATIENCE, collect)
            .await
            .expect("no such row comes")
    }

    /// Stops, and answers the rows that were still on their way.
    async fn stop(self) -> Vec<ProcessEvent> {
        self.handle.stop();
        self.task.await.unwrap().unwrap();
        self.batcher.close();
        let mut rows = Vec::new();
        while let Some(batch) = self.batcher.next().await {
            rows.extend(rows_of(&batch));
        }
        rows
    }
}

fn rows_of(batch: &Batch) -> impl Iterator<Item = ProcessEvent> {
    (0..batch.rows()).map(|row| match batch.row(row) {
        Some(CollectionEvent::Process(event)) => event,
        other => panic!("no process: {other:?}"),
    })
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
    // A pid may have been another's before, who ends meanwhile: pids are used again.
    let is_own = |row: &ProcessEvent| row.ppid == Some(std::process::id());
    let mut rows = heard
        .until(|row| is_own(row) && row.pid == last && row.lifecycle == "exited")
        .await;
    rows.extend(heard.stop().await);
    rows.retain(is_own);
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
        assert_eq!(
            started.command_line,
            ["/bin/true", "run", &number.to_string()]
        );
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

/// Runs `sh -c SCRIPT` while one listens by eBPF, and answers its pid and all rows.
async fn script(text: &'static str) -> Option<(u32, Vec<ProcessEvent>)> {
    let heard = Heard::by(FeedName::Ebpf).await?;
    let pid = tokio::task::spawn_blocking(move || run("/bin/sh", &["-c", text]));
    let pid = pid.await.unwrap();
    let mut rows = heard
        .until(|row| row.pid == pid && row.lifecycle == "exited")
        .await;
    rows.extend(heard.stop().await);
    Some((pid, rows))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_is_told_with_the_code_that_a_shell_would_say() {
    for (text, code) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -9 $$", 137),
    ] {
        let Some((pid, rows)) = script(text).await else {
            return;
        };
        let exited = of(&rows, pid, "exited");
        assert_eq!(exited.len(), 1, "{text}");
        assert_eq!(exited[0].exit_code, Some(code), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_that_never_execs_has_started_as_a_copy_of_its_parent() {
    // The shell doesn't run another program in the brackets, but a copy of itself.
    let Some((pid, rows)) = script("(exit 5); :").await else {
        return;
    };
    let forks: Vec<_> = rows.iter().filter(|row| row.ppid == Some(pid)).collect();
    let started = of(&rows, forks[0].pid, "started");
    assert_eq!(started.len(), 1, "{forks:?}");
    assert_eq!(started[0].command_line, ["/bin/sh", "-c", "(exit 5); :"]);
    assert_eq!(
        started[0].executable,
        of(&rows, pid, "started")[0].executable
    );
    let exited = of(&rows, forks[0].pid, "exited");
    assert_eq!(exited[0].exit_code, Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exec_of_what_has_started_is_observed_at_once() {
    let Some((pid, rows)) = script("exec /bin/true again").await else {
        return;
    };
    let started = of(&rows, pid, "started");
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].name, "sh");
    let observed = of(&rows, pid, "observed");
    assert_eq!(observed.len(), 1, "{observed:?}");
    assert_eq!(observed[0].command_line, ["/bin/true", "again"]);
    assert_eq!(observed[0].start_time, started[0].start_time);
    assert_eq!(of(&rows, pid, "exited")[0].name, "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_an_exec_is_told_by_whichever_way_it_is_heard_of() {
    for feed in FeedName::ALL {
        let Some(heard) = Heard::by(feed).await else {
            continue;
        };
        // It waits, so that there is time to read of it where the kernel doesn't bring arguments.
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "read line; (exit 3); exec /bin/true --token hunter2",
            "sh",
        ]);
        command.args(["--password=hunter2", "postgres://me:hunter2@host/"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let mut rows = heard
            .until(|row| row.pid == pid && row.name == "sh" && row.lifecycle == "started")
            .await;
        drop(child.stdin.take());
        tokio::task::spawn_blocking(move || child.wait())
            .await
            .unwrap()
            .unwrap();
        rows.extend(
            heard
                .until(|row| row.pid == pid && row.lifecycle == "exited")
                .await,
        );
        rows.extend(heard.stop().await);
        let started = of(&rows, pid, "started");
        assert_eq!(
            started[0].command_line[3..],
            ["sh", "--password=***", "postgres://me:***@host/"],
            "{feed:?}"
        );
        // Its fork, its exec and its end as well.
        let its = rows
            .iter()
            .filter(|row| row.pid == pid || row.ppid == Some(pid));
        let told = format!("{:?}", its.collect::<Vec<_>>());
        assert!(told.contains("--token"), "{feed:?}: {told}");
        assert!(!told.contains("hunter2"), "{feed:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_are_long_or_no_text_are_kept() {
    use std::os::unix::ffi::OsStrExt as _;
    let Some(heard) = Heard::by(FeedName::Ebpf).await else {
        return;
    };
    let long = "x".repeat(100_000);
    let mut child = Command::new("/bin/true")
        .arg(std::ffi::OsStr::from_bytes(b"a\nb\xff"))
        .arg(&long)
        .spawn()
        .unwrap();
    let pid = child.id();
    tokio::task::spawn_blocking(move || child.wait())
        .await
        .unwrap()
        .unwrap();
    let mut rows = heard
        .until(|row| row.pid == pid && row.lifecycle == "exited")
        .await;
    rows.extend(heard.stop().await);
    let started = of(&rows, pid, "started");
    assert_eq!(started.len(), 1);
    let [program, text, cut] = started[0].command_line.as_slice() else {
        panic!("{:?}", started[0].command_line.len());
    };
    assert_eq!(
        (program.as_str(), text.as_str()),
        ("/bin/true", "a\nb\u{fffd}")
    );
    assert_eq!(started[0].lossy_text, Some(true));
    assert!(cut.ends_with('…') && cut.starts_with("xxxx") && cut.len() > 10_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_threads_exits_once_and_when_the_last_is_gone() {
    // The first thread ends alone, and the last one ends the process once it has seen that.
    let python = "import ctypes, os, platform, threading
def is_gone():
    with open(f'/proc/self/task/{os.getpid()}/stat') as stat:
        return stat.read().rpartition(')')[2].split()[0] == 'Z'
def last():
    while not is_gone():
        pass
    os._exit(3)
threads = [threading.Thread(target=int) for _ in range(8)]
for thread in threads:
    thread.start()
    thread.join()
threading.Thread(target=last).start()
ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)
";
    let Some(heard) = Heard::by(FeedName::Ebpf).await else {
        return;
    };
    let pid = tokio::task::spawn_blocking(move || run("python3", &["-c", python]));
    let pid = pid.await.unwrap();
    let mut rows = heard
        .until(|row| row.pid == pid && row.lifecycle == "exited")
        .await;
    rows.extend(heard.stop().await);
    assert_eq!(of(&rows, pid, "started").len(), 1);
    let exited = of(&rows, pid, "exited");
    assert_eq!(exited.len(), 1, "{exited:?}");
    assert_eq!(exited[0].exit_code, Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_tells_nothing_that_an_event_has_told() {
    let looks = ProcessSource::new(Duration::from_millis(20));
    let events = looks.events();
    if let Some(reason) = events.unavailable() {
        assert!(!rustix::process::geteuid().is_root(), "{reason}");
        println!("no events: {reason}");
        let health = looks.health_check().await.to_string();
        assert!(health.contains("polling every 20ms instead"), "{health}");
        return;
    }
    let heard = Heard::of(events).await;
    let limits = BatcherLimits {
        event_buffer_rows_max: 1_000_000,
        ..BatcherLimits::default()
    };
    let batcher = Arc::new(Batcher::new("process", Pace::Periodic, limits.clone()));
    let emitter = Emitter::new(Arc::clone(&batcher), Pace::Periodic, &limits, PATIENCE);
    let schedule = looks.schedule().map(Schedule::new);
    let (context, handle) = SourceContext::new(emitter, schedule);
    let task = tokio::spawn(async move { looks.start(context).await });
    handle.ready().await;
    let mut child = Command::new("sleep").arg("0.3").spawn().unwrap();
    let pid = child.id();
    tokio::task::spawn_blocking(move || child.wait())
        .await
        .unwrap()
        .unwrap();
    let mut told = heard
        .until(|row| row.pid == pid && row.lifecycle == "exited")
        .await;
    handle.stop();
    task.await.unwrap().unwrap();
    told.extend(heard.stop().await);
    assert_eq!(of(&told, pid, "started").len(), 1);
    assert_eq!(of(&told, pid, "exited").len(), 1);
    batcher.close();
    let mut looked = Vec::new();
    while let Some(batch) = batcher.next().await {
        looked.extend(rows_of(&batch).filter(|row| row.pid == pid));
    }
    assert!(!looked.is_empty());
    for row in looked {
        assert_eq!(
            (row.lifecycle.as_str(), row.name.as_str()),
            ("observed", "sleep")
        );
    }
}
