//! One instance of a guest in its store, and calls into it: armed with every limit, ended in an
//! answer or a fault, and never in a panic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::component::Resource;
use wasmtime::{AsContextMut as _, Store, StoreContextMut};
use weir_bus::batch::Batch as Events;
use weir_bus::{Selection, Timestamp};

use super::answer::{self, Cause, Explanation, Finding, Outcome, Verdicts};
use super::bindings::batches::EvalError;
use super::bindings::{explain, filter, lifecycle, snapshots, stage, trigger};
use super::call::{arm, fault, guarded};
use super::engine::TickerHandle;
use super::fault::{Fault, FaultReason, refuse, words};
use super::host::batches::{Batch, event_time};
use super::host::{Effects, GuestState};
use super::limits::{Armed, Limit};
use super::wants::{self, Wants};
use crate::printable::one_line;

/// What is kept of a guest's own name and version.
const DESCRIPTION_BYTES_MAX: usize = 128;

/// The exports of the world that the component is.
pub(super) enum Exports {
    Filter(filter::Guest),
    Trigger(trigger::Guest),
    Stage(stage::Guest),
}

/// What a guest has in memory, as it told it itself. Shared: it is handed on between two batches, where a copy
/// of a large one would be most of the pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    version: u32,
    state: Bytes,
}

impl Memory {
    /// Memory as a guest told it, of a version that it knows.
    #[must_use]
    pub fn new(version: u32, state: impl Into<Bytes>) -> Self {
        Self {
            version,
            state: state.into(),
        }
    }

    /// The guest's own bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.state
    }

    /// The version of its layout.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Fuel.
    pub fuel: u64,
    /// Time on the wall clock.
    pub time: Duration,
    /// It took so long that its thread has a low priority now.
    pub is_long: bool,
}

/// A guest in its store. Any fault is its end: the next call needs a fresh one.
pub struct Instance {
    pub(super) store: Store<GuestState>,
    pub(super) lifecycle: lifecycle::Guest,
    pub(super) exports: Exports,
    pub(super) snapshots: Option<snapshots::Guest>,
    pub(super) explain: Option<explain::Guest>,
    pub(super) ticker: TickerHandle,
    pub(super) rules: usize,
    pub(super) fuel: u64,
}

impl Instance {
    fn call<T>(
        &mut self,
        time: Timestamp,
        rows: usize,
        call: impl FnOnce(&mut Store<GuestState>, &lifecycle::Guest, &Exports) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        self.store.data_mut().begin_batch(time);
        let fuel = arm(&mut self.store, rows).map_err(|error| fault(&self.store, &error))?;
        let running = self.ticker.running();
        let result = guarded(|| call(&mut self.store, &self.lifecycle, &self.exports));
        drop(running);
        let left = self.store.get_fuel().unwrap_or(0);
        self.fuel = fuel.saturating_sub(left);
        match result {
            // WASI's own functions count, and can't refuse: what they counted is looked at here.
            Ok(Ok(answer)) => match self.store.data().check_host_calls() {
                Ok(()) => Ok(answer),
                Err(error) => Err(fault(&self.store, &error)),
            },
            Ok(Err(error)) => Err(fault(&self.store, &error)),
            Err(panic) => Err(panic),
        }
    }

    /// What the last call used, if it began then. Who calls knows when that was: looking at the
    /// clock here once more would be a tenth of a small call.
    #[must_use]
    pub fn cost(&self, began: Instant) -> Cost {
        Cost {
            fuel: self.fuel,
            time: began.elapsed(),
            is_long: self.store.data().allowance.is_long,
        }
    }

    /// Linear memory that the guest has now, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    /// Makes the last call's state writes, and hands over what it counted.
    pub(super) fn commit(&mut self) -> &[u64] {
        let state = self.store.data();
        state.store.commit(state.effects.writes());
        state.effects.counters()
    }

