//! The slot's thread: takes jobs in order, asks the guest, settles.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_bus::pubsub::Recv;

use super::control::{Control, Generation, RunningJob};
use super::{Duty, Settled};
use crate::sandbox::{Cost, Fault, FaultReason, Instance, Outcome, thread_cpu};

/// Runs until there are no more jobs, or this thread was given up.
pub(super) fn run<D: Duty>(control: &Arc<Control<D>>, thread: u64) {
    let mut generation: Option<Generation> = None;
    loop {
        if let Some(proposed) = control.take_proposed() {
            announce(control, &proposed);
            generation = Some(proposed);
        }
        let job = match control.duty.next() {
            Recv::Got(job) => Arc::new(job),
            Recv::Closed => break,
            Recv::Interrupted | Recv::Empty => continue,
        };
        // A guest that was proposed while this thread waited takes this very batch.
        if let Some(proposed) = control.take_proposed() {
            announce(control, &proposed);
            generation = Some(proposed);
        }
        // A replaced thread begins without one: it makes a fresh instance of what is in force.
        if generation.is_none() {
            generation = control.generation_in_force();
        }
        let Some(current) = &mut generation else {
            break;
        };
        if !work(control, thread, current, &job) {
            control.returned();
            return;
        }
    }
    control.end();
}

fn announce<D: Duty>(control: &Control<D>, generation: &Generation) {
    tracing::debug!(
        slot = %control.options.name,
        generation = generation.number,
        module = %generation.module,
        digest = %generation.digest,
        "guest in force"
    );
}

/// How a job ended, before anything of it takes effect.
struct Worked<A> {
    outcome: Outcome<A>,
    cost: Cost,
    restarted: bool,
}

/// Works on one job; false if this thread was given up meanwhile, and somebody else settled it.
fn work<D: Duty>(
    control: &Control<D>,
    thread: u64,
    generation: &mut Generation,
    job: &Arc<D::Job>,
) -> bool {
    let since = Instant::now();
    control.state().running = Some(RunningJob {
        job: Arc::clone(job),
        since,
        generation: generation.number,
    });
    let worked = ask(control, generation, job, since);
    let cpu = thread_cpu();
    let mut state = control.state();
    if state.thread != thread || state.running.take().is_none() {
        return false;
    }
    let rows = D::rows(job);
    let statistics = &mut state.statistics;
    statistics.count_cost(worked.cost);
    statistics.cpu = cpu;
    statistics.restarts += u64::from(worked.restarted);
    let settled = match worked.outcome {
        Outcome::Answer(answer) => {
            statistics.answered += 1;
            statistics.rows_answered += rows;
            statistics.rows_undecided += D::undecided(&answer);
            commit(statistics, generation);
            Settled::Answered(answer)
        }
        Outcome::Retry(why) | Outcome::Reject(why) => {
            statistics.rejected += 1;
            statistics.rows_unanswered += rows;
            tracing::debug!(slot = %control.options.name, why, "no verdict");
            Settled::Unanswered
        }
        Outcome::Fault(fault) => {
            statistics.rows_unanswered += rows;
            statistics.batches_forgotten += std::mem::take(&mut generation.kept.batches_since);
            statistics.count_fault(*fault.clone());
            if let Some(untold) = state.faults_told.tell(Instant::now()) {
                tell(&control.options.name, rows, untold, &fault);
            }
            Settled::Unanswered
        }
    };
    drop(state);
    control.duty.settle(job, settled, generation.number);
    remember(control, generation);
    true
}

/// Takes the memory of a guest that has some, if it is time to.
fn remember<D: Duty>(control: &Control<D>, generation: &mut Generation) {
    let Some(instance) = &mut generation.instance else {
        return;
    };
    if !instance.has_snapshots() {
        return;
    }
    generation.kept.batches_since += 1;
    let now = Instant::now();
    if !generation.kept.is_due(now) {
        return;
    }
    match instance.snapshot() {
        Ok(memory) => generation.kept.keep(memory, now),
        Err(fault) => {
            tracing::warn!(slot = %control.options.name, %fault, "no snapshots of this guest any more");
            generation.kept.given_up = true;
            // A snapshot that is only too large leaves the instance as it was.
            if fault.reason != FaultReason::Output {
                generation.instance = None;
            }
            control.state().statistics.count_fault(fault);
        }
    }
}

/// A fresh instance, with the memory that the last snapshot has.
fn fresh<D: Duty>(control: &Control<D>, generation: &mut Generation) -> Result<Instance, Fault> {
    let mut instance = generation.source.instance()?;
    let Some(memory) = &generation.kept.memory else {
        return Ok(instance);
    };
    match instance.restore(memory) {
        Ok(Ok(())) => Ok(instance),
        Ok(Err(why)) => {
            tracing::warn!(slot = %control.options.name, why, "the guest refuses its own snapshot");
            generation.kept.memory = None;
            generation.source.instance()
        }
        Err(fault) => {
            generation.kept.memory = None;
            generation.kept.given_up = true;
            Err(fault)
        }
    }
}

fn commit(statistics: &mut super::SlotStatistics, generation: &mut Generation) {
    let Some(instance) = &mut generation.instance else {
        return;
    };
    statistics.memory_bytes = instance.memory_bytes();
    let counted = generation.source.commit(instance);
    for (name, amount) in generation.counters.iter().zip(counted) {
        if *amount > 0 {
            *statistics.counters.entry(name.clone()).or_default() += amount;
        }
    }
}

fn tell(slot: &str, rows: u64, untold: u64, fault: &Fault) {
    let frames = fault.backtrace.join(" < ");
    tracing::warn!(slot, reason = %fault.reason, rows, untold, frames, "fault: {}", fault.message);
}

/// Asks the guest, on a fresh instance where the last one broke; twice if it says `retry`.
fn ask<D: Duty>(
    control: &Control<D>,
    generation: &mut Generation,
    job: &D::Job,
    since: Instant,
) -> Worked<D::Answer> {
    let mut worked = Worked {
        outcome: Outcome::Retry(String::new()),
        cost: Cost::default(),
        restarted: false,
    };
    if generation.instance.is_none() {
        match fresh(control, generation) {
            Ok(instance) => {
                worked.restarted = true;
                generation.instance = Some(instance);
            }
            Err(fault) => {
                worked.outcome = Outcome::Fault(Box::new(fault));
                return worked;
            }
        }
    }
    let Some(instance) = &mut generation.instance else {
        return worked;
    };
    for _ in 0..=RETRIES {
        worked.outcome = control.duty.ask(instance, job);
        let cost = instance.cost(since);
        worked.cost.fuel = worked.cost.fuel.saturating_add(cost.fuel);
        // From the first call on: with its retry it is one job.
        worked.cost.time = cost.time;
        if !matches!(worked.outcome, Outcome::Retry(_)) {
            break;
        }
    }
    if let Outcome::Fault(_) = &worked.outcome {
        generation.instance = None;
    }
    worked
}

/// How often a guest that says `retry` is asked again.
const RETRIES: usize = 1;

/// How far past a call's wall clock its thread is given up: the call itself stops at the wall clock
/// if it is in wasm, and only a call that hangs in the host comes this far.
pub(crate) const ABANDON_GRACE: Duration = Duration::from_millis(500);
