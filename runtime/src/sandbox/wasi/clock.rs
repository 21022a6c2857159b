//! Clocks that show the batch's event time, and stand still within a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};
use weir_bus::Timestamp;

use crate::sandbox::host::GuestState;

/// What the clocks claim to resolve.
const RESOLUTION_NS: u64 = 1;

/// The time that a guest is shown.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct FrozenClock(AtomicI64);

impl FrozenClock {
    pub(in crate::sandbox) fn set(&self, time: Timestamp) {
        self.0.store(time.0, Ordering::Relaxed);
    }

    /// Nanoseconds since the epoch; 0 for times before it.
    fn now_ns(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// The frozen clock as wasmtime's WASI wants it.
pub(super) struct Shown(pub(super) Arc<FrozenClock>);

impl HostWallClock for Shown {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(RESOLUTION_NS)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.now_ns())
    }
}

impl HostMonotonicClock for Shown {
    fn resolution(&self) -> u64 {
        RESOLUTION_NS
    }

    fn now(&self) -> u64 {
        self.0.now_ns()
    }
}

/// A moment to wait for: it has come already, or within this call it never will.
struct Moment {
    has_come: bool,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Moment {
    async fn ready(&mut self) {
        if !self.has_come {
            std::future::pending::<()>().await;
        }
    }
}

/// The monotonic clock's part of a store's data.
struct MonotonicClock<'a> {
    table: &'a mut ResourceTable,
    now_ns: u64,
}

impl MonotonicClock<'_> {
    fn moment(&mut self, has_come: bool) -> wasmtime::Result<Resource<DynPollable>> {
        let moment = self.table.push(Moment { has_come })?;
        subscribe(self.table, moment)
    }
}

impl monotonic_clock::Host for MonotonicClock<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now_ns)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(RESOLUTION_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.moment(when <= self.now_ns)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.moment(duration == 0)
    }
}

struct HasClock;

impl HasData for HasClock {
    type Data<'a> = MonotonicClock<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<GuestState, HasClock>(linker, |state| {
        state.count_host_call();
        MonotonicClock {
            now_ns: state.now.now_ns(),
            table: &mut state.table,
        }
    })
}
