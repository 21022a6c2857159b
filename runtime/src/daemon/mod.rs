//! The daemon around a pipeline: what starts it, what it says, what changes it, what ends it.

mod desk;
mod events;
mod health;
mod reload;
mod status;
mod summary;
mod swaps;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::broker::ControlDesk;
use crate::config::Loaded;
use crate::guests::Guests;
use crate::heap::Trimmer;
use crate::metrics::TextFile;
use crate::pipeline::{Pipeline, StartError};
use crate::sink::Console;
use desk::{Desk, Next};
use health::HealthWatch;
use reload::{Files, Reloader};
use swaps::SwapWatch;

/// How often the status line, the slots' watch and the config files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The exit code of a process that a signal ends at once: the second one, or one that comes before it has started.
const EXIT_INTERRUPTED: i32 = 130;

/// Everything that a daemon is started with.
pub(crate) struct Daemon {
    pub(crate) loaded: Loaded,
    pub(crate) guests: Arc<Guests>,
    pub(crate) console: Arc<Console>,
    /// Loads the config anew, from where it was loaded first; the error is for the operator.
    pub(crate) reload: Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>,
    pub(crate) run_for: Option<Duration>,
}

/// What an operator's signals ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stop,
    Reload,
}

/// The signals that the daemon listens to.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal. Cancel safe.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    /// The next that asks to stop. Cancel safe.
    async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}

/// Runs until a signal, the end of its time, or the end of all sources; then drains. True if
/// everything came to its end in time, and the counts balance.
pub(crate) async fn run(daemon: Daemon) -> Result<bool, StartError> {
    let started = Instant::now();
    let thread = |error| StartError::Thread {
        name: "signals".to_owned(),
        error,
    };
    let mut signals = Signals::listen().map_err(thread)?;
    let config = daemon.loaded.config.clone();
    let files = Files::of(&daemon.loaded);
    let (desk, mut controls) = ControlDesk::new();
    let mut pipeline = tokio::select! {
        started = start(&daemon) => started?,
        // Compiling may take minutes on a busy host, and nothing is under way yet that could be lost.
        () = signals.stop() => std::process::exit(EXIT_INTERRUPTED),
    };
    pipeline.serve(Arc::new(desk))?;
    summary::started(&daemon.console, &config, &pipeline);
    let mut health = HealthWatch::new(&config.collector, pipeline.bus());
    let mut swaps = SwapWatch::new(pipeline.bus());
    let mut reloader = Reloader::new(
        daemon.loaded,
        files,
        daemon.reload,
        Arc::clone(&daemon.guests),
        pipeline.bus(),
    );
    let mut status = status::StatusLine::new(Arc::clone(&daemon.console));
    let mut metrics = TextFile::new(&config.metrics, started);
    let mut heap = Trimmer::default();
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    let end = daemon
        .run_for
        .map(|run_for| tokio::time::Instant::now() + run_for);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => break,
                Asked::Reload => {
                    reloader.reload(&pipeline, &daemon.console).await;
                }
            },
            asked = controls.next() => {
                let desk = Desk { pipeline: &pipeline, console: &daemon.console, started };
                if desk.answer(asked, &config, &health, &mut reloader).await == Next::End {
                    break;
                }
            }
            () = until(end) => break,
            _ = look.tick() => {
                pipeline.slots().values().for_each(|slot| slot.watch(Instant::now()));
                pipeline.triggers().look(Instant::now());
                status.show(&pipeline);
                health.look(&pipeline, &daemon.console);
                swaps.look(&pipeline, &daemon.console).await;
                metrics.look(|| pipeline.status()).await;
                heap.look(Instant::now());
                if reloader.has_changed() {
                    reloader.reload(&pipeline, &daemon.console).await;
                }
                if pipeline.is_finished() {
                    break;
                }
            }
        }
    }
    let deadline = Instant::now() + config.collector.shutdown_timeout;
    tokio::spawn(async move {
        signals.stop().await;
        // The second one means now.
        std::process::exit(EXIT_INTERRUPTED);
    });
    status.clear();
    let sources = pipeline.status().sources;
    let (report, counts) = pipeline.drain(deadline).await;
    metrics.finish(sources, &report, &counts, deadline).await;
    Ok(summary::ended(
        &daemon.console,
        started.elapsed(),
        &report,
        &counts,
    ))
}

/// Prepares and starts; compiling a guest takes seconds, so it has a thread where it may block.
async fn start(daemon: &Daemon) -> Result<Pipeline, StartError> {
    let (config, guests) = (daemon.loaded.config.clone(), Arc::clone(&daemon.guests));
    let console = Arc::clone(&daemon.console);
    let starting = tokio::task::spawn_blocking(move || {
        Pipeline::start(&config, &guests, &console, Vec::new())
    });
    starting.await.unwrap_or_else(|error| {
        Err(StartError::Thread {
            name: "start".to_owned(),
            error: std::io::Error::other(error),
        })
    })
}

async fn until(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
