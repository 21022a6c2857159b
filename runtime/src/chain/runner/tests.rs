//! What the runner promises, with its real thread and workers that the test holds.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Barrier, Mutex, PoisonError};

use weir_bus::event::FindingColumns;
use weir_bus::pubsub::{Delivery, LocalBus, Recv, Subscriber, SubscriptionOptions};
use weir_bus::{TopicPattern, batch::Batch};

use super::*;
use crate::chain::plan::{Plan, StageSettings};
use crate::chain::task::Answer;
use crate::chain::testing::{finding, request};
use crate::trigger::{Priority, Request};

/// Longer than anything here takes: a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Requests as the trigger manager hands them out: the most urgent first.
struct Waiting {
    waiting: Mutex<Vec<Request>>,
    ended: Sender<(String, Ending)>,
}

impl Requests for Waiting {
    fn take(&self) -> Option<Request> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.iter().map(|request| request.priority).max()?;
        let place = waiting
            .iter()
            .position(|request| request.priority == most)?;
        Some(waiting.remove(place))
    }

    fn ended(&self, request: &Request, ending: Ending) {
        // A test that has seen enough doesn't listen any more.
        drop(self.ended.send((request.event.request_id.clone(), ending)));
    }
}

/// A worker that hands its tasks to the test.
struct Held {
    name: String,
    to: Sender<(String, Task)>,
}

impl Worker for Held {
    fn ask(&self, task: Task) {
        drop(self.to.send((self.name.clone(), task)));
    }
}

/// A worker that answers on a thread of its own.
struct Threaded<F>(Arc<F>);

impl<F: Fn(&Task) + Send + Sync + 'static> Worker for Threaded<F> {
    fn ask(&self, task: Task) {
        let work = Arc::clone(&self.0);
        drop(std::thread::spawn(move || work(&task)));
    }
}

struct Bench {
    runner: Runner,
    requests: Arc<Waiting>,
    asked: Receiver<(String, Task)>,
    ended: Receiver<(String, Ending)>,
    findings: Subscriber<Arc<Batch>>,
}

fn settings(runs_max: usize) -> ChainsSettings {
    ChainsSettings {
        runs_max,
        request_timeout: PATIENCE,
        ended_max: 200,
    }
}

impl Bench {
    fn new(runs_max: usize, chains: Vec<Plan>) -> Self {
        Self::with(runs_max, chains, Workers::new())
    }

    /// Slots of which the test says nothing hand their tasks to it.
    fn with(runs_max: usize, chains: Vec<Plan>, mut workers: Workers) -> Self {
        let (to, asked) = channel();
        for stage in chains.iter().flat_map(Plan::stages) {
            let name = stage.worker.name().to_owned();
            let to = to.clone();
            let held = || Arc::new(Held { name, to }) as Arc<dyn Worker>;
            workers.entry(stage.worker.clone()).or_insert_with(held);
        }
        let (to, ended) = channel();
        let requests = Arc::new(Waiting {
            waiting: Mutex::default(),
            ended: to,
        });
        let bus = Arc::new(LocalBus::new());
        let all = TopicPattern::parse("findings.>").unwrap();
        let findings = SubscriptionOptions::new("test").pattern(all);
        let findings = bus.subscribe(findings).unwrap();
        let runner = Runner::start(RunnerParts {
            settings: settings(runs_max),
            plans: Plans::of_chains(chains),
            workers,
            requests: requests.clone(),
            bus,
        });
        Self {
            runner: runner.unwrap(),
            requests,
            asked,
            ended,
            findings,
        }
    }

    fn admit(&self, requests: impl IntoIterator<Item = Request>) {
        let mut waiting = self.requests.waiting.lock().unwrap();
        waiting.extend(requests);
        drop(waiting);
        self.runner.wake();
    }

    fn asked(&self, worker: &str) -> Task {
        let (name, task) = self.asked.recv_timeout(PATIENCE).unwrap();
        assert_eq!(name, worker);
        task
    }

    fn ended(&self) -> (String, Ending) {
        self.ended.recv_timeout(PATIENCE).unwrap()
    }

    /// Who found what left the chains so far, as `guest:title`. What ended has published before.
    fn published(&self) -> Vec<String> {
        let mut published = Vec::new();
        while let Recv::Got(Delivery::Batch { item, .. }) = self.findings.try_recv() {
            let columns = FindingColumns::of(&item).unwrap();
            for row in (0..item.rows()).filter_map(|row| columns.row(row)) {
                assert_eq!(row.parent_id(), Some("r1"));
                assert_eq!((row.root_id(), row.depth()), ("root", 2));
                assert_eq!(row.correlation_id(), "correlation");
                published.push(format!("{}:{}", row.guest(), row.title()));
            }
        }
        published
    }

