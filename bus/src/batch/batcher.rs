//! From rows to batches, for one source: the channel and the batcher in one.
//!
//! A row goes straight into the columns of the batch that is open for its topic, under one lock:
//! no row is ever queued as a row, which would cost more than building its columns. Batches close
//! on rows, bytes, age, or the source's flush, and wait for the filters in order. Rows that wait,
//! open or closed, are bounded by `event_buffer_rows_max`.
//!
//! Nothing here blocks: who wants to wait for room does it with [`Batcher::room`].

mod again;
mod losses;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::ledger::{Settlement, SourceCounts, SourceLoss};
use super::limits::{BatcherLimits, Emit, Pace};
use super::{Batch, BatchHeader, Snapshot};
use crate::count::DropReason;
use crate::event::{EventBuilder, EventRow, Kind, Timestamp};
use crate::topic::{self, Topic};

/// Batches that one source may have open at a time, each for a topic of its own. One more closes
/// the oldest: a source that invents topics makes small batches, not many.
const OPEN_BATCHES_MAX: usize = 16;
/// Rows that a new builder has room for before it grows; most batches of a realtime source are small.
const BUILDER_ROWS_START: usize = 64;

struct Open {
    leaf: String,
    topic: Topic,
    builder: EventBuilder,
    first_sequence: u64,
    opened: Timestamp,
    since: Instant,
}

#[derive(Default)]
struct State {
    open: Vec<Open>,
    closed: VecDeque<Batch>,
    /// What was lost, and how many batches had been closed before its place in the stream.
    losses: VecDeque<(u64, SourceLoss)>,
    /// Batches that were handed out.
    handed_out: u64,
    counts: SourceCounts,
    snapshot: Option<u64>,
    /// Batches of the snapshot, where they are to be kept.
    kept: Option<Vec<Batch>>,
    /// Kind and topic of the batch that closed last: what an empty last batch of a snapshot has.
    closed_last: Option<(Kind, Topic)>,
    next_sequence: u64,
    ended: bool,
}

/// Collects one source's rows into batches.
pub struct Batcher {
    source: Arc<str>,
    pace: Pace,
    limits: BatcherLimits,
    pressure_rows: u64,
    buffer_rows_max: u64,
    state: Mutex<State>,
    /// Something for [`Batcher::next`] to look at: a batch closed, one opened, or the end.
    work: Notify,
    /// Rows left: room for those who wait.
    room: Notify,
}

impl Batcher {
    /// A batcher for a source of that name.
    #[must_use]
    pub fn new(source: &str, pace: Pace, limits: BatcherLimits) -> Self {
        Self {
            source: source.into(),
            pace,
            pressure_rows: limits.pressure_rows() as u64,
            buffer_rows_max: limits.event_buffer_rows_max as u64,
            limits,
            state: Mutex::new(State::default()),
            work: Notify::new(),
            room: Notify::new(),
        }
    }

    /// The source's name.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one row.
    pub fn append(&self, row: &impl EventRow) -> Emit {
        self.append_all(std::slice::from_ref(row))
    }

    /// Appends rows in order, under one lock.
    pub fn append_all<R: EventRow>(&self, rows: &[R]) -> Emit {
        let mut state = self.state();
        if state.ended {
            return Emit::Closed;
        }
        let mut wake = false;
        let mut taken = 0_u64;
        for row in rows {
            if self.is_full(&state) {
                break;
            }
            wake |= self.take(&mut state, row);
            taken += 1;
        }
        let left = (rows.len() as u64).saturating_sub(taken);
        self.appended(state, (left, DropReason::Backpressure), wake)
    }

    /// Counts rows that weren't taken, wakes who waits for a batch, and says what became of all of them.
    fn appended(
        &self,
        mut state: MutexGuard<'_, State>,
        (left, reason): (u64, DropReason),
        wake: bool,
    ) -> Emit {
        if left > 0 {
            state.counts.produced += left;
            state.counts.drop_rows(reason, left, 0);
        }
        let under_pressure = self.waiting(&state) >= self.pressure_rows;
        drop(state);
        if wake {
            self.work.notify_one();
        }
        match self.pace {
            Pace::Periodic if under_pressure => Emit::Wait,
            _ if left > 0 => Emit::Dropped,
            _ => Emit::Accepted,
        }
    }

