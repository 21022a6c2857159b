//! Promises of schedules: once for all who ask, at the shortest interval, within the budget.

use super::plan::{Ended, Wanted};
use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn options(interval: Option<Duration>) -> ScheduleOptions {
    ScheduleOptions {
        interval,
        ..ScheduleOptions::default()
    }
}

/// A plan, what each of its runs costs, and the time.
struct World {
    plan: Plan,
    cost: Duration,
    now: Duration,
}

impl World {
    fn new(interval: Option<Duration>) -> Self {
        Self {
            plan: Plan::new(options(interval), 0),
            cost: Duration::ZERO,
            now: Duration::ZERO,
        }
    }

    /// Runs whatever is due until then; when runs began.
    fn until(&mut self, end: Duration) -> Vec<Duration> {
        let mut began = Vec::new();
        loop {
            match self.plan.next(self.now) {
                Next::Now => {
                    began.push(self.now);
                    self.plan.begin(self.now);
                    self.plan.end(self.now, self.cost, Ended::Whole);
                }
                Next::At(at) if at < end => self.now = at,
                Next::At(_) | Next::Idle => {
                    self.now = end;
                    return began;
                }
            }
        }
    }

    fn ask(&mut self, every: Duration) -> u64 {
        self.plan.ask("somebody", every, self.now).unwrap()
    }

    fn status(&self) -> ScheduleStatus {
        self.plan.status(self.now)
    }
}

fn every(interval: Duration, from: Duration, runs: u32) -> Vec<Duration> {
    (0..runs).map(|run| from + interval * run).collect()
}

#[test]
fn the_shortest_interval_that_is_asked_for_wins_and_relaxes_when_its_asker_leaves() {
    let mut world = World::new(None);
    assert_eq!(world.until(s(5)), []);
    world.ask(s(10));
    assert_eq!(world.until(s(7)), [s(5)]);
    let quick = world.ask(s(1));
    // What is known is two seconds old: too old for it.
    assert_eq!(world.until(ms(11_500)), every(s(1), s(7), 5));
    world.plan.leave(quick);
    // The one that is left goes on at its interval, from the run that was nearest to its time.
    assert_eq!(world.until(s(46)), every(s(10), s(15), 4));
    assert_eq!(world.status().in_force, Some(s(10)));
}

#[test]
fn runs_that_are_asked_for_at_other_moments_are_the_same_runs() {
    for offset in [ms(0), ms(400), ms(500), ms(600), ms(999)] {
        let mut world = World::new(Some(s(1)));
        world.until(offset);
        world.ask(s(10));
        world.ask(ms(1_500));
        let began = world.until(s(100));
        assert!(began.len() <= 100, "{offset:?}: {}", began.len());
        let gaps = began.windows(2).map(|pair| pair[1] - pair[0]);
        assert_eq!(gaps.min(), Some(s(1)), "{offset:?}");
    }
}

#[test]
fn intervals_keep_their_time_however_late_a_run_begins() {
    let mut plan = Plan::new(options(Some(s(1))), 0);
    for tick in 0..1_000 {
        // The source's thread comes late, each time by another moment.
        let now = s(tick) + ms(tick * 7 % 90);
        assert_eq!(plan.next(now), Next::Now, "{tick}");
        plan.begin(now);
        plan.end(now, Duration::ZERO, Ended::Whole);
        assert_eq!(plan.next(now), Next::At(s(tick + 1)));
    }
    // A source that is late is no costly one.
    assert!(!plan.status(s(1_000)).stretched);
    plan.begin(s(3_000));
    plan.end(s(3_010), Duration::ZERO, Ended::Whole);
    assert!(!plan.status(s(3_010)).stretched);
    // What was missed while the machine slept isn't made up for.
    plan.begin(s(5_000));
    plan.end(s(5_000), Duration::ZERO, Ended::Whole);
    assert_eq!(plan.next(s(5_000)), Next::At(s(5_001)));
}

