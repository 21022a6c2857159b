//! How a batch ended for its guest: part by part, in the order of its rows.

use std::ops::Range;

use crate::sandbox::{Cost, FaultReason};

/// Why rows have no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// It is they that break the guest.
    Poisonous,
    /// They were in a batch that broke the guest, and it was not asked about them alone.
    Unevaluated,
    /// The guest gives them none.
    Rejected,
    /// The call about them did not return.
    Stalled,
    /// The guest broke a moment ago, and was not asked.
    BackingOff,
    /// The guest's module is in quarantine, and was not asked.
    Quarantined,
}

impl Without {
    /// The reason's code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poisonous => "poisonous",
            Self::Unevaluated => "unevaluated",
            Self::Rejected => "rejected",
            Self::Stalled => "stalled",
            Self::BackingOff => "backing-off",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Neighbouring rows that ended in the same way.
#[derive(Clone, Debug)]
pub struct Part<A> {
    /// Which rows of the batch.
    pub rows: Range<usize>,
    /// The guest's answer, whose row numbers begin at 0; or why there is none.
    pub verdict: Result<A, Without>,
}

/// How a batch ended for its guest. The parts come in order, and are all of its rows.
#[derive(Clone, Debug)]
pub struct Settled<A> {
    /// One where nothing broke.
    pub parts: Vec<Part<A>>,
    /// What all calls about it took.
    pub spent: Cost,
    /// The guest's last fault, if it broke.
    pub fault: Option<FaultReason>,
}

impl<A> Settled<A> {
    /// How all rows ended in the same way.
    #[must_use]
    pub fn whole(rows: usize, verdict: Result<A, Without>) -> Self {
        let rows = 0..rows;
        Self {
            parts: vec![Part { rows, verdict }],
            spent: Cost::default(),
            fault: None,
        }
    }

    /// The parts without a verdict: their rows, and why.
    pub fn without(&self) -> impl Iterator<Item = (Range<usize>, Without)> + '_ {
        self.parts.iter().filter_map(|part| {
            let why = part.verdict.as_ref().err()?;
            Some((part.rows.clone(), *why))
        })
    }
}
