//! The peer `list-of-records`: the same filter, with the batch handed over as a list of typed records
//! through wasmtime's own bindings.
//!
//! The engine has the sandbox's settings, and a call is armed with fuel and an epoch as the sandbox
//! arms it; what the sandbox counts besides it leaves out, which is to its advantage. This file and
//! the sandbox are the only ones that name wasmtime.

use anyhow::Context as _;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel, Store, UpdateDeadline};
use weir_bus::Batch;
use weir_bus::event::ProcessColumns;

use crate::guests::RECORDS;

/// Fuel of a call: the default of `limits.fuel_call`, and `limits.fuel_row` for a batch of rows.
const FUEL_CALL: u64 = 500_000_000 + 1_000 * 200_000;
/// The engine's wasm stack, as the sandbox has it.
const WASM_STACK_BYTES: usize = 512 * 1024;

/// Written by wasmtime's macro.
mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    wasmtime::component::bindgen!({ path: "../guests/bench/wit-records" });
}

pub(super) use bindings::exports::weir::bench::records::Event;

/// The guest of the peer in its store.
pub(super) struct Records {
    store: Store<()>,
    guest: bindings::RecordsGuest,
}

impl Records {
    pub(super) fn new(name_contains: &str, executable_starts: &str) -> anyhow::Result<Self> {
        Self::link(name_contains, executable_starts).map_err(told)
    }

    fn link(name_contains: &str, executable_starts: &str) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .consume_fuel(true)
            .epoch_interruption(true)
            .concurrency_support(false)
            .cranelift_opt_level(OptLevel::Speed)
            .max_wasm_stack(WASM_STACK_BYTES);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, RECORDS)?;
        let mut linker = Linker::new(&engine);
        // Like every Rust guest it imports WASI, and this one calls none of it.
        linker.define_unknown_imports_as_traps(&component)?;
        let mut store = Store::new(&engine, ());
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
        arm(&mut store)?;
        let guest = bindings::RecordsGuest::instantiate(&mut store, &component, &linker)?;
        let records = guest.weir_bench_records();
        records.call_init(&mut store, name_contains, executable_starts)?;
        Ok(Self { store, guest })
    }

    /// The rows that it keeps.
    pub(super) fn keep(&mut self, events: &[Event]) -> anyhow::Result<Vec<u32>> {
        arm(&mut self.store).map_err(told)?;
        let records = self.guest.weir_bench_records();
        records.call_keep(&mut self.store, events).map_err(told)
    }
}

/// wasmtime's error is none of the standard library's.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

fn arm(store: &mut Store<()>) -> wasmtime::Result<()> {
    store.set_fuel(FUEL_CALL)?;
    store.set_epoch_deadline(1);
    Ok(())
}

/// The rows of a batch as records.
pub(super) fn events_of(batch: &Batch) -> anyhow::Result<Vec<Event>> {
    let columns = ProcessColumns::of(batch).context("not a process batch")?;
    let rows = (0..batch.rows()).filter_map(|row| columns.row(row));
    Ok(rows
        .map(|row| Event {
            timestamp: row.timestamp().0,
            source: row.source().to_owned(),
            sequence: row.sequence(),
            pid: row.pid(),
            start_time: row.start_time().0,
            ppid: row.ppid(),
            parent_start_time: row.parent_start_time().map(|time| time.0),
            parent_name: row.parent_name().map(str::to_owned),
            parent_executable: row.parent_executable().map(str::to_owned),
            name: row.name().to_owned(),
            executable: row.executable().map(str::to_owned),
            executable_deleted: row.executable_deleted(),
            command_line: row.command_line().iter().map(str::to_owned).collect(),
            cpu_usage: row.cpu_usage(),
            memory_bytes: row.memory_bytes(),
            user_id: row.user_id(),
            cgroup: row.cgroup().map(str::to_owned),
            container_id: row.container_id().map(str::to_owned),
            executable_hash: row.executable_hash().map(str::to_owned),
            hash_algorithm: row.hash_algorithm().map(str::to_owned),
            hash_baseline: row.hash_baseline().map(str::to_owned),
            accessible: row.accessible(),
            file_exists: row.file_exists(),
            lifecycle: row.lifecycle().to_owned(),
            exit_code: row.exit_code(),
        })
        .collect())
}
