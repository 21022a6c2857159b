//! Where a subscription's batches go: to a receiver that reads columns, or to a connection, which hands
//! on what nobody here has looked into.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::queue::Offer;
use super::{Delivery, Gap, Pushed, Queue, QueueCounts, QueuePolicy, Weigh};
use crate::batch::{Batch, BatchHeader};
use crate::count::DropReason;
use crate::wire::WireBatch;

/// A batch on its way through the bus.
#[derive(Debug, Clone)]
pub enum Parcel {
    /// Columns.
    Batch(Arc<Batch>),
    /// Bytes that came over a wire.
    Wire(Arc<WireBatch>),
}

impl Parcel {
    /// What is true of all its rows.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        match self {
            Self::Batch(batch) => batch.header(),
            Self::Wire(wire) => wire.header(),
        }
    }
}

impl Weigh for Parcel {
    fn rows(&self) -> u64 {
        match self {
            Self::Batch(batch) => batch.rows(),
            Self::Wire(wire) => wire.rows() as u64,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Batch(batch) => batch.bytes(),
            Self::Wire(wire) => wire.frames().len() as u64,
        }
    }
}

/// A subscription's queue.
#[derive(Debug)]
pub(super) enum Outlet {
    /// Of a receiver that reads columns.
    Columns(Arc<Queue<Arc<Batch>>>),
    /// Of a connection.
    Parcels(Arc<Queue<Parcel>>),
}

/// What was in a queue that is retired.
#[expect(dead_code, reason = "only held, to be destroyed later")]
pub(super) enum Left {
    Columns(VecDeque<Delivery<Arc<Batch>>>),
    Parcels(VecDeque<Delivery<Parcel>>),
}

macro_rules! either {
    ($outlet:expr, $queue:ident => $body:expr) => {
        match $outlet {
            Outlet::Columns($queue) => $body,
            Outlet::Parcels($queue) => $body,
        }
    };
}

impl Outlet {
    pub(super) fn policy(&self) -> QueuePolicy {
        either!(self, queue => queue.policy())
    }

    pub(super) fn counts(&self) -> QueueCounts {
        either!(self, queue => queue.counts())
    }

    pub(super) fn close(&self) {
        either!(self, queue => queue.close());
    }

    pub(super) fn refuse(&self, position: u64, rows: u64, reason: DropReason) -> Pushed {
        either!(self, queue => queue.refuse(position, rows, reason))
    }

    /// Leaves a gap that was made elsewhere.
    pub(super) fn push_gap(&self, gap: Gap) {
        either!(self, queue => queue.push_gap(gap));
    }

    /// Retires the queue and gives its last counts. What was in it is destroyed only with the second,
    /// so that nobody waits for it under a lock.
    pub(super) fn retire(&self) -> (QueueCounts, Left) {
        match self {
            Self::Columns(queue) => {
                let (counts, left) = queue.retire_and_keep();
                (counts, Left::Columns(left))
            }
            Self::Parcels(queue) => {
                let (counts, left) = queue.retire_and_keep();
                (counts, Left::Parcels(left))
            }
        }
    }

    /// Bytes that came over a wire go to connections only: for receivers they were decoded before, and
    /// one that has come meanwhile begins with the next batch.
    #[inline]
    pub(super) fn offer(&self, position: u64, parcel: Parcel) -> Offer<Parcel> {
        match (self, parcel) {
            (Self::Columns(queue), Parcel::Batch(batch)) => match queue.offer(position, batch) {
                Offer::Done(pushed) => Offer::Done(pushed),
                Offer::Full(batch) => Offer::Full(Parcel::Batch(batch)),
            },
            (Self::Columns(_), Parcel::Wire(_)) => Offer::Done(Pushed::Gone),
            (Self::Parcels(queue), parcel) => queue.offer(position, parcel),
        }
    }

    pub(super) fn push_waiting(&self, position: u64, parcel: Parcel, since: Instant) -> Pushed {
        match (self, parcel) {
            (Self::Columns(queue), Parcel::Batch(batch)) => {
                queue.push_waiting(position, batch, since)
            }
            (Self::Columns(_), Parcel::Wire(_)) => Pushed::Gone,
            (Self::Parcels(queue), parcel) => queue.push_waiting(position, parcel, since),
        }
    }
}
