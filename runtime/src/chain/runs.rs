//! All runs under way, and what is left of those that ended.
//!
//! It does nothing itself: every step ends in [`Effect`]s, which the runner's thread carries out without a lock held.
//! Invariant: a request that was begun has one [`Effect::Ended`]; findings leave the chain unless a stage that was
//! given them has ended in an answer, which is decided once for each stage.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use weir_bus::Timestamp;

use super::findings::Findings;
use super::plan::{Plan, WorkerName};
use super::run::{Action, Attempt, Moment, Run, StageState};
use super::status::{ChainsStatus, RunCounts, RunStatus};
use super::task::{Answer, Completion, Completions, Done, Task};
use crate::sandbox::Finding;
use crate::trigger::{Ending, Request};

/// A run under way.
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) request: Request,
    pub(super) run: Run,
    /// When it began, by the clock of the calls.
    pub(super) since: Instant,
    /// The same for people.
    pub(super) began: Timestamp,
    /// What each stage found.
    pub(super) answers: Vec<Option<Answer>>,
    /// Of which stages it is decided whether their findings leave.
    decided: Vec<bool>,
    /// What gives the attempt up that is under way, for each stage.
    given_up: Vec<Arc<AtomicBool>>,
    /// Somebody wants it to end.
    cancel: Option<String>,
}

/// What is to be done because of a step.
pub(super) enum Effect {
    /// Somebody is to work.
    Ask(WorkerName, Task),
    /// Findings leave.
    Publish(Findings),
    /// A request has ended.
    Ended(Box<EndedRun>),
}

/// A request that has ended.
pub(super) struct EndedRun {
    pub(super) request: Request,
    pub(super) ending: Ending,
    pub(super) plan: String,
    pub(super) reason: Option<String>,
}

/// All runs.
pub(super) struct Runs {
    active: BTreeMap<u64, Active>,
    ended: VecDeque<RunStatus>,
    ended_max: usize,
    counts: RunCounts,
    next: u64,
    completions: Completions,
}

impl Runs {
    pub(super) fn new(ended_max: usize, completions: Completions) -> Self {
        Self {
            active: BTreeMap::new(),
            ended: VecDeque::new(),
            ended_max,
            counts: RunCounts::default(),
            next: 1,
            completions,
        }
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.active.len()
    }

    /// When [`Runs::tick`] has something to do.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let moments = self.active.values();
        moments.filter_map(|active| active.run.wake_at()).min()
    }

    /// Begins the run of a request.
    pub(super) fn begin(&mut self, request: Request, plan: Arc<Plan>, now: Instant) -> Vec<Effect> {
        let stages = plan.stages().len();
        let (run, actions) = Run::begin(plan, now);
        let number = self.next_number();
        let mut active = Active {
            number,
            request,
            run,
            since: now,
            began: Timestamp::now(),
            answers: vec![None; stages],
            decided: vec![false; stages],
            given_up: vec![Arc::default(); stages],
            cancel: None,
        };
        let mut effects = Vec::new();
        active.act(&actions, &self.completions, &mut effects);
        self.active.insert(number, active);
        effects
    }

    /// Ends a request for which there is no plan: `why` it failed, or none where it needed nobody.
    pub(super) fn end_without_plan(&mut self, request: Request, why: Option<String>) -> Effect {
        self.next_number();
        let ending = why.as_ref().map_or(Ending::Answered, |_| Ending::Failed);
        self.counts.count(ending);
        self.counts.untaken += u64::from(why.is_none());
        Effect::Ended(Box::new(EndedRun {
            plan: request.event.target.clone(),
            request,
            ending,
            reason: why,
        }))
    }

    fn next_number(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        self.counts.begun = self.counts.begun.saturating_add(1);
        number
    }

    /// An attempt has ended.
    pub(super) fn complete(&mut self, completion: Completion, moment: Moment) -> Vec<Effect> {
        let Completion {
            run,
            stage,
            attempt,
            result,
            spent,
        } = completion;
        let (answer, result) = match result {
            Ok(answer) => (Some(answer), Ok(())),
            Err(why) => (None, Err(why)),
        };
        let attempt = Attempt {
            stage,
            attempt,
            result,
            spent,
        };
        let mut effects = Vec::new();
        let Some(active) = self.active.get_mut(&run) else {
            self.counts.late = self.counts.late.saturating_add(1);
            return effects;
        };
        let Some(actions) = active.run.ended(moment, &attempt) else {
            self.counts.late = self.counts.late.saturating_add(1);
            return effects;
        };
        if let Some(place) = active.answers.get_mut(stage) {
            *place = answer;
        }
        self.after(run, &actions, moment.now, &mut effects);
        effects
    }

    /// Time has passed, or somebody wants a run to end.
    pub(super) fn tick(&mut self, moment: Moment) -> Vec<Effect> {
        let is_due = |active: &&Active| {
            let wake_at = active.run.wake_at();
            active.cancel.is_some() || wake_at.is_some_and(|at| at <= moment.now)
        };
        let due: Vec<u64> = self
            .active
            .values()
            .filter(is_due)
            .map(|active| active.number)
            .collect();
        let mut effects = Vec::new();
        for number in due {
            let Some(active) = self.active.get_mut(&number) else {
                continue;
            };
            let actions = match active.cancel.take() {
                Some(why) => active.run.cancel(&why),
                None => active.run.tick(moment),
            };
            self.after(number, &actions, moment.now, &mut effects);
        }
        effects
    }

    /// Wants a run to end, by its number or its request's id; false: it isn't under way.
    pub(super) fn cancel(&mut self, id: &str, why: &str) -> bool {
        let is_it = |active: &&mut Active| {
            active.request.event.request_id == id || id.parse() == Ok(active.number)
        };
        let found = self.active.values_mut().find(is_it);
        if let Some(active) = found {
            active.cancel = Some(why.to_owned());
            return true;
        }
        false
    }

    /// Wants all runs to end: how many there are.
    pub(super) fn cancel_all(&mut self, why: &str) -> usize {
        for active in self.active.values_mut() {
            active.cancel = Some(why.to_owned());
        }
        self.active.len()
    }

    /// Does what a run wants, lets findings go, and puts it away where it has ended.
    fn after(&mut self, number: u64, actions: &[Action], now: Instant, effects: &mut Vec<Effect>) {
        let Some(active) = self.active.get_mut(&number) else {
            return;
        };
        active.act(actions, &self.completions, effects);
        active.let_findings_go(effects);
        let Some(ending) = active.run.ending() else {
            return;
        };
        if let Some(active) = self.active.remove(&number) {
            self.counts.count(ending);
            self.ended.push_back(RunStatus::of(&active, now));
            while self.ended.len() > self.ended_max {
                self.ended.pop_front();
            }
            effects.push(Effect::Ended(Box::new(EndedRun {
                ending,
                plan: active.run.plan().name().to_owned(),
                reason: active.run.reason().map(str::to_owned),
                request: active.request,
            })));
        }
    }

    /// What is told of all.
    pub(super) fn status(&self, now: Instant) -> ChainsStatus {
        let runs = self.active.values();
        ChainsStatus {
            runs: runs.map(|active| RunStatus::of(active, now)).collect(),
            ended: self.ended.iter().cloned().collect(),
            counts: self.counts,
        }
    }
}

