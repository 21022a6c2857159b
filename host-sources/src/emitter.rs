//! How a source hands over rows: into its batcher, waiting for room where it may.
//!
//! It counts nothing itself: what finds no room is dropped and counted by the batcher. The invariant:
//! a realtime source never waits here, and a periodic one at most `backpressure_wait_max`, once until
//! there is room again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir_bus::{
    Batch, BatchHeader, Batcher, BatcherLimits, DropReason, Emit, EventRow, Kind, MeasuredRow,
    Pace, Selection, Snapshot,
};

/// Rows that a periodic source hands over before it looks for room again.
const CHUNK_ROWS_MAX: usize = 256;

struct Shared {
    batcher: Arc<Batcher>,
    pace: Pace,
    backpressure_wait_max: Duration,
    /// Rows that surely fit when the batcher has just said that there is room.
    headroom_rows: usize,
    /// The run is given up: a later run has the batcher.
    closed: AtomicBool,
    /// A wait was in vain: no other until there is room.
    waited_in_vain: AtomicBool,
}

/// Takes the rows of one run of a source. Clones share everything.
#[derive(Clone)]
pub struct Emitter {
    shared: Arc<Shared>,
}

impl Emitter {
    /// An emitter into `batcher`, which was made with the same `pace` and `limits`.
    #[must_use]
    pub fn new(
        batcher: Arc<Batcher>,
        pace: Pace,
        limits: &BatcherLimits,
        backpressure_wait_max: Duration,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                batcher,
                pace,
                backpressure_wait_max,
                headroom_rows: headroom_rows(limits),
                closed: AtomicBool::new(false),
                waited_in_vain: AtomicBool::new(false),
            }),
        }
    }

    /// Hands over one row.
    pub async fn emit<R: EventRow>(&self, row: &R) -> Emit {
        self.emit_chunk(std::slice::from_ref(row)).await
    }

    /// Hands over rows in order. The answer is the worst that happened to any of them.
    pub async fn emit_all<R: EventRow>(&self, rows: &[R]) -> Emit {
        let chunk_rows = match self.shared.pace {
            // It never waits, so that there is nothing to look for between chunks.
            Pace::Realtime => rows.len(),
            Pace::Periodic => self.shared.headroom_rows.min(CHUNK_ROWS_MAX),
        };
        let mut worst = Emit::Accepted;
        for chunk in rows.chunks(chunk_rows.max(1)) {
            worst = worse(worst, self.emit_chunk(chunk).await);
        }
        worst
    }

    /// Hands over rows that stand in a batch from a row on, which are others in what is measured only; see
    /// [`Batcher::append_again`].
    pub async fn emit_again<R: MeasuredRow>(&self, rows: &[R], of: (&Batch, usize)) -> Emit {
        if self.is_closed() {
            return Emit::Closed;
        }
        let emit = self.shared.batcher.append_again(rows, of);
        self.pause_after(emit).await;
        emit
    }

    async fn emit_chunk<R: EventRow>(&self, rows: &[R]) -> Emit {
        if self.is_closed() {
            return Emit::Closed;
        }
        let emit = self.shared.batcher.append_all(rows);
        self.pause_after(emit).await;
        emit
    }

    /// Hands over rows that are columns already. A batch larger than what surely fits goes in parts.
    pub async fn emit_batch(&self, batch: &Batch) -> Emit {
        let mut worst = Emit::Accepted;
        for part in self.parts(batch) {
            if self.is_closed() {
                return Emit::Closed;
            }
            let emit = self.shared.batcher.append_batch(&part);
            self.pause_after(emit).await;
            worst = worse(worst, emit);
        }
        worst
    }

    /// As [`Self::emit_batch`], but waits for room as long as it takes, so that nothing is lost: for
    /// sources whose rows can wait, as those of a recording. Not cancel safe: what was handed over stays.
    pub async fn deliver_batch(&self, batch: &Batch) -> Emit {
        for part in self.parts(batch) {
            self.shared.batcher.room().await;
            if self.is_closed() {
                return Emit::Closed;
            }
            match self.shared.batcher.append_batch(&part) {
                // It was taken: there was room for all of it. The next part waits by itself.
                Emit::Accepted | Emit::Wait => {}
                other => return other,
            }
            tokio::task::coop::consume_budget().await;
        }
        Emit::Accepted
    }

    /// Counts rows that the source would have made, had the kernel had room for what happened.
    pub fn count_dropped(&self, reason: DropReason, rows: u64) {
        if rows > 0 && !self.is_closed() {
            self.shared.batcher.count_dropped(reason, rows);
        }
    }

    /// Closes what is open, so that it goes on now.
    pub fn flush(&self) {
        if !self.is_closed() {
            self.shared.batcher.flush();
        }
    }

    /// Says that rows of a kind were lost before they could be made: `rows`, or none where nobody can know how
    /// many. It stands as a gap in the stream of who subscribes to that kind.
    pub fn lost(&self, kind: Kind, rows: Option<u64>, reason: DropReason) {
        if !self.is_closed() {
            self.shared.batcher.lost(kind, rows, reason);
        }
    }

    /// Begins a look at everything; its batches carry `id` until [`Self::end_snapshot`].
    pub fn begin_snapshot(&self, id: u64) {
        if !self.is_closed() {
            self.shared.batcher.begin_snapshot(id);
        }
    }

    /// Keeps the batches of the look that has begun for [`Self::end_snapshot`].
    pub fn keep_snapshot(&self) {
        if !self.is_closed() {
            self.shared.batcher.keep_snapshot();
        }
    }

    /// Ends the look at everything, and sends it on. Hands out its batches, where they were to be kept.
    pub fn end_snapshot(&self) -> Vec<Batch> {
        match self.is_closed() {
            true => Vec::new(),
            false => self.shared.batcher.end_snapshot(),
        }
    }

    /// Takes no more rows of this run, whatever becomes of the batcher.
    pub(crate) fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
    }

    fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Waits where the batcher asks for it; and lets the source's thread answer others now and then,
    /// or a source that floods would never learn that it shall stop.
    async fn pause_after(&self, emit: Emit) {
        let waited_in_vain = &self.shared.waited_in_vain;
        match emit {
            Emit::Wait if !waited_in_vain.load(Ordering::Relaxed) => {
                let room = self.shared.batcher.room();
                let in_time = tokio::time::timeout(self.shared.backpressure_wait_max, room).await;
                waited_in_vain.store(in_time.is_err(), Ordering::Relaxed);
            }
            Emit::Accepted if waited_in_vain.load(Ordering::Relaxed) => {
                waited_in_vain.store(false, Ordering::Relaxed);
            }
            _ => {}
        }
        tokio::task::coop::consume_budget().await;
    }

    /// The batch in parts that surely fit after a wait for room; nearly always the batch itself.
    fn parts(&self, batch: &Batch) -> Vec<Batch> {
        let rows = batch.rows();
        let part_rows = self.shared.headroom_rows;
        if rows <= part_rows {
            return vec![batch.clone()];
        }
        let starts = (0..rows).step_by(part_rows);
        starts
            .filter_map(|start| part(batch, start, (start + part_rows).min(rows)))
            .collect()
    }
}