    /// The states of the last run that ended.
    fn states(&self) -> String {
        let status = self.runner.status();
        let run = status.ended.last().unwrap();
        let stages = run.stages.iter().map(|stage| stage.state);
        stages.collect::<Vec<_>>().join(" ")
    }
}

fn stage(name: &str, after: &[&str]) -> StageSettings {
    StageSettings {
        name: name.to_owned(),
        worker: WorkerName::Slot(name.to_owned()),
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        optional: false,
        timeout: PATIENCE,
        retries_max: 0,
        retry_pause: Duration::from_millis(1),
    }
}

fn plan(stages: Vec<StageSettings>) -> Plan {
    Plan::new("c", 2 * PATIENCE, stages).unwrap()
}

fn found(task: &Task, titles: &[&str]) {
    let answer = Answer {
        findings: titles.iter().map(|title| finding(title)).collect(),
        generation: 7,
    };
    let spent = Spent {
        fuel: 5,
        time: Duration::from_micros(3),
    };
    task.done.complete(Ok(answer), spent);
}

fn fail(task: &Task) {
    let why = "it broke".to_owned();
    task.done.complete(Err(why), Spent::default());
}

#[test]
fn the_middles_of_a_diamond_are_at_work_at_the_same_time() {
    let both = Arc::new(Barrier::new(2));
    let quick = Threaded(Arc::new(|task: &Task| found(task, &[])));
    let middle = Threaded(Arc::new(move |task: &Task| {
        // Whoever comes first waits here until the other is at work, too.
        both.wait();
        found(task, &["seen"]);
    }));
    let slot = |name: &str| WorkerName::Slot(name.to_owned());
    let (quick, middle) = (Arc::new(quick), Arc::new(middle));
    let workers: Workers = [
        (slot("top"), quick as Arc<dyn Worker>),
        (slot("left"), middle.clone()),
        (slot("right"), middle),
    ]
    .into();
    let diamond = plan(vec![
        stage("top", &[]),
        stage("left", &["top"]),
        stage("right", &["top"]),
        stage("end", &["left", "right"]),
    ]);
    let bench = Bench::with(50, vec![diamond], workers);
    bench.admit([request(1, "t", "c")]);
    let end = bench.asked("end");
    let upstream: Vec<(&str, usize)> = end
        .upstream
        .iter()
        .map(|(name, findings)| (name.as_str(), findings.len()))
        .collect();
    assert_eq!(upstream, [("left", 1), ("right", 1)]);
    found(&end, &["all of it"]);
    assert_eq!(bench.ended(), ("r1".to_owned(), Ending::Answered));
    // What the end was given, it speaks of: nobody else does.
    assert_eq!(bench.published(), ["end:all of it"]);
    let status = bench.runner.status();
    let run = &status.ended[0];
    assert_eq!((run.state, run.fuel, run.stages.len()), ("answered", 20, 4));
    assert_eq!((status.runs.len(), status.counts.answered), (0, 1));
}

#[test]
fn findings_leave_the_chain_where_nobody_who_was_given_them_answered() {
    let chain = plan(vec![
        stage("a", &[]),
        stage("b", &["a"]),
        stage("c", &["b"]),
    ]);
    let bench = Bench::new(50, vec![chain]);
    bench.admit([request(1, "t", "c")]);
    found(&bench.asked("a"), &["one", "two"]);
    let b = bench.asked("b");
    assert_eq!(bench.published(), [""; 0]);
    fail(&b);
    assert_eq!(bench.ended().1, Ending::Failed);
    assert_eq!(bench.published(), ["a:one", "a:two"]);
    assert_eq!(bench.states(), "done failed failed");
}

#[test]
fn an_optional_stage_that_fails_is_skipped_and_the_next_is_asked_without_its_findings() {
    let optional = StageSettings {
        optional: true,
        ..stage("a", &[])
    };
    let chain = plan(vec![optional, stage("x", &[]), stage("b", &["a", "x"])]);
    let bench = Bench::new(50, vec![chain]);
    bench.admit([request(1, "t", "c")]);
    let (a, x) = (bench.asked("a"), bench.asked("x"));
    fail(&a);
    found(&x, &["x"]);
    let b = bench.asked("b");
    let names: Vec<&str> = b.upstream.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x"]);
    found(&b, &[]);
    assert_eq!(bench.ended().1, Ending::Answered);
    assert_eq!(bench.states(), "skipped done done");
}

