//! The bus within one process.
//!
//! One lock orders all publishes, so that every queue has its batches in the order of their positions
//! (but for those that had to wait for room). Under it nothing waits: a publish looks its topic up in
//! a cache and takes each matching queue's lock once. The invariant: a subscription is either in the
//! table, with its counts under its queue's lock, or in `departed`.

mod feed;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use super::cover::{Covers, Seat};
use super::filtered::FilteredOnce;
use super::offering::{Offering, Waiting};
use super::outlet::{Outlet, Parcel};
use super::queue::Budget;
use super::resume::{Resumable, Ring, RingLimits, Track};
use super::rows::RowFilter;
use super::slow::SlowWatch;
use super::statistics::BusStatistics;
use super::subscriber::Registry;
use super::subscription::Subscription;
use super::tables::Tables;
use super::{
    BUS_BYTES_MAX, Clock, EventBus, Gap, PublishError, PublisherId, Queue, QueueCounts, Receipt,
    SUBSCRIPTIONS_MAX, SubscribeError, Subscriber, SubscriptionId, SubscriptionOptions, Weigh,
};
use crate::batch::{Batch, BatchHeader, SourceLoss};
use crate::count::Count;
use crate::topic::TopicMatcher;
use crate::wire::WireBatch;

/// The bounds of a bus, and its clock.
#[derive(Debug, Clone)]
pub struct LocalBusOptions {
    /// Bytes that all queues together keep alive, a batch that several share counted once. Where a batch would be more, the
    /// queue with the most bytes drops, for the reason `bus-full`.
    pub bytes_max: u64,
    /// What it takes for the time.
    pub clock: Clock,
}

impl Default for LocalBusOptions {
    fn default() -> Self {
        Self {
            bytes_max: BUS_BYTES_MAX,
            clock: Clock::system(),
        }
    }
}

/// The bus of `bus.kind = "local"`. Dropping it closes it.
#[derive(Debug)]
pub struct LocalBus {
    inner: Arc<Inner>,
}

impl Default for LocalBus {
    fn default() -> Self {
        Self::with_options(LocalBusOptions::default())
    }
}

#[derive(Debug)]
pub(super) struct Inner {
    table: Mutex<Table>,
    budget: Arc<Budget>,
    clock: Clock,
    slow: SlowWatch,
    /// Keeps nothing until it is told to: nobody can come back to a bus that has no socket.
    ring: Arc<Ring>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    published: Count,
    closed: bool,
    matcher: TopicMatcher<Arc<Subscription>>,
    subscriptions: BTreeMap<SubscriptionId, Arc<Subscription>>,
    /// How many of them select rows.
    selecting: usize,
    /// How many of them are connections'.
    resumable: usize,
    departed: QueueCounts,
    /// Where subscriptions with an interval get theirs from.
    tables: Option<Arc<dyn Tables>>,
}

impl LocalBus {
    /// A bus without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// A bus without subscribers, within these bounds.
    pub fn with_options(options: LocalBusOptions) -> Self {
        let LocalBusOptions { bytes_max, clock } = options;
        Self {
            inner: Arc::new(Inner {
                table: Mutex::default(),
                budget: Budget::new(bytes_max),
                clock,
                slow: SlowWatch::default(),
                ring: Arc::new(Ring::new(RingLimits::NONE)),
            }),
        }
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn statistics(&self) -> BusStatistics {
        let table = self.lock();
        let published = table.published;
        let departed = table.departed.clone();
        let subscriptions: Vec<_> = table.subscriptions.values().cloned().collect();
        drop(table);
        // Who leaves just now is still read here, once, with its last counts.
        let subscribers: Vec<_> = subscriptions
            .iter()
            .map(|subscription| subscription.statistics())
            .collect();
        let mut total = departed.clone();
        for subscriber in &subscribers {
            total += &subscriber.counts;
        }
        BusStatistics {
            published,
            total,
            departed,
            bytes: self.budget.used(),
            bytes_max: self.budget.bytes_max(),
            ring: self.ring.counts(),
            subscribers,
        }
    }

    /// Tells who is slow, where that is due.
    #[cold]
    fn tell_slow(&self) {
        self.slow
            .look(self.clock.now(), || self.statistics(), &self.budget);
    }
}

impl Table {
    /// Counts a batch, and gives it its position.
    #[inline]
    fn count(&mut self, parcel: &Parcel) -> Result<u64, PublishError> {
        if self.closed {
            return Err(PublishError::Closed {
                topic: parcel.header().topic.clone(),
                rows: usize::try_from(parcel.rows()).unwrap_or(usize::MAX),
            });
        }
        self.published += Count::batch(parcel.rows());
        Ok(self.published.batches)
    }

