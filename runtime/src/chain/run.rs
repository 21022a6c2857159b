//! A run of a plan as a state machine: it is told what happened and when, and says what is to be done.
//!
//! It has no clock, thread or guest. What follows from a failure:
//!
//! - a stage that fails is asked again, as often as its retries allow, after a pause that doubles;
//! - where an **optional** stage has failed for good it ends as *skipped*, and those that wait for it begin without
//!   its findings;
//! - where a **required** one has, all that wait for it, directly or through others, end as *failed* without having been
//!   asked, optional ones too: what they would build on isn't there. The others go on, and the run ends as failed
//!   when they have ended;
//! - the run's timeout and a cancellation end everything at once.
//!
//! Invariant: as long as the run hasn't ended, some stage runs or waits for a moment that [`Run::wake_at`] knows: so every
//! run ends. A stage that has ended never changes again.

mod stage;

use std::sync::Arc;
use std::time::Instant;

use super::plan::Plan;
use crate::trigger::Ending;
use stage::after_failure;
pub use stage::{RETRY_PAUSE_MAX, Spent, StageRun, StageState};

/// What the run wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Somebody is to work on the stage.
    Ask {
        /// Its place in the plan.
        stage: usize,
        /// Which attempt it is, from 1.
        attempt: u32,
    },
    /// Nobody waits for the stage's attempt any more.
    Abandon {
        /// Its place in the plan.
        stage: usize,
    },
}

/// An attempt at a stage has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The stage's place in the plan.
    pub stage: usize,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// With findings, or why there are none.
    pub result: Result<(), String>,
    /// What it cost.
    pub spent: Spent,
}

/// When something happens, and what chance has to say.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// When.
    pub now: Instant,
    /// In 0..1: so that not all retry at once.
    pub chance: f64,
}

/// A run of a plan.
#[derive(Clone, Debug)]
pub struct Run {
    plan: Arc<Plan>,
    stages: Vec<StageRun>,
    until: Instant,
    ending: Option<Ending>,
    reason: Option<String>,
}

impl Run {
    /// Begins a run: what can be asked at once, is.
    #[must_use]
    pub fn begin(plan: Arc<Plan>, now: Instant) -> (Self, Vec<Action>) {
        let stage = StageRun {
            state: StageState::Waiting,
            attempts: 0,
            spent: Spent::default(),
            because: None,
        };
        let mut run = Self {
            stages: vec![stage; plan.stages().len()],
            until: now + plan.timeout(),
            plan,
            ending: None,
            reason: None,
        };
        let mut actions = Vec::new();
        run.go_on(now, &mut actions);
        (run, actions)
    }

    /// Its plan.
    #[must_use]
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Its stages, at the places of the plan.
    #[must_use]
    pub fn stages(&self) -> &[StageRun] {
        &self.stages
    }