#[test]
fn a_stage_that_fails_is_asked_again() {
    let chain = plan(vec![StageSettings {
        retries_max: 2,
        ..stage("a", &[])
    }]);
    let bench = Bench::new(50, vec![chain]);
    bench.admit([request(1, "t", "c")]);
    fail(&bench.asked("a"));
    fail(&bench.asked("a"));
    found(&bench.asked("a"), &["at last"]);
    assert_eq!(bench.ended().1, Ending::Answered);
    assert_eq!(bench.published(), ["a:at last"]);
    assert_eq!(bench.runner.status().ended[0].stages[0].attempts, 3);
}

#[test]
fn a_stage_that_takes_too_long_is_given_up_and_its_late_answer_counted() {
    let chain = plan(vec![StageSettings {
        timeout: Duration::from_millis(5),
        ..stage("a", &[])
    }]);
    let bench = Bench::new(50, vec![chain]);
    bench.admit([request(1, "t", "c")]);
    let task = bench.asked("a");
    assert_eq!(bench.ended().1, Ending::Failed);
    assert_eq!(bench.states(), "timed-out");
    assert!(task.done.is_given_up());
    found(&task, &["too late"]);
    // The next request is worked on after what came before it.
    bench.admit([request(2, "t", "c")]);
    drop(bench.asked("a"));
    assert_eq!(bench.ended().1, Ending::Failed);
    assert_eq!(bench.runner.status().counts.late, 1);
    assert_eq!(bench.published(), [""; 0]);
}

#[test]
fn a_run_that_takes_too_long_ends() {
    let chain = Plan::new("c", Duration::from_millis(5), vec![stage("a", &[])]);
    let bench = Bench::new(50, vec![chain.unwrap()]);
    bench.admit([request(1, "t", "c")]);
    let task = bench.asked("a");
    assert_eq!(bench.ended().1, Ending::TimedOut);
    assert!(task.done.is_given_up());
    let status = bench.runner.status();
    assert_eq!(
        status.ended[0].reason.as_deref(),
        Some("not ended within 5ms")
    );
    assert_eq!(status.counts.timed_out, 1);
}

#[test]
fn a_run_is_cancelled_by_its_requests_id_while_stages_run_and_wait() {
    let chain = plan(vec![stage("a", &[]), stage("b", &["a"])]);
    let bench = Bench::new(1, vec![chain]);
    bench.admit([request(1, "t", "c"), request(2, "t", "c")]);
    let task = bench.asked("a");
    let waits = bench.runner.cancel("r2", "by the test").unwrap_err();
    assert_eq!(
        waits.to_string(),
        "no run `r2` is under way; `weir status --chains` shows those that are"
    );
    bench.runner.cancel("r1", "by the test").unwrap();
    assert_eq!(bench.ended(), ("r1".to_owned(), Ending::Cancelled));
    assert_eq!(bench.states(), "cancelled cancelled");
    assert!(task.done.is_given_up());
    // Its place is the next one's; that one is cancelled by its number.
    let _second = bench.asked("a");
    let number = bench.runner.status().runs[0].run.to_string();
    bench.runner.cancel(&number, "by the test").unwrap();
    assert_eq!(bench.ended(), ("r2".to_owned(), Ending::Cancelled));
}

#[test]
fn fifty_run_at_a_time_and_the_next_waits_for_a_place() {
    let bench = Bench::new(50, vec![plan(vec![stage("a", &[])])]);
    bench.admit((1..=51).map(|number| request(number, "t", "c")));
    let tasks: Vec<Task> = (0..50).map(|_| bench.asked("a")).collect();
    assert_eq!(bench.runner.status().runs.len(), 50);
    assert_eq!(bench.requests.waiting.lock().unwrap().len(), 1);
    found(&tasks[20], &[]);
    assert_eq!(bench.ended().0, "r21");
    assert_eq!(bench.asked("a").cause.request_id, "r51");
    assert!(bench.requests.waiting.lock().unwrap().is_empty());
}

#[test]
fn the_most_urgent_is_taken_first() {
    let bench = Bench::new(1, vec![plan(vec![stage("a", &[])])]);
    bench.admit([request(1, "t", "c")]);
    let first = bench.asked("a");
    let urgent = |number, priority| Request {
        priority,
        ..request(number, "t", "c")
    };
    bench.admit([
        urgent(2, Priority::Low),
        urgent(3, Priority::High),
        urgent(4, Priority::Critical),
        urgent(5, Priority::High),
    ]);
    found(&first, &[]);
    let order: Vec<String> = (0..4)
        .map(|_| {
            let task = bench.asked("a");
            found(&task, &[]);
            task.cause.request_id.clone()
        })
        .collect();
    assert_eq!(order, ["r4", "r3", "r5", "r2"]);
}

