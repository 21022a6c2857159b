//! One job, from its first call to its end: the guest is asked, and where it breaks, the rows that do
//! it are searched for.
//!
//! Each call is a transaction of its own: what it wrote takes effect when it has ended in an answer,
//! at once with its part of the job. A call that broke leaves nothing but its fault.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use weir_bus::Selection;
use weir_bus::batch::Batch;

use super::comparison::Said;
use super::control::{Control, RunningJob};
use super::generation::Generation;
use super::supervision::Broke;
use super::supervision::search::{Found, Search};
use super::{Duty, Part, SlotStatistics, Without, shadow};
use crate::sandbox::{Cost, Fault, FaultReason, Outcome, cpu_with_others, lower_priority};

/// How far past a call's wall clock its thread is given up: the call itself stops at the wall clock
/// if it is in wasm, and only a call that hangs in the host comes this far.
pub(crate) const ABANDON_GRACE: Duration = Duration::from_millis(500);

/// A job under way.
struct Work<'a, D: Duty> {
    control: &'a Arc<Control<D>>,
    thread: u64,
    generation: &'a mut Generation,
    job: &'a Arc<D::Job>,
    search: Search,
    began: Instant,
    /// What the next run is for.
    next: Purpose,
    /// The guest has had its wish to be asked once more.
    asked_again: bool,
    /// The CPU time of the thread at the first fault of the guest's.
    faulted_at: Option<Duration>,
    /// The last fault of the guest's.
    fault: Option<Box<Fault>>,
    /// The fault that ends the probation of the guest.
    goes_back: Option<Box<Fault>>,
    /// The guest answered, at least about some rows, if only that it has no verdict.
    answered: bool,
    /// What all runs took.
    spent: Cost,
}

/// How a job ended.
pub(super) enum Ended {
    /// Settled.
    Settled,
    /// The thread was given up meanwhile, and somebody else settled it.
    GivenUp,
    /// A guest on probation broke. Nothing of the job has taken effect.
    GoesBack(Box<Fault>),
}

/// What a run is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// The batch's first.
    First,
    /// The same once more.
    Again,
    /// To find the rows that do it.
    Search,
}

/// How a run ended, before anything of it takes effect.
struct Ran<A> {
    outcome: Outcome<A>,
    began: Instant,
    cost: Cost,
    restarted: bool,
    /// There was no instance to ask: the rows have nothing to do with it.
    unasked: bool,
}

/// Works on one job.
pub(super) fn work<D: Duty>(
    control: &Arc<Control<D>>,
    thread: u64,
    generation: &mut Generation,
    job: &Arc<D::Job>,
    search: Search,
) -> Ended {
    let began = Instant::now();
    control.state().running = Some(RunningJob {
        job: Arc::clone(job),
        since: began,
        generation: generation.number,
        parts: Vec::new(),
        spent: Cost::default(),
        fault: None,
    });
    let mut work = Work {
        control,
        thread,
        generation,
        job,
        search,
        began,
        next: Purpose::First,
        asked_again: false,
        faulted_at: None,
        fault: None,
        goes_back: None,
        answered: false,
        spent: Cost::default(),
    };
    while let Some(rows) = work.search.next() {
        let is_ours = work.next == Purpose::First || control.begins(thread, Instant::now());
        if !is_ours || !work.run(&rows) {
            return Ended::GivenUp;
        }
    }
    work.end()
}

