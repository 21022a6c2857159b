//! The bus within one process.
//!
//! One lock orders all publishes, so that every queue has its batches in the order of their positions
//! (but for those that had to wait for room). Under it nothing waits: a publish looks its topic up in
//! a cache and takes each matching queue's lock once. The invariant: a subscription is either in the
//! table, with its counts under its queue's lock, or in `departed`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use arrow_buffer::BooleanBuffer;

use super::queue::Offer;
use super::rows::RowFilter;
use super::statistics::{BusStatistics, SubscriberStatistics};
use super::subscriber::Registry;
use super::{
    EventBus, EventFilter, PublishError, PublisherId, Pushed, Queue, QueueCounts, Receipt,
    SUBSCRIPTIONS_MAX, SubscribeError, Subscriber, SubscriptionId, SubscriptionOptions,
};
use crate::batch::{Batch, Selection};
use crate::count::{Count, DropReason};
use crate::topic::{TopicMatcher, TopicPattern};

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
    queue: Arc<Queue<Arc<Batch>>>,
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
    fn wants(&self, from: PublisherId, batch: &Batch) -> bool {
        self.without != Some(from) && self.filter.wants(batch)
    }

    fn statistics(&self) -> SubscriberStatistics {
        SubscriberStatistics {
            id: self.id,
            name: self.name.as_ref().to_owned(),
            patterns: self.patterns.clone(),
            policy: self.queue.policy(),
            counts: self.queue.counts(),
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
    fn count(&mut self, batch: &Batch) -> Result<u64, PublishError> {
        if self.closed {
            return Err(PublishError::Closed {
                topic: batch.topic().clone(),
                rows: batch.rows(),
            });
        }
        self.published += Count::batch(batch.rows() as u64);
        Ok(self.published.batches)
    }

    /// The row filters that a batch has to pass for somebody.
    fn row_filters(&self, from: PublisherId, batch: &Batch) -> Vec<Arc<RowFilter>> {
        let subscriptions = self.matcher.matches(batch.topic());
        let wanting = subscriptions.iter().filter(|one| one.wants(from, batch));
        wanting.filter_map(|one| one.rows.clone()).collect()
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
        let (counts, left) = subscription.queue.retire_and_keep();
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
    waiting: Vec<(Arc<Subscription>, Arc<Batch>)>,
}

impl Offering {
    #[inline]
    fn offer(&mut self, subscription: &Arc<Subscription>, batch: Arc<Batch>) {
        match subscription.queue.offer(self.position, batch) {
            Offer::Done(pushed) => self.note(pushed),
            Offer::Full(batch) => self.waiting.push((Arc::clone(subscription), batch)),
        }
    }

    fn offer_filtered(&mut self, subscription: &Arc<Subscription>, filtered: Filtered) {
        match filtered {
            Filtered::Nothing => {}
            Filtered::Rows(rows) => self.offer(subscription, rows),
            Filtered::Failed(rows) => {
                let reason = DropReason::Fault;
                self.note(subscription.queue.refuse(self.position, rows, reason));
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
        for (subscription, batch) in std::mem::take(&mut self.waiting) {
            let pushed = subscription.queue.push_waiting(self.position, batch, since);
            self.note(pushed);
        }
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
    if selected == batch.rows() {
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

impl EventBus for LocalBus {
    fn publish(&self, from: PublisherId, batch: Arc<Batch>) -> Result<Receipt, PublishError> {
        let mut table = self.inner.lock();
        let mut filtered = FilteredOnce::default();
        if table.selecting > 0 {
            // Looking at columns takes microseconds: not while other publishers wait.
            let filters = table.row_filters(from, &batch);
            drop(table);
            for filter in &filters {
                filtered.get(filter, &batch);
            }
            table = self.inner.lock();
        }
        let position = table.count(&batch)?;
        let mut offering = Offering {
            position,
            matched: 0,
            queued: 0,
            waiting: Vec::new(),
        };
        let subscriptions = table.matcher.matches(batch.topic());
        // One behind, so that the last one gets the publisher's own `Arc`.
        let mut before: Option<&Arc<Subscription>> = None;
        for subscription in subscriptions.iter() {
            if !subscription.wants(from, &batch) {
                continue;
            }
            if let Some(filter) = &subscription.rows {
                offering.offer_filtered(subscription, filtered.get(filter, &batch));
            } else if let Some(before) = before.replace(subscription) {
                offering.offer(before, Arc::clone(&batch));
            }
        }
        if let Some(last) = before {
            offering.offer(last, batch);
        }
        drop(subscriptions);
        drop(table);
        if !offering.waiting.is_empty() {
            offering.wait();
        }
        Ok(Receipt {
            position,
            matched: offering.matched,
            queued: offering.queued,
        })
    }

    fn subscribe(&self, options: SubscriptionOptions) -> Result<Subscriber, SubscribeError> {
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
        let subscription = Arc::new(Subscription {
            id: SubscriptionId::unique(),
            name: options.name.into(),
            patterns: options.patterns,
            filter: options.filter,
            rows,
            without: options.owner.filter(|_| !options.own_events),
            queue: Arc::new(Queue::new(options.policy, options.limits)),
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
            queue: Arc::clone(&subscription.queue),
            registry,
        })
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
            subscription.queue.close();
        }
    }
}

impl Drop for LocalBus {
    fn drop(&mut self) {
        self.close();
    }
}
