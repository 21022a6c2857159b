//! Sources that do what a test tells them to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::watch;
use weir_bus::event::ProcessEvent;
use weir_bus::{Emit, Pace, SourceCaps};

use crate::source::{EventSource, SourceContext, SourceError, SourceHealth};

/// Rows that a good source makes.
pub(super) const ROWS: u32 = 1_000;

/// What a scripted source does in one run.
pub(super) enum Act {
    /// Sends its rows, and ends.
    Good,
    /// Is ready, sends a row, and runs until it is told to stop.
    Serve,
    /// Fails before it is ready.
    FailToStart,
    /// Is ready, and fails.
    Fail,
    /// Is ready, and panics.
    Panic,
    /// Is ready, and blocks its thread until the channel's other end is dropped; then serves.
    Block(Receiver<()>),
    /// Blocks its thread before it is ready; then tries to send a row, and ends.
    BlockStart(Receiver<()>, Sender<Emit>),
    /// Sends rows as fast as it can, and only looks up when it is told to stop.
    Flood,
    /// Runs until its `stop` is called, and doesn't look at the context.
    AwaitStop,
}

pub(super) struct Scripted {
    name: String,
    acts: Mutex<VecDeque<Act>>,
    stop: tokio::sync::Notify,
    pub(super) runs: AtomicUsize,
    pub(super) health: Mutex<SourceHealth>,
    pub(super) checks: watch::Sender<u128>,
}

pub(super) fn row(pid: u32) -> ProcessEvent {
    ProcessEvent {
        pid,
        lifecycle: "observed".to_owned(),
        ..ProcessEvent::default()
    }
}

impl Scripted {
    pub(super) fn new(name: &str, acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            acts: Mutex::new(acts.into_iter().collect()),
            stop: tokio::sync::Notify::new(),
            runs: AtomicUsize::new(0),
            health: Mutex::default(),
            checks: watch::Sender::new(0),
        })
    }

    fn next_act(&self) -> Act {
        self.acts.lock().unwrap().pop_front().unwrap_or(Act::Serve)
    }
}

#[async_trait]
impl EventSource for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS
    }

    fn pace(&self) -> Pace {
        if self.name == "floods" {
            Pace::Realtime
        } else {
            Pace::Periodic
        }
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let act = self.next_act();
        if let Act::FailToStart = act {
            return Err(SourceError::Failed("no luck".to_owned()));
        }
        if let Act::BlockStart(gate, emitted) = act {
            let _ = gate.recv();
            let _ = emitted.send(context.emitter().emit(&row(0)).await);
            return Ok(());
        }
        context.ready();
        match act {
            Act::Good => {
                for pid in 0..ROWS {
                    context.emitter().emit(&row(pid)).await;
                }
                return Ok(());
            }
            Act::Fail => return Err(SourceError::Failed("no luck".to_owned())),
            Act::Panic => panic!("out of {}", "memory"),
            Act::Block(gate) => {
                let _ = gate.recv();
            }
            Act::Flood => {
                while !context.is_stopping() {
                    context.emitter().emit(&row(7)).await;
                }
                return Ok(());
            }
            Act::AwaitStop => {
                self.stop.notified().await;
                return Ok(());
            }
            _ => {}
        }
        context.emitter().emit(&row(1)).await;
        context.stopping().await;
        Ok(())
    }

    async fn stop(&self) {
        self.stop.notify_one();
    }

    async fn health_check(&self) -> SourceHealth {
        self.checks.send_modify(|checks| *checks += 1);
        self.health.lock().unwrap().clone()
    }
}
