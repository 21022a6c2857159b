//! Events of kind `performance`.

use super::column::{ColumnType, Timestamp};
use super::declare::event_kind;

event_kind! {
    /// A measurement.
    Performance: PerformanceEvent, PerformanceBuilder, PerformanceColumns, PerformanceRow {
        /// What was measured.
        metric: String,
        /// The value, in `unit`.
        value: f64,
        /// The value's unit.
        unit: String,
        /// What it was measured of: a core, a disk, an interface.
        component: Option<String>,
        /// The process that it belongs to.
        pid: Option<u32>,
        /// When that process started.
        process_start_time: Option<Timestamp>,
    }
}