impl<D: Duty> Work<'_, D> {
    /// One run, and its effects; false if the thread was given up meanwhile.
    fn run(&mut self, rows: &Range<usize>) -> bool {
        let ran = self.ask(rows);
        let cpu = cpu_with_others();
        let control = self.control;
        let Some(mut state) = control.running_on(self.thread) else {
            return false;
        };
        let now = ran.began + ran.cost.time;
        state.used_cpu(cpu, now);
        self.spent.fuel = self.spent.fuel.saturating_add(ran.cost.fuel);
        self.spent.time += ran.cost.time;
        self.answered |= !matches!(ran.outcome, Outcome::Fault(_));
        let statistics = &mut state.statistics;
        statistics.count_cost(ran.cost);
        statistics.restarts += u64::from(ran.restarted);
        match self.next {
            Purpose::First => {}
            Purpose::Again => statistics.retries += 1,
            Purpose::Search => statistics.search_runs += 1,
        }
        let mut found = None;
        let mut is_slow = ran.cost.is_long;
        let part = match ran.outcome {
            Outcome::Answer(answer) => {
                statistics.answered += 1;
                statistics.rows_answered += rows.len() as u64;
                statistics.rows_undecided += D::undecided(&answer);
                commit(statistics, self.generation);
                state
                    .costs
                    .answered(ran.cost.fuel, ran.cost.time, rows.len());
                let selected = D::selected(&answer, rows.len());
                let tally = &mut self.generation.tally;
                tally.add(rows.len() as u64, ran.cost.fuel, selected);
                self.search.go_on();
                Some((rows.clone(), Ok(answer)))
            }
            Outcome::Retry(why) | Outcome::Reject(why) => {
                statistics.rejected += 1;
                tracing::debug!(slot = %control.options.name, why, "no verdict");
                self.search.go_on();
                Some((rows.clone(), Err(Without::Rejected)))
            }
            Outcome::Fault(fault)
                if self.generation.probation.is_some() && fault.reason.is_the_guests() =>
            {
                statistics.count_fault(*fault.clone());
                self.search.stop();
                self.goes_back = Some(fault);
                None
            }
            Outcome::Fault(fault) => {
                statistics.calls_forgotten += self.generation.broke();
                statistics.count_fault(*fault.clone());
                if let Some(untold) = state.faults_told.tell(now) {
                    tell(&control.options.name, rows.len(), untold, &fault);
                }
                is_slow |= fault.reason == FaultReason::Deadline;
                let poison = self.after(&fault, ran.unasked, cpu);
                if fault.reason.is_the_guests() {
                    self.fault = Some(fault.clone());
                }
                let part = poison.clone().map(|rows| (rows, Err(Without::Poisonous)));
                found = poison.map(|rows| (rows, fault));
                part
            }
        };
        if let Some(running) = &mut state.running {
            let part = part.map(|(rows, verdict)| Part { rows, verdict });
            running.parts.extend(part);
            running.spent = self.spent;
            running.fault = self.fault.as_ref().map(|fault| fault.reason);
        }
        if is_slow {
            state.supervisor.was_slow(now);
        }
        drop(state);
        if is_slow {
            // A deadline may be shorter than what makes a call a long one.
            lower_priority();
        }
        if let Some((poison, fault)) = found {
            control.bury(D::batch(self.job), poison, Without::Poisonous, Some(&fault));
        }
        true
    }

    /// What a fault leads to; the rows that do it, where they are found.
    fn after(&mut self, fault: &Fault, unasked: bool, cpu: Duration) -> Option<Range<usize>> {
        // A busy host is no reason to do more work, and our own panic says nothing of the rows.
        if !fault.reason.is_the_guests() {
            self.search.stop();
            return None;
        }
        let burnt = cpu.saturating_sub(*self.faulted_at.get_or_insert(cpu));
        if unasked || burnt > self.control.options.search_cpu_max {
            self.search.stop();
            return None;
        }
        match self.search.faulted() {
            Found::Again => {
                self.next = Purpose::Again;
                None
            }
            Found::Halves => {
                self.next = Purpose::Search;
                None
            }
            Found::Poison(rows) => {
                self.next = Purpose::Search;
                Some(rows)
            }
        }
    }

    /// Asks the guest, on a fresh instance where the last one broke; once more if it says `retry`.
    fn ask(&mut self, rows: &Range<usize>) -> Ran<D::Answer> {
        let began = match self.next {
            Purpose::First => self.began,
            Purpose::Again | Purpose::Search => Instant::now(),
        };
        let mut ran = Ran {
            outcome: Outcome::Retry(String::new()),
            began,
            cost: Cost::default(),
            restarted: false,
            unasked: true,
        };
        match self.generation.ready(&self.control.options.name) {
            Ok(restarted) => ran.restarted = restarted,
            Err(fault) => {
                ran.outcome = Outcome::Fault(Box::new(fault));
                return ran;
            }
        }
        let batch = match part_of(D::batch(self.job), rows) {
            Ok(batch) => batch,
            Err(fault) => {
                ran.outcome = Outcome::Fault(fault);
                return ran;
            }
        };
        let Some(instance) = &mut self.generation.instance else {
            return ran;
        };
        ran.unasked = false;
        loop {
            ran.outcome = self
                .control
                .duty
                .ask(instance, self.job, &batch, rows.start);
            let cost = instance.cost(began);
            ran.cost.fuel = ran.cost.fuel.saturating_add(cost.fuel);
            // From the first call on: with its repetition it is one run.
            ran.cost.time = cost.time;
            ran.cost.is_long |= cost.is_long;
            let wants_again = matches!(ran.outcome, Outcome::Retry(_));
            if !wants_again || self.asked_again || !self.search.asks_again() {
                return ran;
            }
            self.asked_again = true;
        }
    }

    /// Settles the job.
    fn end(self) -> Ended {
        let Self {
            control,
            generation,
            ..
        } = self;
        let Some(mut state) = control.running_on(self.thread) else {
            return Ended::GivenUp;
        };
        let Some(running) = state.running.take() else {
            return Ended::GivenUp;
        };
        if let Some(fault) = self.goes_back {
            return Ended::GoesBack(fault);
        }
        let (job, settled, number) = running.settled(Without::Unevaluated);
        let statistics = &mut state.statistics;
        statistics.faulted += u64::from(self.fault.is_some());
        statistics.count_without(&settled, control.options.on_fault);
        if let (Some(shadow), Some(in_force)) = (&state.shadow, &state.in_force) {
            let said = Said {
                rows: shadow::said_of::<D>(&in_force.wants, &settled),
                fuel: self.spent.fuel,
                time: self.spent.time,
            };
            shadow.show(&job, said);
        }
        if state.before.is_some() && self.answered {
            state.unseen += 1;
        }
        let bytes = D::batch(&job).bytes();
        state.recent.keep(&job, bytes);
        let now = Instant::now();
        let told = match self.fault.as_deref() {
            None if self.answered => state.supervisor.answered(now),
            None => None,
            Some(fault) => state.supervisor.broke(Broke {
                now,
                wall: SystemTime::now(),
                answered: self.answered,
                fault,
                chance: chance(),
            }),
        };
        drop(state);
        control.settle(&job, settled, number);
        control.tell(told, self.fault.as_deref());
        control.after_job(generation, now);
        Ended::Settled
    }
}

