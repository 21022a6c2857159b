//! Ours in process: rows go into the batcher that every source has, and its batches to a `LocalBus`.
//!
//! All limits are the defaults, but for the rows of a batch, and its age: a batch closes when it is full.
//! There is no lane between: nothing filters here, and what is handed on is what the batcher gives.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use weir_bus::batch::{Batcher, BatcherLimits, Emit, Pace, Settlement};
use weir_bus::event::ProcessEvent;
use weir_bus::pubsub::{
    Delivery, EventBus as _, EventFilter, LocalBus, PublisherId, QUEUE_BATCHES_MAX, Recv,
    Subscriber, SubscriptionOptions,
};
use weir_bus::{Batch, Kind, TopicPattern, topic};

use super::Errand;
use super::drive::Bus;
use super::tally::Tally;
use crate::rows::LEAVES;

/// Longer than any run: no batch closes by its age.
const AGE_MAX: Duration = Duration::from_secs(600);

/// The bus, and the source's batcher.
pub(super) struct Ours {
    bus: LocalBus,
    publisher: PublisherId,
    batcher: Batcher,
    rows_a_batch: u64,
    /// Rows of each topic so far.
    rows: [u64; LEAVES.len()],
}

impl Bus for Ours {
    type Item = Arc<Batch>;
    type Inbox = Subscriber;

    fn open(errand: &Errand) -> anyhow::Result<(Self, Vec<Self::Inbox>)> {
        let bus = LocalBus::new();
        let inboxes = (0..errand.subscribers).map(|number| {
            let topic = topic::of_event(Kind::Process, LEAVES[number % LEAVES.len()]);
            let options = SubscriptionOptions::new(format!("bench-{number}"))
                .pattern(TopicPattern::parse(topic.as_str())?)
                .filter(EventFilter::new().kinds([Kind::Process]));
            Ok(bus.subscribe(options)?)
        });
        let inboxes = inboxes.collect::<anyhow::Result<_>>()?;
        let limits = BatcherLimits {
            batch_rows_max: errand.rows_a_batch,
            batch_age_max: AGE_MAX,
            ..BatcherLimits::default()
        };
        let ours = Self {
            bus,
            publisher: PublisherId::unique(),
            batcher: Batcher::new("bench", Pace::Periodic, limits),
            rows_a_batch: errand.rows_a_batch as u64,
            rows: [0; LEAVES.len()],
        };
        Ok((ours, inboxes))
    }

    #[inline]
    fn make(&mut self, row: &ProcessEvent, leaf: usize) -> anyhow::Result<Option<Self::Item>> {
        let emit = self.batcher.append(row);
        ensure!(emit == Emit::Accepted, "the batcher says {emit:?}");
        let rows = self.rows.get_mut(leaf).context("no topic")?;
        *rows += 1;
        if !rows.is_multiple_of(self.rows_a_batch) {
            return Ok(None);
        }
        // It has closed just now: who asks doesn't have to wait.
        let next = pin!(self.batcher.next());
        match next.poll(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(Some(batch)) => Ok(Some(Arc::new(batch))),
            other => bail!("a batch was full, and the batcher gives {other:?}"),
        }
    }

    #[inline]
    fn publish(&mut self, item: Self::Item) -> anyhow::Result<()> {
        let published = item.rows() as u64;
        self.bus.publish(self.publisher, item)?;
        self.batcher.settle(&Settlement {
            published,
            ..Settlement::default()
        });
        Ok(())
    }

    fn receive(inbox: Self::Inbox, tally: &mut Tally) -> anyhow::Result<()> {
        let mut deliveries = Vec::new();
        while let Recv::Got(_) = inbox.recv_many_blocking(&mut deliveries, QUEUE_BATCHES_MAX) {
            for delivery in deliveries.drain(..) {
                match delivery {
                    Delivery::Batch { item, .. } => tally.batch(&item)?,
                    Delivery::Gap(gap) => bail!("a gap: {gap:?}"),
                }
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        self.bus.close();
    }

    fn dropped(self) -> anyhow::Result<u64> {
        let statistics = self.bus.statistics();
        ensure!(statistics.balances(), "the bus's counts don't balance");
        Ok(statistics.total.dropped.total().rows)
    }
}
