//! The bounds of a batcher, and what it says to its source at them.

use std::time::Duration;

/// The bounds of a batcher.
#[derive(Clone, Debug, PartialEq)]
pub struct BatcherLimits {
    /// Rows at which a batch closes.
    pub batch_rows_max: usize,
    /// Bytes at which a batch closes.
    pub batch_bytes_max: usize,
    /// Age at which a batch closes.
    pub batch_age_max: Duration,
    /// Rows that may wait, in open and closed batches.
    pub event_buffer_rows_max: usize,
    /// The part of them at which periodic sources wait, and realtime ones drop.
    pub backpressure_threshold: f64,
}

impl Default for BatcherLimits {
    fn default() -> Self {
        Self {
            batch_rows_max: 1_000,
            batch_bytes_max: 1 << 20,
            batch_age_max: Duration::from_millis(20),
            event_buffer_rows_max: 10_000,
            backpressure_threshold: 0.8,
        }
    }
}

impl BatcherLimits {
    /// Rows at which a source feels the pressure.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a part of a row count, clamped to it"
    )]
    pub(super) fn pressure_rows(&self) -> usize {
        let rows = self.event_buffer_rows_max as f64 * self.backpressure_threshold.clamp(0.0, 1.0);
        (rows as usize).clamp(1, self.event_buffer_rows_max.max(1))
    }
}

/// How a source meets backpressure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It looks at intervals, and can wait.
    Periodic,
    /// It can't make the world wait: the newest rows are dropped, and counted.
    Realtime,
}

/// What became of rows that were appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// All were taken.
    Accepted,
    /// All were taken or counted as dropped; a periodic source should wait for [`Batcher::room`](super::Batcher::room) now.
    Wait,
    /// Some were dropped, and counted.
    Dropped,
    /// The batcher is closed: nothing is taken any more.
    Closed,
}
