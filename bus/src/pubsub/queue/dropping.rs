//! What a queue drops, and the gaps that stand in the stream for it.
//!
//! Under the lock, as all of the state. The invariant: each drop is part of exactly one gap, which stands between the
//! items that it stood between, and at one place there is at most one gap for each reason.

use std::mem;

use super::evicted::Evicted;
use super::state::State;
use super::{Delivery, Gap, QUEUE_GAPS_MAX, Weigh};
use crate::count::{Count, DropReason};

fn is_item<T>(delivery: &Delivery<T>) -> bool {
    matches!(delivery, Delivery::Batch { .. })
}

impl<T> State<T> {
    /// Counts an item that isn't taken in, and leaves a gap at the end of the stream.
    pub(super) fn refuse(
        &mut self,
        position: u64,
        rows: u64,
        reason: DropReason,
        evicted: &mut Evicted<T>,
    ) {
        self.match_more(Count::batch(rows));
        self.slow.dropped.add(reason, Count::batch(rows));
        if self.is_closed() {
            return;
        }
        self.append_gap(Gap::of(position, rows, reason), evicted);
    }

    /// Takes in a gap of another queue. How many batches it was is not known.
    pub(super) fn take_gap(&mut self, gap: Gap, evicted: &mut Evicted<T>) {
        let count = Count::new(gap.missed.unwrap_or(0), 0);
        self.match_more(count);
        self.slow.dropped.add(gap.reason, count);
        self.append_gap(gap, evicted);
    }

    fn append_gap(&mut self, gap: Gap, evicted: &mut Evicted<T>) {
        let reason = gap.reason;
        for delivery in self.stream.iter_mut().rev() {
            match delivery {
                Delivery::Batch { .. } => break,
                Delivery::Gap(same) if same.reason == reason => return same.merge(&gap),
                Delivery::Gap(_) => {}
            }
        }
        self.stream.push_back(Delivery::Gap(Box::new(gap)));
        self.slow.gaps += 1;
        self.bound_gaps(evicted);
    }

    /// Drops the oldest item. `false` where there is none.
    pub(super) fn drop_oldest(&mut self, reason: DropReason, evicted: &mut Evicted<T>) -> bool {
        let oldest = self.stream.iter().position(is_item);
        oldest.is_some_and(|index| self.drop_at(index, 0, reason, evicted))
    }

    /// Drops the newest item. `false` where there is none.
    pub(super) fn drop_newest(&mut self, reason: DropReason, evicted: &mut Evicted<T>) -> bool {
        let newest = self.stream.iter().rposition(is_item);
        let item = self.weights.len().saturating_sub(1);
        newest.is_some_and(|index| self.drop_at(index, item, reason, evicted))
    }

    /// Drops what `newer` overtakes.
    pub(super) fn drop_overtaken(&mut self, newer: &T, evicted: &mut Evicted<T>)
    where
        T: Weigh,
    {
        // From the beginning for each: a drop may make one of several gaps. There is seldom more than one to drop.
        loop {
            let (mut item, mut found) = (0, None);
            for (index, delivery) in self.stream.iter().enumerate() {
                if let Delivery::Batch { item: older, .. } = delivery {
                    if newer.overtakes(older) {
                        found = Some(index);
                        break;
                    }
                    item += 1;
                }
            }
            let Some(index) = found else {
                return;
            };
            self.drop_at(index, item, DropReason::Superseded, evicted);
        }
    }

    /// Drops the item at `index` of the stream, which is the one at `item` among the items; its gap stands in its
    /// place. `false` where there is no item.
    fn drop_at(
        &mut self,
        index: usize,
        item: usize,
        reason: DropReason,
        evicted: &mut Evicted<T>,
    ) -> bool {
        let Some(&Delivery::Batch { position, .. }) = self.stream.get(index) else {
            return false;
        };
        let rows = self.unweigh(item).rows();
        self.slow.dropped.add(reason, Count::batch(rows));
        self.tell_breaker(|breaker| breaker.dropped(item));
        self.has_room_again();
        let gap = Gap::of(position, rows, reason);
        let merged = match self.gap_beside(index, reason) {
            Some(same) => {
                same.merge(&gap);
                self.stream.remove(index)
            }
            None => {
                self.slow.gaps += 1;
                let place = self.stream.get_mut(index);
                place.map(|place| mem::replace(place, Delivery::Gap(Box::new(gap))))
            }
        };
        if let Some(Delivery::Batch { item, .. }) = merged {
            evicted.put(item);
        }
        self.merge_gaps_around(index);
        self.bound_gaps(evicted);
        true
    }

