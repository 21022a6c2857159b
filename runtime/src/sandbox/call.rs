//! How a call is armed, watched while it runs, and read when it ends other than in an answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use super::cpu_clock::thread_cpu;
use super::fault::{Fault, FaultReason, fault_of, refuse};
use super::host::GuestState;
use super::limits::Limit;
use super::patience;

/// A call that has used so much CPU time is in no hurry: the thread of its slot goes on at a low priority. Long before
/// the usual deadline: guests that burn to that would until then take turns with everybody else.
const LONG_CALL: Duration = Duration::from_millis(20);

/// Fuel and the first epoch of a call.
pub(super) fn arm(store: &mut Store<GuestState>, rows: usize) -> wasmtime::Result<u64> {
    let fuel = store.data().limits.fuel(rows);
    store.set_fuel(fuel)?;
    store.set_epoch_deadline(1);
    Ok(fuel)
}

/// Runs at every epoch tick of a call, and never in a fast one.
pub(super) fn tick(mut store: StoreContextMut<'_, GuestState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    state.check_host_calls()?;
    if !state.limits.holds(Limit::Deadline) {
        return Ok(UpdateDeadline::Continue(1));
    }
    state.allowance.ticks = state.allowance.ticks.saturating_add(1);
    let Some(wall_from) = state.allowance.wall_from else {
        state.allowance.wall_from = Some(Instant::now());
        return Ok(UpdateDeadline::Continue(1));
    };
    let cpu = thread_cpu();
    let Some(cpu_from) = state.allowance.cpu_from else {
        state.allowance.cpu_from = Some(cpu);
        return Ok(UpdateDeadline::Continue(1));
    };
    let used = cpu.saturating_sub(cpu_from);
    if used > LONG_CALL && !state.allowance.is_long {
        state.allowance.is_long = patience::lower();
    }
    if used > state.cpu_call {
        let message = format!(
            "used more than {} ms of CPU time (limits.cpu_call)",
            state.cpu_call.as_millis()
        );
        return Err(refuse(FaultReason::Deadline, message));
    }
    let wall_call = state.cpu_call.saturating_mul(state.limits.wall_factor);
    if wall_from.elapsed() > wall_call {
        let message = format!(
            "{} ms went by without {} ms of CPU time for it: a busy or suspended host (limits.wall_factor)",
            wall_call.as_millis(),
            state.cpu_call.as_millis()
        );
        return Err(refuse(FaultReason::Stalled, message));
    }
    Ok(UpdateDeadline::Continue(1))
}

/// Runs host code that a guest drives; a panic is ours, and ends the call only.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Fault::of(FaultReason::HostPanic, format!("the host panicked: {text}"))
    })
}

/// What a call that ended in an error ran into.
pub(super) fn fault(store: &Store<GuestState>, error: &wasmtime::Error) -> Fault {
    let state = store.data();
    let limits = format!(
        "fuel {} + {} a row, {} handles, {} bytes a call",
        state.limits.fuel_call,
        state.limits.fuel_row,
        state.limits.handles_max,
        state.limits.host_bytes_call_max
    );
    let mut fault = fault_of(error, &state.limiter.refused, &limits);
    // Bytes are counted by the same meter for imports and for the answer. The answer is taken when
    // the guest has returned: then there are no frames.
    if fault.reason == FaultReason::HostBytes && fault.backtrace.is_empty() {
        fault.reason = FaultReason::Output;
        fault.message = format!(
            "an answer of more than {} bytes (limits.host_bytes_call_max)",
            state.limits.host_bytes_call_max
        );
    }
    fault.stderr = state.stderr.take();
    fault
}
