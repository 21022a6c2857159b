//! Keeps one source: starts it, asks how it does, starts it again, stops it.
//!
//! It never touches the source's own functions: those belong to the run's thread. The invariant: at
//! most one thread of a source is alive at any time, and the batcher is closed when no other comes.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::SupervisorOptions;
use super::backoff::jitter;
use super::report::{Phase, Report, short};
use super::run::{Outcome, Run};
use crate::emitter::Emitter;
use crate::source::SourceHealth;

/// How a source's keeping ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Its thread has ended.
    Properly,
    /// Its thread is left behind.
    Abandoned,
}

/// What a run leads to.
enum Next {
    End(Ended),
    Restart(String),
}

/// The keeper of one source.
pub(super) struct Keeper {
    pub(super) report: Arc<Report>,
    pub(super) options: Arc<SupervisorOptions>,
    /// The time until which everything has to have stopped; none while it shall run.
    pub(super) stop: watch::Receiver<Option<Instant>>,
}

impl Keeper {
    /// Runs the source until it ends for good, then closes its batcher.
    pub(super) async fn keep(mut self) -> Ended {
        let ended = loop {
            match self.run_once().await {
                Next::End(ended) => break ended,
                Next::Restart(reason) => {
                    if self.pause(reason).await {
                        break Ended::Properly;
                    }
                }
            }
        };
        self.report.batcher.close();
        ended
    }

    async fn run_once(&mut self) -> Next {
        self.report.enter(Phase::Starting);
        let emitter = Emitter::new(
            Arc::clone(&self.report.batcher),
            self.report.source.pace(),
            &self.options.batcher,
            self.options.backpressure_wait_max,
        );
        if let Some(schedule) = &self.report.schedule {
            schedule.started();
        }
        let source = Arc::clone(&self.report.source);
        let mut run = match Run::start(source, emitter, self.report.schedule.clone()) {
            Ok(run) => run,
            Err(error) => return Next::Restart(format!("its thread can't be started: {error}")),
        };
        if let Some(next) = self.starting(&mut run).await {
            return next;
        }
        self.running(&mut run).await
    }

    /// Waits for the source to be ready; none if it is.
    async fn starting(&mut self, run: &mut Run) -> Option<Next> {
        enum Event {
            Ready(Result<(), Outcome>),
            Late,
            Stop(Instant),
        }
        let event = tokio::select! {
            biased;
            ready = run.ready() => Event::Ready(ready),
            deadline = stopping(&mut self.stop) => Event::Stop(deadline),
            () = tokio::time::sleep(self.options.startup_timeout) => Event::Late,
        };
        match event {
            Event::Ready(Ok(())) => None,
            Event::Ready(Err(outcome)) => Some(self.ended(outcome)),
            Event::Stop(deadline) => Some(self.stop_run(run, deadline).await),
            Event::Late => Some(self.late(run).await),
        }
    }

    /// The source didn't start in time: it is left behind, and started again once its thread ends,
    /// so that there is never more than one.
    async fn late(&mut self, run: &mut Run) -> Next {
        let after = self.options.startup_timeout;
        run.abandon();
        self.report.thread_abandoned();
        self.report.enter(Phase::AbandonedAtStart { after });
        tokio::select! {
            biased;
            _ = stopping(&mut self.stop) => Next::End(Ended::Abandoned),
            outcome = run.outcome() => {
                let late = format!("did not start within {}", short(after));
                match outcome {
                    Outcome::Finished => Next::Restart(late),
                    Outcome::Failed(reason) => Next::Restart(format!("{late}: {reason}")),
                    Outcome::FailedForGood(reason) => self.failed_for_good(reason),
                    Outcome::Panicked(message) => {
                        Next::Restart(format!("{late}, panicked: {message}"))
                    }
                }
            }
        }
    }

    async fn running(&mut self, run: &mut Run) -> Next {
        enum Event {
            Outcome(Outcome),
            Stop(Instant),
            Check(Check),
        }
        self.report.enter(Phase::Running {
            own: SourceHealth::Healthy,
        });
        let mut checks = Checks::new(&self.options);
        loop {
            let event = tokio::select! {
                biased;
                deadline = stopping(&mut self.stop) => Event::Stop(deadline),
                outcome = run.outcome() => Event::Outcome(outcome),
                check = checks.next() => Event::Check(check),
            };
            match event {
                Event::Outcome(outcome) => return self.ended(outcome),
                Event::Stop(deadline) => return self.stop_run(run, deadline).await,
                Event::Check(Check::Answer(own)) => {
                    if checks.answered(&own) >= self.options.restart.healthy_after {
                        self.report.forget_failures();
                    }
                    self.report.enter(Phase::Running { own });
                }
                Event::Check(Check::NoAnswer) => {
                    let since = checks.blocked();
                    self.report.enter(Phase::Blocked { since });
                }
                Event::Check(Check::Due) => checks.ask(run),
            }
        }
    }

