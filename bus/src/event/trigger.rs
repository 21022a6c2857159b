//! Events of kind `trigger`.

use super::column::{ColumnType, Timestamp};
use super::declare::event_kind;

event_kind! {
    /// A request that a trigger's firing became.
    Trigger: TriggerEvent, TriggerBuilder, TriggerColumns, TriggerRow {
        /// Names the request.
        request_id: String,
        /// The slot whose guest fired.
        trigger: String,
        /// The rule that fired.
        rule: String,
        /// The source that shall answer; empty: the stages.
        target: String,
        /// What kind of answer is wanted.
        analysis: String,
        /// `critical`, `high`, `normal` or `low`.
        priority: String,
        /// The process that it is about.
        target_pid: Option<u32>,
        /// When that process started.
        target_start_time: Option<Timestamp>,
        /// The file that it is about.
        target_path: Option<String>,
        /// `key=value` texts.
        metadata: Vec<String>,
        /// One id for everything that followed from one event.
        correlation_id: String,
        /// The request or finding that this one followed from.
        parent_id: Option<String>,
        /// The first request of the cascade.
        root_id: String,
        /// How many requests came before it in its cascade.
        depth: u32,
    }
}
