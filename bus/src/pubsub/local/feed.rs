//! Whole tables into one subscription's queue.
//!
//! They go beside the matcher: nobody else gets them, and they have no position of their own. The invariant: a
//! table ends with a batch that is marked so, and nothing of it is left out without a count.

use std::sync::{Arc, Weak};

use super::super::filtered::{Filtered, cut};
use super::super::outlet::Parcel;
use super::super::queue::Offer;
use super::super::tables::{Feed, TableFeed, TableRequest};
use super::super::{SubscribeError, Weigh as _};
use super::{Inner, Subscription};
use crate::batch::{Batch, BatchHeader, Snapshot};
use crate::count::DropReason;
use crate::event::EventBuilder;
use crate::topic;

#[derive(Debug)]
struct Fed {
    bus: Weak<Inner>,
    subscription: Weak<Subscription>,
}

impl Inner {
    /// Asks for the tables of a subscription with an interval, which is registered already.
    pub(super) fn ask_for_tables(
        self: &Arc<Self>,
        subscription: &Arc<Subscription>,
    ) -> Result<(), SubscribeError> {
        let Some(every) = subscription.every else {
            return Ok(());
        };
        let refused = |problem: String| SubscribeError::NoTables {
            name: subscription.name.as_ref().to_owned(),
            problem,
        };
        let Some(tables) = self.lock().tables.clone() else {
            return Err(refused("no source of this bus has one".to_owned()));
        };
        let feed = Fed {
            bus: Arc::downgrade(self),
            subscription: Arc::downgrade(subscription),
        };
        let guard = tables.ask(TableRequest {
            name: Arc::clone(&subscription.name),
            every,
            patterns: subscription.patterns.clone(),
            kinds: subscription.filter.kinds.clone(),
            source: subscription.filter.source.clone(),
            feed: TableFeed(Arc::new(feed)),
        });
        // It goes with the subscription.
        drop(subscription.tables.set(guard.map_err(refused)?));
        Ok(())
    }
}

impl Fed {
    /// The subscription, and the position of what was published last; none if either is gone.
    fn to(&self) -> Option<(Arc<Subscription>, u64)> {
        let table = self.bus.upgrade()?;
        let subscription = self.subscription.upgrade()?;
        let position = table.lock().published.batches;
        Some((subscription, position))
    }
}

impl Feed for Fed {
    fn push(&self, table: &[Arc<Batch>], rows_missing: u64) -> bool {
        let Some((subscription, position)) = self.to() else {
            return false;
        };
        if rows_missing > 0 {
            let reason = DropReason::Backpressure;
            subscription.outlet.refuse(position, rows_missing, reason);
        }
        for part in subscription.parts(table, position) {
            subscription.put(position, part);
        }
        true
    }

    fn tell(&self, notice: Arc<Batch>) -> bool {
        let Some((subscription, position)) = self.to() else {
            return false;
        };
        subscription.put(position, notice);
        true
    }
}

impl Subscription {
    /// What its patterns and filters leave of a table, its end marked.
    fn parts(&self, table: &[Arc<Batch>], position: u64) -> Vec<Arc<Batch>> {
        let wanted = |batch: &&Arc<Batch>| {
            let mut patterns = self.patterns.iter();
            patterns.any(|pattern| pattern.matches(batch.topic()))
                && self.filter.wants(batch.header())
        };
        let mut parts = Vec::with_capacity(table.len());
        for batch in table.iter().filter(wanted) {
            let filtered = match &self.rows {
                Some(filter) => cut(batch, &filter.mask(batch)),
                None => Filtered::Rows(Arc::clone(batch)),
            };
            match filtered {
                Filtered::Nothing => {}
                Filtered::Rows(rows) if rows.as_ref().rows() == 0 => {}
                Filtered::Rows(rows) => parts.push(rows),
                Filtered::Failed(rows) => {
                    self.outlet.refuse(position, rows, DropReason::Fault);
                }
            }
        }
        let end = table.last().and_then(|last| last.header().snapshot);
        match (parts.last_mut(), end) {
            (Some(last), Some(end)) if last.header().snapshot != Some(end) => {
                *last = Arc::new(last.in_snapshot(end));
            }
            (None, Some(end)) => parts.extend(table.last().and_then(|last| nothing_of(last, end))),
            _ => {}
        }
        parts
    }

    fn put(&self, position: u64, part: Arc<Batch>) {
        if let Offer::Full(parcel) = self.outlet.offer(position, Parcel::Batch(part), None) {
            // Who asks for tables can't ask that they be waited for; nothing comes here.
            self.outlet
                .refuse(position, parcel.rows(), DropReason::Blocked);
        }
    }
}

/// The end of a table of which nothing is left. It goes to no topic of events: the subscription may not be allowed
/// to know which they are.
fn nothing_of(last: &Batch, end: Snapshot) -> Option<Arc<Batch>> {
    let header = BatchHeader {
        topic: topic::families::tables(&last.header().source),
        snapshot: Some(end),
        ..last.header().clone()
    };
    let columns = EventBuilder::new(header.kind, 0).finish(&header.source);
    Batch::new(header, columns).map(Arc::new).ok()
}

#[cfg(test)]
mod tests;
