//! What was handed out and not confirmed, and what is still to be handed out, in their order: positions
//! and rows, no batches.
//!
//! Plain data: no lock, no clock, no counts of the queue. The invariant: what a receiver is to get stands
//! here once, in the order of its stream, until it is confirmed; and what can't be had any more has become
//! part of a gap in its place.

use std::collections::VecDeque;

use crate::count::{Count, DropReason};
use crate::pubsub::Gap;

/// What may be handed out and not confirmed, 16 bytes each: more than a connection's buffers on both sides
/// hold of the smallest frames, asked for a confirmation as often as it is. From there on the oldest count
/// as read.
pub(super) const SENT_MAX: usize = 8_192;

/// One batch, or what stands in the place of some.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Batch {
        position: u64,
        rows: u32,
        /// It was handed out before, and not read.
        again: bool,
    },
    Gap(Box<Gap>),
}

impl Entry {
    pub(super) fn batch(position: u64, rows: u64) -> Self {
        Self::Batch {
            position,
            // Queues refuse what has more.
            rows: u32::try_from(rows).unwrap_or(u32::MAX),
            again: false,
        }
    }

    /// How a receiver names it that has read it.
    fn name(&self) -> u64 {
        match self {
            Self::Batch { position, .. } => *position,
            Self::Gap(gap) => gap.to,
        }
    }

    /// What of it counts as an item.
    fn count(&self) -> Count {
        match self {
            Self::Batch { rows, .. } => Count::batch(u64::from(*rows)),
            Self::Gap(_) => Count::ZERO,
        }
    }
}

/// A receiver says that it has read what it wasn't sent, or what nobody remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unknown;

/// The log of one subscription.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Handed out, not confirmed.
    sent: VecDeque<Entry>,
    sent_count: Count,
    /// What of it never came as far as the kernel.
    lost: Count,
    /// How many were ever put into `sent`.
    sent_ever: u64,
    /// The last that was confirmed; 0 before the first.
    confirmed: u64,
    /// What is missing before `next`: at most one gap for each reason.
    gaps: Vec<Gap>,
    next: VecDeque<Entry>,
    /// Rows that were read of a batch that wasn't read to its end, by its position.
    skip: Option<(u64, u64)>,
}

/// What is taken of what is to be handed out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Next {
    Batch {
        position: u64,
        /// Its rows; fewer than the batch has, where some were read before.
        rows: u64,
        /// So many of its rows were read before.
        skip: u64,
        again: bool,
    },
    Gap(Gap),
}

impl Log {
    // Handing out.

    /// Notes what is handed out.
    pub(super) fn send(&mut self, entry: Entry) {
        if self.sent.len() >= SENT_MAX {
            self.confirm_first();
        }
        self.sent_count += entry.count();
        self.sent_ever += 1;
        self.sent.push_back(entry);
    }

    /// What was handed out last under this position is a gap now.
    pub(super) fn unsend(&mut self, position: u64, gap: Gap) {
        let is_it = |entry: &&mut Entry| matches!(entry, Entry::Batch { position: its, .. } if *its == position);
        if let Some(entry) = self.sent.iter_mut().rev().find(is_it) {
            let count = entry.count();
            *entry = Entry::Gap(Box::new(gap));
            self.sent_count = self.sent_count.checked_sub(count).unwrap_or_default();
        }
    }

    /// How far it has been handed out, for [`Log::confirm`].
    pub(super) const fn mark(&self) -> u64 {
        self.sent_ever
    }

    /// What was handed out up to a mark has been read.
    pub(super) fn confirm(&mut self, mark: u64) {
        while self.sent_ever.saturating_sub(self.sent.len() as u64) < mark {
            if self.confirm_first().is_none() {
                break;
            }
        }
    }

    fn confirm_first(&mut self) -> Option<Count> {
        let first = self.sent.pop_front()?;
        self.confirmed = first.name();
        if self
            .skip
            .is_some_and(|(position, _)| position == first.name())
        {
            self.skip = None;
        }
        let count = first.count();
        self.sent_count = self.sent_count.checked_sub(count).unwrap_or_default();
        Some(count)
    }

    /// What was handed out never came as far as the kernel.
    pub(super) fn lose(&mut self, count: Count) {
        self.lost += count;
    }

    /// What of the handed out never came as far as the kernel, on the last connection.
    pub(super) const fn lost(&self) -> Count {
        self.lost
    }

    /// What was handed out and not confirmed.
    pub(super) const fn sent_count(&self) -> Count {
        self.sent_count
    }

    // Going away and coming back.

    /// Puts something behind all that is to be handed out.
    pub(super) fn push(&mut self, entry: Entry) {
        self.next.push_back(entry);
    }

    /// How much there is to hand out, as items and gaps.
    pub(super) fn len(&self) -> usize {
        self.next.len()
    }

