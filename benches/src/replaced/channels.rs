//! The bus that is replaced, rebuilt: publishers send owned events into one channel, a thread takes them
//! out one by one, asks every subscriber's filter, clones the event for each that wants it, and tries to
//! send it into that one's channel. If it is full the event is gone.
//!
//! It is leaner than its model, wherever there was a choice: no ids are made and cloned for an event,
//! subscribers aren't looked up under a lock, nothing is logged, and the router sleeps when there is nothing
//! to do, where the model's spins. Channels are as long as our queues by default, 1,024, not a million.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, ensure};
use crossbeam_channel::{Receiver, Sender, bounded};
use weir_bus::event::ProcessEvent;
use weir_bus::{CollectionEvent, Kind, topic};

use super::Errand;
use super::drive::Bus;
use super::tally::{AHEAD_EVENTS, Tally};
use crate::rows::LEAVES;

/// Events that a channel holds.
const CHANNEL_EVENTS: usize = AHEAD_EVENTS;
/// Who publishes.
const SOURCE: &str = "bench";

/// An event on its way, with what ours has in a batch's header.
#[derive(Clone)]
pub(super) struct Envelope {
    event: CollectionEvent,
    topic: Arc<str>,
    source: Arc<str>,
    sequence: u64,
}

/// What a subscriber wants.
struct Filter {
    kinds: Vec<Kind>,
    topic: Arc<str>,
}

impl Filter {
    #[inline]
    fn wants(&self, envelope: &Envelope) -> bool {
        self.kinds.contains(&envelope.event.kind()) && self.topic == envelope.topic
    }
}

struct Subscriber {
    filter: Filter,
    channel: Sender<Envelope>,
}

/// The bus.
pub(super) struct Channels {
    channel: Option<Sender<Envelope>>,
    /// Gives the number of events that found no room.
    router: JoinHandle<u64>,
    topics: Vec<Arc<str>>,
    source: Arc<str>,
    sequence: u64,
}

fn route(events: &Receiver<Envelope>, subscribers: &[Subscriber]) -> u64 {
    let mut dropped = 0;
    for envelope in events {
        for subscriber in subscribers {
            if subscriber.filter.wants(&envelope)
                && subscriber.channel.try_send(envelope.clone()).is_err()
            {
                dropped += 1;
            }
        }
    }
    dropped
}

impl Bus for Channels {
    type Item = Envelope;
    type Inbox = Receiver<Envelope>;

    fn open(errand: &Errand) -> anyhow::Result<(Self, Vec<Self::Inbox>)> {
        let topics = LEAVES.map(|leaf| Arc::from(topic::of_event(Kind::Process, leaf).as_str()));
        let (subscribers, inboxes): (Vec<_>, Vec<_>) = (0..errand.subscribers)
            .map(|number| {
                let (channel, inbox) = bounded(CHANNEL_EVENTS);
                // An allocation of its own: a filter is a text that somebody wrote down.
                let topic: &Arc<str> = &topics[number % topics.len()];
                let filter = Filter {
                    kinds: vec![Kind::Process],
                    topic: Arc::from(&**topic),
                };
                (Subscriber { filter, channel }, inbox)
            })
            .unzip();
        let (channel, events) = bounded(CHANNEL_EVENTS);
        let router = std::thread::Builder::new()
            .name("router".to_owned())
            .spawn(move || route(&events, &subscribers))?;
        let bus = Self {
            channel: Some(channel),
            router,
            topics: topics.to_vec(),
            source: Arc::from(SOURCE),
            sequence: 0,
        };
        Ok((bus, inboxes))
    }

    #[inline]
    fn make(&mut self, row: &ProcessEvent, leaf: usize) -> anyhow::Result<Option<Self::Item>> {
        let topic = self.topics.get(leaf).context("no topic")?;
        self.sequence += 1;
        Ok(Some(Envelope {
            event: CollectionEvent::Process(row.clone()),
            topic: Arc::clone(topic),
            source: Arc::clone(&self.source),
            sequence: self.sequence,
        }))
    }

    #[inline]
    fn publish(&mut self, item: Self::Item) -> anyhow::Result<()> {
        let channel = self.channel.as_ref().context("the bus is closed")?;
        Ok(channel.send(item)?)
    }

    fn receive(inbox: Self::Inbox, tally: &mut Tally) -> anyhow::Result<()> {
        let mut last = None;
        for envelope in inbox {
            ensure!(
                last < Some(envelope.sequence) && *envelope.source == *SOURCE,
                "an event of another order"
            );
            last = Some(envelope.sequence);
            if let CollectionEvent::Process(row) = &envelope.event {
                tally.event(row)?;
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        self.channel = None;
    }

    fn dropped(self) -> anyhow::Result<u64> {
        let dropped = self.router.join();
        dropped.map_err(|_| anyhow::anyhow!("the router panicked"))
    }
}
