//! Ten thousand plans of any shape, with workers that answer, fail, are late or never say a word.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::stage;
use crate::chain::plan::{Plan, StageSettings};
use crate::chain::run::*;

/// How many plans are tried.
const PLANS: u32 = 10_000;
/// More steps than any run of so few stages and attempts can have.
const STEPS_MAX: usize = 2_000;

/// What a worker does with an attempt.
#[derive(Clone, Copy, Debug)]
enum Does {
    Answers(u64),
    Fails(u64),
    /// The queue has dropped the task.
    Drops,
    Nothing,
}

#[derive(Clone, Debug)]
struct Case {
    stages: Vec<StageSettings>,
    timeout: Duration,
    cancel_at: Option<u64>,
    does: Vec<Does>,
    chances: Vec<f64>,
}

fn a_stage(place: usize) -> impl Strategy<Value = StageSettings> {
    // Each waits for some of those before it: so there are no cycles, and every shape is possible.
    let after = proptest::collection::vec(0..place.max(1), 0..=place.min(4));
    (after, any::<bool>(), 1..8_000u64, 0..4u32, 1..2_000u64).prop_map(
        move |(after, optional, timeout, retries_max, pause)| {
            let after: Vec<String> = after.iter().map(|before| format!("s{before}")).collect();
            let after: Vec<&str> = after.iter().map(String::as_str).collect();
            StageSettings {
                optional,
                timeout: Duration::from_millis(timeout),
                retries_max,
                retry_pause: Duration::from_millis(pause),
                ..stage(&format!("s{place}"), if place == 0 { &[] } else { &after })
            }
        },
    )
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        4 => (0..9_000u64).prop_map(Does::Answers),
        2 => (0..3_000u64).prop_map(Does::Fails),
        1 => Just(Does::Drops),
        1 => Just(Does::Nothing),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let stages = (1..12usize).prop_flat_map(|stages| {
        let stages: Vec<_> = (0..stages).map(a_stage).collect();
        stages.prop_shuffle()
    });
    (
        stages,
        1..60_000u64,
        proptest::option::weighted(0.2, 0..30_000u64),
        proptest::collection::vec(does(), 1..40),
        proptest::collection::vec(0.0..1.0f64, 1..8),
    )
        .prop_map(|(stages, timeout, cancel_at, does, chances)| Case {
            stages,
            timeout: Duration::from_millis(timeout),
            cancel_at,
            does,
            chances,
        })
}

/// What happens outside of the run.
struct World {
    case: Case,
    began: Instant,
    now: Instant,
    attempts: usize,
    /// What workers will say, by time.
    said: BTreeMap<(Instant, usize), Attempt>,
}

impl World {
    fn moment(&self) -> Moment {
        let chances = &self.case.chances;
        Moment {
            now: self.now,
            chance: chances[self.attempts % chances.len()],
        }
    }

    fn act(&mut self, run: &Run, actions: &[Action]) {
        for action in actions {
            if let Action::Ask { stage, attempt } = *action {
                may_be_asked(run, stage, attempt);
                self.work(stage, attempt);
            }
        }
        if run.ending().is_none() {
            nobody_is_forgotten(run);
        }
    }

    fn work(&mut self, stage: usize, attempt: u32) {
        self.attempts += 1;
        let (after, result) = match self.case.does[self.attempts % self.case.does.len()] {
            Does::Answers(after) => (after, Ok(())),
            Does::Fails(after) => (after, Err("broke".to_owned())),
            Does::Drops => (0, Err("dropped".to_owned())),
            Does::Nothing => return,
        };
        let attempt = Attempt {
            stage,
            attempt,
            result,
            spent: Spent::default(),
        };
        let at = self.now + Duration::from_millis(after);
        self.said.insert((at, self.attempts), attempt);
    }

