//! How what a connection publishes gets onto the bus: straight, or through what the program that serves
//! the broker puts before it — filters, in the daemon.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::SourceCounts;
use crate::count::{Count, DropReason};
use crate::pubsub::{LocalBus, PublishError, PublisherId};
use crate::wire::WireBatch;

/// Makes the way in for each connection.
pub trait Ingress: Send + Sync + 'static {
    /// The way in of a connection whose batches are said to come from `source`.
    fn open(&self, source: &Arc<str>, publisher: PublisherId) -> Arc<dyn Entrance>;
}

/// One connection's way in. Its counts keep the law of sources: produced = published + removed by
/// filters + dropped + in flight.
pub trait Entrance: Send + Sync {
    /// Takes a batch. While there is no room for it nothing more is read of the connection, and nobody
    /// else waits. An error says that it was dropped, which is counted.
    fn enter(&self, batch: WireBatch) -> Entered<'_>;

    /// What became of what was taken.
    fn counts(&self) -> SourceCounts;

    /// Nothing more comes.
    fn close(&self);
}

/// How a batch got in, or how it will.
pub enum Entered<'a> {
    /// At once: mostly there is nothing to wait for, and then a small message is spared a future's box.
    Now(Result<(), EnterError>),
    /// When there is room.
    Later(Pin<Box<dyn Future<Output = Result<(), EnterError>> + Send + 'a>>),
}

/// A batch that was dropped on its way in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rows} rows are dropped[{reason}]: {message}")]
pub struct EnterError {
    /// Why.
    pub reason: DropReason,
    /// How many rows.
    pub rows: u64,
    /// What is wrong.
    pub message: String,
}

/// Straight onto the bus.
#[derive(Debug)]
pub struct Direct {
    bus: Arc<LocalBus>,
}

impl Direct {
    /// Onto this bus.
    #[must_use]
    pub const fn new(bus: Arc<LocalBus>) -> Self {
        Self { bus }
    }
}

impl Ingress for Direct {
    fn open(&self, _source: &Arc<str>, publisher: PublisherId) -> Arc<dyn Entrance> {
        Arc::new(Straight {
            bus: Arc::clone(&self.bus),
            publisher,
            counts: Mutex::default(),
        })
    }
}

struct Straight {
    bus: Arc<LocalBus>,
    publisher: PublisherId,
    counts: Mutex<SourceCounts>,
}

impl Straight {
    fn count(&self, change: impl FnOnce(&mut SourceCounts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Entrance for Straight {
    fn enter(&self, batch: WireBatch) -> Entered<'_> {
        let rows = batch.rows() as u64;
        match self.bus.publish_wire(self.publisher, batch) {
            Ok(handed_on) => {
                self.count(|counts| {
                    counts.produced += rows;
                    counts.published += rows;
                    counts.batches += 1;
                });
                let Err(waiting) = handed_on else {
                    return Entered::Now(Ok(()));
                };
                Entered::Later(Box::pin(async {
                    // Only this connection waits: a thread does it that nobody else needs.
                    drop(tokio::task::spawn_blocking(|| waiting.wait()).await);
                    Ok(())
                }))
            }
            Err(error) => {
                let reason = match error {
                    PublishError::Closed { .. } => DropReason::Closed,
                    PublishError::Invalid { .. } => DropReason::Invalid,
                };
                self.count(|counts| {
                    counts.produced += rows;
                    counts.dropped.add(reason, Count::batch(rows));
                });
                Entered::Now(Err(EnterError {
                    reason,
                    rows,
                    message: error.to_string(),
                }))
            }
        }
    }

    fn counts(&self) -> SourceCounts {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn close(&self) {}
}