#[test]
fn a_source_that_costs_more_than_its_share_runs_more_seldom_and_says_so() {
    let mut world = World::new(Some(s(1)));
    // Three times its share: what it has saved up lasts for half a minute.
    world.cost = ms(30);
    let began = world.until(s(20));
    assert_eq!(began.len(), 20);
    assert!(!world.status().stretched);
    world.until(s(60));
    let began = world.until(s(3_660));
    assert!((1_190..=1_210).contains(&began.len()), "{}", began.len());
    let status = world.status();
    assert!(status.stretched);
    assert_eq!(status.asked, Some(s(1)));
    assert_eq!(
        status.in_force.map(|every| every.as_secs_f64().round()),
        Some(3.0)
    );
    assert!(status.trouble().unwrap().contains("its share of 1 %"));
    let share = status.cost_share.unwrap();
    assert!((0.009..0.011).contains(&share), "{share}");
    // Who asks for more patience than it takes isn't concerned; who asks for less changes nothing.
    world.ask(ms(100));
    let began = world.until(s(3_960));
    assert!((95..=105).contains(&began.len()), "{}", began.len());
    // Cheap again: soon everybody gets what was asked for.
    world.cost = Duration::ZERO;
    world.until(s(4_100));
    assert!(!world.status().stretched);
    assert_eq!(world.status().in_force, Some(ms(100)));
}

#[test]
fn jitter_delays_runs_by_a_twentieth_at_most_and_never_adds_up() {
    let mut plan = Plan::new(options(Some(s(1))), 4_711);
    let mut now = Duration::ZERO;
    let mut delays = std::collections::BTreeSet::new();
    for run in 0..500 {
        if let Next::At(at) = plan.next(now) {
            now = at;
        }
        let delay = now.checked_sub(s(run)).unwrap();
        assert!(delay <= ms(50), "{run}: {delay:?}");
        delays.insert(delay);
        plan.begin(now);
        plan.end(now, Duration::ZERO, Ended::Whole);
    }
    assert!(delays.len() > 400);
}

