//! What stands in a stream in the place of rows that are missing.

use serde::Serialize;

use super::Incarnations;
use crate::count::DropReason;

/// What stands in a stream where rows were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// How many rows are missing; `None` where nobody can know.
    pub missed: Option<u64>,
    /// Why.
    pub reason: DropReason,
    /// The lowest position that is missing.
    pub from: u64,
    /// The highest position that is missing.
    pub to: u64,
    /// Where the stream goes on in another life of the bus: then `from` is a position of the old one,
    /// `to` of the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnations: Option<Incarnations>,
}

impl Gap {
    /// One batch that is missing.
    pub(crate) const fn of(position: u64, rows: u64, reason: DropReason) -> Self {
        Self {
            missed: Some(rows),
            reason,
            from: position,
            to: position,
            incarnations: None,
        }
    }

    /// So much that nobody can know.
    pub(crate) const fn unknown(reason: DropReason, from: u64, to: u64) -> Self {
        Self {
            missed: None,
            reason,
            from,
            to,
            incarnations: None,
        }
    }

    /// Takes in a gap that stands beside it.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.missed = self
            .missed
            .zip(other.missed)
            .map(|(mine, theirs)| mine.saturating_add(theirs));
        match (&mut self.incarnations, other.incarnations) {
            (None, None) => {
                self.from = self.from.min(other.from);
                self.to = self.to.max(other.to);
            }
            // Positions of two lives have no order: the later gap says where the stream goes on.
            (Some(mine), Some(theirs)) => {
                mine.new = theirs.new;
                self.to = other.to;
            }
            (mine @ None, Some(theirs)) => {
                *mine = Some(theirs);
                self.to = other.to;
            }
            (Some(_), None) => self.to = self.to.max(other.to),
        }
    }
}