/// Some rows of a batch, as a batch: the same one where they are all.
fn part_of(batch: &Batch, rows: &Range<usize>) -> Result<Batch, Box<Fault>> {
    if *rows == (0..batch.rows()) {
        return Ok(batch.clone());
    }
    let numbers = rows.clone().filter_map(|row| u32::try_from(row).ok());
    batch
        .select(&Selection::Rows(numbers.collect()))
        .map_err(|error| {
            let message = format!("rows {rows:?} can't be asked about alone: {error}");
            Box::new(Fault::of(FaultReason::HostPanic, message))
        })
}

/// Makes what an answered call wrote and counted.
fn commit(statistics: &mut SlotStatistics, generation: &mut Generation) {
    generation.answered();
    let Some(instance) = &mut generation.instance else {
        return;
    };
    statistics.memory_bytes = instance.memory_bytes();
    statistics.memory_bytes_peak = statistics.memory_bytes_peak.max(statistics.memory_bytes);
    let counted = generation.source.commit(instance);
    for (name, amount) in generation.counters.iter().zip(counted) {
        if *amount > 0 {
            // Named attack: amounts that add up to more than there are numbers.
            let sum = statistics.counters.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }
}

/// Chance, in 0..1: the keys of the standard library's hash maps are random.
pub(crate) fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(u32::MAX)
}

fn tell(slot: &str, rows: usize, untold: u64, fault: &Fault) {
    let frames = fault.backtrace.join(" < ");
    tracing::warn!(slot, reason = %fault.reason, rows, untold, frames, "fault: {}", fault.message);
}