    /// Hands on a batch that is columns already, as this source's own publication. A batch that
    /// finds no room is dropped whole, and counted.
    pub fn append_batch(&self, batch: &Batch) -> Emit {
        let mut state = self.state();
        if state.ended {
            return Emit::Closed;
        }
        let rows = batch.rows() as u64;
        state.counts.produced += rows;
        let room = self.buffer_rows_max.saturating_sub(self.waiting(&state));
        // A batch larger than the whole buffer goes alone, or it could never go.
        let alone = self.waiting(&state) == 0;
        if rows > room && !alone {
            state.counts.drop_rows(DropReason::Backpressure, rows, 1);
            return if self.pace == Pace::Periodic {
                Emit::Wait
            } else {
                Emit::Dropped
            };
        }
        while !state.open.is_empty() {
            self.close_open(&mut state, 0);
        }
        state.counts.in_channel += rows;
        state
            .closed
            .push_back(batch.published_by(Arc::clone(&self.source)));
        let under_pressure = self.waiting(&state) >= self.pressure_rows;
        drop(state);
        self.work.notify_one();
        if self.pace == Pace::Periodic && under_pressure {
            Emit::Wait
        } else {
            Emit::Accepted
        }
    }

    fn waiting(&self, state: &State) -> u64 {
        state.counts.in_channel + state.counts.in_batcher
    }

    /// Periodic sources may use the whole buffer while they are asked to wait; realtime ones stop
    /// at the threshold, so that what is in the buffer stays young.
    fn is_full(&self, state: &State) -> bool {
        let most = match self.pace {
            Pace::Periodic => self.buffer_rows_max,
            Pace::Realtime => self.pressure_rows,
        };
        self.waiting(state) >= most
    }

    /// Appends a row; true if `next` has something new to look at.
    fn take<R: EventRow>(&self, state: &mut State, row: &R) -> bool {
        let sequence = state.next_sequence;
        state.next_sequence += 1;
        state.counts.produced += 1;
        let kind = row.kind();
        let (index, mut wake) = self.open_for(state, kind, row.topic_leaf(), sequence);
        let Some(open) = state.open.get_mut(index) else {
            state.counts.drop_rows(DropReason::Invalid, 1, 0);
            return wake;
        };
        if !row.append_to(&mut open.builder, sequence) {
            state.counts.drop_rows(DropReason::Invalid, 1, 0);
            return wake;
        }
        state.counts.in_batcher += 1;
        wake |= self.close_if_full(state, index);
        wake
    }

    fn close_if_full(&self, state: &mut State, index: usize) -> bool {
        let full = state.open.get(index).is_some_and(|open| {
            open.builder.rows() >= self.limits.batch_rows_max
                || open.builder.bytes() >= self.limits.batch_bytes_max
        });
        if full {
            self.close_open(state, index);
        }
        full
    }

    /// The place of the batch that is open for the topic, opening one if need be.
    fn open_for(&self, state: &mut State, kind: Kind, leaf: &str, sequence: u64) -> (usize, bool) {
        let found = state
            .open
            .iter()
            .position(|open| open.builder.kind() == kind && open.leaf == leaf);
        if let Some(index) = found {
            return (index, false);
        }
        if state.open.len() >= OPEN_BATCHES_MAX {
            self.close_open(state, 0);
        }
        state.open.push(Open {
            leaf: leaf.to_owned(),
            topic: topic::of_event(kind, leaf),
            builder: EventBuilder::new(kind, BUILDER_ROWS_START.min(self.limits.batch_rows_max)),
            first_sequence: sequence,
            opened: Timestamp::now(),
            since: Instant::now(),
        });
        (state.open.len() - 1, true)
    }

    fn close_open(&self, state: &mut State, index: usize) {
        let mut open = state.open.remove(index);
        let rows = open.builder.rows() as u64;
        state.counts.in_batcher -= rows;
        if rows == 0 {
            return;
        }
        let kind = open.builder.kind();
        state.closed_last = Some((kind, open.topic.clone()));
        let header = BatchHeader {
            kind,
            topic: open.topic,
            source: Arc::clone(&self.source),
            first_sequence: open.first_sequence,
            opened: open.opened,
            closed: Timestamp::now(),
            snapshot: state.snapshot.map(|id| Snapshot { id, last: false }),
        };
        match Batch::new(header, open.builder.finish(&self.source)) {
            Ok(batch) => {
                state.counts.in_channel += rows;
                if let Some(kept) = &mut state.kept {
                    kept.push(batch.clone());
                }
                state.closed.push_back(batch);
            }
            Err(error) => {
                tracing::error!(source = %self.source, %error, "a batch did not fit its own schema");
                state.counts.drop_rows(DropReason::Invalid, rows, 1);
            }
        }
    }

    fn close_all(&self, state: &mut State) {
        while !state.open.is_empty() {
            self.close_open(state, 0);
        }
    }

    /// Closes every open batch now.
    pub fn flush(&self) {
        let mut state = self.state();
        self.close_all(&mut state);
        drop(state);
        self.work.notify_one();
    }

    /// Begins a snapshot: until it ends, batches carry its id.
    pub fn begin_snapshot(&self, id: u64) {
        let mut state = self.state();
        self.close_all(&mut state);
        state.snapshot = Some(id);
    }

