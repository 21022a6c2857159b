//! Every run ends, and ends as its rules say: some by hand, ten thousand by chance.

mod any_plan;

use std::time::Duration;

use super::stage::retry_pause;
use super::*;
use crate::chain::plan::{StageSettings, WorkerName};

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn stage(name: &str, after: &[&str]) -> StageSettings {
    StageSettings {
        name: name.to_owned(),
        worker: WorkerName::Slot(name.to_owned()),
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        optional: false,
        timeout: 10 * SECOND,
        retries_max: 0,
        retry_pause: Duration::from_millis(100),
    }
}

fn optional(stage: StageSettings) -> StageSettings {
    StageSettings {
        optional: true,
        ..stage
    }
}

/// A run under the test's hand: stages by name, and a clock that it moves.
struct Hand {
    run: Run,
    now: Instant,
    /// What was asked for since the last look.
    asked: Vec<String>,
    abandoned: Vec<String>,
}

impl Hand {
    fn new(stages: Vec<StageSettings>) -> Self {
        let plan = Arc::new(Plan::new("c", 30 * SECOND, stages).unwrap());
        let now = Instant::now();
        let (run, actions) = Run::begin(plan, now);
        let mut hand = Self {
            run,
            now,
            asked: Vec::new(),
            abandoned: Vec::new(),
        };
        hand.note(actions);
        hand
    }

