//! The duty of a stage slot: tasks come from the runs of chains, findings go back to them.

use std::sync::Arc;

use weir_bus::Kind;
use weir_bus::batch::Batch;
use weir_bus::pubsub::{Queue, QueueCounts, QueueLimits, QueuePolicy, Recv, Weigh};

use super::comparison::fingerprint;
use super::{Duty, Settled};
use crate::chain::run::Spent;
use crate::chain::task::{Answer, Task, Worker};
use crate::sandbox::{Finding, Instance, Outcome, Wants, World};

/// A task on its way to a stage's guest.
pub struct StageJob(Task);

impl Weigh for StageJob {
    fn rows(&self) -> u64 {
        self.0.row.rows()
    }

    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

/// A stage slot as a worker: what it is asked, it puts into the slot's queue.
#[derive(Clone)]
pub struct StageWorker {
    slot: String,
    kinds: Vec<Kind>,
    queue: Arc<Queue<StageJob>>,
}

impl StageWorker {
    /// The worker of a slot whose guest wants those kinds of events.
    ///
    /// Whoever asks can't wait: [`QueuePolicy::Block`] refuses the newest.
    #[must_use]
    pub fn new(slot: String, kinds: Vec<Kind>, policy: QueuePolicy, limits: QueueLimits) -> Self {
        let policy = match policy {
            QueuePolicy::Block { .. } => QueuePolicy::DropNewest,
            policy => policy,
        };
        Self {
            slot,
            kinds,
            queue: Arc::new(Queue::new(policy, limits)),
        }
    }
}

impl Worker for StageWorker {
    fn ask(&self, task: Task) {
        let slot = &self.slot;
        let kind = task.row.kind();
        let why = if !self.kinds.contains(&kind) {
            format!("the guest of slot `{slot}` wants no {kind} events")
        } else if self.queue.is_closed() {
            format!("slot `{slot}` has ended")
        } else {
            let full = format!("dropped: the queue of slot `{slot}` is full");
            task.done.if_dropped(full);
            self.queue.push(0, StageJob(task));
            return;
        };
        task.done.complete(Err(why), Spent::default());
    }
}

/// Analyses what fired.
pub struct StageDuty {
    queue: Arc<Queue<StageJob>>,
}

impl StageDuty {
    /// The duty of the slot that takes what `worker` is asked.
    #[must_use]
    pub fn new(worker: &StageWorker) -> Self {
        Self {
            queue: Arc::clone(&worker.queue),
        }
    }
}

impl Duty for StageDuty {
    type Job = StageJob;
    type Answer = Vec<Finding>;

    const WORLD: World = World::Stage;
    const MAY_WAIT: bool = true;

    fn next(&self) -> Recv<StageJob> {
        loop {
            // A task is about one row; what was lost before it is counted, not told.
            match super::without_gaps(self.queue.recv_blocking()) {
                // Nobody waits for its answer any more.
                Recv::Got(job) if job.0.done.is_given_up() => {}
                received => return received,
            }
        }
    }

    fn interrupt(&self) {
        self.queue.interrupt();
    }

    fn finish(&self) {
        self.queue.close();
    }

    fn batch(job: &StageJob) -> &Batch {
        &job.0.row
    }

    fn ask(
        &self,
        instance: &mut Instance,
        job: &StageJob,
        batch: &Batch,
        _first: usize,
    ) -> Outcome<Vec<Finding>> {
        instance.analyze(batch, &job.0.upstream, Some(&job.0.cause))
    }

    fn fingerprints(_wants: &Wants, findings: &Vec<Finding>, rows: usize) -> Vec<u64> {
        vec![fingerprint(findings); rows]
    }

    fn settle(&self, job: &StageJob, settled: Settled<Vec<Finding>>, generation: u64) {
        let spent = Spent {
            fuel: settled.spent.fuel,
            time: settled.spent.time,
        };
        job.0.done.complete(result(settled, generation), spent);
    }

