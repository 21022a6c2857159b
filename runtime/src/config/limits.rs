//! What a guest may use, validated: `[slots.<name>.limits]`.
//!
//! Says how much, not how it is enforced. Field names are the keys' names.

use super::units::duration_as_text;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The limits of one slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Fuel for a call.
    pub fuel_call: u64,
    /// Fuel besides for each row.
    pub fuel_row: u64,
    /// CPU time of a call; unset: by the guest's world.
    #[serde(default, with = "duration_as_text::optional")]
    pub cpu_call: Option<Duration>,
    /// A call that takes so many times its CPU limit by the clock has stalled.
    pub wall_factor: u32,
    /// The share of a core, in 0..=1, that the slot may use in the long run; 0: no bound.
    pub cpu_share: f64,
    /// Linear memory, in bytes.
    pub memory_bytes_max: usize,
    /// Tables.
    pub tables_max: usize,
    /// Elements of a table.
    pub table_elements_max: usize,
    /// Core instances in the component.
    pub core_instances_max: usize,
    /// Bytes that one host call may make the host allocate.
    pub host_bytes_call_max: usize,
    /// Bytes that the host calls for a batch may make the host allocate.
    pub host_bytes_batch_max: usize,
    /// Host calls for a batch.
    pub host_calls_batch_max: u64,
    /// Handles held at a time.
    pub handles_max: usize,
    /// Items answered for each row.
    pub output_rows_factor: u32,
    /// Bytes of the answers for a batch.
    pub output_bytes_max: usize,
    /// Log lines a second, in the long run.
    pub log_lines_per_second: u32,
    /// Log lines at once.
    pub log_burst: u32,
    /// Bytes of a log line.
    pub log_line_bytes_max: usize,
    /// Bytes of keys and values in the state store.
    pub state_bytes_max: usize,
    /// Keys in the state store.
    pub state_keys_max: usize,
    /// Bytes of a value in the state store.
    pub state_value_bytes_max: usize,
    /// Bytes of a snapshot.
    pub snapshot_bytes_max: usize,
    /// CPU time of a snapshot.
    #[serde(with = "duration_as_text")]
    pub snapshot_time_max: Duration,
    /// Bytes of the component.
    pub component_bytes_max: usize,
}

impl Default for Limits {
    /// What a slot has whose config says nothing of limits: the table of keys is the one place that
    /// knows.
    ///
    /// # Panics
    /// If the table's own defaults don't fit its own ranges, which a test would have told.
    fn default() -> Self {
        let request = super::LoadRequest {
            flags: vec![("slots.any.module".to_owned(), "builtin:any".to_owned())],
            ..super::LoadRequest::default()
        };
        let loaded = super::load(&request).expect("the defaults are within their ranges");
        let slot = loaded.config.slots.into_values().next();
        slot.expect("the slot that was asked for").limits
    }
}