    /// The row filters that a batch has to pass for somebody.
    fn row_filters(&self, from: PublisherId, header: &BatchHeader) -> Vec<Arc<RowFilter>> {
        let subscriptions = self.matcher.matches(&header.topic);
        let wanting = subscriptions.iter().filter(|one| one.wants(from, header));
        wanting.filter_map(|one| one.rows.clone()).collect()
    }

    /// Whether anybody who gets it has to look into a batch.
    fn has_readers(&self, from: PublisherId, header: &BatchHeader) -> bool {
        let subscriptions = self.matcher.matches(&header.topic);
        subscriptions
            .iter()
            .any(|one| one.reads_columns() && one.wants(from, header))
    }

    /// Whether anybody who gets a batch may have to get it again.
    #[inline]
    fn is_kept(&self, from: PublisherId, header: &BatchHeader) -> bool {
        let subscriptions = || self.matcher.matches(&header.topic);
        let keeps = |one: &Arc<Subscription>| one.is_resumable() && one.wants(from, header);
        self.resumable > 0 && subscriptions().iter().any(keeps)
    }
}

impl Registry for Inner {
    fn unsubscribe(&self, id: SubscriptionId) -> bool {
        let mut table = self.lock();
        let Some(subscription) = table.subscriptions.remove(&id) else {
            return false;
        };
        if subscription.every.is_none() {
            for pattern in &subscription.patterns {
                table.matcher.remove(pattern, &subscription);
            }
            table.selecting -= usize::from(subscription.rows.is_some());
        }
        table.resumable -= usize::from(subscription.is_resumable());
        let (counts, left) = subscription.outlet.retire();
        table.departed += &counts;
        drop(table);
        // Only now, so that no publisher waits while up to a queue full of batches is freed.
        drop(left);
        true
    }
}

impl LocalBus {
    /// Publishes what came over a wire. It is decoded only if somebody here reads its columns. Doesn't
    /// wait: who has to be waited for is handed back.
    ///
    /// # Errors
    /// [`PublishError`], and then no subscriber got the batch.
    pub fn publish_wire(
        &self,
        from: PublisherId,
        wire: WireBatch,
    ) -> Result<Result<Receipt, Waiting>, PublishError> {
        let is_read = self.inner.lock().has_readers(from, wire.header());
        let parcel = if is_read {
            let batch = wire.decode().map_err(|error| PublishError::Invalid {
                topic: wire.header().topic.clone(),
                rows: wire.rows(),
                problem: error.to_string(),
            })?;
            Parcel::Batch(Arc::new(batch))
        } else {
            Parcel::Wire(Arc::new(wire))
        };
        self.hand_on(from, parcel)
    }

    /// As [`EventBus::publish`], for who can't wait on this thread.
    ///
    /// # Errors
    /// [`PublishError`], and then no subscriber got the batch.
    pub fn publish_without_waiting(
        &self,
        from: PublisherId,
        batch: Arc<Batch>,
    ) -> Result<Result<Receipt, Waiting>, PublishError> {
        self.hand_on(from, Parcel::Batch(batch))
    }

