//! What the daemon says of itself on the bus: rows of kind `inventory`, an attribute each.

use std::sync::Arc;

use weir_bus::batch::Batch;
use weir_bus::event::InventoryEvent;
use weir_bus::pubsub::{EventBus, PublisherId};
use weir_bus::{CollectionEvent, Timestamp, Topic};

/// What the rows come from.
const SOURCE: &str = "weir";

/// One part of the daemon, as a publisher.
pub(super) struct ControlEvents {
    class: &'static str,
    bus: Arc<dyn EventBus>,
    publisher: PublisherId,
    sequence: u64,
}

impl ControlEvents {
    /// Events of that class.
    pub(super) fn new(class: &'static str, bus: Arc<dyn EventBus>) -> Self {
        Self {
            class,
            bus,
            publisher: PublisherId::unique(),
            sequence: 0,
        }
    }

    /// Says these attributes of an item, in one batch.
    pub(super) fn publish(&mut self, topic: Topic, item: &str, attributes: &[(&str, String)]) {
        let now = Timestamp::now();
        let event = |(attribute, value): &(&str, String)| {
            CollectionEvent::from(InventoryEvent {
                timestamp: now,
                class: self.class.to_owned(),
                item: item.to_owned(),
                attribute: (*attribute).to_owned(),
                value: value.clone(),
            })
        };
        let events: Vec<CollectionEvent> = attributes.iter().map(event).collect();
        self.publish_events(topic, &events);
    }

    /// Says these rows, in one batch.
    pub(super) fn publish_events(&mut self, topic: Topic, events: &[CollectionEvent]) {
        let first = self.sequence;
        self.sequence += events.len() as u64;
        if let Ok(batch) = Batch::of_events(topic, SOURCE, first, events) {
            // A bus that is closed has nobody who would listen.
            drop(self.bus.publish(self.publisher, Arc::new(batch)));
        }
    }
}
