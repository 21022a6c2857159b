//! Events of kind `finding`.

use super::column::{ColumnType, Timestamp};
use super::declare::event_kind;

event_kind! {
    /// What a stage found.
    Finding: FindingEvent, FindingBuilder, FindingColumns, FindingRow {
        /// Names the finding.
        finding_id: String,
        /// The slot whose guest found it.
        guest: String,
        /// The generation of that slot.
        generation: u64,
        /// `info`, `low`, `medium`, `high` or `critical`.
        severity: String,
        /// One line for a person.
        title: String,
        /// What it is about.
        subject: String,
        /// `key=value` texts.
        evidence: Vec<String>,
        /// One id for everything that followed from one event.
        correlation_id: String,
        /// The request that this finding answers.
        parent_id: Option<String>,
        /// The first request of the cascade.
        root_id: String,
        /// How many requests came before it in its cascade.
        depth: u32,
    }
}
