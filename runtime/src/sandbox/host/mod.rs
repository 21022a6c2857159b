//! What a guest can reach of the host: its store's data, and the imports over it.
//!
//! Everything that a guest passes in is hostile until checked: sizes are clamped where they
//! enter, and nothing here unwraps, indexes or panics on it.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

#[allow(unreachable_pub, reason = "the generated bindings export it again")]
pub mod batches;
mod effects;
mod inspect;
mod log_gate;
mod logging;
mod rows;
mod state_store;

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use weir_bus::Timestamp;

pub(in crate::sandbox) use batches::Asked;
pub(in crate::sandbox) use effects::Effects;
pub use inspect::{Inspect, Looked};
pub(in crate::sandbox) use log_gate::{LogGate, Loudness};
pub(in crate::sandbox) use state_store::StateStore;
pub use state_store::Unsaved;

use super::bindings;
use super::fault::{FaultReason, refuse};
use super::limits::{Armed, Limit, Limiter};
use crate::config::Grant;

/// What a guest has used, and has left, of the limits of the batch that it works on.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Allowance {
    host_calls: u64,
    host_bytes: usize,
    pub(in crate::sandbox) ticks: u32,
    pub(in crate::sandbox) cpu_from: Option<std::time::Duration>,
    pub(in crate::sandbox) wall_from: Option<Instant>,
    /// The call is long, and its thread has a low priority by now.
    pub(in crate::sandbox) is_long: bool,
}

/// The data of a guest's store.
pub(in crate::sandbox) struct GuestState {
    pub(in crate::sandbox) table: ResourceTable,
    pub(in crate::sandbox) lent: batches::Lent,
    pub(in crate::sandbox) limits: Arc<Armed>,
    pub(in crate::sandbox) limiter: Limiter,
    pub(in crate::sandbox) allowance: Allowance,
    pub(in crate::sandbox) asked: Asked,
    pub(in crate::sandbox) effects: Effects,
    pub(in crate::sandbox) log: Arc<LogGate>,
    pub(in crate::sandbox) store: Arc<StateStore>,
    pub(in crate::sandbox) inspect: Option<Arc<dyn Inspect>>,
    pub(in crate::sandbox) now: Arc<super::wasi::FrozenClock>,
    pub(in crate::sandbox) stderr: super::wasi::Tail,
    pub(in crate::sandbox) wasi: WasiCtx,
    pub(in crate::sandbox) cpu_call: std::time::Duration,
}

impl GuestState {
    /// Fills up what a batch may use, and forgets what the last call left.
    pub(in crate::sandbox) fn begin_batch(&mut self, time: Timestamp) {
        self.allowance = Allowance {
            host_bytes: self.limits.host_bytes_batch_max,
            ..Allowance::default()
        };
        self.effects.clear();
        self.limiter.refused.0 = None;
        self.now.set(time);
    }

    /// Counts a host call. Named attack: a guest that keeps the host busy with cheap calls.
    ///
    /// WASI's functions are counted where they get their part of the store's data, and can't be
    /// refused there: a guest that calls too many of them is stopped at the next epoch tick, and
    /// has a fault at the latest when it answers. wasmtime's hook would stop it at once, and costs
    /// every call 50 ns, the fast ones too.
    pub(in crate::sandbox) const fn count_host_call(&mut self) {
        self.allowance.host_calls = self.allowance.host_calls.saturating_add(1);
    }

    /// Whether the guest has called the host too often for its batch.
    pub(in crate::sandbox) fn check_host_calls(&self) -> wasmtime::Result<()> {
        let most = self.limits.host_calls_batch_max;
        if self.allowance.host_calls <= most || !self.limits.holds(Limit::HostCalls) {
            return Ok(());
        }
        let message = format!(
            "called the host more than {most} times for a batch (limits.host_calls_batch_max)"
        );
        Err(refuse(FaultReason::HostCalls, message))
    }

    /// What every import of ours begins with.
    pub(in crate::sandbox) fn host_call(&mut self) -> wasmtime::Result<()> {
        self.count_host_call();
        self.check_host_calls()
    }

    /// Counts bytes that the host holds because of the guest. Named attack: many calls, each
    /// within its limit, that together fill the host's memory.
    pub(in crate::sandbox) fn charge(&mut self, bytes: usize) -> wasmtime::Result<()> {
        match self.allowance.host_bytes.checked_sub(bytes) {
            Some(left) => self.allowance.host_bytes = left,
            None if self.limits.holds(Limit::HostBytes) => {
                let most = self.limits.host_bytes_batch_max;
                let message = format!(
                    "passed the host more than {most} bytes for a batch (limits.host_bytes_batch_max)"
                );
                return Err(refuse(FaultReason::HostBytes, message));
            }
            None => {}
        }
        Ok(())
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Lets the generated bindings reach the store's data.
struct HasState;

impl HasData for HasState {
    type Data<'a> = &'a mut GuestState;
}

fn whole(state: &mut GuestState) -> &mut GuestState {
    state
}

/// Puts the granted imports into a linker; what isn't granted isn't there.
pub(in crate::sandbox) fn add_to_linker(
    linker: &mut Linker<GuestState>,
    grants: &[Grant],
) -> wasmtime::Result<()> {
    batches::add_to_linker(linker)?;
    for grant in grants {
        match grant {
            Grant::Log => bindings::log::add_to_linker::<_, HasState>(linker, whole)?,
            Grant::State => bindings::state::add_to_linker::<_, HasState>(linker, whole)?,
            Grant::Metrics => bindings::metrics::add_to_linker::<_, HasState>(linker, whole)?,
            Grant::Inspect => bindings::inspect::add_to_linker::<_, HasState>(linker, whole)?,
        }
    }
    Ok(())
}
