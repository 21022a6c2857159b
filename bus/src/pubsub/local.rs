//! The bus within one process.
//!
//! One lock orders all publishes, so that every queue has its batches in the order of their positions
//! (but for those that had to wait for room). Under it nothing waits: a publish looks its topic up in
//! a cache and takes each matching queue's lock once. The invariant: a subscription is either in the
//! table, with its counts under its queue's lock, or in `departed`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use arrow_buffer::BooleanBuffer;

use super::outlet::{Outlet, Parcel};
use super::queue::Offer;
use super::rows::RowFilter;
use super::statistics::{BusStatistics, SubscriberStatistics};
use super::subscriber::Registry;
use super::{
    EventBus, EventFilter, Gap, PublishError, PublisherId, Pushed, Queue, QueueCounts, Receipt,
    SUBSCRIPTIONS_MAX, SubscribeError, Subscriber, SubscriptionId, SubscriptionOptions, Weigh,
};
use crate::batch::{Batch, BatchHeader, Selection, SourceLoss};
use crate::count::{Count, DropReason};
use crate::topic::{TopicMatcher, TopicPattern, families};
use crate::wire::WireBatch;

/// The bus of `bus.kind = "local"`. Dropping it closes it.
#[derive(Debug, Default)]
pub struct LocalBus {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    published: Count,
    closed: bool,
    matcher: TopicMatcher<Arc<Subscription>>,
    subscriptions: BTreeMap<SubscriptionId, Arc<Subscription>>,
    /// How many of them select rows.
    selecting: usize,
    departed: QueueCounts,
}

#[derive(Debug)]
struct Subscription {
    id: SubscriptionId,
    name: Arc<str>,
    patterns: Vec<TopicPattern>,
    filter: EventFilter,
    /// Shared with every subscription that asks the same.
    rows: Option<Arc<RowFilter>>,
    /// Whose events it doesn't get.
    without: Option<PublisherId>,
    outlet: Outlet,
}

impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Subscription {}

impl PartialOrd for Subscription {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Subscription {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl Subscription {
    #[inline]
    fn wants(&self, from: PublisherId, header: &BatchHeader) -> bool {
        self.without != Some(from) && self.filter.wants(header)
    }

    /// Whether rows that a source lost could have been for it. Filters of rows could have let them through.
    fn could_have_got(&self, from: PublisherId, loss: &SourceLoss) -> bool {
        let all = families::all_events(loss.kind);
        let is_asked_for = |pattern: &TopicPattern| pattern.intersection(&all).is_some();
        self.without != Some(from)
            && self.filter.wants_of(loss.kind, &loss.source)
            && self.patterns.iter().any(is_asked_for)
    }

    /// Whether its batches must have been looked into.
    fn reads_columns(&self) -> bool {
        self.rows.is_some() || matches!(self.outlet, Outlet::Columns(_))
    }

    fn statistics(&self) -> SubscriberStatistics {
        SubscriberStatistics {
            id: self.id,
            name: self.name.as_ref().to_owned(),
            patterns: self.patterns.clone(),
            policy: self.outlet.policy(),
            counts: self.outlet.counts(),
        }
    }
}

impl LocalBus {
    /// A bus without subscribers.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
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
}

impl Registry for Inner {
    fn unsubscribe(&self, id: SubscriptionId) -> bool {
        let mut table = self.lock();
        let Some(subscription) = table.subscriptions.remove(&id) else {
            return false;
        };
        for pattern in &subscription.patterns {
            table.matcher.remove(pattern, &subscription);
        }
        table.selecting -= usize::from(subscription.rows.is_some());
        let (counts, left) = subscription.outlet.retire();
        table.departed += &counts;
        drop(table);
        // Only now, so that no publisher waits while up to a queue full of batches is freed.
        drop(left);
        true
    }
}

/// A publish on its way through the matching subscriptions.
struct Offering {
    position: u64,
    matched: usize,
    queued: usize,
    /// Those whose policy is to wait, and that are full.
    waiting: Vec<(Arc<Subscription>, Parcel)>,
}

impl Offering {
    #[inline]
    fn offer(&mut self, subscription: &Arc<Subscription>, parcel: Parcel) {
        match subscription.outlet.offer(self.position, parcel) {
            Offer::Done(pushed) => self.note(pushed),
            Offer::Full(parcel) => self.waiting.push((Arc::clone(subscription), parcel)),
        }
    }

