//! The thread that works requests off: it takes them, has their stages done, and lets their findings go.
//!
//! What a run does next is decided elsewhere ([`run`](super::run)); here are the clock, the thread and the ways
//! to workers, bus and requests. Invariant: no lock is held while a worker, the bus or the requests are called; whoever calls
//! here waits for none of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use weir_bus::pubsub::{EventBus, PublisherId};

use super::mailbox::Mailbox;
use super::plan::WorkerName;
use super::plans::{Choice, Plans};
use super::run::{Moment, Spent};
use super::runs::{Effect, EndedRun, Runs};
use super::status::{ChainsStatus, code};
use super::task::{Completions, Task, Worker, bytes_of};
use crate::config::ChainsSettings;
use crate::slot::chance;
use crate::trigger::{Ending, Requests};

/// The findings that a stage is given have at most so many bytes: they are copied for every attempt, and into the
/// guest's memory.
pub const UPSTREAM_BYTES_MAX: u64 = 4 << 20;

/// How often a run that wasn't answered is told in the log; all are counted.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// How long after the deadline of a drain the runner's thread may take to cancel what is left.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// Who works on stages, by name.
pub type Workers = BTreeMap<WorkerName, Arc<dyn Worker>>;

/// A run that somebody wanted to cancel isn't under way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no run `{id}` is under way; `weir status --chains` shows those that are")]
pub struct NotUnderWay {
    /// What it was called.
    pub id: String,
}

/// What a runner needs of the rest.
pub struct RunnerParts {
    /// What all runs share.
    pub settings: ChainsSettings,
    /// Which plan a request gets.
    pub plans: Plans,
    /// Who works.
    pub workers: Workers,
    /// Where requests wait.
    pub requests: Arc<dyn Requests>,
    /// Where findings go.
    pub bus: Arc<dyn EventBus>,
}

/// Works requests off. When it is dropped, what goes on is cancelled.
pub struct Runner {
    shared: Arc<Shared>,
}

struct Shared {
    runs_max: usize,
    runs: Mutex<Runs>,
    mailbox: Arc<Mailbox>,
    plans: RwLock<Arc<Plans>>,
    workers: Workers,
    requests: Arc<dyn Requests>,
    bus: Arc<dyn EventBus>,
    publisher: PublisherId,
}

impl Runner {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn start(parts: RunnerParts) -> std::io::Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let completions: Completions = {
            let mailbox = Arc::clone(&mailbox);
            Arc::new(move |completion| mailbox.complete(completion))
        };
        let shared = Arc::new(Shared {
            runs_max: parts.settings.runs_max,
            runs: Mutex::new(Runs::new(parts.settings.ended_max, completions)),
            mailbox,
            plans: RwLock::new(Arc::new(parts.plans)),
            workers: parts.workers,
            requests: parts.requests,
            bus: parts.bus,
            publisher: PublisherId::unique(),
        });
        std::thread::Builder::new()
            .name("weir-chains".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.work()
            })?;
        Ok(Self { shared })
    }

    /// A request waits. Cheap, and may be called with locks held.
    pub fn wake(&self) {
        self.shared.mailbox.wake();
    }

    /// What wakes it, for who has requests before there is a runner.
    #[must_use]
    pub fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let mailbox = Arc::clone(&self.shared.mailbox);
        Arc::new(move || mailbox.wake())
    }

    /// Has the next requests worked on by other plans; runs go on with those that they began with.
    pub fn set_plans(&self, plans: Plans) {
        let place = self.shared.plans.write();
        *place.unwrap_or_else(PoisonError::into_inner) = Arc::new(plans);
    }

    /// The plans in force.
    #[must_use]
    pub fn plans(&self) -> Arc<Plans> {
        self.shared.plans()
    }

    /// Ends a run as cancelled, by its number or its request's id.
    ///
    /// # Errors
    /// If it isn't under way: it has ended, or waits to begin.
    pub fn cancel(&self, id: &str, why: &str) -> Result<(), NotUnderWay> {
        let is_found = self.shared.runs().cancel(id, why);
        self.wake();
        let id = id.to_owned();
        is_found.then_some(()).ok_or(NotUnderWay { id })
    }

    /// Ends all runs as cancelled; answers how many there are.
    pub fn cancel_all(&self, why: &str) -> usize {
        let runs = self.shared.runs().cancel_all(why);
        self.wake();
        runs
    }

    /// What it does and has done.
    #[must_use]
    pub fn status(&self) -> ChainsStatus {
        self.shared.runs().status(Instant::now())
    }

    /// Works off what waits and goes on, until the deadline; then the rest is cancelled, and requests that wait stay
    /// where they are. Blocks. False: a worker or the bus held the thread up, and it hasn't ended.
    #[must_use]
    pub fn drain(&self, deadline: Instant) -> bool {
        self.shared.mailbox.drain(deadline);
        self.shared.mailbox.wait_ended(deadline + CANCEL_GRACE)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.shared.mailbox.drain(Instant::now());
    }
}

