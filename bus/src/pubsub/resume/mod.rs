//! Subscriptions whose receiver may lose its connection and come back for what it missed.
//!
//! A subscription like any other while its receiver is there, with a note of what was handed out and not
//! confirmed. While it is away nothing is queued: what it matches is noted by position, and counted as
//! queued; the batches lie in the bus's one ring. When it comes back, what it has not read is taken from
//! there, in its order; what the ring has let go of has become a gap with its rows.
//!
//! The locks are taken in this order: the bus's table, a track's log, the ring, the queue.

mod log;
mod ring;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use super::filtered::{Filtered, cut};
use super::local::Inner;
use super::outlet::Parcel;
use super::queue::{Charge, Offer};
use super::rows::RowFilter;
use super::subscriber::Subscriber;
use super::{
    Delivery, Gap, Pushed, Queue, QueueCounts, QueueLimits, QueuePolicy, Recv, Standing, Weigh as _,
};
use crate::count::{Count, DropReason};
use log::{Entry, Log, Next, Unknown};

pub(crate) use ring::Ring;
pub use ring::{RING_AGE_MAX, RING_BATCHES_MAX, RING_BYTES_MAX, RingCounts, RingLimits};

/// The bus's end of such a subscription.
#[derive(Debug)]
pub(super) struct Track {
    queue: Arc<Queue<Parcel>>,
    rows: Option<Arc<RowFilter>>,
    ring: Arc<Ring>,
    /// Written under the bus's table lock, under which everything is offered.
    away: AtomicBool,
    /// It is back, and what it missed still lies in the ring. Written under the log's lock.
    behind: AtomicBool,
    log: Mutex<Log>,
}

