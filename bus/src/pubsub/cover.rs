//! Whose bytes count how, within one publish: an item that several subscribers get is charged once.
//!
//! The invariant: everybody who gets the same item in one publish gets the same charge, or none does.

use std::sync::Arc;

use super::Weigh as _;
use super::outlet::{Outlet, Parcel};
use super::queue::{Budget, Charge, StandsBack};
use crate::count::DropReason;

/// How one subscriber gets an item.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seat<'c> {
    /// Its queue reserves the bytes itself.
    Alone,
    /// The bytes are reserved for all who get it.
    Charged(&'c Arc<Charge>),
    /// It doesn't: its queue is the fullest, and rather loses what comes; or there is no room at all.
    Refused(DropReason),
}

/// One item's bytes.
struct Cover {
    /// Where the item is: what tells it from others.
    address: usize,
    /// None: nobody's queue has room for it, and each says so for itself.
    charge: Option<Arc<Charge>>,
    /// The queues that do without.
    without: Vec<usize>,
    reason: DropReason,
}

/// The items of one publish that may have several takers. There is seldom more than one.
pub(super) struct Covers<'a> {
    budget: &'a Arc<Budget>,
    first: Option<Cover>,
    others: Vec<Cover>,
}

impl<'a> Covers<'a> {
    pub(super) const fn new(budget: &'a Arc<Budget>) -> Self {
        Self {
            budget,
            first: None,
            others: Vec::new(),
        }
    }

    /// Whether nobody was given a seat.
    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// How `outlet` gets the parcel, which `takers` get.
    #[inline]
    pub(super) fn seat<'t, I: Iterator<Item = &'t Outlet>>(
        &mut self,
        parcel: &Parcel,
        outlet: &Outlet,
        takers: impl FnOnce() -> I,
    ) -> Seat<'_> {
        let address = address(parcel);
        // There is seldom more than one, and then it is this one.
        if self
            .first
            .as_ref()
            .is_none_or(|cover| cover.address == address)
        {
            let cover = &mut self.first;
            return cover
                .get_or_insert_with(|| Cover::new(self.budget, parcel, takers))
                .seat(self.budget, parcel, outlet);
        }
        let known = self
            .others
            .iter()
            .position(|cover| cover.address == address);
        let index = known.unwrap_or(self.others.len());
        if known.is_none() {
            self.others.push(Cover::new(self.budget, parcel, takers));
        }
        self.others
            .get_mut(index)
            .map_or(Seat::Alone, |cover| cover.seat(self.budget, parcel, outlet))
    }
}

impl Cover {
    fn new<'t, I: Iterator<Item = &'t Outlet>>(
        budget: &Arc<Budget>,
        parcel: &Parcel,
        takers: impl FnOnce() -> I,
    ) -> Self {
        let bytes = parcel.bytes();
        let mut cover = Self {
            address: address(parcel),
            charge: budget.try_charge(bytes),
            without: Vec::new(),
            reason: budget.reason(bytes),
        };
        if cover.charge.is_none() {
            cover.make_room(budget, parcel, takers());
        }
        cover
    }

    /// First the takers' own policies make what room they would make anyway, then the fullest queue drops.
    #[cold]
    fn make_room<'t>(
        &mut self,
        budget: &Arc<Budget>,
        parcel: &Parcel,
        takers: impl Iterator<Item = &'t Outlet>,
    ) {
        let with_room = takers.filter(|outlet| outlet.makes_room_for(parcel));
        let mut takers: Vec<usize> = with_room.map(Outlet::key).collect();
        if takers.is_empty() {
            return;
        }
        let without = &mut self.without;
        let stand_back = &mut |key| {
            let Some(index) = takers.iter().position(|taker| *taker == key) else {
                return StandsBack::No;
            };
            without.push(takers.swap_remove(index));
            if takers.is_empty() {
                StandsBack::Last
            } else {
                StandsBack::Yes
            }
        };
        self.charge = budget.charge_with_room(parcel.bytes(), stand_back);
        if self.charge.is_none() {
            self.without.append(&mut takers);
        }
    }

    fn seat(&mut self, budget: &Arc<Budget>, parcel: &Parcel, outlet: &Outlet) -> Seat<'_> {
        // Who wasn't known to get it, or had no room, when there was none: two that reserve it alone count it twice.
        if self.charge.is_none() && !self.without.contains(&outlet.key()) {
            self.make_room(budget, parcel, std::iter::once(outlet));
        }
        if !self.without.is_empty() && self.without.contains(&outlet.key()) {
            return Seat::Refused(self.reason);
        }
        match &self.charge {
            Some(charge) => Seat::Charged(charge),
            None => Seat::Alone,
        }
    }
}

fn address(parcel: &Parcel) -> usize {
    match parcel {
        Parcel::Batch(batch) => Arc::as_ptr(batch).addr(),
        Parcel::Wire(wire) => Arc::as_ptr(wire).addr(),
    }
}
