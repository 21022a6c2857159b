//! What an item weighs, as a queue keeps it beside the item.

use super::budget::Charge;
use crate::sync::Arc;

/// An item's weight, read once, before the lock: what has more rows or bytes than fit is refused as too large. 16 bytes
/// with the charge, so that a queue's weights stay in the first cache.
#[derive(Debug)]
pub(crate) struct Weight {
    rows: u32,
    bytes: u32,
    /// Where other queues may have the item too.
    charge: Option<Arc<Charge>>,
}

impl Weight {
    /// Of nothing.
    pub(super) const NONE: Self = Self {
        rows: 0,
        bytes: 0,
        charge: None,
    };

    /// `None` where it is past what a queue counts in; no batch gets near.
    #[inline]
    pub(super) fn new(rows: u64, bytes: u64) -> Option<Self> {
        Some(Self {
            rows: u32::try_from(rows).ok()?,
            bytes: u32::try_from(bytes).ok()?,
            charge: None,
        })
    }

    #[inline]
    pub(super) fn rows(&self) -> u64 {
        u64::from(self.rows)
    }

    #[inline]
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.bytes)
    }

    /// The weight of an item that other queues may have too.
    #[inline]
    pub(super) fn shared(mut self, charge: Option<&Arc<Charge>>) -> Self {
        self.charge = charge.cloned();
        self
    }

    #[inline]
    pub(super) fn is_shared(&self) -> bool {
        self.charge.is_some()
    }

    /// The bytes that the queue reserved alone.
    pub(super) fn bytes_alone(&self) -> u64 {
        if self.is_shared() { 0 } else { self.bytes() }
    }
}
