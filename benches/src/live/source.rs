//! The bench's source: rows that differ, each built and handed over through the source API.
//!
//! It builds a row in the memory of an earlier one, as a source that runs for weeks would; what it
//! hands over is copied into the batch's columns. It waits to be told to go, so that starting is not
//! measured, and stays when all is said, so that its thread can still be read.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use weir_bus::event::ProcessEvent;
use weir_bus::{Emit, Pace, SourceCaps, Timestamp};
use weir_sources::{EventSource, SourceContext, SourceError};

use crate::rows;

/// What a source emits.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rows: u64,
    /// None: as fast as it goes.
    pub(crate) rows_per_second: Option<u64>,
    /// Rows that are handed over at a time, as a source does that reads the system in chunks.
    pub(crate) chunk_rows: u64,
    /// One row in so many carries the mark in its name, and when it was built as its start time.
    pub(crate) marked_every: u64,
}

impl Plan {
    /// How many rows carry the mark.
    pub(crate) const fn marked(&self) -> u64 {
        self.rows.div_ceil(self.marked_every)
    }

    /// How long it takes; zero if it goes as fast as it can.
    pub(crate) fn time(&self) -> Duration {
        self.rows_per_second
            .map_or(Duration::ZERO, |rate| due(self.rows, rate))
    }
}

/// When so many rows have been emitted at that rate.
const fn due(rows: u64, rows_per_second: u64) -> Duration {
    Duration::from_nanos(rows.saturating_mul(1_000_000_000) / rows_per_second)
}

/// Where the source stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Ready,
    Going,
}

/// Emits what its plan says.
pub(crate) struct BenchSource {
    plan: Plan,
    stage: watch::Sender<Stage>,
}

impl BenchSource {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            plan,
            stage: watch::Sender::new(Stage::Starting),
        }
    }

    /// Returns when it could begin.
    pub(crate) async fn wait_ready(&self) {
        self.wait(Stage::Ready).await;
    }

    /// Lets it begin.
    pub(crate) fn go(&self) {
        self.stage.send_replace(Stage::Going);
    }

    async fn wait(&self, stage: Stage) {
        let mut stages = self.stage.subscribe();
        // It can't end: this source holds the sender.
        let _ = stages.wait_for(|now| *now == stage).await;
    }

    /// Makes the rows of a chunk; a row that fires starts when it is built.
    fn build(&self, chunk: &mut Vec<ProcessEvent>, from: u64, count: u64) {
        let now = Timestamp::now();
        chunk.resize_with(usize::try_from(count).unwrap_or(0), rows::blank);
        for (row, number) in chunk.iter_mut().zip(from..) {
            let is_marked = number.is_multiple_of(self.plan.marked_every);
            rows::fill(row, number, is_marked, false);
            row.timestamp = now;
            if is_marked {
                row.start_time = Timestamp::now();
            }
        }
    }
}

#[async_trait]
impl EventSource for BenchSource {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS
    }

    fn pace(&self) -> Pace {
        Pace::Periodic
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        context.ready();
        self.stage.send_replace(Stage::Ready);
        self.wait(Stage::Going).await;
        let mut chunk = Vec::new();
        let started = tokio::time::Instant::now();
        let mut sent = 0;
        while sent < self.plan.rows && !context.is_stopping() {
            if let Some(rows_per_second) = self.plan.rows_per_second {
                tokio::time::sleep_until(started + due(sent, rows_per_second)).await;
            }
            let count = self.plan.chunk_rows.min(self.plan.rows - sent);
            self.build(&mut chunk, sent, count);
            match context.emitter().emit_all(&chunk).await {
                Emit::Accepted | Emit::Wait => sent += count,
                Emit::Dropped | Emit::Closed => {
                    return Err(SourceError::Failed("rows were dropped".to_owned()));
                }
            }
        }
        context.emitter().flush();
        context.stopping().await;
        Ok(())
    }
}