    /// Ends the snapshot: closes what is open, and marks the last batch that still waits. A snapshot
    /// whose last batch has already been taken ends with an empty one. Hands out its batches that have rows, where
    /// [`Batcher::keep_snapshot`] was asked to keep them.
    pub fn end_snapshot(&self) -> Vec<Batch> {
        let mut state = self.state();
        self.close_all(&mut state);
        if let Some(id) = state.snapshot.take() {
            self.mark_last(&mut state, id);
        }
        let kept = state.kept.take();
        drop(state);
        self.work.notify_one();
        kept.unwrap_or_default()
    }

    fn mark_last(&self, state: &mut State, id: u64) {
        let mark = Snapshot { id, last: true };
        let waiting = state.closed.back_mut();
        let waiting = waiting.filter(|batch| batch.header().snapshot.is_some_and(|of| of.id == id));
        if let Some(batch) = waiting {
            *batch = batch.in_snapshot(mark);
            return;
        }
        let Some((kind, topic)) = state.closed_last.clone() else {
            return;
        };
        let now = Timestamp::now();
        let header = BatchHeader {
            kind,
            topic,
            source: Arc::clone(&self.source),
            first_sequence: state.next_sequence,
            opened: now,
            closed: now,
            snapshot: Some(mark),
        };
        let columns = EventBuilder::new(kind, 0).finish(&self.source);
        if let Ok(batch) = Batch::new(header, columns) {
            state.closed.push_back(batch);
        }
    }

    /// No more rows: closes what is open; [`Batcher::next`] ends when all is taken.
    pub fn close(&self) {
        let mut state = self.state();
        self.close_all(&mut state);
        state.ended = true;
        drop(state);
        self.work.notify_one();
        self.room.notify_waiters();
    }

    /// Waits until there is room below the threshold, or the batcher is closed. Cancel safe.
    pub async fn room(&self) {
        loop {
            let notified = self.room.notified();
            let mut notified = std::pin::pin!(notified);
            notified.as_mut().enable();
            {
                let state = self.state();
                if state.ended || self.waiting(&state) < self.pressure_rows {
                    return;
                }
            }
            notified.await;
        }
    }

    /// The next closed batch, in order; none when the batcher is closed and empty. Its rows count
    /// as held by the filters until [`Batcher::settle`] says what became of them. Cancel safe.
    pub async fn next(&self) -> Option<Batch> {
        loop {
            let (batch, deadline) = self.poll_next();
            match (batch, deadline) {
                (Some(batch), _) => {
                    self.room.notify_waiters();
                    return Some(batch);
                }
                (None, Next::Ended) => return None,
                (None, Next::Idle) => self.work.notified().await,
                (None, Next::At(deadline)) => {
                    tokio::select! {
                        () = self.work.notified() => {}
                        () = tokio::time::sleep_until(deadline.into()) => {}
                    }
                }
            }
        }
    }

    fn poll_next(&self) -> (Option<Batch>, Next) {
        let mut state = self.state();
        let now = Instant::now();
        let age_max = self.limits.batch_age_max;
        while let Some(index) = state
            .open
            .iter()
            .position(|open| now.duration_since(open.since) >= age_max)
        {
            self.close_open(&mut state, index);
        }
        if let Some(batch) = state.closed.pop_front() {
            state.handed_out += 1;
            let rows = batch.rows() as u64;
            state.counts.in_channel -= rows;
            state.counts.in_filters += rows;
            return (Some(batch), Next::Idle);
        }
        if state.ended {
            return (None, Next::Ended);
        }
        let oldest = state.open.iter().map(|open| open.since).min();
        (
            None,
            oldest.map_or(Next::Idle, |since| Next::At(since + age_max)),
        )
    }

    /// Says what became of a batch that [`Batcher::next`] handed out.
    pub fn settle(&self, settlement: &Settlement) {
        let mut state = self.state();
        let counts = &mut state.counts;
        counts.in_filters = counts.in_filters.saturating_sub(settlement.rows());
        counts.published += settlement.published;
        counts.removed += settlement.removed;
        counts.batches += u64::from(settlement.published > 0);
        for (reason, count) in settlement.dropped.iter() {
            counts.dropped.add(reason, count);
        }
    }

    /// Counts a row that the source made and could not hand over.
    pub fn count_dropped(&self, reason: DropReason, rows: u64) {
        let mut state = self.state();
        state.counts.produced += rows;
        state.counts.drop_rows(reason, rows, 0);
    }

    /// The source's counts, read at one instant.
    #[must_use]
    pub fn counts(&self) -> SourceCounts {
        self.state().counts.clone()
    }
}

enum Next {
    Ended,
    Idle,
    At(Instant),
}
