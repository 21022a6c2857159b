//! The small WASI that every guest gets: what its language's runtime can't do without, and
//! nothing that reaches the machine.
//!
//! No files, no sockets, an empty environment; stdout and stderr go to the rate-limited log; the
//! clocks show the batch's event time and stand still within a call; randomness is seeded; `exit`
//! is a fault; and so is waiting for what isn't ready at once.

mod clock;
mod poll;
mod stdio;

use std::sync::Arc;

use rand::SeedableRng as _;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliCtxView, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksCtxView, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemCtxView, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings;
use wasmtime_wasi::random::{WasiRandom, WasiRandomCtx};
use wasmtime_wasi::{WasiCtx, WasiView as _};

pub(super) use clock::FrozenClock;
pub(super) use stdio::Tail;

use super::host::{GuestState, LogGate};

/// Random bytes that one call may ask for.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// The context of a guest's WASI. `seed` makes its randomness the same at every replay.
pub(super) fn context(
    log: &Arc<LogGate>,
    clock: &Arc<FrozenClock>,
    stderr: &Tail,
    seed: u64,
) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    builder
        .stdout(stdio::Lines::stdout(Arc::clone(log)))
        .stderr(stdio::Lines::stderr(Arc::clone(log), stderr.clone()))
        .wall_clock(clock::Shown(Arc::clone(clock)))
        .monotonic_clock(clock::Shown(Arc::clone(clock)))
        .secure_random(rand::rngs::StdRng::seed_from_u64(seed))
        .insecure_random(rand::rngs::StdRng::seed_from_u64(!seed))
        .insecure_random_seed(u128::from(seed))
        .max_random_size(RANDOM_BYTES_MAX);
    builder.build()
}

/// Gives the parts of this folder the table of the store's resources.
pub(super) struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

// Every import of WASI gets its part of the store's data from one of these, and is counted there.

fn table(state: &mut GuestState) -> &mut ResourceTable {
    state.count_host_call();
    &mut state.table
}

fn cli(state: &mut GuestState) -> WasiCliCtxView<'_> {
    state.count_host_call();
    state.cli()
}

fn clocks(state: &mut GuestState) -> WasiClocksCtxView<'_> {
    state.count_host_call();
    state.clocks()
}

fn filesystem(state: &mut GuestState) -> WasiFilesystemCtxView<'_> {
    state.count_host_call();
    state.filesystem()
}

fn random(state: &mut GuestState) -> &mut WasiRandomCtx {
    state.count_host_call();
    state.ctx().ctx.random()
}

pub(super) fn add_to_linker(
    linker: &mut Linker<GuestState>,
    would_block_is_a_fault: bool,
) -> wasmtime::Result<()> {
    use bindings::{
        cli as wasi_cli, clocks as wasi_clocks, filesystem as wasi_filesystem,
        random as wasi_random, sync,
    };
    type State = GuestState;

    wasmtime_wasi_io::bindings::wasi::io::error::add_to_linker::<State, HasTable>(linker, table)?;
    sync::io::streams::add_to_linker::<State, HasTable>(linker, table)?;
    if would_block_is_a_fault {
        poll::add_to_linker(linker)?;
        clock::add_to_linker(linker)?;
    } else {
        sync::io::poll::add_to_linker::<State, HasTable>(linker, table)?;
        wasi_clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(linker, clocks)?;
    }
    wasi_clocks::wall_clock::add_to_linker::<State, WasiClocks>(linker, clocks)?;
    wasi_filesystem::preopens::add_to_linker::<State, WasiFilesystem>(linker, filesystem)?;
    sync::filesystem::types::add_to_linker::<State, WasiFilesystem>(linker, filesystem)?;
    wasi_random::random::add_to_linker::<State, WasiRandom>(linker, random)?;
    wasi_random::insecure::add_to_linker::<State, WasiRandom>(linker, random)?;
    wasi_random::insecure_seed::add_to_linker::<State, WasiRandom>(linker, random)?;
    wasi_cli::exit::add_to_linker::<State, WasiCli>(linker, cli)?;
    wasi_cli::environment::add_to_linker::<State, WasiCli>(linker, cli)?;
    wasi_cli::stdin::add_to_linker::<State, WasiCli>(linker, cli)?;
    wasi_cli::stdout::add_to_linker::<State, WasiCli>(linker, cli)?;
    wasi_cli::stderr::add_to_linker::<State, WasiCli>(linker, cli)?;
    wasi_cli::terminal_input::add_to_linker::<State, WasiCli>(linker, cli)?;
    wasi_cli::terminal_output::add_to_linker::<State, WasiCli>(linker, cli)?;
    wasi_cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, cli)?;
    wasi_cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, cli)?;
    wasi_cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, cli)?;
    Ok(())
}