#[test]
fn a_task_that_is_dropped_fails_its_stage() {
    let bench = Bench::new(50, vec![plan(vec![stage("a", &[])])]);
    bench.admit([request(1, "t", "c")]);
    let task = bench.asked("a");
    task.done
        .if_dropped("dropped: the queue of slot `a` is full".to_owned());
    drop(task);
    assert_eq!(bench.ended().1, Ending::Failed);
    let ended = bench.runner.status().ended;
    assert_eq!(
        ended[0].reason.as_deref(),
        Some("stage `a`: dropped: the queue of slot `a` is full")
    );
}

#[test]
fn a_request_for_nobody_is_answered_and_one_for_an_unknown_fails() {
    let bench = Bench::new(50, Vec::new());
    bench.admit([request(1, "t", ""), request(2, "t", "nobody")]);
    assert_eq!(bench.ended(), ("r1".to_owned(), Ending::Answered));
    assert_eq!(bench.ended(), ("r2".to_owned(), Ending::Failed));
    let counts = bench.runner.status().counts;
    assert_eq!((counts.begun, counts.ended(), counts.untaken), (2, 2, 1));
}

#[test]
fn findings_that_are_too_large_are_not_handed_on() {
    let chain = plan(vec![stage("a", &[]), stage("b", &["a"])]);
    let bench = Bench::new(50, vec![chain]);
    bench.admit([request(1, "t", "c")]);
    let huge = "x".repeat(5 << 20);
    found(&bench.asked("a"), &[&huge]);
    assert_eq!(bench.ended().1, Ending::Failed);
    let reason = bench.runner.status().ended[0].reason.clone().unwrap();
    assert!(
        reason.starts_with("stage `b`: the findings before it have "),
        "{reason}"
    );
    assert_eq!(bench.published().len(), 1);
}

#[test]
fn a_run_goes_on_with_the_plan_that_it_began_with() {
    let chain = plan(vec![stage("a", &[]), stage("b", &["a"])]);
    let bench = Bench::new(50, vec![chain]);
    bench.admit([request(1, "t", "c")]);
    let a = bench.asked("a");
    let changed = plan(vec![stage("b", &[])]);
    bench.runner.set_plans(Plans::of_chains([changed]));
    found(&a, &[]);
    found(&bench.asked("b"), &[]);
    assert_eq!(bench.ended().1, Ending::Answered);
    assert_eq!(bench.states(), "done done");
    bench.admit([request(2, "t", "c")]);
    found(&bench.asked("b"), &[]);
    assert_eq!(bench.ended().1, Ending::Answered);
    assert_eq!(bench.states(), "done");
}

#[test]
fn a_drain_works_off_what_waits() {
    let quick = Threaded(Arc::new(|task: &Task| found(task, &[])));
    let workers: Workers = [(
        WorkerName::Slot("a".to_owned()),
        Arc::new(quick) as Arc<dyn Worker>,
    )]
    .into();
    let bench = Bench::with(2, vec![plan(vec![stage("a", &[])])], workers);
    bench.admit((1..=20).map(|number| request(number, "t", "c")));
    assert!(bench.runner.drain(Instant::now() + PATIENCE));
    let counts = bench.runner.status().counts;
    assert_eq!((counts.begun, counts.answered), (20, 20));
}

#[test]
fn at_the_end_of_a_drain_what_goes_on_is_cancelled_and_what_waits_stays() {
    let bench = Bench::new(1, vec![plan(vec![stage("a", &[])])]);
    bench.admit([request(1, "t", "c"), request(2, "t", "c")]);
    let task = bench.asked("a");
    assert!(bench.runner.drain(Instant::now()));
    assert_eq!(bench.ended(), ("r1".to_owned(), Ending::Cancelled));
    let status = bench.runner.status();
    assert_eq!(status.ended[0].reason.as_deref(), Some("the daemon ends"));
    assert_eq!((status.runs.len(), status.counts.cancelled), (0, 1));
    assert_eq!(bench.requests.waiting.lock().unwrap().len(), 1);
    // Whoever answers after the end is heard by nobody, and harms nobody.
    found(&task, &["late"]);
    assert!(bench.runner.drain(Instant::now()));
}

#[test]
fn a_runner_that_is_dropped_ends_what_goes_on() {
    let bench = Bench::new(50, vec![plan(vec![stage("a", &[])])]);
    bench.admit([request(1, "t", "c")]);
    let _task = bench.asked("a");
    drop(bench.runner);
    let ended = bench.ended.recv_timeout(PATIENCE).unwrap();
    assert_eq!(ended, ("r1".to_owned(), Ending::Cancelled));
}