    fn counts(&self) -> QueueCounts {
        self.queue.counts()
    }
}

/// What the guest found; or why it has no verdict, where it has none about any row.
fn result(settled: Settled<Vec<Finding>>, generation: u64) -> Result<Answer, String> {
    let fault = settled.fault;
    let mut without = None;
    let mut findings = None;
    for part in settled.parts {
        match part.verdict {
            Ok(found) => findings.get_or_insert_with(Vec::new).extend(found),
            Err(why) => without = Some(why),
        }
    }
    findings
        .map(|findings| Answer {
            findings,
            generation,
        })
        .ok_or_else(|| {
            let why = without.map_or("unevaluated", super::Without::as_str);
            let fault = fault.map(|fault| format!(", fault: {fault}"));
            format!("no verdict: {why}{}", fault.unwrap_or_default())
        })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::sync::mpsc;

    use super::*;
    use crate::chain::task::for_test;
    use crate::sandbox::{Cause, FaultReason};
    use crate::slot::Without;
    use weir_bus::CollectionEvent;
    use weir_bus::event::ProcessEvent;

    fn row() -> Batch {
        let event = CollectionEvent::from(ProcessEvent::default());
        let topic = weir_bus::topic::of_event(Kind::Process, "test");
        Batch::of_events(topic, "test", 0, &[event]).expect("a batch")
    }

    fn worker(items_max: usize, policy: QueuePolicy) -> StageWorker {
        let limits = QueueLimits {
            items_max,
            bytes_max: 1 << 20,
        };
        StageWorker::new("s".to_owned(), vec![Kind::Process], policy, limits)
    }

    #[test]
    fn a_request_weighs_what_it_says_too() {
        let weight = |change: &dyn Fn(&mut Task)| {
            let (mut task, _) = for_test(row(), |_| {});
            change(&mut task);
            StageJob(task).bytes()
        };
        let plain = weight(&|_| {});
        assert_eq!(plain, row().bytes() as u64 + 9);
        let megabyte = || "x".repeat(1 << 20);
        let message = weight(&|task| {
            task.cause = Arc::new(Cause {
                message: Some(megabyte()),
                ..Cause::clone(&task.cause)
            });
        });
        assert_eq!(message, plain + (1 << 20));
        let upstream = weight(&|task| {
            let finding = Finding {
                severity: crate::sandbox::Severity::Info,
                title: megabyte(),
                subject: String::new(),
                evidence: Vec::new(),
            };
            task.upstream = vec![("a".to_owned(), vec![finding])];
        });
        assert!(upstream >= plain + (1 << 20));
    }

    #[test]
    fn a_task_that_a_full_queue_drops_answers_that_it_was() {
        for policy in [
            QueuePolicy::DropOldest,
            QueuePolicy::DropNewest,
            QueuePolicy::Block {
                deadline: std::time::Duration::from_mins(1),
            },
        ] {
            let worker = worker(1, policy);
            let (to, answers) = mpsc::channel();
            for _ in 0..2 {
                let to = to.clone();
                // What is left in the queue at the test's end is dropped when nobody listens any more.
                worker.ask(for_test(row(), move |said| drop(to.send(said))).0);
            }
            let dropped = answers.try_recv().unwrap().result;
            let full = "dropped: the queue of slot `s` is full".to_owned();
            assert_eq!(dropped, Err(full), "{policy:?}");
        }
    }

    #[test]
    fn a_slot_skips_what_nobody_waits_for() {
        let worker = worker(8, QueuePolicy::DropNewest);
        let duty = StageDuty::new(&worker);
        let (task, given_up) = for_test(row(), |_| panic!("nobody waits for it"));
        worker.ask(task);
        given_up.store(true, Ordering::Release);
        duty.finish();
        assert!(matches!(duty.next(), Recv::Closed));
        let (to, answers) = mpsc::channel();
        worker.ask(for_test(row(), move |said| to.send(said).unwrap()).0);
        let ended = answers.recv().unwrap().result;
        assert_eq!(ended, Err("slot `s` has ended".to_owned()));
    }

    #[test]
    fn without_a_verdict_the_reason_is_told() {
        let check = |settled: Settled<Vec<Finding>>, expected: Result<usize, &str>| {
            let result = result(settled, 3).map(|answer| answer.findings.len());
            assert_eq!(result, expected.map_err(str::to_owned));
        };
        check(Settled::whole(1, Ok(Vec::new())), Ok(0));
        let rejected = Settled::whole(1, Err(Without::Rejected));
        check(rejected, Err("no verdict: rejected"));
        let poisonous = Settled {
            fault: Some(FaultReason::Fuel),
            ..Settled::whole(1, Err(Without::Poisonous))
        };
        check(poisonous, Err("no verdict: poisonous, fault: fuel"));
    }
}
