//! The duty of a filter slot: a batch goes in, the rows that go on come out to who sent it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use weir_bus::batch::Batch;
use weir_bus::pubsub::{Pushed, Queue, QueueCounts, QueueLimits, QueuePolicy, Recv, Weigh};
use weir_bus::{Count, DropReason, Kind, Selection};

use super::{Duty, Settled};
use crate::config::OnFault;
use crate::sandbox::{Instance, Outcome, World};

/// What came out of a filter.
#[derive(Debug)]
pub struct Filtered {
    /// The rows that go on; none if there are none.
    pub batch: Option<Batch>,
    /// Rows that the guest removed.
    pub removed: u64,
    /// Rows that were lost, and why.
    pub dropped: Option<(DropReason, Count)>,
}

/// A batch on its way through a filter.
pub struct FilterJob {
    batch: Batch,
    missed: Option<u64>,
    reply: Mutex<Option<oneshot::Sender<Filtered>>>,
}

impl Weigh for FilterJob {
    fn rows(&self) -> u64 {
        self.batch.rows() as u64
    }

    fn bytes(&self) -> u64 {
        self.batch.bytes() as u64
    }
}

/// Filters batches for all sources.
pub struct FilterDuty {
    queue: Queue<FilterJob>,
    kinds: Vec<Kind>,
    on_fault: OnFault,
}

impl FilterDuty {
    /// A filter for events of those kinds. Each source sends one batch at a time, so that the
    /// queue holds as many as there are sources.
    #[must_use]
    pub fn new(kinds: Vec<Kind>, on_fault: OnFault, limits: QueueLimits) -> Self {
        Self {
            queue: Queue::new(QueuePolicy::DropNewest, limits),
            kinds,
            on_fault,
        }
    }

    /// Whether events of that kind pass through the guest; others pass by it.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Sends a batch through the guest, and waits for what comes out.
    pub async fn filter(&self, batch: Batch, missed: Option<u64>) -> Filtered {
        let rows = Count {
            rows: batch.rows() as u64,
            batches: 1,
        };
        let (reply, filtered) = oneshot::channel();
        let job = FilterJob {
            batch,
            missed,
            reply: Mutex::new(Some(reply)),
        };
        let lost = |reason| Filtered {
            batch: None,
            removed: 0,
            dropped: Some((reason, rows)),
        };
        if let Pushed::Dropped(reason) = self.queue.push(0, job) {
            return lost(reason);
        }
        // The slot ended with the batch in its queue.
        filtered
            .await
            .unwrap_or_else(|_| lost(DropReason::Shutdown))
    }
}

impl Duty for FilterDuty {
    type Job = FilterJob;
    type Answer = Selection;

    const WORLD: World = World::Filter;

    fn next(&self) -> Recv<FilterJob> {
        // Its senders hear of every loss themselves: a gap tells nothing new.
        super::without_gaps(self.queue.recv_blocking())
    }

    fn interrupt(&self) {
        self.queue.interrupt();
    }

    fn finish(&self) {
        self.queue.close();
    }

    fn rows(job: &FilterJob) -> u64 {
        job.batch.rows() as u64
    }

    fn ask(&self, instance: &mut Instance, job: &FilterJob) -> Outcome<Selection> {
        instance.keep(&job.batch, job.missed)
    }

    fn settle(&self, job: &FilterJob, settled: Settled<Selection>, _generation: u64) {
        let rows = job.batch.rows() as u64;
        let unanswered = |reason| Filtered {
            batch: None,
            removed: 0,
            dropped: Some((reason, Count { rows, batches: 1 })),
        };
        let filtered = match (settled, self.on_fault) {
            (Settled::Answered(selection), _) => match job.batch.select(&selection) {
                Ok(kept) => Filtered {
                    removed: rows.saturating_sub(kept.rows() as u64),
                    batch: (kept.rows() > 0 || rows == 0).then_some(kept),
                    dropped: None,
                },
                // The sandbox has checked that it fits; what is left is Arrow's own refusal.
                Err(error) => {
                    tracing::error!(%error, "a checked selection was refused");
                    unanswered(DropReason::Invalid)
                }
            },
            (Settled::Unanswered, OnFault::Pass) => Filtered {
                batch: Some(job.batch.clone()),
                removed: 0,
                dropped: None,
            },
            (Settled::Unanswered, OnFault::Drop) => unanswered(DropReason::Fault),
        };
        let reply = job
            .reply
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(reply) = reply {
            // Who sent the batch has gone, at shutdown: nobody counts on it any more.
            drop(reply.send(filtered));
        }
    }

    fn counts(&self) -> QueueCounts {
        self.queue.counts()
    }
}