    /// Who the guest is: name and version.
    pub(super) fn describe(&mut self) -> Result<(String, String), Fault> {
        let description = self.call(Timestamp::default(), 0, |store, guest, _| {
            guest.call_describe(store)
        })?;
        // Named attack: a name of megabytes, or one that a terminal obeys. Whether it is true nobody
        // knows: a module is known by its digest.
        let told = |text: &str| one_line(text, DESCRIPTION_BYTES_MAX);
        Ok((told(&description.name), told(&description.version)))
    }

    /// Hands the guest its settings; the inner error is what the operator sees.
    pub(super) fn init(&mut self, settings: &str) -> Result<Result<Wants, String>, Fault> {
        let answer = self.call(Timestamp::default(), 0, |store, guest, _| {
            guest.call_init(store, settings)
        })?;
        let wants = answer.and_then(wants::check).map_err(|why| words(&why));
        if let Ok(wants) = &wants {
            self.rules = wants.rules.len();
            let state = self.store.data_mut();
            state.asked = wants.asked.clone();
            state.effects = Effects::with_counters(wants.counters.len());
        }
        Ok(wants)
    }

    pub(super) fn self_test(&mut self) -> Result<Result<(), String>, Fault> {
        self.call(Timestamp::default(), 0, |store, guest, _| {
            guest.call_self_test(store)
        })
        .map(|answer| answer.map_err(|why| words(&why)))
    }

    /// Whether the guest's memory can be taken and put back.
    #[must_use]
    pub const fn has_snapshots(&self) -> bool {
        self.snapshots.is_some()
    }

    /// Lets a call of its own, with the limits of a snapshot, ask for the guest's memory.
    ///
    /// # Errors
    /// A fault; `output` where it is larger than it may be, and then the instance is as it was.
    pub fn snapshot(&mut self) -> Result<Option<Memory>, Fault> {
        if self.snapshots.is_none() {
            return Ok(None);
        }
        let limits = Arc::clone(&self.store.data().limits);
        let (version, state) = self.within(limits.snapshot_time_max, |store, guest| {
            Ok((
                guest.call_state_version(&mut *store)?,
                guest.call_snapshot(store)?,
            ))
        })?;
        if state.len() > limits.snapshot_bytes_max && limits.holds(Limit::OutputSize) {
            let message = format!(
                "a snapshot of {} bytes, and one may have {} (limits.snapshot_bytes_max)",
                state.len(),
                limits.snapshot_bytes_max
            );
            return Err(Fault::of(FaultReason::Output, message));
        }
        Ok(Some(Memory::new(version, state)))
    }

    /// Puts memory back into a fresh instance; the inner error is the guest's own.
    ///
    /// # Errors
    /// A fault: the instance is of no use any more.
    pub fn restore(&mut self, memory: &Memory) -> Result<Result<(), String>, Fault> {
        let time_max = self.store.data().limits.snapshot_time_max;
        self.within(time_max, |store, guest| {
            guest.call_restore(store, memory.version, &memory.state)
        })
        .map(|answer| answer.map_err(|why| words(&why)))
    }

    /// A call to the guest's snapshots that may take so much CPU time.
    fn within<T>(
        &mut self,
        cpu_max: Duration,
        call: impl FnOnce(&mut Store<GuestState>, &snapshots::Guest) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let Some(snapshots) = self.snapshots.take() else {
            return Err(Fault::of(
                FaultReason::HostPanic,
                "the guest has no snapshots",
            ));
        };
        let usual = std::mem::replace(&mut self.store.data_mut().cpu_call, cpu_max);
        let answered = self.call(Timestamp::default(), 0, |store, _, _| {
            call(store, &snapshots)
        });
        self.store.data_mut().cpu_call = usual;
        self.snapshots = Some(snapshots);
        answered
    }

    /// Asks a filter which rows go on.
    pub fn keep(&mut self, events: &Events, missed: Option<u64>) -> Outcome<Selection> {
        let answered = self.call(event_time(events), events.rows(), |store, _, exports| {
            let Exports::Filter(guest) = exports else {
                return Err(other_world("filter"));
            };
            lend(store, events, missed, |store, batch| {
                guest.call_keep(store, batch)
            })
        });
        let limits = &self.store.data().limits;
        finish(limits, answered, |selection| {
            answer::selection(limits, events.rows(), selection)
        })
    }