    /// Whether nothing is to be handed out.
    pub(super) fn is_drained(&self) -> bool {
        self.next.is_empty() && self.gaps.is_empty()
    }

    /// Everything that isn't confirmed, whether handed out or not.
    pub(super) fn count(&self) -> Count {
        let next: Count = self.next.iter().map(Entry::count).sum();
        self.sent_count + next
    }

    /// The receiver has read everything up to the item of that position, and so many rows of the one
    /// after it. What else was handed out is to be handed out again. Gives what has been read that wasn't
    /// confirmed.
    ///
    /// # Errors
    /// If that item wasn't handed out, or isn't remembered; then nothing has changed.
    pub(super) fn resume(&mut self, position: u64, rows: u64) -> Result<Count, Unknown> {
        let read = match self.sent.iter().rposition(|one| one.name() == position) {
            Some(index) => index + 1,
            None if position == self.confirmed => 0,
            None => return Err(Unknown),
        };
        let part = self.part(read, rows)?;
        let mut count = Count::new(u64::from(part), 0);
        for _ in 0..read {
            count += self.confirm_first().unwrap_or_default();
        }
        if rows > 0
            && let Some(Entry::Batch {
                position,
                rows: left,
                ..
            }) = self.sent.front_mut()
        {
            *left = left.saturating_sub(part);
            self.skip = Some((*position, rows));
        }
        // What is missing before the rest comes behind what is handed out again.
        for gap in self.gaps.drain(..).rev() {
            self.next.push_front(Entry::Gap(Box::new(gap)));
        }
        for mut entry in self.sent.drain(..).rev() {
            if let Entry::Batch { again, .. } = &mut entry {
                *again = true;
            }
            self.next.push_front(entry);
        }
        (self.sent_count, self.lost) = (Count::ZERO, Count::ZERO);
        Ok(count)
    }

    /// How many rows of a batch that is read in part haven't been counted as such.
    fn part(&self, index: usize, rows: u64) -> Result<u32, Unknown> {
        let Some(Entry::Batch {
            position,
            rows: left,
            ..
        }) = self.sent.get(index)
        else {
            return if rows == 0 { Ok(0) } else { Err(Unknown) };
        };
        let before = match self.skip {
            Some((known, before)) if known == *position => before,
            _ => 0,
        };
        let part = rows.checked_sub(before).ok_or(Unknown)?;
        let part = u32::try_from(part).map_err(|_| Unknown)?;
        if part >= *left {
            Err(Unknown)
        } else {
            Ok(part)
        }
    }

    // What can't be had any more.

    /// Makes gaps of what stands first and isn't kept any more; gives how much that is.
    pub(super) fn settle(&mut self, is_kept: impl Fn(u64) -> bool) -> Count {
        let mut lost = Count::ZERO;
        while let Some(entry) = self.next.front() {
            match entry {
                Entry::Batch { position, .. } if is_kept(*position) => break,
                _ => lost += self.lose_first(),
            }
        }
        lost
    }

    /// Makes a gap of what stands first, whether it is kept or not.
    pub(super) fn lose_first(&mut self) -> Count {
        let Some(entry) = self.next.pop_front() else {
            return Count::ZERO;
        };
        let count = entry.count();
        self.miss(match entry {
            Entry::Gap(gap) => *gap,
            Entry::Batch { position, rows, .. } => {
                Gap::of(position, u64::from(rows), DropReason::Disconnected)
            }
        });
        count
    }

    fn miss(&mut self, gap: Gap) {
        match self.gaps.iter_mut().find(|one| one.reason == gap.reason) {
            Some(same) => same.merge(&gap),
            None => self.gaps.push(gap),
        }
    }

    // Handing out what was missed.

    /// The next that is to be handed out, if `is_kept` says so of it. It is noted as handed out.
    pub(super) fn take(&mut self, is_kept: impl Fn(u64) -> bool) -> Option<Next> {
        if !self.gaps.is_empty() {
            let gap = self.gaps.remove(0);
            self.send(Entry::Gap(Box::new(gap)));
            return Some(Next::Gap(gap));
        }
        if let Entry::Batch { position, .. } = self.next.front()?
            && !is_kept(*position)
        {
            return None;
        }
        let entry = self.next.pop_front()?;
        let next = match &entry {
            Entry::Gap(gap) => Next::Gap(**gap),
            Entry::Batch {
                position,
                rows,
                again,
            } => Next::Batch {
                position: *position,
                rows: u64::from(*rows),
                skip: match self.skip {
                    Some((known, rows)) if known == *position => rows,
                    _ => 0,
                },
                again: *again,
            },
        };
        self.send(entry);
        Some(next)
    }
}

#[cfg(test)]
mod tests;