impl Active {
    fn act(&mut self, actions: &[Action], completions: &Completions, effects: &mut Vec<Effect>) {
        for action in actions {
            match *action {
                Action::Abandon { stage } => {
                    if let Some(given_up) = self.given_up.get(stage) {
                        given_up.store(true, Ordering::Release);
                    }
                }
                Action::Ask { stage, attempt } => {
                    effects.extend(self.ask(stage, attempt, completions));
                }
            }
        }
    }

    fn ask(&mut self, stage: usize, attempt: u32, completions: &Completions) -> Option<Effect> {
        let planned = self.run.plan().stages().get(stage)?;
        let until = match self.run.stages().get(stage)?.state {
            StageState::Running { until } => until.min(self.run.until()),
            _ => self.run.until(),
        };
        // A flag of its own for each attempt: the one before may still be looked at.
        let given_up: Arc<AtomicBool> = Arc::default();
        *self.given_up.get_mut(stage)? = Arc::clone(&given_up);
        let ids = (self.number, stage, attempt);
        let task = Task {
            row: Arc::clone(&self.request.row),
            cause: Arc::clone(&self.request.cause),
            upstream: self.upstream(&planned.after),
            until,
            done: Done::new(ids, Arc::clone(completions), given_up),
        };
        Some(Effect::Ask(planned.worker.clone(), task))
    }

    /// What the stages found that one waits for; those that were skipped have nothing to say.
    fn upstream(&self, after: &[usize]) -> Vec<(String, Vec<Finding>)> {
        let stages = after.iter().filter_map(|before| {
            let answer = self.answers.get(*before)?.as_ref()?;
            let planned = self.run.plan().stages().get(*before)?;
            Some((planned.name.clone(), answer.findings.clone()))
        });
        stages.collect()
    }

    /// Findings leave the chain when all who could have been given them have ended, and none of them in an answer:
    /// then nobody else will speak of them.
    fn let_findings_go(&mut self, effects: &mut Vec<Effect>) {
        let plan = Arc::clone(self.run.plan());
        for (place, planned) in plan.stages().iter().enumerate() {
            let (Some(decided), Some(Some(answer))) =
                (self.decided.get_mut(place), self.answers.get(place))
            else {
                continue;
            };
            let behind = plan.stages().iter().zip(self.run.stages());
            let mut behind = behind
                .filter(|(behind, _)| behind.after.contains(&place))
                .map(|(_, stage)| &stage.state);
            if *decided || !behind.clone().all(StageState::is_terminal) {
                continue;
            }
            *decided = true;
            if !behind.any(|state| *state == StageState::Done) && !answer.findings.is_empty() {
                effects.push(Effect::Publish(Findings {
                    guest: planned.worker.name().to_owned(),
                    answer: answer.clone(),
                    cause: Arc::clone(&self.request.cause),
                }));
            }
        }
    }
}
