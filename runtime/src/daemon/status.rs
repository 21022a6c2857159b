//! The one live line on a terminal.

use std::sync::Arc;
use std::time::Instant;

use crate::pipeline::Pipeline;
use crate::sink::Console;

/// Shows rates since it was last shown.
pub(super) struct StatusLine {
    console: Arc<Console>,
    shown: Instant,
    produced: u64,
}

impl StatusLine {
    pub(super) fn new(console: Arc<Console>) -> Self {
        Self {
            console,
            shown: Instant::now(),
            produced: 0,
        }
    }

    pub(super) fn show(&mut self, pipeline: &Pipeline) {
        if !self.console.is_terminal() {
            return;
        }
        let status = pipeline.status();
        let now = Instant::now();
        let produced: u64 = status
            .sources
            .iter()
            .map(|source| source.counts.produced)
            .sum();
        let batches: u64 = status
            .sources
            .iter()
            .map(|source| source.counts.batches)
            .sum();
        let lost: u64 = status
            .sources
            .iter()
            .map(|source| source.counts.dropped.total().rows)
            .sum();
        let seconds = now
            .duration_since(self.shown)
            .as_secs_f64()
            .max(f64::EPSILON);
        #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
        let rate = produced.saturating_sub(self.produced) as f64 / seconds;
        let queued: u64 = status.slots.iter().map(|slot| slot.queue.queued.rows).sum();
        let dropped: u64 = status
            .slots
            .iter()
            .map(|slot| slot.queue.dropped.total().rows)
            .sum();
        let faults: u64 = status.slots.iter().map(|slot| slot.faults_total()).sum();
        let guests: f64 = status
            .slots
            .iter()
            .map(|slot| slot.time.as_secs_f64())
            .sum();
        self.console.status(&format!(
            "{rate:.0} rows/s  {batches} batches  {queued} queued  {} dropped  {faults} faults  guests {:.1} ms",
            lost + dropped,
            guests * 1e3
        ));
        self.shown = now;
        self.produced = produced;
    }

    /// Leaves the line empty, for the last words.
    pub(super) fn clear(&self) {
        self.console.status("");
    }
}