    fn ended(&self, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Finished => {
                self.report.enter(Phase::Finished);
                Next::End(Ended::Properly)
            }
            Outcome::Failed(reason) => Next::Restart(reason),
            Outcome::FailedForGood(reason) => self.failed_for_good(reason),
            Outcome::Panicked(message) => Next::Restart(format!("panicked: {message}")),
        }
    }

    fn failed_for_good(&self, reason: String) -> Next {
        tracing::warn!(source = self.report.source.name(), %reason, "source failed for good");
        self.report.failed(reason);
        self.report.enter(Phase::Failed);
        Next::End(Ended::Properly)
    }

    async fn stop_run(&self, run: &mut Run, deadline: Instant) -> Next {
        run.stop();
        match tokio::time::timeout_at(deadline, run.outcome()).await {
            Ok(outcome) => {
                // The last words of a source that was stopped anyway are for the log.
                if !matches!(outcome, Outcome::Finished) {
                    tracing::warn!(source = self.report.source.name(), ?outcome, "ended badly");
                }
                self.report.enter(Phase::Stopped);
                Next::End(Ended::Properly)
            }
            Err(_) => {
                run.abandon();
                self.report.thread_abandoned();
                self.report.enter(Phase::AbandonedAtStop);
                Next::End(Ended::Abandoned)
            }
        }
    }

    /// Counts the failure and waits before the next start; true if the source shall stop meanwhile.
    async fn pause(&mut self, reason: String) -> bool {
        tracing::warn!(source = self.report.source.name(), %reason, "source failed");
        let failures = self.report.failed(reason);
        let delay = self.options.restart.delay(failures, jitter());
        let until = Instant::now() + delay;
        self.report.enter(Phase::Waiting { until });
        tokio::select! {
            biased;
            _ = stopping(&mut self.stop) => {
                self.report.enter(Phase::Stopped);
                true
            }
            () = tokio::time::sleep_until(until) => {
                self.report.restarted();
                false
            }
        }
    }
}

/// Until when the source has to have stopped; waits until somebody says so. Cancel safe.
async fn stopping(stop: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match stop.wait_for(Option::is_some).await {
        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
        // The supervisor is gone, and nobody waits.
        Err(_) => Instant::now(),
    }
}

/// What there is to do for the health checks.
enum Check {
    /// The source has answered.
    Answer(SourceHealth),
    /// The answer is overdue, and that wasn't noted yet.
    NoAnswer,
    /// It is time to ask.
    Due,
}

/// The answer; waits for ever if nothing was asked, or there will be none: then the run has ended,
/// which its outcome tells.
async fn answer_of(answer: &mut Option<oneshot::Receiver<SourceHealth>>) -> SourceHealth {
    if let Some(receiver) = answer {
        if let Ok(health) = receiver.await {
            return health;
        }
        *answer = None;
    }
    std::future::pending().await
}

/// The health checks of one run.
struct Checks {
    ticks: tokio::time::Interval,
    timeout: std::time::Duration,
    answer: Option<oneshot::Receiver<SourceHealth>>,
    /// When the question was asked that has had no answer.
    unanswered_since: Option<Instant>,
    /// Whether that was noted.
    blocked: bool,
    healthy_since: Option<Instant>,
}

impl Checks {
    fn new(options: &SupervisorOptions) -> Self {
        let mut ticks = tokio::time::interval(options.health_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            ticks,
            timeout: options.health_timeout,
            answer: None,
            unanswered_since: None,
            blocked: false,
            healthy_since: None,
        }
    }

    fn ask(&mut self, run: &Run) {
        if self.answer.is_none() {
            self.answer = Some(run.ask_health());
            self.unanswered_since.get_or_insert_with(Instant::now);
        }
    }

    /// What there is to do. Cancel safe.
    async fn next(&mut self) -> Check {
        let overdue = self.unanswered_since.map(|since| since + self.timeout);
        tokio::select! {
            biased;
            answer = answer_of(&mut self.answer) => {
                self.answer = None;
                Check::Answer(answer)
            }
            () = tokio::time::sleep_until(overdue.unwrap_or_else(Instant::now)),
                if overdue.is_some() && !self.blocked => Check::NoAnswer,
            _ = self.ticks.tick() => Check::Due,
        }
    }

    /// Notes that the source is blocked, and since when.
    fn blocked(&mut self) -> Instant {
        self.blocked = true;
        self.healthy_since = None;
        self.unanswered_since.unwrap_or_else(Instant::now)
    }

    /// Notes an answer; for how long the source has been healthy now.
    fn answered(&mut self, own: &SourceHealth) -> std::time::Duration {
        self.unanswered_since = None;
        self.blocked = false;
        if !own.is_healthy() {
            self.healthy_since = None;
            return std::time::Duration::ZERO;
        }
        self.healthy_since
            .get_or_insert_with(Instant::now)
            .elapsed()
    }
}
