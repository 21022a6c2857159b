//! A source that a test feeds: each batch that is sent is one batch of the pipeline, and nothing of
//! it is lost when the pipeline is drained.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use weir_bus::event::ProcessEvent;
use weir_bus::{Pace, SourceCaps};
use weir_sources::{EventSource, SourceContext, SourceError};

/// The source's side.
pub struct FedSource {
    name: String,
    pace: Pace,
    rows: Mutex<Option<UnboundedReceiver<Vec<ProcessEvent>>>>,
}

/// The test's side. The source ends when it is dropped and all was emitted, and not before: it
/// doesn't look whether it shall stop.
pub struct Feed {
    sender: UnboundedSender<Vec<ProcessEvent>>,
    rows: AtomicU64,
}

/// A source of that name and pace, and what feeds it.
#[must_use]
pub fn fed_source(name: &str, pace: Pace) -> (Feed, FedSource) {
    let (sender, receiver) = unbounded_channel();
    let source = FedSource {
        name: name.to_owned(),
        pace,
        rows: Mutex::new(Some(receiver)),
    };
    let feed = Feed {
        sender,
        rows: AtomicU64::new(0),
    };
    (feed, source)
}

impl Feed {
    /// Sends rows, to be one batch.
    ///
    /// # Panics
    /// If the source has ended.
    pub fn send(&self, rows: Vec<ProcessEvent>) {
        self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        self.sender.send(rows).expect("the source takes rows");
    }

    /// How many rows were sent.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl EventSource for FedSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        let taken = self
            .rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut rows) = taken else {
            return Err(SourceError::Failed("it is fed only once".to_owned()));
        };
        context.ready();
        while let Some(batch) = rows.recv().await {
            context.emitter().emit_all(&batch).await;
            context.emitter().flush();
        }
        Ok(())
    }
}