    fn hand_on(
        &self,
        from: PublisherId,
        parcel: Parcel,
    ) -> Result<Result<Receipt, Waiting>, PublishError> {
        if let Parcel::Batch(batch) = &parcel
            && batch.is_void()
        {
            return Ok(Ok(Receipt::default()));
        }
        let mut table = self.inner.lock();
        let mut filtered = FilteredOnce::default();
        if table.selecting > 0
            && let Parcel::Batch(batch) = &parcel
        {
            // Looking at columns takes microseconds: not while other publishers wait.
            let filters = table.row_filters(from, batch.header());
            drop(table);
            for filter in &filters {
                filtered.get(filter, batch);
            }
            table = self.inner.lock();
        }
        let position = table.count(&parcel)?;
        // Before anybody is offered it: who is away looks for it there.
        let pushed_out = table
            .is_kept(from, parcel.header())
            .then(|| self.inner.ring.push(position, &parcel, Instant::now()));
        let mut offering = Offering::new(position);
        let subscriptions = table.matcher.matches(&parcel.header().topic);
        let all_rows_to = || {
            let wanting = subscriptions.iter().filter(|subscription| {
                subscription.rows.is_none() && subscription.wants(from, parcel.header())
            });
            wanting.map(|subscription| &subscription.outlet)
        };
        let mut covers = Covers::new(&self.inner.budget);
        // One behind, so that the last one gets the publisher's own `Arc`, and one that is alone is found out.
        let mut before: Option<&Arc<Subscription>> = None;
        for subscription in subscriptions.iter() {
            if !subscription.wants(from, parcel.header()) {
                continue;
            }
            match (&subscription.rows, &parcel) {
                (Some(filter), Parcel::Batch(batch)) => {
                    let rows = filtered.get(filter, batch);
                    offering.offer_filtered(subscription, rows, &mut covers);
                }
                // It came while the batch was looked at, and begins with the next.
                (Some(_), Parcel::Wire(_)) => {}
                (None, _) => {
                    if let Some(before) = before.replace(subscription) {
                        let seat = covers.seat(&parcel, &before.outlet, all_rows_to);
                        offering.offer(before, parcel.clone(), seat);
                    }
                }
            }
        }
        if let Some(last) = before {
            let seat = if covers.is_empty() {
                Seat::Alone
            } else {
                covers.seat(&parcel, &last.outlet, all_rows_to)
            };
            offering.offer(last, parcel, seat);
        }
        drop(covers);
        drop(subscriptions);
        drop(table);
        drop(pushed_out);
        if self.inner.budget.has_lost() {
            self.inner.tell_slow();
        }
        Ok(offering.finish())
    }

    /// Keeps the last batches for connections that come back, within these limits. Without that, they are
    /// told how much they missed and get nothing of it.
    pub(crate) fn keep(&self, limits: RingLimits) {
        self.inner.ring.limit(limits);
    }

    /// Lets go of what was kept too long.
    pub(crate) fn trim(&self, now: Instant) {
        self.inner.ring.trim(now);
    }

    /// The position of the last batch.
    pub(crate) fn position(&self) -> u64 {
        self.inner.lock().published.batches
    }

    /// As [`EventBus::subscribe`], for a connection: it gets batches as they came, where nobody here
    /// has looked into them, and may come back for what it missed.
    ///
    /// # Errors
    /// [`SubscribeError`], and then nothing has changed.
    pub(crate) fn subscribe_resumable(
        &self,
        options: SubscriptionOptions,
    ) -> Result<Resumable, SubscribeError> {
        let mut made = None;
        let (subscriber, start) = self.register(options, |queue, rows| {
            let ring = Arc::clone(&self.inner.ring);
            let track = Arc::new(Track::new(queue, rows.cloned(), ring));
            made = Some(Arc::clone(&track));
            Outlet::Parcels(track)
        })?;
        let closed = || SubscribeError::Closed {
            name: subscriber.name().to_owned(),
        };
        let track = made.ok_or_else(closed)?;
        let bus = Arc::downgrade(&self.inner);
        Ok(Resumable::new(subscriber, track, bus, start))
    }

