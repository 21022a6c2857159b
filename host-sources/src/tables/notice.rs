//! What is said of a table to who asked for it: rows of kind inventory, as all that the daemon says of itself.

use std::sync::Arc;
use std::time::Duration;

use weir_bus::event::InventoryEvent;
use weir_bus::{Batch, CollectionEvent, Timestamp, topic};

use super::asker::State;

/// The class of the rows.
pub const TABLE_CLASS: &str = "table";

/// A word about a source's table.
pub(super) struct Notice<'a> {
    pub(super) source: &'a str,
    pub(super) state: State,
    pub(super) reason: String,
    /// What its reader asks for.
    pub(super) every: Duration,
    /// How often the source looks.
    pub(super) in_force: Option<Duration>,
    /// The age of the latest table; none if there was none.
    pub(super) age: Option<Duration>,
}

impl Notice<'_> {
    /// The word as a batch, if it can be made.
    pub(super) fn batch(&self) -> Option<Arc<Batch>> {
        let now = Timestamp::now();
        let ms = |time: Duration| time.as_millis().to_string();
        let attributes = [
            ("state", Some(self.state.as_str().to_owned())),
            ("reason", Some(self.reason.clone())),
            ("every-ms", Some(ms(self.every))),
            ("in-force-ms", self.in_force.map(ms)),
            ("age-ms", self.age.map(ms)),
        ];
        let rows: Vec<CollectionEvent> = attributes
            .into_iter()
            .filter_map(|(attribute, value)| {
                let row = InventoryEvent {
                    timestamp: now,
                    class: TABLE_CLASS.to_owned(),
                    item: self.source.to_owned(),
                    attribute: attribute.to_owned(),
                    value: value?,
                };
                Some(row.into())
            })
            .collect();
        let topic = topic::families::tables(self.source);
        Batch::of_events(topic, self.source, 0, &rows)
            .map(Arc::new)
            .ok()
    }
}
