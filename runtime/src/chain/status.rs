//! What is told of runs: those under way, and the last that ended.

use serde::Serialize;
use weir_bus::Timestamp;

use super::plan::PlannedStage;
use super::run::{Run, StageRun};
use super::runs::Active;
use crate::trigger::Ending;

/// What the runner has done and does.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChainsStatus {
    /// Runs under way, the oldest first.
    pub runs: Vec<RunStatus>,
    /// The last that ended, the newest last.
    pub ended: Vec<RunStatus>,
    /// How many there were of each sort.
    pub counts: RunCounts,
}

/// How runs ended. At any instant `begun = answered + failed + timed_out + cancelled + under way`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    /// Requests that were taken.
    pub begun: u64,
    /// All that was asked for came.
    pub answered: u64,
    /// A stage that was needed failed, or nobody is called what the target says.
    pub failed: u64,
    /// The time was over.
    pub timed_out: u64,
    /// An operator or the daemon's end cancelled them.
    pub cancelled: u64,
    /// Of those that were answered, requests that nobody took.
    pub untaken: u64,
    /// Attempts that ended after they had been given up.
    pub late: u64,
}

impl RunCounts {
    pub(super) const fn count(&mut self, ending: Ending) {
        let count = match ending {
            Ending::Answered => &mut self.answered,
            Ending::Failed => &mut self.failed,
            Ending::TimedOut => &mut self.timed_out,
            Ending::Cancelled => &mut self.cancelled,
        };
        *count = count.saturating_add(1);
    }

    /// How many runs have ended.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.answered
            .saturating_add(self.failed)
            .saturating_add(self.timed_out)
            .saturating_add(self.cancelled)
    }
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct RunStatus {
    /// Its number; it cancels it, as the request's id does.
    pub run: u64,
    /// The chain, or the source; `(slots)` for those that take requests by themselves.
    pub plan: String,
    /// The request.
    pub request_id: String,
    /// The first request of the cascade.
    pub root_id: String,
    /// The trigger's slot.
    pub trigger: String,
    /// The rule that fired.
    pub rule: String,
    /// How urgent it is.
    pub priority: &'static str,
    /// `running`, `answered`, `failed`, `timed-out` or `cancelled`.
    pub state: &'static str,
    /// Why it ended otherwise than answered.
    pub reason: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// How long it has taken, in microseconds.
    pub time_us: u64,
    /// Fuel of all its stages.
    pub fuel: u64,
    /// Its stages, as they were planned.
    pub stages: Vec<StageStatus>,
}

/// A stage of a run.
#[derive(Clone, Debug, Serialize)]
pub struct StageStatus {
    /// What it is called.
    pub stage: String,
    /// Who does it: `slot` or `source`, and the name.
    pub worker: String,
    /// The stages that it waits for.
    pub after: Vec<String>,
    /// Whether the run can do without it.
    pub optional: bool,
    /// `waiting`, `running`, `retrying`, `done`, `failed`, `timed-out`, `skipped` or `cancelled`.
    pub state: &'static str,
    /// Why, where it failed or was skipped.
    pub reason: Option<String>,
    /// Attempts that have begun.
    pub attempts: u32,
    /// Fuel of all attempts that have said.
    pub fuel: u64,
    /// Their time at work, in microseconds.
    pub time_us: u64,
    /// What it found; none: it isn't done.
    pub findings: Option<usize>,
}

/// An ending's code.
pub(super) const fn code(ending: Option<Ending>) -> &'static str {
    match ending {
        None => "running",
        Some(ending) => ending.as_str(),
    }
}

pub(super) fn microseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl RunStatus {
    /// Of a run, as it is.
    pub(super) fn of(active: &Active, now: std::time::Instant) -> Self {
        let (run, request) = (&active.run, &active.request.event);
        let stages = run.plan().stages().iter().zip(run.stages()).enumerate();
        let stages = stages.map(|(place, (planned, stage))| {
            let answer = active.answers.get(place).and_then(Option::as_ref);
            stage_status(
                run,
                planned,
                stage,
                answer.map(|answer| answer.findings.len()),
            )
        });
        let fuel = run.stages().iter().map(|stage| stage.spent.fuel);
        Self {
            run: active.number,
            plan: run.plan().name().to_owned(),
            request_id: request.request_id.clone(),
            root_id: request.root_id.clone(),
            trigger: request.trigger.clone(),
            rule: request.rule.clone(),
            priority: active.request.priority.as_str(),
            state: code(run.ending()),
            reason: run.reason().map(str::to_owned),
            began: active.began,
            time_us: microseconds(now.saturating_duration_since(active.since)),
            fuel: fuel.fold(0, u64::saturating_add),
            stages: stages.collect(),
        }
    }
}

fn stage_status(
    run: &Run,
    planned: &PlannedStage,
    stage: &StageRun,
    findings: Option<usize>,
) -> StageStatus {
    let before = planned.after.iter();
    let before = before.filter_map(|before| run.plan().stages().get(*before));
    StageStatus {
        stage: planned.name.clone(),
        worker: match &planned.worker {
            super::plan::WorkerName::Slot(name) => format!("slot {name}"),
            super::plan::WorkerName::Source(name) => format!("source {name}"),
        },
        after: before.map(|before| before.name.clone()).collect(),
        optional: planned.optional,
        state: stage.state.as_str(),
        reason: stage.state.reason().map(str::to_owned),
        attempts: stage.attempts,
        fuel: stage.spent.fuel,
        time_us: microseconds(stage.spent.time),
        findings,
    }
}