    /// The gap of a reason that stands at the place before `index`, or else behind it.
    fn gap_beside(&mut self, index: usize, reason: DropReason) -> Option<&mut Gap> {
        let of_reason = |delivery: &Delivery<T>| match delivery {
            Delivery::Gap(gap) => Some(gap.reason == reason),
            Delivery::Batch { .. } => None,
        };
        let before = self.stream.range(..index).rev();
        let found = before.map_while(of_reason).position(|same| same);
        let found = match found {
            Some(steps) => index.checked_sub(steps + 1),
            None => {
                let behind = self.stream.iter().skip(index + 1);
                let found = behind.map_while(of_reason).position(|same| same);
                found.map(|steps| index + 1 + steps)
            }
        };
        match self.stream.get_mut(found?) {
            Some(Delivery::Gap(gap)) => Some(gap),
            _ => None,
        }
    }

    /// Makes one of all gaps that have one reason, at the place that was made where an item left: what stood before it
    /// and behind it stands together now.
    fn merge_gaps_around(&mut self, index: usize) {
        let before = self.stream.range(..index.min(self.stream.len())).rev();
        let from = index - before.take_while(|delivery| !is_item(delivery)).count();
        let mut at = from;
        while let Some(Delivery::Gap(gap)) = self.stream.get(at) {
            let gap = **gap;
            let earlier = self.stream.range_mut(from..at);
            let same = earlier
                .filter_map(|delivery| match delivery {
                    Delivery::Gap(gap) => Some(gap),
                    Delivery::Batch { .. } => None,
                })
                .find(|earlier| earlier.reason == gap.reason);
            match same {
                None => at += 1,
                Some(same) => {
                    same.merge(&gap);
                    self.stream.remove(at);
                    self.slow.gaps -= 1;
                }
            }
        }
    }

    /// Where there are too many gaps the two newest become one, and what lies between them is dropped
    /// too: a gap never stands where nothing is missing, nor is anything missing without one.
    fn bound_gaps(&mut self, evicted: &mut Evicted<T>) {
        if self.slow.gaps <= QUEUE_GAPS_MAX {
            return;
        }
        let is_gap = |delivery: &Delivery<T>| matches!(delivery, Delivery::Gap(_));
        let mut gaps = (0..self.stream.len())
            .rev()
            .filter(|&index| self.stream.get(index).is_some_and(is_gap));
        let (Some(newest), Some(before)) = (gaps.next(), gaps.next()) else {
            return;
        };
        // As many of those before are gaps, the others are items, and have a weight.
        let items_before = before.saturating_sub(self.slow.gaps - 2);
        let mut merged: Option<Gap> = None;
        let mut merge = |gap: Gap| match &mut merged {
            None => merged = Some(gap),
            Some(merged) => {
                if merged.reason != gap.reason {
                    merged.reason = DropReason::QueueFull;
                }
                merged.merge(&gap);
            }
        };
        let between: Vec<_> = self.stream.drain(before..=newest).collect();
        for delivery in between {
            match delivery {
                Delivery::Gap(gap) => merge(*gap),
                Delivery::Batch { position, item } => {
                    let weight = self.unweigh(items_before);
                    self.tell_breaker(|breaker| breaker.dropped(items_before));
                    let rows = weight.rows();
                    self.slow
                        .dropped
                        .add(DropReason::QueueFull, Count::batch(rows));
                    merge(Gap::of(position, rows, DropReason::QueueFull));
                    evicted.put(item);
                }
            }
        }
        if let Some(gap) = merged {
            self.stream.insert(before, Delivery::Gap(Box::new(gap)));
            self.slow.gaps -= 1;
        }
    }
}
