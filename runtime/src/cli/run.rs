//! `weir run`: the daemon.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::{Failure, Global, guests, logs};
use crate::daemon::{self, Daemon};
use crate::pipeline::StartError;
use crate::sink::{Console, Output};
use crate::{heap, turns};

#[derive(Clone, Copy, ValueEnum)]
enum OutputArgument {
    Pretty,
    Json,
}

#[derive(Args, Default)]
pub(super) struct RunArguments {
    /// Runs for so long, then drains and ends: `10s`, `5m`.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    run_for: Option<Duration>,
    /// What stdout is for: a person, or a program.
    #[arg(long, value_enum)]
    output: Option<OutputArgument>,
}

/// Threads that carry lanes, timers and signals; guests, sources and sinks have their own.
const RUNTIME_THREADS: usize = 2;

pub(super) fn run(global: &Global, arguments: &RunArguments) -> Result<ExitCode, Failure> {
    let loaded = global.load()?;
    logs::start(&loaded.config.log)?;
    let output = match arguments.output {
        Some(OutputArgument::Json) => Output::Json,
        Some(OutputArgument::Pretty) | None => Output::Pretty,
    };
    // Before the first of its threads is made.
    heap::share_arenas();
    turns::take_short_turns();
    let guests = guests(&loaded.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("weir")
        .enable_all()
        .build()
        .context("the async runtime")?;
    let global = global.clone();
    let provenance = loaded.provenance.clone();
    let daemon = Daemon {
        loaded,
        guests,
        console: Arc::new(Console::new(output)),
        reload: Box::new(move || match global.load() {
            Ok(loaded) => Ok(loaded),
            Err(Failure::Usage(text)) => Err(text),
            Err(Failure::Failed(error)) => Err(format!("{error:#}")),
        }),
        run_for: arguments.run_for,
    };
    let clean = runtime
        .block_on(daemon::run(daemon))
        .map_err(|error| match error {
            StartError::Guest(error) => Failure::Usage(error.located(&provenance)),
            other => other.into(),
        })?;
    // A thread that hangs in a sink or a source is left behind, not waited for.
    runtime.shutdown_background();
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