impl Track {
    pub(super) fn new(
        queue: Arc<Queue<Parcel>>,
        rows: Option<Arc<RowFilter>>,
        ring: Arc<Ring>,
    ) -> Self {
        Self {
            queue,
            rows,
            ring,
            away: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            log: Mutex::default(),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    pub(super) const fn queue(&self) -> &Arc<Queue<Parcel>> {
        &self.queue
    }

    pub(super) fn policy(&self) -> QueuePolicy {
        self.queue.policy()
    }

    pub(super) fn limits(&self) -> QueueLimits {
        self.queue.limits()
    }

    pub(super) fn standing(&self) -> Option<Standing> {
        self.queue.standing()
    }

    pub(super) fn key(&self) -> usize {
        self.queue.key()
    }

    /// Its counts, of which what the ring has let go of is dropped.
    pub(super) fn counts(&self) -> QueueCounts {
        let mut log = self.log();
        if !log.is_drained() {
            self.settle(&mut log);
        }
        // Under the log's lock: nothing is between the two.
        self.queue.counts()
    }

    fn settle(&self, log: &mut Log) {
        let lost = self.ring.look(Instant::now(), |kept| {
            log.settle(|position| kept.holds(position))
        });
        if !lost.is_zero() {
            self.queue.drop_held(lost, DropReason::Disconnected);
        }
    }

    #[inline]
    pub(super) fn offer(
        &self,
        position: u64,
        parcel: Parcel,
        charge: Option<&Arc<Charge>>,
    ) -> Offer<Parcel> {
        if self.is_away() {
            return Offer::Done(self.note(position, parcel.rows()));
        }
        self.queue.offer(position, parcel, charge)
    }

    /// Whether the parcel would be taken in now; the policy has made room for it. While the receiver is away nothing
    /// is taken in, and nothing needs room.
    pub(super) fn makes_room_for(&self, parcel: &Parcel) -> bool {
        !self.is_away() && self.queue.makes_room_for(parcel.clone())
    }

    /// Notes a batch for when the receiver is back.
    #[cold]
    fn note(&self, position: u64, rows: u64) -> Pushed {
        let mut log = self.log();
        let pushed = self.queue.push_held(rows);
        if pushed != Pushed::Queued {
            return pushed;
        }
        log.push(Entry::batch(position, rows));
        self.settle(&mut log);
        while log.len() > self.ring.noted_max() {
            let lost = log.lose_first();
            self.queue.drop_held(lost, DropReason::Disconnected);
        }
        Pushed::Queued
    }

    /// Counts a batch that doesn't come, and notes its gap in its place.
    pub(super) fn refuse(&self, position: u64, rows: u64, reason: DropReason) -> Pushed {
        if !self.is_away() {
            return self.queue.refuse(position, rows, reason);
        }
        let mut log = self.log();
        let pushed = self.queue.push_held(rows);
        if pushed != Pushed::Queued {
            return pushed;
        }
        self.queue.drop_held(Count::batch(rows), reason);
        log.push(Entry::Gap(Box::new(Gap::of(position, rows, reason))));
        Pushed::Dropped(reason)
    }

    /// Leaves a gap that was made elsewhere.
    pub(super) fn push_gap(&self, gap: Gap) {
        if !self.is_away() {
            return self.queue.push_gap(gap);
        }
        let mut log = self.log();
        if let Some(rows) = gap.missed
            && self.queue.push_held(rows) == Pushed::Queued
        {
            self.queue.drop_held(Count::batch(rows), gap.reason);
        }
        log.push(Entry::Gap(Box::new(gap)));
    }

    /// Takes from what was missed; true where there was anything.
    fn take_missed(&self, log: &mut Log, out: &mut Vec<Delivery<Parcel>>, max: usize) -> bool {
        if log.is_drained() {
            return false;
        }
        self.settle(log);
        let mut taken = Vec::with_capacity(max);
        // Only taken here: to cut them costs more than the ring's lock may.
        self.ring.look(Instant::now(), |kept| {
            while taken.len() < max
                && let Some(next) = log.take(|position| kept.holds(position))
            {
                let parcel = match &next {
                    Next::Batch { position, .. } => kept.get(*position),
                    Next::Gap(_) => None,
                };
                taken.push((next, parcel));
            }
        });
        for (next, parcel) in taken {
            let delivery = self.missed(log, next, parcel);
            out.push(delivery);
        }
        if log.is_drained() {
            self.set_behind(false);
        }
        true
    }

    /// Says whether the ring has to keep what this has still to get, beyond the newest.
    fn set_behind(&self, is_behind: bool) {
        match (self.behind.swap(is_behind, Ordering::Relaxed), is_behind) {
            (false, true) => self.ring.one_is_behind(),
            (true, false) => self.ring.one_caught_up(),
            _ => {}
        }
    }

    fn missed(&self, log: &mut Log, next: Next, parcel: Option<Parcel>) -> Delivery<Parcel> {
        let (position, rows, skip, again) = match next {
            Next::Gap(gap) => return Delivery::Gap(Box::new(gap)),
            Next::Batch {
                position,
                rows,
                skip,
                again,
            } => (position, rows, skip, again),
        };
        let count = Count::batch(rows);
        let resent = if again { count } else { Count::ZERO };
        match parcel.and_then(|parcel| self.selected(parcel, skip)) {
            Some(item) => {
                self.queue.deliver_held(count, resent);
                Delivery::Batch { position, item }
            }
            None => {
                let reason = DropReason::Fault;
                self.queue.drop_held(count, reason);
                let gap = Gap::of(position, rows, reason);
                log.unsend(position, gap);
                Delivery::Gap(Box::new(gap))
            }
        }
    }

    /// What the subscription selects of a batch, without its first rows; none where that can't be made.
    fn selected(&self, parcel: Parcel, skip: u64) -> Option<Parcel> {
        let parcel = match (&self.rows, parcel) {
            (None, parcel) => parcel,
            (Some(filter), Parcel::Batch(batch)) => match cut(&batch, &filter.mask(&batch)) {
                Filtered::Rows(rows) => Parcel::Batch(rows),
                Filtered::Nothing | Filtered::Failed(_) => return None,
            },
            // Whoever reads columns had them decoded when they were published.
            (Some(_), Parcel::Wire(_)) => return None,
        };
        match (skip, parcel) {
            (0, parcel) => Some(parcel),
            (skip, Parcel::Batch(batch)) => {
                let skip = usize::try_from(skip).ok()?;
                Some(Parcel::Batch(Arc::new(batch.without_first(skip)?)))
            }
            // What came in a frame goes out in a frame: it is read whole, or not at all.
            (_, Parcel::Wire(_)) => None,
        }
    }
}

/// The receiver's end: a connection's, as long as there is one.
pub(crate) struct Resumable {
    subscriber: Subscriber<Parcel>,
    track: Arc<Track>,
    bus: Weak<Inner>,
    /// The last position of the bus before the first that this can match.
    start: u64,
}

impl Resumable {
    pub(super) const fn new(
        subscriber: Subscriber<Parcel>,
        track: Arc<Track>,
        bus: Weak<Inner>,
        start: u64,
    ) -> Self {
        Self {
            subscriber,
            track,
            bus,
            start,
        }
    }

    /// The subscription's name.
    pub(crate) fn name(&self) -> &str {
        self.subscriber.name()
    }

    /// The last position of the bus before the first that this can match.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    /// What comes next, up to `max`, behind what is in `out`: what was missed first, then what is queued.
    /// All of it is noted as handed out. Has the task woken when there is anything.
    pub(crate) fn poll_take(
        &self,
        context: &Context<'_>,
        out: &mut Vec<Delivery<Parcel>>,
        max: usize,
    ) -> Poll<Recv<usize>> {
        let mut log = self.track.log();
        let before = out.len();
        if self.track.take_missed(&mut log, out, max) {
            return Poll::Ready(Recv::Got(out.len() - before));
        }
        let polled = self.subscriber.poll_recv_many(context, out, max);
        for delivery in out.get(before..).unwrap_or_default() {
            log.send(match delivery {
                Delivery::Batch { position, item } => Entry::batch(*position, item.rows()),
                Delivery::Gap(gap) => Entry::Gap(gap.clone()),
            });
        }
        polled
    }

    /// How far it has been handed out, for [`Resumable::confirm`].
    pub(crate) fn mark(&self) -> u64 {
        self.track.log().mark()
    }

    /// What was handed out up to a mark has been read.
    pub(crate) fn confirm(&self, mark: u64) {
        self.track.log().confirm(mark);
    }

    /// Something is missing before all that it will match.
    pub(crate) fn begin_with(&self, gap: Gap) {
        self.track.log().push(Entry::Gap(Box::new(gap)));
    }

    /// Counts again a batch that was handed out and can't be sent; its gap takes its place.
    pub(crate) fn unsend(&self, rows: u64, gap: Gap) {
        let mut log = self.track.log();
        self.subscriber
            .lose_received(Count::batch(rows), gap.reason);
        log.unsend(gap.to, gap);
    }

    /// Notes what was handed out and got lost before the kernel had it: if nobody comes back for it, it is
    /// counted again as dropped.
    pub(crate) fn lose(&self, count: Count) {
        self.track.log().lose(count);
    }

    /// The receiver is gone, and may come back: what isn't confirmed counts as queued again.
    pub(crate) fn go_away(&self) {
        let bus = self.bus.upgrade();
        let table = bus.as_ref().map(|bus| bus.lock());
        let mut log = self.track.log();
        if self.track.away.swap(true, Ordering::Relaxed) {
            return;
        }
        self.track.ring.one_goes();
        self.track.set_behind(false);
        let (queued, shared) = self.track.queue.hold_all(log.sent_count());
        if self.track.rows.is_none() {
            // What a filter cut isn't what others have missed at that position.
            let waiting = queued.iter().filter_map(|delivery| match delivery {
                Delivery::Batch { position, item } => Some((*position, item.clone())),
                Delivery::Gap(_) => None,
            });
            self.track.ring.adopt(waiting, Instant::now());
        }
        for delivery in &queued {
            log.push(match delivery {
                Delivery::Batch { position, item } => Entry::batch(*position, item.rows()),
                Delivery::Gap(gap) => Entry::Gap(gap.clone()),
            });
        }
        drop(log);
        drop(table);
        // Only now, so that no publisher waits while they are freed.
        drop((queued, shared));
    }

    /// The receiver is back: it has read all up to `position`, and `rows` rows of what came after that.
    ///
    /// # Errors
    /// If nobody knows of that position; then it is still away.
    pub(crate) fn come_back(&self, position: u64, rows: u64) -> Result<(), Unknown> {
        let bus = self.bus.upgrade();
        let table = bus.as_ref().map(|bus| bus.lock());
        let mut log = self.track.log();
        let read = log.resume(position, rows)?;
        self.track.queue.deliver_held(read, Count::ZERO);
        // Before it counts as back: else the ring would let go of what is to be handed out now.
        self.track.set_behind(!log.is_drained());
        if self.track.away.swap(false, Ordering::Relaxed) {
            self.track.ring.one_is_back();
        }
        drop(log);
        drop(table);
        Ok(())
    }
}

impl fmt::Debug for Resumable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumable")
            .field("subscriber", &self.subscriber)
            .field("away", &self.track.is_away())
            .finish_non_exhaustive()
    }
}

impl Drop for Resumable {
    /// Nobody comes back for it any more.
    fn drop(&mut self) {
        let reason = DropReason::Disconnected;
        let log = self.track.log();
        self.track.set_behind(false);
        if self.track.is_away() {
            self.track.queue.drop_held(log.count(), reason);
            self.track.ring.one_is_back();
        } else {
            self.subscriber.lose_received(log.lost(), reason);
        }
    }
}

#[cfg(test)]
mod tests;
