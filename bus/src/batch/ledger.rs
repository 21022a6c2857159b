//! What became of a source's rows: the first law of counting.
//!
//! `produced = published + removed by filters + dropped[reason] + in flight`, exact whenever it is
//! read, because every row is moved from one count to another under the batcher's lock.

use std::sync::Arc;

use crate::count::{Count, DropReason, Drops};
use crate::event::Kind;

/// The counts of one source, in rows, read at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SourceCounts {
    /// Rows that the source handed over.
    pub produced: u64,
    /// Rows that reached the bus.
    pub published: u64,
    /// Rows that filters removed.
    pub removed: u64,
    /// Rows that were lost, by reason.
    pub dropped: Drops,
    /// Rows in closed batches that wait for the filters.
    pub in_channel: u64,
    /// Rows in open batches.
    pub in_batcher: u64,
    /// Rows that the filters hold.
    pub in_filters: u64,
    /// Batches that reached the bus.
    pub batches: u64,
    /// Times that the source lost rows before it could make them, an unknown number each time.
    pub lost_unknown: u64,
}

/// Rows that a source lost before it could hand them over, at its place in the source's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLoss {
    /// Whose rows.
    pub source: Arc<str>,
    /// What they would have been.
    pub kind: Kind,
    /// How many; none where nobody can know.
    pub rows: Option<u64>,
    /// Why.
    pub reason: DropReason,
}

impl SourceCounts {
    /// Rows that are under way.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.in_channel + self.in_batcher + self.in_filters
    }

    /// Whether the first law holds.
    #[must_use]
    pub fn balances(&self) -> bool {
        let accounted =
            self.published + self.removed + self.dropped.total().rows + self.in_flight();
        self.produced == accounted
    }

    pub(super) fn drop_rows(&mut self, reason: DropReason, rows: u64, batches: u64) {
        self.dropped.add(reason, Count { rows, batches });
    }
}

impl std::ops::AddAssign<&Self> for SourceCounts {
    fn add_assign(&mut self, other: &Self) {
        self.produced += other.produced;
        self.published += other.published;
        self.removed += other.removed;
        self.dropped += &other.dropped;
        self.in_channel += other.in_channel;
        self.in_batcher += other.in_batcher;
        self.in_filters += other.in_filters;
        self.batches += other.batches;
        self.lost_unknown += other.lost_unknown;
    }
}

/// What became of a batch that [`super::Batcher::next`] handed out; its rows must add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Rows that reached the bus.
    pub published: u64,
    /// Rows that filters removed.
    pub removed: u64,
    /// Rows that were lost, by reason.
    pub dropped: Drops,
}

impl Settlement {
    /// All rows that it accounts for.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.published + self.removed + self.dropped.total().rows
    }
}