    fn register<T: Weigh + Send + 'static>(
        &self,
        options: SubscriptionOptions,
        outlet: impl FnOnce(Arc<Queue<T>>, Option<&Arc<RowFilter>>) -> Outlet,
    ) -> Result<(Subscriber<T>, u64), SubscribeError> {
        let rows = options.check()?;
        let mut table = self.inner.lock();
        if table.closed {
            return Err(SubscribeError::Closed { name: options.name });
        }
        if table.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(SubscribeError::TooManySubscriptions { name: options.name });
        }
        let rows = rows.map(|rows| {
            let mut others = table.subscriptions.values();
            let same =
                others.find_map(|other| other.rows.as_ref().filter(|known| ***known == rows));
            same.map_or_else(|| Arc::new(rows), Arc::clone)
        });
        let clock = self.inner.clock.clone();
        let queue = Queue::under(&self.inner.budget, options.policy, options.limits, clock);
        let outlet = outlet(Arc::clone(&queue), rows.as_ref());
        let subscription = Arc::new(Subscription {
            id: SubscriptionId::unique(),
            name: options.name.into(),
            patterns: options.patterns,
            filter: options.filter,
            rows,
            without: options.owner.filter(|_| !options.own_events),
            every: options.every,
            tables: OnceLock::new(),
            outlet,
        });
        table.resumable += usize::from(subscription.is_resumable());
        if subscription.every.is_none() {
            table.selecting += usize::from(subscription.rows.is_some());
            for pattern in &subscription.patterns {
                table.matcher.insert(pattern, Arc::clone(&subscription));
            }
        }
        table
            .subscriptions
            .insert(subscription.id, Arc::clone(&subscription));
        let start = table.published.batches;
        drop(table);
        let registry: Weak<Inner> = Arc::downgrade(&self.inner);
        let subscriber = Subscriber {
            id: subscription.id,
            name: Arc::clone(&subscription.name),
            queue,
            registry,
        };
        // Where there are none, it goes again with the subscriber.
        self.inner.ask_for_tables(&subscription)?;
        Ok((subscriber, start))
    }
}

impl EventBus for LocalBus {
    fn publish(&self, from: PublisherId, batch: Arc<Batch>) -> Result<Receipt, PublishError> {
        let handed_on = self.hand_on(from, Parcel::Batch(batch))?;
        Ok(handed_on.unwrap_or_else(Waiting::wait))
    }

    fn lost(&self, from: PublisherId, loss: &SourceLoss) {
        let table = self.inner.lock();
        let position = table.published.batches;
        let gap = Gap {
            missed: loss.rows,
            reason: loss.reason,
            from: position,
            to: position,
            incarnations: None,
        };
        for subscription in table.subscriptions.values() {
            if subscription.could_have_got(from, loss) {
                subscription.outlet.push_gap(gap);
            }
        }
    }

    fn subscribe(&self, options: SubscriptionOptions) -> Result<Subscriber, SubscribeError> {
        let registered = self.register(options, |queue, _| Outlet::Columns(queue));
        registered.map(|(subscriber, _)| subscriber)
    }

    fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.inner.unsubscribe(id)
    }

    fn serve_tables(&self, tables: Arc<dyn Tables>) {
        let before = self.inner.lock().tables.replace(tables);
        drop(before);
    }

    fn statistics(&self) -> BusStatistics {
        self.inner.statistics()
    }

    fn close(&self) {
        let mut table = self.inner.lock();
        table.closed = true;
        for subscription in table.subscriptions.values() {
            subscription.outlet.close();
        }
    }
}

impl Drop for LocalBus {
    fn drop(&mut self) {
        self.close();
    }
}
