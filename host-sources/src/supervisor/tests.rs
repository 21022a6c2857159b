//! Promises of the supervisor: whatever one source does, the others are complete, and its health says
//! what it did.

mod script;

use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;

use weir_bus::{Emit, Settlement};

use super::*;
use crate::source::SourceHealth;
use crate::testing::PATIENCE;
use script::{Act, ROWS, Scripted, row};

/// How long the tests wait for what never ends.
const STOP_TIMEOUT: Duration = Duration::from_millis(200);

/// Quick where the tests wait for it, endless where they don't.
fn options() -> SupervisorOptions {
    SupervisorOptions {
        startup_timeout: PATIENCE,
        health_interval: Duration::from_millis(5),
        health_timeout: Duration::from_millis(100),
        restart: RestartLimits {
            delay_min: Duration::from_millis(1),
            delay_max: Duration::from_millis(10),
            healthy_after: PATIENCE,
        },
        ..SupervisorOptions::default()
    }
}

fn supervise(sources: &[&Arc<Scripted>], options: SupervisorOptions) -> Supervisor {
    let mut registry = Registry::new();
    for source in sources {
        let source: Arc<Scripted> = Arc::clone(source);
        registry.register(source).unwrap();
    }
    Supervisor::start(&registry, options)
}

/// Waits until the source's status is as wanted, and returns it.
async fn status_when(
    supervisor: &Supervisor,
    name: &str,
    wanted: impl Fn(&SourceStatus) -> bool,
) -> SourceStatus {
    let mut changes = supervisor.changes();
    let wait = async {
        loop {
            changes.borrow_and_update();
            let mut statuses = supervisor.statuses().into_iter();
            let status = statuses.find(|status| status.name == name).unwrap();
            if wanted(&status) {
                return status;
            }
            changes.changed().await.unwrap();
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(status) => status,
        Err(_) => panic!("{name} never gets there: {:?}", supervisor.statuses()),
    }
}

fn reason(status: &SourceStatus) -> &str {
    status.health.reason().unwrap_or("healthy")
}

/// Takes everything until the batcher is closed; how many rows that were.
async fn drain(batcher: Arc<Batcher>) -> u64 {
    let mut rows = 0;
    while let Some(batch) = batcher.next().await {
        rows += batch.rows() as u64;
        batcher.settle(&Settlement {
            published: batch.rows() as u64,
            ..Settlement::default()
        });
        tokio::task::coop::consume_budget().await;
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_sources_twelve_are_complete_whatever_the_other_four_do() {
    let (gate, blocked) = channel::<()>();
    let mut sources = vec![
        Scripted::new("blocks", [Act::Block(blocked)]),
        Scripted::new("panics", (0..1_000).map(|_| Act::Panic)),
        Scripted::new("floods", [Act::Flood]),
        Scripted::new("fails", (0..1_000).map(|_| Act::FailToStart)),
    ];
    let good: Vec<String> = (0..12).map(|index| format!("good-{index}")).collect();
    sources.extend(good.iter().map(|name| Scripted::new(name, [Act::Good])));
    let mut options = options();
    options.restart.delay_min = PATIENCE;
    options.restart.delay_max = PATIENCE;
    let supervisor = supervise(&sources.iter().collect::<Vec<_>>(), options);
    let drains: Vec<_> = supervisor
        .batchers()
        .into_iter()
        .map(|batcher| tokio::spawn(drain(batcher)))
        .collect();

    for name in &good {
        status_when(&supervisor, name, |status| {
            status.state == SourceState::Finished
        })
        .await;
    }
    let bad = |name, text: &'static str| {
        status_when(&supervisor, name, move |status| {
            reason(status).contains(text)
        })
    };
    bad("blocks", "blocked: no answer for").await;
    bad("panics", "failed: panicked: out of memory, restarting in").await;
    bad("fails", "failed: no luck, restarting in").await;
    status_when(&supervisor, "floods", |status| {
        status.state == SourceState::Running
    })
    .await;

    let stopped = supervisor.stop_all(STOP_TIMEOUT).await;
    assert_eq!(stopped.abandoned, ["blocks"]);
    assert_eq!(stopped.ended.len(), 15);
    let mut rows = Vec::new();
    for drained in drains {
        rows.push(
            tokio::time::timeout(PATIENCE, drained)
                .await
                .unwrap()
                .unwrap(),
        );
    }
    assert_eq!(rows[4..], [u64::from(ROWS); 12]);
    for status in supervisor.statuses() {
        assert!(status.counts.balances(), "{status:?}");
        assert_eq!(status.counts.in_flight(), 0, "{status:?}");
        if status.name.starts_with("good") {
            assert_eq!(status.counts.published, u64::from(ROWS));
            assert_eq!((status.health, status.restarts), (SourceHealth::Healthy, 0));
        }
    }
    drop(gate);
}

#[tokio::test]
async fn a_source_that_fails_or_panics_is_started_again_and_its_health_says_so() {
    let source = Scripted::new("one", [Act::FailToStart, Act::Panic, Act::Fail]);
    let supervisor = supervise(&[&source], options());
    let status = status_when(&supervisor, "one", |status| status.restarts == 3).await;
    assert!(reason(&status).starts_with("failed 3 times, last: no luck"));
    let status = status_when(&supervisor, "one", |status| {
        status.state == SourceState::Running
    })
    .await;
    let expected = "failed 3 times, last: no luck, runs again".to_owned();
    assert_eq!(status.health, SourceHealth::Degraded(expected));
    assert_eq!(source.runs.load(Ordering::Relaxed), 4);
    assert_eq!(supervisor.stop_all(PATIENCE).await.ended, ["one"]);
}

#[tokio::test]
async fn a_healthy_time_clears_the_count() {
    let source = Scripted::new("one", [Act::Fail]);
    let mut options = options();
    options.restart.healthy_after = Duration::from_millis(1);
    let supervisor = supervise(&[&source], options);
    status_when(&supervisor, "one", |status| {
        status.restarts == 1 && status.health.is_healthy()
    })
    .await;
    supervisor.stop_all(PATIENCE).await;
}

#[tokio::test]
async fn what_a_source_says_of_itself_is_its_health() {
    let source = Scripted::new("one", []);
    let supervisor = supervise(&[&source], options());
    let poor = SourceHealth::Degraded("half blind".to_owned());
    *source.health.lock().unwrap() = poor.clone();
    status_when(&supervisor, "one", |status| status.health == poor).await;
    *source.health.lock().unwrap() = SourceHealth::Healthy;
    status_when(&supervisor, "one", |status| status.health.is_healthy()).await;
    supervisor.stop_all(PATIENCE).await;
}

#[tokio::test]
async fn a_source_that_blocks_is_told_from_one_that_answers_again() {
    let (gate, blocked) = channel::<()>();
    let source = Scripted::new("one", [Act::Block(blocked)]);
    let supervisor = supervise(&[&source], options());
    let status = status_when(&supervisor, "one", |status| {
        status.state == SourceState::Blocked
    })
    .await;
    assert!(reason(&status).starts_with("blocked: no answer for"));
    drop(gate);
    status_when(&supervisor, "one", |status| {
        status.state == SourceState::Running && status.health.is_healthy()
    })
    .await;
    assert_eq!(supervisor.stop_all(PATIENCE).await.ended, ["one"]);
}

#[tokio::test]
async fn a_source_that_starts_too_late_is_left_behind_and_never_runs_twice() {
    let (gate, blocked) = channel::<()>();
    let (emitted, emits) = channel();
    let source = Scripted::new("one", [Act::BlockStart(blocked, emitted)]);
    let mut options = options();
    options.startup_timeout = Duration::from_millis(50);
    let supervisor = supervise(&[&source], options);
    let status = status_when(&supervisor, "one", |status| {
        status.state == SourceState::Abandoned
    })
    .await;
    assert!(reason(&status).starts_with("did not start within 50 ms"));
    assert_eq!(status.threads_abandoned, 1);
    assert_eq!(source.runs.load(Ordering::Relaxed), 1);
    // Its thread comes back: what it still sends is refused, and only now it is started again.
    drop(gate);
    let status = status_when(&supervisor, "one", |status| {
        status.state == SourceState::Running
    })
    .await;
    assert!(reason(&status).starts_with("failed: did not start within 50 ms"));
    assert_eq!(emits.recv_timeout(PATIENCE), Ok(Emit::Closed));
    assert_eq!(supervisor.stop_all(PATIENCE).await.ended, ["one"]);
}

#[tokio::test]
async fn the_start_timeout_covers_starting_and_never_running() {
    let source = Scripted::new("one", []);
    let mut options = options();
    let (timeout, interval) = (Duration::from_millis(50), options.health_interval);
    options.startup_timeout = timeout;
    let supervisor = supervise(&[&source], options);
    status_when(&supervisor, "one", |status| {
        status.state == SourceState::Running
    })
    .await;
    // Health checks have gone on for longer than the start timeout: it still runs.
    let checks_min = timeout.as_millis() / interval.as_millis() * 2;
    let mut checks = source.checks.subscribe();
    let enough = checks.wait_for(|checks| *checks >= checks_min);
    tokio::time::timeout(PATIENCE, enough)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(supervisor.statuses()[0].state, SourceState::Running);
    assert_eq!(supervisor.stop_all(PATIENCE).await.ended, ["one"]);
}

#[tokio::test]
async fn stopping_names_who_does_not_stop_and_closes_every_batcher() {
    let (gate, blocked) = channel::<()>();
    let sources = [
        Scripted::new("blocks", [Act::Block(blocked)]),
        Scripted::new("serves", [Act::Serve]),
        Scripted::new("awaits-stop", [Act::AwaitStop]),
    ];
    let supervisor = supervise(&sources.iter().collect::<Vec<_>>(), options());
    for name in ["blocks", "serves", "awaits-stop"] {
        status_when(&supervisor, name, |status| {
            status.state != SourceState::Starting
        })
        .await;
    }
    let stopped = supervisor.stop_all(STOP_TIMEOUT).await;
    assert_eq!(stopped.abandoned, ["blocks"]);
    assert_eq!(stopped.ended, ["serves", "awaits-stop"]);
    for batcher in supervisor.batchers() {
        assert_eq!(batcher.append(&row(1)), Emit::Closed);
        drain(batcher).await;
    }
    let states = supervisor.statuses().into_iter().map(|status| status.state);
    let (abandoned, stopped) = (SourceState::Abandoned, SourceState::Stopped);
    assert_eq!(states.collect::<Vec<_>>(), [abandoned, stopped, stopped]);
    assert_eq!(supervisor.stop_all(PATIENCE).await, Stopped::default());
    drop(gate);
}

#[tokio::test]
async fn a_source_that_ends_by_itself_is_finished_and_its_batcher_drains() {
    let source = Scripted::new("one", [Act::Good]);
    let supervisor = supervise(&[&source], options());
    let drained = drain(supervisor.batchers().remove(0));
    let rows = tokio::time::timeout(PATIENCE, drained).await.unwrap();
    assert_eq!(rows, u64::from(ROWS));
    let status = status_when(&supervisor, "one", |status| {
        status.state == SourceState::Finished
    })
    .await;
    assert_eq!((status.health, status.restarts), (SourceHealth::Healthy, 0));
    assert_eq!(supervisor.stop_all(PATIENCE).await.ended, ["one"]);
}

#[tokio::test]
async fn a_broken_recording_is_not_replayed_over_and_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.arrow");
    let writer = weir_bus::batch::RecordingWriter::create(&path, weir_bus::Kind::Process).unwrap();
    writer.finish().unwrap();
    let source = crate::ReplaySource::open(&path, crate::ReplayPace::Fast).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut registry = Registry::new();
    registry.register(Arc::new(source)).unwrap();
    let supervisor = Supervisor::start(&registry, options());
    let status = status_when(&supervisor, "replay", |status| {
        status.state == SourceState::Failed
    })
    .await;
    assert!(reason(&status).contains(&path.display().to_string()));
    assert_eq!(status.restarts, 0);
    assert_eq!(supervisor.stop_all(PATIENCE).await.ended, ["replay"]);
}