impl Shared {
    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plans(&self) -> Arc<Plans> {
        Arc::clone(&self.plans.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The thread.
    fn work(&self) {
        let _end = EndOnDrop(&self.mailbox);
        let mut told = Told::default();
        loop {
            let wake_at = self.runs().wake_at();
            let mail = self.mailbox.wait(wake_at);
            for completion in mail.completions {
                let effects = self.runs().complete(completion, moment());
                self.carry_out(effects, &mut told);
            }
            let effects = self.runs().tick(moment());
            self.carry_out(effects, &mut told);
            let is_over = mail
                .drain_until
                .is_some_and(|until| Instant::now() >= until);
            let none_waits = is_over || self.take(&mut told);
            if is_over {
                self.cancel_the_rest(&mut told);
            }
            if mail.drain_until.is_some() && none_waits && self.runs().under_way() == 0 {
                return;
            }
        }
    }

    /// Takes requests while there is room; whether none waits any more.
    fn take(&self, told: &mut Told) -> bool {
        while self.runs().under_way() < self.runs_max {
            let Some(request) = self.requests.take() else {
                return true;
            };
            let effects = match self.plans().choose(&request) {
                Choice::Plan(plan) => self.runs().begin(request, plan, Instant::now()),
                Choice::Nobody => vec![self.runs().end_without_plan(request, None)],
                Choice::Unknown => {
                    let target = &request.event.target;
                    let why = format!("no chain or source that answers is called `{target}`");
                    vec![self.runs().end_without_plan(request, Some(why))]
                }
            };
            self.carry_out(effects, told);
        }
        false
    }

    fn carry_out(&self, effects: Vec<Effect>, told: &mut Told) {
        for effect in effects {
            match effect {
                Effect::Ask(worker, task) => self.ask(&worker, task),
                Effect::Publish(findings) => findings.publish(&*self.bus, self.publisher),
                Effect::Ended(ended) => {
                    told.tell(&ended);
                    self.requests.ended(&ended.request, ended.ending);
                }
            }
        }
    }

    fn ask(&self, worker: &WorkerName, task: Task) {
        let bytes = bytes_of(&task.upstream);
        let refuse = |why: String| task.done.complete(Err(why), Spent::default());
        match self.workers.get(worker) {
            None => refuse(format!("{worker} works on no requests")),
            Some(_) if bytes > UPSTREAM_BYTES_MAX => refuse(format!(
                "the findings before it have {bytes} bytes, more than {UPSTREAM_BYTES_MAX}"
            )),
            Some(worker) => worker.ask(task),
        }
    }

    /// The time of the drain is over.
    fn cancel_the_rest(&self, told: &mut Told) {
        let cancelled = self.runs().cancel_all("the daemon ends");
        let effects = self.runs().tick(moment());
        self.carry_out(effects, told);
        if cancelled > 0 {
            tracing::warn!(
                runs = cancelled,
                "runs of chains were cancelled, as the daemon ends"
            );
        }
    }
}

fn moment() -> Moment {
    Moment {
        now: Instant::now(),
        chance: chance(),
    }
}

/// Whatever ends the thread, those who wait for its end hear of it.
struct EndOnDrop<'a>(&'a Mailbox);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Tells of runs that weren't answered. Named attack: events that make a chain fail over and over, to fill the disk
/// with what is told of it.
#[derive(Default)]
struct Told {
    last: Option<Instant>,
    untold: u64,
}

impl Told {
    fn tell(&mut self, ended: &EndedRun) {
        if ended.ending == Ending::Answered {
            return;
        }
        let now = Instant::now();
        let is_recent = |last: Instant| now.saturating_duration_since(last) < TOLD_EVERY;
        if self.last.is_some_and(is_recent) {
            self.untold += 1;
            return;
        }
        self.last = Some(now);
        tracing::warn!(
            chain = ended.plan,
            request = ended.request.event.request_id,
            trigger = ended.request.event.trigger,
            ending = code(Some(ended.ending)),
            untold = std::mem::take(&mut self.untold),
            "a request was not answered: {}",
            ended.reason.as_deref().unwrap_or_default()
        );
    }
}

#[cfg(test)]
mod tests;
