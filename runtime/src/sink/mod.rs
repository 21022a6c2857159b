//! Sinks: where findings and events leave. Each has a subscription and a thread of its own, so that
//! a full disk or a slow terminal keeps nobody waiting but itself.

mod console;
mod json;
mod open;
mod pretty;
mod recording;
pub(crate) mod rotate;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use weir_bus::batch::Batch;
use weir_bus::pubsub::{Delivery, Gap, Recv, Subscriber};

pub use console::{Console, Output};
pub use json::JsonSink;
pub(crate) use open::open_all;
pub use open::{OpenError, OpenReason};
pub use pretty::TerminalSink;
pub use recording::RecordingSink;
pub use rotate::Rotation;

/// What goes wrong with a sink.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file or stream can't be written.
    #[error("{path}: {source}")]
    Io {
        /// The file, or `stdout`.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A recording can't be written.
    #[error(transparent)]
    Recording(#[from] weir_bus::batch::RecordingError),
}

/// Where batches leave.
pub trait Sink: Send {
    /// Writes a batch.
    ///
    /// # Errors
    /// If it can't be written.
    fn write(&mut self, batch: &Batch) -> Result<(), SinkError>;

    /// Tells of rows that are missing here.
    ///
    /// # Errors
    /// If it can't be written.
    fn gap(&mut self, gap: &Gap) -> Result<(), SinkError>;

    /// Writes what is left, and ends.
    ///
    /// # Errors
    /// If it can't be written.
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A sink at work.
pub struct RunningSink {
    name: String,
    subscriber: Arc<Subscriber>,
    thread: JoinHandle<()>,
}

impl RunningSink {
    /// Starts a sink's thread.
    ///
    /// # Errors
    /// If the system refuses the thread.
    pub fn start(
        name: &str,
        subscriber: Subscriber,
        sink: impl Sink + 'static,
    ) -> std::io::Result<Self> {
        let subscriber = Arc::new(subscriber);
        let thread = std::thread::Builder::new()
            .name(format!("sink-{name}"))
            .spawn({
                let (name, subscriber) = (name.to_owned(), Arc::clone(&subscriber));
                move || run(&name, &subscriber, sink)
            })?;
        Ok(Self {
            name: name.to_owned(),
            subscriber,
            thread,
        })
    }

    /// The sink's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes no more, and writes what is queued; false if the deadline came first. The subscription
    /// stays, with its counts, until the sink is dropped.
    #[must_use]
    pub fn finish(&self, deadline: Instant) -> bool {
        /// How often a thread that writes is looked at while it is waited for.
        const LOOK: std::time::Duration = std::time::Duration::from_millis(1);
        self.subscriber.finish();
        while !self.thread.is_finished() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::park_timeout(LOOK);
        }
        true
    }
}

fn run(name: &str, subscriber: &Subscriber, mut sink: impl Sink) {
    let mut failed = false;
    loop {
        let result = match subscriber.recv_blocking() {
            Recv::Got(Delivery::Batch { item, .. }) => sink.write(&item),
            Recv::Got(Delivery::Gap(gap)) => sink.gap(&gap),
            Recv::Closed => break,
            Recv::Empty | Recv::Interrupted => Ok(()),
        };
        match result {
            // Said once an outage: a full disk would fill the log as well.
            Err(error) if !failed => {
                failed = true;
                tracing::error!(sink = name, %error, "the sink can't write; it goes on trying");
            }
            Err(_) => {}
            Ok(()) => failed = false,
        }
    }
    if let Err(error) = sink.finish() {
        tracing::error!(sink = name, %error, "the sink can't write its end");
    }
}