/// What lies between the threshold and the end of the buffer. The batcher rounds the threshold down
/// to whole rows, so this is never more than what it has left below it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of a row count, clamped to it"
)]
fn headroom_rows(limits: &BatcherLimits) -> usize {
    let free = 1.0 - limits.backpressure_threshold.clamp(0.0, 1.0);
    let rows = (limits.event_buffer_rows_max as f64 * free) as usize;
    rows.max(1)
}

/// Some rows of a batch as a batch of its own; only the last part ends its snapshot.
fn part(batch: &Batch, start: usize, end: usize) -> Option<Batch> {
    let rows = (u32::try_from(start).ok()?..u32::try_from(end).ok()?).collect();
    let selected = batch.select(&Selection::Rows(rows)).ok()?;
    let snapshot = batch.header().snapshot.map(|snapshot| Snapshot {
        last: snapshot.last && end == batch.rows(),
        ..snapshot
    });
    let header = BatchHeader {
        snapshot,
        ..selected.header().clone()
    };
    Batch::new(header, selected.records().columns().to_vec()).ok()
}

fn worse(a: Emit, b: Emit) -> Emit {
    let rank = |emit| match emit {
        Emit::Accepted => 0,
        Emit::Wait => 1,
        Emit::Dropped => 2,
        Emit::Closed => 3,
    };
    if rank(b) > rank(a) { b } else { a }
}

#[cfg(test)]
mod tests;
