//! The bound over many queues: bytes that all of them together keep alive, an item that several hold counted once.
//!
//! An item that one queue has alone is reserved by that queue, which gives the bytes back when it leaves; one that
//! several share is a [`Charge`], which gives them back when the last of them lets go. Where there is no room the
//! queue with the most bytes drops. The invariants: what is used never exceeds the bound, and is 0 when all queues
//! are empty and nobody is about to leave one.

use std::collections::BinaryHeap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::count::DropReason;
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::sync::{Arc, Mutex, MutexGuard, Weak, yield_now};

/// Bytes that all queues of a bus keep alive together by default: eight full ones of the default size, an eighth of the
/// gigabyte that 64 of them would hold without it.
pub const BUS_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// How often whoever finds all queues empty and still no room yields: receivers have taken items and are about to
/// count them out.
#[cfg(not(all(test, feature = "loom")))]
const YIELDS_FOR_LEAVING: usize = 64;
#[cfg(all(test, feature = "loom"))]
const YIELDS_FOR_LEAVING: usize = 2;

/// A queue, as the bound over all of them sees it.
pub(crate) trait Member: Send + Sync {
    /// Names it among the others.
    fn key(&self) -> usize;
    /// Bytes that it keeps alive.
    fn bytes(&self) -> u64;
    /// Whether its policy would rather lose what comes than what it has.
    fn keeps_what_it_has(&self) -> bool;
    /// Drops one item; how many bytes are left. `None`: there was nothing to drop.
    fn drop_one(&self) -> Option<u64>;
}

/// What a queue that is fullest, and would rather lose what comes, says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StandsBack {
    /// The new item isn't for it, or it has stood back already.
    No,
    /// It does without; others still want the item.
    Yes,
    /// It does without, and it was the last that wanted the item.
    Last,
}

/// The bound, and what of it is used. On a cache line of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Budget {
    used: AtomicU64,
    /// Whether a queue has dropped something under pressure that nobody has been told of.
    lost: AtomicBool,
    bytes_max: u64,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members(Vec<Weak<dyn Member>>);

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} queues", self.0.len())
    }
}

impl Budget {
    /// A bound that no queue is under yet.
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            bytes_max,
            members: Mutex::new(Members::default()),
        })
    }

    /// The bound.
    pub(crate) const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// What of it is used.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// Notes that something was dropped under pressure, and that somebody may have to be told.
    pub(crate) fn note_loss(&self) {
        if !self.lost.load(Ordering::Relaxed) {
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    /// Whether something was dropped that nobody has been told of.
    #[inline]
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Everything that was dropped so far is told.
    pub(crate) fn told(&self) {
        self.lost.store(false, Ordering::Relaxed);
    }

    /// Why an item of so many bytes that got no room is dropped.
    pub(crate) const fn reason(&self, bytes: u64) -> DropReason {
        if bytes > self.bytes_max {
            DropReason::TooLarge
        } else {
            DropReason::BusFull
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn join(&self, member: Weak<dyn Member>) {
        let mut members = self.members();
        members.0.retain(|one| one.strong_count() > 0);
        members.0.push(member);
    }

    /// Takes bytes, where there is room.
    #[inline]
    pub(super) fn try_take(&self, bytes: u64) -> bool {
        let more = |used: u64| {
            let total = used.checked_add(bytes)?;
            (total <= self.bytes_max).then_some(total)
        };
        let taken = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        taken.is_ok()
    }

    /// Gives back what was taken.
    #[inline]
    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Takes bytes for an item that several queues will share, where there is room.
    pub(crate) fn try_charge(self: &Arc<Self>, bytes: u64) -> Option<Arc<Charge>> {
        self.try_take(bytes).then(|| self.charge(bytes))
    }

    /// As [`Budget::try_charge`], and makes room where there is none.
    pub(crate) fn charge_with_room(
        self: &Arc<Self>,
        bytes: u64,
        stand_back: &mut dyn FnMut(usize) -> StandsBack,
    ) -> Option<Arc<Charge>> {
        self.take_with_room(bytes, stand_back)
            .then(|| self.charge(bytes))
    }

    fn charge(self: &Arc<Self>, bytes: u64) -> Arc<Charge> {
        let budget = Arc::clone(self);
        Arc::new(Charge { budget, bytes })
    }

    /// Takes bytes, and has the fullest queues drop until there is room. `false` where there can't be, or nobody is
    /// left who wants the item. Never called under a queue's lock.
    #[cold]
    pub(super) fn take_with_room(
        &self,
        bytes: u64,
        stand_back: &mut dyn FnMut(usize) -> StandsBack,
    ) -> bool {
        if bytes > self.bytes_max {
            return false;
        }
        // One at a time: two that make room at once would drop twice as much.
        let members = self.members();
        let queues: Vec<_> = members.0.iter().filter_map(Weak::upgrade).collect();
        let filled = |(index, queue): (usize, &Arc<dyn Member>)| (queue.bytes(), index);
        let mut fullest: BinaryHeap<(u64, usize)> = queues.iter().enumerate().map(filled).collect();
        let mut yields = 0;
        while !self.try_take(bytes) {
            let found = fullest.pop();
            let Some((seen, queue, index)) =
                found.and_then(|(seen, index)| Some((seen, queues.get(index)?, index)))
            else {
                if yields == YIELDS_FOR_LEAVING {
                    return false;
                }
                yields += 1;
                yield_now();
                continue;
            };
            let bytes_now = queue.bytes();
            if bytes_now < seen {
                // Somebody has received of it meanwhile: others may be fuller.
                fullest.push((bytes_now, index));
                continue;
            }
            if queue.keeps_what_it_has() {
                match stand_back(queue.key()) {
                    StandsBack::No => {}
                    StandsBack::Yes => {
                        fullest.push((bytes_now, index));
                        continue;
                    }
                    StandsBack::Last => return false,
                }
            }
            fullest.extend(queue.drop_one().map(|left| (left, index)));
        }
        true
    }
}

/// The bytes of an item that several queues share, as long as one of them, or somebody who waits for room in one,
/// has it.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}