#[test]
fn tiers_are_read_as_often_as_they_change() {
    let mut plan = Plan::new(options(Some(s(1))), 0);
    let mut read = [0; 3];
    for second in 0..600 {
        plan.begin(s(second));
        for (count, tier) in read.iter_mut().zip(Tier::ALL) {
            *count += u32::from(plan.due(tier));
        }
        plan.end(s(second), Duration::ZERO, Ended::Whole);
    }
    // A tenth early is in time.
    assert_eq!(read, [3, 67, 600]);
    // What was started again knows nothing, and a run that failed has read nothing.
    plan.started();
    for _ in 0..2 {
        plan.begin(s(600));
        assert!(Tier::ALL.into_iter().all(|tier| plan.due(tier)));
        plan.end(s(600), Duration::ZERO, Ended::Failed);
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let schedule = Schedule::with_clock(options(None), Clock::manual());
    for every in [ms(0), ms(99), EVERY_MAX + ms(1)] {
        let refused = schedule.ask("somebody", every).map(drop);
        assert_eq!(refused, Err(AskError::Interval { every }));
    }
    let all: Vec<Asking> = (0..ASKERS_MAX)
        .map(|_| schedule.ask("somebody", s(1)).unwrap())
        .collect();
    let refused = schedule.ask("one more", s(1)).map(drop);
    assert_eq!(refused, Err(AskError::TooMany));
    drop(all);
    assert_eq!(schedule.status().askers, []);
    assert_eq!(schedule.status().in_force, None);
}

/// Whether the future waits.
async fn waits<F: Future + Unpin>(future: &mut F) -> bool {
    tokio::select! {
        biased;
        _ = future => false,
        () = tokio::task::yield_now() => true,
    }
}

#[tokio::test]
async fn however_many_want_a_run_now_it_is_one_run() {
    let clock = Clock::manual();
    let schedule = Schedule::with_clock(options(None), clock.clone());
    schedule.started();
    let asks: Vec<_> = (0..5).map(|_| Box::pin(schedule.ask_now(s(1)))).collect();
    let mut asks = asks;
    for ask in &mut asks {
        assert!(waits(ask).await);
    }
    let run = schedule.due(|| {}).await;
    // One that comes while it is under way has it, too.
    let mut late = Box::pin(schedule.ask_now(Duration::ZERO));
    assert!(waits(&mut late).await);
    run.finished();
    for ask in asks {
        assert!(ask.await.is_ok());
    }
    assert!(late.await.is_ok());
    assert_eq!(schedule.status().runs, 1);
    // What is new enough is had without a run.
    clock.advance(s(1));
    assert!(schedule.ask_now(s(1)).await.is_ok());
    assert_eq!(schedule.status().runs, 1);
    clock.advance(ms(1));
    let mut ask = Box::pin(schedule.ask_now(s(1)));
    assert!(waits(&mut ask).await);
    drop(schedule.due(|| {}).await);
    let failed = "its last run did not come to its end".to_owned();
    assert_eq!(ask.await, Err(AskError::Failed { reason: failed }));
}

#[tokio::test]
async fn who_wants_a_run_of_a_source_that_is_down_or_over_its_budget_is_told_at_once() {
    let clock = Clock::manual();
    let schedule = Schedule::with_clock(options(None), clock.clone());
    schedule.failed("no luck");
    let reason = "no luck".to_owned();
    let told = Err(AskError::Failed { reason });
    assert_eq!(schedule.ask_now(s(1)).await, told);
    // While one waits it is told as well.
    schedule.started();
    let mut ask = Box::pin(schedule.ask_now(s(1)));
    assert!(waits(&mut ask).await);
    schedule.failed("no luck");
    assert_eq!(ask.await, told);

    schedule.started();
    schedule.change(|plan, now| {
        plan.begin(now);
        plan.end(now, s(1), Ended::Whole);
    });
    clock.advance(s(20));
    let wait = s(20);
    assert_eq!(
        schedule.ask_now(s(1)).await,
        Err(AskError::OverBudget { wait })
    );
    clock.advance(s(20));
    let mut ask = Box::pin(schedule.ask_now(s(1)));
    assert!(waits(&mut ask).await);
}

#[tokio::test]
async fn a_source_that_nobody_asks_is_ready_and_a_run_is_cancel_safe() {
    let clock = Clock::manual();
    let schedule = Schedule::with_clock(options(None), clock.clone());
    let ready = std::cell::Cell::new(false);
    let mut due = Box::pin(schedule.due(|| ready.set(true)));
    assert!(waits(&mut due).await);
    assert!(ready.get());
    let asking = schedule.ask("somebody", s(1)).unwrap();
    drop(due);
    schedule.due(|| {}).await.finished();
    let mut due = Box::pin(schedule.due(|| {}));
    assert!(waits(&mut due).await);
    clock.advance(s(1));
    due.await.finished();
    drop(asking);
    clock.advance(s(100));
    let mut due = Box::pin(schedule.due(|| {}));
    assert!(waits(&mut due).await);
    assert_eq!(schedule.status().runs, 2);
}

#[test]
fn a_run_that_sent_only_changes_is_no_table_for_those_who_ask() {
    let mut plan = Plan::new(options(Some(s(10))), 0);
    let run = |plan: &mut Plan, at, ended| {
        plan.begin(at);
        let is_asked_for = plan.is_asked_for();
        plan.end(at, Duration::ZERO, ended);
        is_asked_for
    };
    // The config alone asks for no table.
    assert!(!run(&mut plan, s(0), Ended::Whole));
    assert!(!run(&mut plan, s(10), Ended::ChangesOnly));
    // What began at 10 is no table; the one of 0 is too old.
    let wanted = plan.want(s(5), s(12)).unwrap();
    assert_eq!(wanted, Wanted::After(2));
    assert_eq!(plan.next(s(12)), Next::Now);
    assert!(run(&mut plan, s(12), Ended::Whole));
    let answer = plan.answer(2).unwrap().unwrap();
    assert_eq!(answer.begun, s(12));
    // Who comes while such a run is under way gets the next.
    plan.begin(s(20));
    let wanted = plan.want(Duration::ZERO, s(20)).unwrap();
    assert_eq!(wanted, Wanted::After(3));
    plan.end(s(20), Duration::ZERO, Ended::ChangesOnly);
    assert_eq!(plan.answer(3), None);
    assert_eq!(plan.next(s(21)), Next::Now);
    assert!(run(&mut plan, s(21), Ended::Whole));
    assert_eq!(plan.answer(3).unwrap().unwrap().begun, s(21));
    // Who asks at an interval always gets tables.
    plan.ask("somebody", s(5), s(22)).unwrap();
    assert!(run(&mut plan, s(26), Ended::Whole));
}
