//! Events of kind `inventory`.

use super::column::{ColumnType, Timestamp};
use super::declare::event_kind;

event_kind! {
    /// One attribute of something that the machine has.
    Inventory: InventoryEvent, InventoryBuilder, InventoryColumns, InventoryRow {
        /// `hardware`, `kernel`, `mount`, …
        class: String,
        /// Which one of the class.
        item: String,
        /// What is told of it.
        attribute: String,
        /// The attribute's value.
        value: String,
    }
}
