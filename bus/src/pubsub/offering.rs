//! A publish on its way through the subscriptions: who has it, who is full and waited for.
//!
//! The invariant: nobody is waited for before everybody else has the batch.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::cover::{Covers, Seat};
use super::filtered::Filtered;
use super::outlet::Parcel;
use super::queue::{Charge, Offer};
use super::subscription::Subscription;
use super::{Pushed, Receipt, Weigh as _};
use crate::count::DropReason;

/// A publish on its way through the matching subscriptions.
pub(super) struct Offering {
    position: u64,
    matched: usize,
    queued: usize,
    /// Those whose policy is to wait, and that are full.
    waiting: Vec<(Arc<Subscription>, Parcel, Option<Arc<Charge>>)>,
}

impl Offering {
    pub(super) const fn new(position: u64) -> Self {
        Self {
            position,
            matched: 0,
            queued: 0,
            waiting: Vec::new(),
        }
    }

    /// How it ended, or who has to be waited for.
    pub(super) fn finish(self) -> Result<Receipt, Waiting> {
        if self.waiting.is_empty() {
            Ok(self.receipt())
        } else {
            Err(Waiting(self))
        }
    }

    #[inline]
    pub(super) fn offer(
        &mut self,
        subscription: &Arc<Subscription>,
        parcel: Parcel,
        seat: Seat<'_>,
    ) {
        let charge = match seat {
            Seat::Alone => None,
            Seat::Charged(charge) => Some(charge),
            Seat::Refused(reason) => {
                let rows = parcel.rows();
                return self.note(subscription.outlet.refuse(self.position, rows, reason));
            }
        };
        match subscription.outlet.offer(self.position, parcel, charge) {
            Offer::Done(pushed) => self.note(pushed),
            Offer::Full(parcel) => {
                let subscription = Arc::clone(subscription);
                self.waiting.push((subscription, parcel, charge.cloned()));
            }
        }
    }

    pub(super) fn offer_filtered(
        &mut self,
        subscription: &Arc<Subscription>,
        filtered: Filtered,
        covers: &mut Covers<'_>,
    ) {
        match filtered {
            Filtered::Nothing => {}
            Filtered::Rows(rows) => {
                let parcel = Parcel::Batch(rows);
                // Who else gets these rows isn't known yet.
                let outlet = &subscription.outlet;
                let seat = covers.seat(&parcel, outlet, || std::iter::once(outlet));
                self.offer(subscription, parcel, seat);
            }
            Filtered::Failed(rows) => {
                let reason = DropReason::Fault;
                self.note(subscription.outlet.refuse(self.position, rows, reason));
            }
        }
    }

    #[inline]
    fn note(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Queued => {
                self.matched += 1;
                self.queued += 1;
            }
            Pushed::Dropped(_) => self.matched += 1,
            Pushed::Gone => {}
        }
    }

    /// One clock for all: several stalled subscribers cost the longest of their deadlines, not the sum.
    #[cold]
    fn wait(&mut self) {
        let since = Instant::now();
        for (subscription, parcel, charge) in std::mem::take(&mut self.waiting) {
            let pushed =
                subscription
                    .outlet
                    .push_waiting(self.position, parcel, charge.as_ref(), since);
            self.note(pushed);
        }
    }

    fn receipt(&self) -> Receipt {
        Receipt {
            position: self.position,
            matched: self.matched,
            queued: self.queued,
        }
    }
}

/// A publish that has to wait for subscribers which are full and whose policy is to wait. Everybody
/// else has the batch already.
#[must_use = "those who are waited for don't get the batch otherwise"]
pub struct Waiting(Offering);

impl Waiting {
    /// Waits on this thread, at most for the longest of their deadlines.
    pub fn wait(mut self) -> Receipt {
        self.0.wait();
        self.0.receipt()
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscribers = self.0.waiting.len();
        write!(f, "Waiting for {subscribers} subscribers")
    }
}
