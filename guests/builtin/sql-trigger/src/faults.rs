//! The rows that could not be evaluated, and why.
//!
//! When a budget is used up that is many rows of many nodes: all reasons but one are a bit a row.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::bits::Bits;

/// Why a row could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A text that was to be an address, cut to what a line takes.
    Address(Rc<str>),
    /// A whole number left 128 bits.
    Overflow,
    /// The batch's budget for looking at texts was used up.
    Steps,
    /// The batch's budget for making texts was used up.
    Memory,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(text) => write!(f, "'{text}' is no IP address"),
            Self::Overflow => f.write_str("integer overflow: the result is beyond 128 bits"),
            Self::Steps => f.write_str("the batch's budget for text tests is used up"),
            Self::Memory => f.write_str("the batch's budget for computed texts is used up"),
        }
    }
}

/// Rows of some node that could not be evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// All of them.
    pub(crate) bits: Bits,
    overflow: Bits,
    steps: Bits,
    memory: Bits,
    addresses: BTreeMap<usize, Rc<str>>,
}

impl Faults {
    pub(crate) fn none(rows: usize) -> Self {
        Self {
            bits: Bits::none(rows),
            overflow: Bits::none(rows),
            steps: Bits::none(rows),
            memory: Bits::none(rows),
            addresses: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, row: usize, reason: Reason) {
        self.bits.set(row);
        match reason {
            Reason::Address(text) => {
                self.addresses.entry(row).or_insert(text);
            }
            Reason::Overflow => self.overflow.set(row),
            Reason::Steps => self.steps.set(row),
            Reason::Memory => self.memory.set(row),
        }
    }

    /// Why a row could not be evaluated; none where it could.
    pub(crate) fn reason(&self, row: usize) -> Option<Reason> {
        if !self.bits.get(row) {
            return None;
        }
        if let Some(text) = self.addresses.get(&row) {
            return Some(Reason::Address(text.clone()));
        }
        Some(match (self.overflow.get(row), self.steps.get(row)) {
            (true, _) => Reason::Overflow,
            (_, true) => Reason::Steps,
            _ => Reason::Memory,
        })
    }

    /// Those of both.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.bits.or(&other.bits);
        self.overflow.or(&other.overflow);
        self.steps.or(&other.steps);
        self.memory.or(&other.memory);
        for (row, text) in &other.addresses {
            self.addresses.entry(*row).or_insert_with(|| text.clone());
        }
    }

    /// Without the rows that were decided in another way; none where none is left.
    pub(crate) fn except(mut self, decided: &Bits) -> Option<Rc<Self>> {
        self.bits.and_not(decided);
        self.some()
    }

    /// As they are; none where there are none.
    pub(crate) fn some(self) -> Option<Rc<Self>> {
        (!self.bits.is_empty()).then(|| Rc::new(self))
    }
}