    /// Asks a trigger which rows fire.
    pub fn evaluate(&mut self, events: &Events, missed: Option<u64>) -> Outcome<Verdicts> {
        let answered = self.call(event_time(events), events.rows(), |store, _, exports| {
            let Exports::Trigger(guest) = exports else {
                return Err(other_world("trigger"));
            };
            lend(store, events, missed, |store, batch| {
                guest.call_evaluate(store, batch)
            })
        });
        let limits = &self.store.data().limits;
        finish(limits, answered, |verdicts| {
            answer::verdicts(limits, events.rows(), self.rules, verdicts)
        })
    }

    /// Asks a trigger why its rules fire on a row, or don't; none if it is of those that can't say.
    ///
    /// # Errors
    /// A fault: the instance is of no use any more.
    pub fn explain(
        &mut self,
        events: &Events,
        row: u32,
    ) -> Result<Option<Outcome<Vec<Explanation>>>, Fault> {
        let Some(guest) = self.explain.take() else {
            return Ok(None);
        };
        let answered = self.call(event_time(events), events.rows(), |store, _, _| {
            lend(store, events, None, |store, batch| {
                guest.call_explain(store, batch, row)
            })
        });
        self.explain = Some(guest);
        let limits = &self.store.data().limits;
        Ok(Some(finish(limits, answered, |explanations| {
            answer::explanations(limits, self.rules, explanations)
        })))
    }

    /// Asks a stage what a firing means.
    pub fn analyze(
        &mut self,
        event: &Events,
        upstream: &[(String, Vec<Finding>)],
        cause: Option<&Cause>,
    ) -> Outcome<Vec<Finding>> {
        let rows = upstream
            .iter()
            .map(|(_, findings)| findings.len())
            .sum::<usize>();
        let rows = rows.saturating_add(event.rows());
        let answered = self.call(event_time(event), rows, |store, _, exports| {
            let Exports::Stage(guest) = exports else {
                return Err(other_world("stage"));
            };
            let upstream: Vec<(String, Vec<stage::Finding>)> = upstream
                .iter()
                .map(|(name, findings)| (name.clone(), findings.iter().map(Into::into).collect()))
                .collect();
            let cause = cause.map(stage::TriggerRequest::from);
            lend(store, event, Some(0), |store, batch| {
                guest.call_analyze(store, batch, &upstream, cause.as_ref())
            })
        });
        let limits = &self.store.data().limits;
        finish(limits, answered, |output| {
            answer::findings(limits, rows, output)
        })
    }
}

fn finish<G, T>(
    limits: &Armed,
    answered: Result<Result<G, EvalError>, Fault>,
    check: impl FnOnce(G) -> Result<T, Fault>,
) -> Outcome<T> {
    match answered {
        Ok(answer) => answer::outcome(limits, answer, check),
        Err(fault) => Outcome::Fault(Box::new(fault)),
    }
}

fn other_world(asked: &str) -> wasmtime::Error {
    refuse(
        FaultReason::HostPanic,
        format!("asked as a {asked}, and is of another world"),
    )
}

/// Lends a batch for one call: it is gone when the call returns, whatever the guest did.
///
/// A guest only ever borrows a batch, so that its handle's number is a place among those lent for
/// this call, and the table of handles has nothing to do with it.
fn lend<T>(
    store: &mut Store<GuestState>,
    events: &Events,
    missed: Option<u64>,
    call: impl FnOnce(StoreContextMut<'_, GuestState>, Resource<Batch>) -> wasmtime::Result<T>,
) -> wasmtime::Result<T> {
    let lent = store.data_mut().lent.add(events.clone(), missed);
    let answer = call(store.as_context_mut(), lent);
    store.data_mut().lent.take_back();
    answer
}
