//! Where a subscription's batches go: to a receiver that reads columns, or to a connection, which hands
//! on what nobody here has looked into.

use std::sync::Arc;
use std::time::Instant;

use super::queue::{Charge, Emptied, Offer};
use super::resume::Track;
use super::{Gap, Pushed, Queue, QueueCounts, QueueLimits, QueuePolicy, Standing, Weigh};
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
            Self::Wire(wire) => wire.bytes() as u64,
        }
    }

    fn overtakes(&self, older: &Self) -> bool {
        self.header().overtakes(older.header())
    }
}

/// A subscription's queue.
#[derive(Debug)]
pub(super) enum Outlet {
    /// Of a receiver that reads columns.
    Columns(Arc<Queue<Arc<Batch>>>),
    /// Of a connection.
    Parcels(Arc<Track>),
}

/// What was in a queue that is retired.
#[expect(dead_code, reason = "only held, to be destroyed later")]
pub(super) enum Left {
    Columns(Emptied<Arc<Batch>>),
    Parcels(Emptied<Parcel>),
}

macro_rules! either {
    ($outlet:expr, $end:ident => $body:expr) => {
        match $outlet {
            Outlet::Columns($end) => $body,
            Outlet::Parcels($end) => $body,
        }
    };
}

impl Outlet {
    pub(super) fn policy(&self) -> QueuePolicy {
        either!(self, end => end.policy())
    }

    pub(super) fn limits(&self) -> QueueLimits {
        either!(self, queue => queue.limits())
    }

    pub(super) fn standing(&self) -> Option<Standing> {
        either!(self, queue => queue.standing())
    }

    /// Names the queue among those of its bus.
    pub(super) fn key(&self) -> usize {
        either!(self, queue => queue.key())
    }

    pub(super) fn counts(&self) -> QueueCounts {
        either!(self, end => end.counts())
    }

    pub(super) fn close(&self) {
        match self {
            Self::Columns(queue) => queue.close(),
            Self::Parcels(track) => track.queue().close(),
        }
    }

    /// Whether its receiver is gone, and may come back.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Columns(_) => false,
            Self::Parcels(track) => track.is_away(),
        }
    }

    pub(super) fn refuse(&self, position: u64, rows: u64, reason: DropReason) -> Pushed {
        either!(self, end => end.refuse(position, rows, reason))
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
            Self::Parcels(track) => {
                let (counts, left) = track.queue().retire_and_keep();
                (counts, Left::Parcels(left))
            }
        }
    }

    /// Whether the parcel would be taken in now; the policy has made room for it.
    pub(super) fn makes_room_for(&self, parcel: &Parcel) -> bool {
        match (self, parcel) {
            (Self::Columns(queue), Parcel::Batch(batch)) => queue.makes_room_for(Arc::clone(batch)),
            (Self::Columns(_), Parcel::Wire(_)) => false,
            (Self::Parcels(track), parcel) => track.makes_room_for(parcel),
        }
    }

    /// Bytes that came over a wire go to connections only: for receivers they were decoded before, and
    /// one that has come meanwhile begins with the next batch.
    #[inline]
    pub(super) fn offer(
        &self,
        position: u64,
        parcel: Parcel,
        charge: Option<&Arc<Charge>>,
    ) -> Offer<Parcel> {
        match (self, parcel) {
            (Self::Columns(queue), Parcel::Batch(batch)) => {
                match queue.offer(position, batch, charge) {
                    Offer::Done(pushed) => Offer::Done(pushed),
                    Offer::Full(batch) => Offer::Full(Parcel::Batch(batch)),
                }
            }
            (Self::Columns(_), Parcel::Wire(_)) => Offer::Done(Pushed::Gone),
            (Self::Parcels(queue), parcel) => queue.offer(position, parcel, charge),
        }
    }

    pub(super) fn push_waiting(
        &self,
        position: u64,
        parcel: Parcel,
        charge: Option<&Arc<Charge>>,
        since: Instant,
    ) -> Pushed {
        match (self, parcel) {
            (Self::Columns(queue), Parcel::Batch(batch)) => {
                queue.push_waiting(position, batch, charge, since)
            }
            (Self::Columns(_), Parcel::Wire(_)) => Pushed::Gone,
            // Who goes away meanwhile leaves room.
            (Self::Parcels(track), parcel) => {
                track.queue().push_waiting(position, parcel, charge, since)
            }
        }
    }
}