    /// Lets the next thing happen; false: the run has ended.
    fn step(&mut self, run: &mut Run) -> bool {
        let Some(wake_at) = run.wake_at() else {
            return false;
        };
        let cancel_at = self.case.cancel_at.map(Duration::from_millis);
        let cancel_at = cancel_at.map(|after| self.began + after);
        let said_at = self.said.keys().next().map(|(at, _)| *at);
        let next = [Some(wake_at), cancel_at, said_at];
        self.now = self.now.max(next.into_iter().flatten().min().unwrap());
        let actions = if cancel_at.is_some_and(|at| at <= self.now) {
            run.cancel("by the test")
        } else if said_at.is_some_and(|at| at <= self.now) {
            let (_, attempt) = self.said.pop_first().unwrap();
            run.ended(self.moment(), &attempt).unwrap_or_default()
        } else {
            run.tick(self.moment())
        };
        self.act(run, &actions);
        true
    }
}

/// A stage is asked when all before it have ended, none of them in a failure, and not too often.
fn may_be_asked(run: &Run, place: usize, attempt: u32) {
    let planned = &run.plan().stages()[place];
    let stage = &run.stages()[place];
    assert!(attempt <= 1 + planned.retries_max);
    assert_eq!(stage.attempts, attempt);
    assert!(matches!(stage.state, StageState::Running { .. }));
    for before in &planned.after {
        let state = &run.stages()[*before].state;
        assert!(
            matches!(state, StageState::Done | StageState::Skipped(_)),
            "{state:?}"
        );
    }
}

/// After a step nobody waits who could begin: the middles of a diamond are asked in the same one.
fn nobody_is_forgotten(run: &Run) {
    for (planned, stage) in run.plan().stages().iter().zip(run.stages()) {
        let is_left = |before: &usize| !run.stages()[*before].state.is_terminal();
        let must_wait = planned.after.iter().any(is_left);
        assert!(stage.state != StageState::Waiting || must_wait);
    }
}

fn ended_as_it_should(run: &Run) {
    let mut failed = false;
    for (planned, stage) in run.plan().stages().iter().zip(run.stages()) {
        assert!(stage.state.is_terminal(), "{:?}", stage.state);
        assert!(stage.attempts <= 1 + planned.retries_max);
        let is_failure = |before: &usize| run.stages()[*before].state.is_failure();
        let is_cut = planned.after.iter().any(is_failure);
        match (&stage.state, run.ending()) {
            (_, Some(Ending::TimedOut | Ending::Cancelled)) => {}
            (StageState::Failed(_), _) if is_cut => assert_eq!(stage.attempts, 0),
            (StageState::Failed(_) | StageState::TimedOut, _) => {
                assert!(!planned.optional && !is_cut);
            }
            (StageState::Skipped(_), _) => assert!(planned.optional && !is_cut),
            (state, _) => assert_eq!((state, is_cut), (&StageState::Done, false)),
        }
        failed |= stage.state.is_failure();
    }
    match run.ending() {
        Some(Ending::Answered) => assert!(!failed),
        Some(Ending::Failed) => assert!(failed),
        Some(Ending::TimedOut | Ending::Cancelled) => assert!(run.reason().is_some()),
        None => panic!("it goes on"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: PLANS, ..ProptestConfig::default() })]

    #[test]
    fn every_run_of_any_plan_ends_with_all_its_stages(case in case()) {
        let plan = Plan::new("c", case.timeout, case.stages.clone()).unwrap();
        let began = Instant::now();
        let (mut run, actions) = Run::begin(Arc::new(plan), began);
        let (now, attempts, said) = (began, 0, BTreeMap::new());
        let mut world = World { case, began, now, attempts, said };
        world.act(&run, &actions);
        let steps = (0..STEPS_MAX).take_while(|_| world.step(&mut run)).count();
        prop_assert!(steps < STEPS_MAX);
        prop_assert!(world.now <= run.until(), "no later than its timeout");
        ended_as_it_should(&run);
        // What comes later changes nothing.
        let states: Vec<StageState> = run.stages().iter().map(|stage| stage.state.clone()).collect();
        for attempt in std::mem::take(&mut world.said).into_values() {
            prop_assert_eq!(run.ended(world.moment(), &attempt), None);
        }
        prop_assert_eq!(run.tick(world.moment()), []);
        prop_assert_eq!(run.cancel("late"), []);
        prop_assert!(run.stages().iter().map(|stage| &stage.state).eq(&states));
    }
}