    fn note(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Ask { stage, attempt } => {
                    let name = &self.run.plan().stages()[stage].name;
                    self.asked.push(format!("{name}{attempt}"));
                }
                Action::Abandon { stage } => {
                    self.abandoned
                        .push(self.run.plan().stages()[stage].name.clone());
                }
            }
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            chance: 0.5,
        }
    }

    fn asked(&mut self) -> String {
        std::mem::take(&mut self.asked).join(" ")
    }

    fn place(&self, name: &str) -> usize {
        let stages = self.run.plan().stages().iter();
        stages
            .map(|stage| &stage.name)
            .position(|one| one == name)
            .unwrap()
    }

    /// Ends the attempt under way; false: nobody waited for it.
    fn end(&mut self, name: &str, result: Result<(), &str>) -> bool {
        let stage = self.place(name);
        let attempt = Attempt {
            stage,
            attempt: self.run.stages()[stage].attempts,
            result: result.map_err(str::to_owned),
            spent: Spent {
                fuel: 10,
                time: SECOND,
            },
        };
        let actions = self.run.ended(self.moment(), &attempt);
        let is_awaited = actions.is_some();
        self.note(actions.unwrap_or_default());
        is_awaited
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let actions = self.run.tick(self.moment());
        self.note(actions);
    }

    fn state(&self, name: &str) -> &StageState {
        &self.run.stages()[self.place(name)].state
    }

    fn states(&self) -> String {
        let stages = self.run.stages().iter().map(|stage| stage.state.as_str());
        stages.collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn the_middles_of_a_diamond_are_asked_in_the_same_step() {
    let mut hand = Hand::new(vec![
        stage("top", &[]),
        stage("left", &["top"]),
        stage("right", &["top"]),
        stage("end", &["left", "right"]),
    ]);
    assert_eq!(hand.asked(), "top1");
    hand.end("top", Ok(()));
    assert_eq!(hand.asked(), "left1 right1");
    hand.end("right", Ok(()));
    assert_eq!(hand.asked(), "");
    hand.end("left", Ok(()));
    assert_eq!(hand.asked(), "end1");
    hand.end("end", Ok(()));
    assert_eq!(hand.run.ending(), Some(Ending::Answered));
    assert_eq!((hand.run.wake_at(), hand.run.reason()), (None, None));
}

#[test]
fn an_optional_stage_that_fails_is_skipped_and_those_after_it_go_on() {
    let mut hand = Hand::new(vec![
        optional(stage("a", &[])),
        stage("b", &["a"]),
        stage("c", &["b"]),
    ]);
    hand.asked();
    hand.end("a", Err("broke"));
    assert_eq!(hand.asked(), "b1");
    assert_eq!(*hand.state("a"), StageState::Skipped("broke".to_owned()));
    hand.end("b", Ok(()));
    hand.end("c", Ok(()));
    assert_eq!(hand.run.ending(), Some(Ending::Answered));
}

#[test]
fn a_required_stage_that_fails_fails_all_that_wait_for_it_and_the_others_go_on() {
    let mut hand = Hand::new(vec![
        stage("a", &[]),
        optional(stage("b", &["a"])),
        stage("c", &["b", "x"]),
        stage("x", &[]),
        stage("y", &["x"]),
    ]);
    assert_eq!(hand.asked(), "a1 x1");
    hand.end("a", Err("broke"));
    assert_eq!(hand.states(), "failed failed failed running waiting");
    assert_eq!(hand.state("c").reason(), Some("because `a` failed"));
    assert_eq!(hand.run.ending(), None);
    hand.end("x", Ok(()));
    assert_eq!(hand.asked(), "y1");
    hand.end("y", Ok(()));
    assert_eq!(hand.run.ending(), Some(Ending::Failed));
    assert_eq!(hand.run.reason(), Some("stage `a`: broke"));
}

#[test]
fn a_stage_is_asked_again_after_pauses_that_double_and_only_so_often() {
    let mut hand = Hand::new(vec![StageSettings {
        retries_max: 3,
        ..stage("a", &[])
    }]);
    for (attempt, pause_ms) in [(1, 100), (2, 200), (3, 400)] {
        assert_eq!(hand.asked(), format!("a{attempt}"));
        hand.end("a", Err("broke"));
        let pause = Duration::from_millis(pause_ms);
        assert_eq!(hand.run.wake_at(), Some(hand.now + pause));
        hand.pass(pause - Duration::from_millis(1));
        assert_eq!(hand.asked(), "");
        hand.pass(Duration::from_millis(1));
    }
    assert_eq!(hand.asked(), "a4");
    hand.end("a", Err("broke at last"));
    assert_eq!(hand.run.reason(), Some("stage `a`: broke at last"));
    let stage = &hand.run.stages()[0];
    assert_eq!((stage.attempts, stage.spent.fuel), (4, 40));
}

#[test]
fn a_pause_is_bounded_and_jittered() {
    let check = |attempts, chance, expected_ms| {
        let pause = retry_pause(Duration::from_millis(100), attempts, chance);
        assert_eq!(
            pause,
            Duration::from_millis(expected_ms),
            "{attempts} {chance}"
        );
    };
    check(1, 0.0, 50);
    check(1, 0.5, 100);
    check(1, 1.0, 150);
    check(2, 0.5, 200);
    check(9, 0.5, 25_600);
    check(10, 0.5, 30_000);
    check(u32::MAX, 1.0, 30_000);
    assert_eq!(retry_pause(Duration::MAX, 7, 0.5), RETRY_PAUSE_MAX);
}

#[test]
fn an_attempt_that_takes_too_long_is_given_up_and_what_it_says_later_is_ignored() {
    let mut hand = Hand::new(vec![
        StageSettings {
            retries_max: 1,
            ..stage("a", &[])
        },
        stage("b", &["a"]),
    ]);
    hand.asked();
    hand.pass(10 * SECOND);
    assert_eq!(hand.abandoned, ["a"]);
    assert!(
        !hand.end("a", Ok(())),
        "nobody waits for it during the pause"
    );
    hand.pass(SECOND);
    assert_eq!(hand.asked(), "a2");
    let late = Attempt {
        stage: 0,
        attempt: 1,
        result: Ok(()),
        spent: Spent::default(),
    };
    assert_eq!(hand.run.ended(hand.moment(), &late), None);
    hand.pass(10 * SECOND);
    assert_eq!(hand.states(), "timed-out failed");
    assert_eq!(hand.run.ending(), Some(Ending::Failed));
    assert_eq!(hand.run.reason(), Some("stage `a`: not ended within 10s"));
}

#[test]
fn an_optional_stage_that_takes_too_long_is_skipped() {
    let mut hand = Hand::new(vec![optional(stage("a", &[])), stage("b", &["a"])]);
    hand.asked();
    hand.pass(10 * SECOND);
    assert_eq!(hand.asked(), "b1");
    assert_eq!(hand.state("a").reason(), Some("not ended within 10s"));
}

#[test]
fn a_run_that_takes_too_long_ends_with_all_its_stages() {
    let slow = |name, after: &[&str]| StageSettings {
        timeout: 60 * SECOND,
        ..stage(name, after)
    };
    let mut hand = Hand::new(vec![stage("a", &[]), slow("b", &["a"]), slow("c", &["b"])]);
    hand.end("a", Ok(()));
    assert_eq!(hand.run.wake_at(), Some(hand.now + 30 * SECOND));
    hand.pass(30 * SECOND);
    assert_eq!(hand.states(), "done timed-out cancelled");
    assert_eq!(hand.abandoned, ["b"]);
    assert_eq!(hand.run.ending(), Some(Ending::TimedOut));
    assert!(!hand.end("b", Ok(())));
    assert_eq!(hand.states(), "done timed-out cancelled");
}

#[test]
fn a_cancelled_run_ends_at_once_whatever_its_stages_do() {
    let retrying = StageSettings {
        retries_max: 5,
        ..stage("b", &[])
    };
    let mut hand = Hand::new(vec![stage("a", &[]), retrying, stage("c", &["a"])]);
    hand.end("b", Err("broke"));
    let actions = hand.run.cancel("the operator wants it");
    hand.note(actions);
    assert_eq!(hand.states(), "cancelled cancelled cancelled");
    assert_eq!(hand.abandoned, ["a"]);
    assert_eq!(hand.run.ending(), Some(Ending::Cancelled));
    assert_eq!(hand.run.reason(), Some("the operator wants it"));
    assert_eq!(hand.run.cancel("again"), []);
}
