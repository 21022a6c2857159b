//! What a worker is given, and how it answers.
//!
//! Invariant: every [`Task`] answers once, also one that is dropped on its way: a run never waits for what is gone.
//! The one exception is a task that was given up: nobody waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use weir_bus::batch::Batch;

use super::run::Spent;
use crate::sandbox::{Cause, Finding};

/// Who works on stages: a slot, a source.
pub trait Worker: Send + Sync {
    /// Takes a task, or refuses it by its [`Done`]. Never waits.
    fn ask(&self, task: Task);
}

/// An attempt at a stage.
pub struct Task {
    /// The row that fired.
    pub row: Arc<Batch>,
    /// Why.
    pub cause: Arc<Cause>,
    /// What the stages before it found, by their names, in the order of its `after`. One that was skipped isn't there.
    pub upstream: Vec<(String, Vec<Finding>)>,
    /// When it is given up.
    pub until: Instant,
    /// Where the answer goes.
    pub done: Done,
}

impl Task {
    /// What it keeps alive while it waits.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        // Named attack: requests about a small row with a message, or findings, of megabytes.
        (self.row.bytes() as u64)
            .saturating_add(self.cause.bytes())
            .saturating_add(bytes_of(&self.upstream))
    }
}

/// What findings take.
pub(super) fn bytes_of(upstream: &[(String, Vec<Finding>)]) -> u64 {
    let texts = upstream.iter().flat_map(|(_, findings)| findings);
    let texts = texts.flat_map(|finding| {
        let evidence = finding.evidence.iter();
        let evidence = evidence.flat_map(|(name, value)| [name, value]);
        [&finding.title, &finding.subject]
            .into_iter()
            .chain(evidence)
    });
    texts
        .map(|text| (text.len() + size_of::<String>()) as u64)
        .sum()
}

/// What a worker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// All of it, be it nothing.
    pub findings: Vec<Finding>,
    /// The generation of the slot that found it; 0 for a source.
    pub generation: u64,
}

/// An attempt that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    /// The number of its run.
    pub(crate) run: u64,
    /// The stage's place in the plan.
    pub(crate) stage: usize,
    /// Which attempt, from 1.
    pub(crate) attempt: u32,
    /// What was found, or why nothing was.
    pub(crate) result: Result<Answer, String>,
    /// What it cost.
    pub(crate) spent: Spent,
}

/// Where completions go.
pub(crate) type Completions = Arc<dyn Fn(Completion) + Send + Sync>;

/// The way back from a worker: what it says first is heard, once.
pub struct Done {
    run: u64,
    stage: usize,
    attempt: u32,
    to: Completions,
    given_up: Arc<AtomicBool>,
    said: AtomicBool,
    if_dropped: OnceLock<String>,
}

impl Done {
    pub(crate) fn new(
        (run, stage, attempt): (u64, usize, u32),
        to: Completions,
        given_up: Arc<AtomicBool>,
    ) -> Self {
        Self {
            run,
            stage,
            attempt,
            to,
            given_up,
            said: AtomicBool::new(false),
            if_dropped: OnceLock::new(),
        }
    }

    /// Ends the attempt; what comes after the first time is not heard.
    pub fn complete(&self, result: Result<Answer, String>, spent: Spent) {
        if !self.said.swap(true, Ordering::AcqRel) {
            (self.to)(Completion {
                run: self.run,
                stage: self.stage,
                attempt: self.attempt,
                result,
                spent,
            });
        }
    }

    /// What the reason is if the task is dropped from now on.
    pub fn if_dropped(&self, why: String) {
        // Who has it later knows no better.
        drop(self.if_dropped.set(why));
    }

    /// Whether nobody waits for it any more: then it needn't be worked on.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// The same as a flag, for who looks at it while it works.
    #[must_use]
    pub fn given_up(&self) -> &AtomicBool {
        &self.given_up
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if !self.is_given_up() {
            let why = self.if_dropped.take();
            let why = why.unwrap_or_else(|| "dropped on its way".to_owned());
            self.complete(Err(why), Spent::default());
        }
    }
}

/// A task whose completions the test hears, and the flag that gives it up.
#[cfg(test)]
pub(crate) fn for_test(
    row: Batch,
    to: impl Fn(Completion) + Send + Sync + 'static,
) -> (Task, Arc<AtomicBool>) {
    let cause = Cause {
        request_id: "id".to_owned(),
        trigger: "trigger".to_owned(),
        rule: String::new(),
        priority: String::new(),
        message: None,
        correlation_id: String::new(),
        parent_id: None,
        root_id: String::new(),
        depth: 0,
        metadata: Vec::new(),
    };
    let given_up = Arc::new(AtomicBool::new(false));
    let task = Task {
        row: Arc::new(row),
        cause: Arc::new(cause),
        upstream: Vec::new(),
        until: Instant::now() + std::time::Duration::from_mins(1),
        done: Done::new((1, 0, 1), Arc::new(to), Arc::clone(&given_up)),
    };
    (task, given_up)
}