    fn offer_filtered(&mut self, subscription: &Arc<Subscription>, filtered: Filtered) {
        match filtered {
            Filtered::Nothing => {}
            Filtered::Rows(rows) => self.offer(subscription, Parcel::Batch(rows)),
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
        for (subscription, parcel) in std::mem::take(&mut self.waiting) {
            let pushed = subscription
                .outlet
                .push_waiting(self.position, parcel, since);
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

/// What a row filter left of a batch.
#[derive(Clone)]
enum Filtered {
    Nothing,
    Rows(Arc<Batch>),
    /// The batch couldn't be cut; as many rows as should have been in it.
    Failed(u64),
}

/// What the filters of one publish left, each made once.
#[derive(Default)]
struct FilteredOnce {
    by_filter: Vec<(Arc<RowFilter>, BooleanBuffer, Filtered)>,
}

impl FilteredOnce {
    fn get(&mut self, filter: &Arc<RowFilter>, batch: &Arc<Batch>) -> Filtered {
        let known = |(known, _, _): &&(Arc<RowFilter>, _, _)| Arc::ptr_eq(known, filter);
        if let Some((_, _, filtered)) = self.by_filter.iter().find(known) {
            return filtered.clone();
        }
        let mask = filter.mask(batch);
        // Different filters often select the same rows: a pid by its number and by its name.
        let same = self.by_filter.iter().find(|(_, known, _)| *known == mask);
        let filtered = match same {
            Some((_, _, filtered)) => filtered.clone(),
            None => cut(batch, &mask),
        };
        self.by_filter
            .push((Arc::clone(filter), mask, filtered.clone()));
        filtered
    }
}

fn cut(batch: &Arc<Batch>, mask: &BooleanBuffer) -> Filtered {
    let selected = mask.count_set_bits();
    if selected == 0 {
        return Filtered::Nothing;
    }
    if selected == Batch::rows(batch) {
        return Filtered::Rows(Arc::clone(batch));
    }
    let bits = mask.sliced();
    match batch.select(&Selection::Mask(bits.as_slice().to_vec())) {
        Ok(rows) => Filtered::Rows(Arc::new(rows)),
        Err(error) => {
            tracing::error!(topic = %batch.topic(), %error, "a filtered batch could not be made");
            Filtered::Failed(selected as u64)
        }
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
        let mut offering = Offering {
            position,
            matched: 0,
            queued: 0,
            waiting: Vec::new(),
        };
        let subscriptions = table.matcher.matches(&parcel.header().topic);
        // One behind, so that the last one gets the publisher's own `Arc`.
        let mut before: Option<&Arc<Subscription>> = None;
        for subscription in subscriptions.iter() {
            if !subscription.wants(from, parcel.header()) {
                continue;
            }
            match (&subscription.rows, &parcel) {
                (Some(filter), Parcel::Batch(batch)) => {
                    offering.offer_filtered(subscription, filtered.get(filter, batch));
                }
                // It came while the batch was looked at, and begins with the next.
                (Some(_), Parcel::Wire(_)) => {}
                (None, _) => {
                    if let Some(before) = before.replace(subscription) {
                        offering.offer(before, parcel.clone());
                    }
                }
            }
        }
        if let Some(last) = before {
            offering.offer(last, parcel);
        }
        drop(subscriptions);
        drop(table);
        if offering.waiting.is_empty() {
            Ok(Ok(offering.receipt()))
        } else {
            Ok(Err(Waiting(offering)))
        }
    }

    /// As [`EventBus::subscribe`], for a connection: it gets batches as they came, where nobody here
    /// has looked into them.
    ///
    /// # Errors
    /// [`SubscribeError`], and then nothing has changed.
    pub fn subscribe_parcels(
        &self,
        options: SubscriptionOptions,
    ) -> Result<Subscriber<Parcel>, SubscribeError> {
        self.register(options, Outlet::Parcels)
    }

    fn register<T: Weigh>(
        &self,
        options: SubscriptionOptions,
        outlet: impl FnOnce(Arc<Queue<T>>) -> Outlet,
    ) -> Result<Subscriber<T>, SubscribeError> {
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
        let queue = Arc::new(Queue::new(options.policy, options.limits));
        let subscription = Arc::new(Subscription {
            id: SubscriptionId::unique(),
            name: options.name.into(),
            patterns: options.patterns,
            filter: options.filter,
            rows,
            without: options.owner.filter(|_| !options.own_events),
            outlet: outlet(Arc::clone(&queue)),
        });
        table.selecting += usize::from(subscription.rows.is_some());
        for pattern in &subscription.patterns {
            table.matcher.insert(pattern, Arc::clone(&subscription));
        }
        table
            .subscriptions
            .insert(subscription.id, Arc::clone(&subscription));
        let registry: Weak<Inner> = Arc::downgrade(&self.inner);
        Ok(Subscriber {
            id: subscription.id,
            name: Arc::clone(&subscription.name),
            queue,
            registry,
        })
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
        };
        for subscription in table.subscriptions.values() {
            if subscription.could_have_got(from, loss) {
                subscription.outlet.push_gap(gap);
            }
        }
    }

    fn subscribe(&self, options: SubscriptionOptions) -> Result<Subscriber, SubscribeError> {
        self.register(options, Outlet::Columns)
    }

    fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.inner.unsubscribe(id)
    }

    fn statistics(&self) -> BusStatistics {
        let table = self.inner.lock();
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
            subscribers,
        }
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
