//! Losses that a source tells: where they stand among its batches, and who is told.
//!
//! Invariant: a loss has its place in the stream, behind what came before it, or is part of one that stands there.

use std::sync::Arc;

use super::{Batcher, State};
use crate::batch::ledger::SourceLoss;
use crate::batch::{Batch, BatchHeader, Snapshot};
use crate::count::DropReason;
use crate::event::{EventBuilder, Kind, Timestamp};
use crate::topic;

/// Losses that wait for somebody to ask for them; the last takes in what follows.
const LOSSES_MAX: usize = 1_024;
/// The last token of the topic of an empty batch that stands where rows were lost. Nobody gets it.
const LOST_LEAF: &str = "lost";

impl Batcher {
    /// Says that the source lost rows of a kind before it could make them: `rows`, or none where nobody can know
    /// how many. They count as produced and dropped where they are known.
    ///
    /// The loss has its place in the stream: [`Batcher::next`] hands out an empty batch there, and then
    /// [`Batcher::take_losses`] the loss.
    pub fn lost(&self, kind: Kind, rows: Option<u64>, reason: DropReason) {
        let mut state = self.state();
        if state.ended {
            return;
        }
        match rows {
            Some(rows) => {
                state.counts.produced += rows;
                state.counts.drop_rows(reason, rows, 0);
            }
            None => state.counts.lost_unknown += 1,
        }
        self.close_all(&mut state);
        let before = state.handed_out + state.closed.len() as u64;
        // One that stands at the same place takes it in: what nobody reads stays bounded.
        let is_full = state.losses.len() >= LOSSES_MAX;
        let last = state.losses.back_mut();
        let same = last.filter(|(at, last)| {
            is_full || (at + 1 == before && last.kind == kind && last.reason == reason)
        });
        if let Some((_, last)) = same {
            last.rows = last
                .rows
                .zip(rows)
                .map(|(one, other)| one.saturating_add(other));
            return;
        }
        let Some(place) = self.place_of_loss(&state, kind) else {
            return;
        };
        state.closed.push_back(place);
        let source = Arc::clone(&self.source);
        let loss = SourceLoss {
            source,
            kind,
            rows,
            reason,
        };
        state.losses.push_back((before, loss));
        drop(state);
        self.work.notify_one();
    }

    /// The losses that stand before the batch that [`Batcher::next`] handed out last, or at it.
    pub fn take_losses(&self) -> Vec<SourceLoss> {
        let mut state = self.state();
        let handed_out = state.handed_out;
        let due = state.losses.partition_point(|(at, _)| *at < handed_out);
        state.losses.drain(..due).map(|(_, loss)| loss).collect()
    }

    /// An empty batch, for who waits for one.
    fn place_of_loss(&self, state: &State, kind: Kind) -> Option<Batch> {
        let now = Timestamp::now();
        let header = BatchHeader {
            kind,
            topic: topic::of_event(kind, LOST_LEAF),
            source: Arc::clone(&self.source),
            first_sequence: state.next_sequence,
            opened: now,
            closed: now,
            snapshot: state.snapshot.map(|id| Snapshot { id, last: false }),
        };
        Batch::new(header, EventBuilder::new(kind, 0).finish(&self.source)).ok()
    }
}