    /// How it ended; none: it goes on.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Why it ended otherwise than answered.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// When it ends at the latest.
    #[must_use]
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// When [`Run::tick`] has something to do; none: it has ended.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        if self.ending.is_some() {
            return None;
        }
        let moments = self.stages.iter().filter_map(|stage| match stage.state {
            StageState::Running { until } => Some(until),
            StageState::Retrying { at } => Some(at),
            _ => None,
        });
        moments.chain([self.until]).min()
    }

    /// An attempt has ended; none: nobody waited for it any more.
    pub fn ended(&mut self, moment: Moment, attempt: &Attempt) -> Option<Vec<Action>> {
        let planned = self.plan.stages().get(attempt.stage)?;
        let stage = self.stages.get_mut(attempt.stage)?;
        stage.spent = stage.spent.plus(attempt.spent);
        let is_awaited =
            matches!(stage.state, StageState::Running { .. }) && stage.attempts == attempt.attempt;
        if !is_awaited {
            return None;
        }
        stage.state = match &attempt.result {
            Ok(()) => StageState::Done,
            Err(why) => after_failure(planned, stage.attempts, moment, || {
                StageState::Failed(why.clone())
            }),
        };
        let mut actions = Vec::new();
        self.go_on(moment.now, &mut actions);
        Some(actions)
    }

    /// Time has passed.
    pub fn tick(&mut self, moment: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.ending.is_some() {
            return actions;
        }
        if moment.now >= self.until {
            let why = format!("not ended within {:?}", self.plan.timeout());
            self.end_all(Ending::TimedOut, &why, &mut actions);
            return actions;
        }
        for (place, (planned, stage)) in self.plan.stages().iter().zip(&mut self.stages).enumerate()
        {
            match stage.state {
                StageState::Running { until } if moment.now >= until => {
                    actions.push(Action::Abandon { stage: place });
                    stage.state =
                        after_failure(planned, stage.attempts, moment, || StageState::TimedOut);
                }
                StageState::Retrying { at } if moment.now >= at => {
                    actions.push(stage.ask(place, planned, moment.now));
                }
                _ => {}
            }
        }
        self.go_on(moment.now, &mut actions);
        actions
    }

    /// Ends the run at once.
    pub fn cancel(&mut self, why: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.ending.is_none() {
            self.end_all(Ending::Cancelled, why, &mut actions);
        }
        actions
    }

    /// Ends every stage that hasn't ended, and the run.
    fn end_all(&mut self, ending: Ending, why: &str, actions: &mut Vec<Action>) {
        for (place, stage) in self.stages.iter_mut().enumerate() {
            if matches!(stage.state, StageState::Running { .. }) {
                actions.push(Action::Abandon { stage: place });
            }
            stage.state = match (&stage.state, ending) {
                (state, _) if state.is_terminal() => continue,
                (StageState::Running { .. } | StageState::Retrying { .. }, Ending::TimedOut) => {
                    StageState::TimedOut
                }
                _ => StageState::Cancelled,
            };
        }
        self.ending = Some(ending);
        self.reason = Some(why.to_owned());
    }

    /// Fails what can't begin any more, asks what can, and ends the run where nothing is left. Each round ends a stage
    /// or is the last.
    fn go_on(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some((place, because)) = self.next_to_fail() {
            let name = self.plan.stages().get(because);
            let name = name.map_or("", |stage| stage.name.as_str());
            let reason = format!("because `{name}` failed");
            if let Some(stage) = self.stages.get_mut(place) {
                stage.state = StageState::Failed(reason);
                stage.because = Some(because);
            }
        }
        let plan = Arc::clone(&self.plan);
        for (place, planned) in plan.stages().iter().enumerate() {
            let is_ready = planned.after.iter().all(|before| self.has_ended(*before));
            if let Some(stage) = self.stages.get_mut(place)
                && is_ready
                && stage.state == StageState::Waiting
            {
                actions.push(stage.ask(place, planned, now));
            }
        }
        if self.stages.iter().all(|stage| stage.state.is_terminal()) {
            self.end_by_itself();
        }
    }

    /// A stage that waits for one that failed, and the one whose failure it was at first.
    fn next_to_fail(&self) -> Option<(usize, usize)> {
        let stages = self.plan.stages().iter().zip(&self.stages).enumerate();
        let mut waiting = stages.filter(|(_, (_, stage))| stage.state == StageState::Waiting);
        waiting.find_map(|(place, (planned, _))| {
            planned.after.iter().find_map(|before| {
                let stage = self.stages.get(*before)?;
                let because = stage.because.unwrap_or(*before);
                stage.state.is_failure().then_some((place, because))
            })
        })
    }

    fn has_ended(&self, place: usize) -> bool {
        let stage = self.stages.get(place);
        stage.is_none_or(|stage| stage.state.is_terminal())
    }

    /// All stages have ended.
    fn end_by_itself(&mut self) {
        let mut stages = self.plan.stages().iter().zip(&self.stages);
        let failed = stages.find(|(_, stage)| stage.state.is_failure() && stage.because.is_none());
        match failed {
            None => self.ending = Some(Ending::Answered),
            Some((planned, stage)) => {
                let why = match &stage.state {
                    StageState::TimedOut => format!("not ended within {:?}", planned.timeout),
                    state => state.reason().unwrap_or_default().to_owned(),
                };
                self.ending = Some(Ending::Failed);
                self.reason = Some(format!("stage `{}`: {why}", planned.name));
            }
        }
    }
}

#[cfg(test)]
mod tests;
