//! The lane of one source: its batches, one after the other, through the filters to the bus.
//!
//! One batch of a source is in the filters at a time: that keeps the source's order, and bounds
//! what the filters hold by the number of sources. Whatever becomes of a batch is settled with the
//! source's batcher, whose law it is.

use std::sync::Arc;

use weir_bus::batch::{Batch, Batcher, Settlement};
use weir_bus::pubsub::{EventBus, PublishError, PublisherId};
use weir_bus::{Count, DropReason};
use weir_sources::{ProcessTable, SourceTable};

use crate::slot::Slot;
use crate::slot::filter::FilterDuty;

/// The way of a source's batches.
pub(crate) struct Lane {
    pub(crate) batcher: Arc<Batcher>,
    /// In the order in which batches pass them.
    pub(crate) filters: Vec<Slot<FilterDuty>>,
    pub(crate) bus: Arc<dyn EventBus>,
    pub(crate) publisher: PublisherId,
    /// The latest processes, for guests that ask; none if nobody does.
    pub(crate) processes: Option<Arc<ProcessTable>>,
    /// The source's latest table; none of a source that doesn't look at intervals.
    pub(crate) table: Option<Arc<SourceTable>>,
}

impl Lane {
    /// Runs until the batcher is closed and empty.
    pub(crate) async fn run(self) {
        let mut lost_before = 0;
        // Whether more was lost since the last batch than anybody knows.
        let mut is_unknown = false;
        while let Some(batch) = self.batcher.next().await {
            if let Some(processes) = &self.processes {
                // Before the filters: what they let rest can still be asked for.
                processes.update(&batch);
            }
            let losses = self.batcher.take_losses();
            for loss in &losses {
                self.bus.lost(self.publisher, loss);
            }
            is_unknown |= losses.iter().any(|loss| loss.rows.is_none());
            if batch.rows() == 0
                && batch
                    .header()
                    .snapshot
                    .is_none_or(|snapshot| !snapshot.last)
            {
                // It stood where something was lost, and is nothing itself.
                continue;
            }
            let lost = self.batcher.counts().dropped.total().rows;
            let missed = lost.saturating_sub(lost_before);
            lost_before = lost;
            if let Some(table) = &self.table {
                // The same: a table is what the source has seen, whatever filters make of the stream.
                table.take(&batch, missed);
            }
            let missed = (!std::mem::take(&mut is_unknown)).then_some(missed);
            let settlement = self.pass(batch, missed).await;
            self.batcher.settle(&settlement);
        }
    }

    async fn pass(&self, mut batch: Batch, missed: Option<u64>) -> Settlement {
        let mut settlement = Settlement::default();
        for filter in &self.filters {
            if !filter.duty().wants(batch.kind()) {
                continue;
            }
            let filtered = filter.duty().filter(batch, missed).await;
            settlement.removed += filtered.removed;
            if let Some((reason, count)) = filtered.dropped {
                settlement.dropped.add(reason, count);
            }
            match filtered.batch {
                Some(kept) => batch = kept,
                None => return settlement,
            }
        }
        self.publish(batch, &mut settlement);
        settlement
    }

    fn publish(&self, batch: Batch, settlement: &mut Settlement) {
        let rows = batch.rows() as u64;
        match self.bus.publish(self.publisher, Arc::new(batch)) {
            Ok(_) => settlement.published += rows,
            Err(error) => {
                let reason = match error {
                    PublishError::Closed { .. } => DropReason::Closed,
                    PublishError::Invalid { .. } => DropReason::Invalid,
                };
                settlement.dropped.add(reason, Count::batch(rows));
            }
        }
    }
}
