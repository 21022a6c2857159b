//! What the link does with the state: connections come up and go down, frames go out, answers come in.

use std::sync::Arc;

use bytes::Bytes;

use super::super::{ClientError, wake_all};
use super::{REFUSALS_MAX, Shared, subscribe_frame};
use crate::batch::Batch;
use crate::count::{Count, DropReason};
use crate::pubsub::{Gap, Queue};
use crate::wire::{ErrorFrame, Pong, Welcome};

impl Shared {
    pub(in super::super) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// A connection stands: everybody is subscribed again.
    pub(in super::super) fn up(&self, welcome: Welcome) -> Vec<Bytes> {
        let mut state = self.state();
        let frames = state
            .held
            .iter()
            .filter_map(|(number, held)| subscribe_frame(*number, &held.options))
            .collect();
        state.welcome = Some(welcome);
        state.problem = None;
        state.connects += 1;
        let was_out = std::mem::take(&mut state.told);
        drop(state);
        if was_out {
            tracing::info!(socket = %self.options.socket.display(), "connected again");
        }
        wake_all(&self.changed);
        wake_all(&self.room);
        frames
    }

    /// The connection has ended, or there was none: what is worth nothing on another is answered so.
    pub(in super::super) fn down(&self, problem: &ClientError) {
        let mut state = self.state();
        let was_up = state.welcome.take().is_some();
        state.problem = Some(problem.clone());
        state.replies.clear();
        state.pongs.clear();
        state.outbox.retain(|outgoing| outgoing.count.is_some());
        state.outbox_bytes = state
            .outbox
            .iter()
            .map(|outgoing| outgoing.frame.len())
            .sum();
        if was_up {
            let after = state.position.saturating_add(1);
            for held in state.held.values_mut() {
                held.resumed_at = Some(after);
            }
        }
        let first = !std::mem::replace(&mut state.told, true);
        drop(state);
        if was_up || first {
            tracing::warn!(%problem, "no broker; trying again");
        }
        wake_all(&self.changed);
        wake_all(&self.room);
    }

    /// It is over: subscribers get what is queued, and then the end; what waits is counted.
    pub(in super::super) fn over(&self) {
        let mut state = self.state();
        state.welcome = None;
        state.closing = true;
        state.ended = true;
        let lost: Count = state
            .outbox
            .drain(..)
            .filter_map(|outgoing| outgoing.count)
            .sum();
        state.dropped.add(DropReason::Closed, lost);
        state.outbox_bytes = 0;
        state.outbox_batches = 0;
        for held in state.held.values() {
            held.queue.close();
        }
        state.replies.clear();
        state.pongs.clear();
        drop(state);
        wake_all(&self.changed);
        wake_all(&self.room);
    }

    /// Takes frames for one write; none where there is nothing. `Err` when all is sent and it is over.
    pub(in super::super) fn take_frames(
        &self,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ()> {
        let mut state = self.state();
        if state.ended {
            return Err(());
        }
        while out.len() < bytes_max {
            let Some(outgoing) = state.outbox.pop_front() else {
                break;
            };
            state.outbox_bytes = state.outbox_bytes.saturating_sub(outgoing.frame.len());
            if outgoing.count.is_some() {
                state.outbox_batches = state.outbox_batches.saturating_sub(1);
            }
            out.extend_from_slice(&outgoing.frame);
        }
        if out.is_empty() && state.closing {
            return Err(());
        }
        drop(state);
        if !out.is_empty() {
            wake_all(&self.room);
        }
        Ok(())
    }

    pub(in super::super) fn queue(&self, number: u32) -> Option<Arc<Queue<Arc<Batch>>>> {
        self.state()
            .held
            .get(&number)
            .map(|held| Arc::clone(&held.queue))
    }

    pub(in super::super) fn arrived(&self, position: u64) {
        let mut state = self.state();
        state.position = state.position.max(position);
    }

    pub(in super::super) fn position(&self) -> u64 {
        self.state().position
    }

    /// The broker has agreed to a subscription. One that stood on an earlier connection has missed
    /// something, and nobody knows how much.
    pub(in super::super) fn subscribed(&self, number: u32) {
        let mut state = self.state();
        let Some(held) = state.held.get_mut(&number) else {
            return;
        };
        if let Some(from) = held.resumed_at.take() {
            held.queue.push_gap(Gap {
                missed: None,
                reason: DropReason::Disconnected,
                from,
                to: from,
            });
        }
        if let Some(answer) = held.answer.take() {
            drop(answer.send(Ok(())));
        }
    }

    pub(in super::super) fn refused(&self, error: ErrorFrame) {
        let mut state = self.state();
        let held = error.id.and_then(|number| state.held.get_mut(&number));
        if let Some(held) = held {
            held.queue.close();
            let name = Arc::clone(&held.name);
            match held.answer.take() {
                Some(answer) => drop(answer.send(Err(error.into()))),
                None => {
                    tracing::warn!(subscription = %name, problem = error.message, "the broker refuses it");
                }
            }
            return;
        }
        state.refused_rows = state.refused_rows.saturating_add(error.rows);
        if state.refusals.len() < REFUSALS_MAX {
            state.refusals.push(error.into());
        }
    }

    pub(in super::super) fn replied(&self, id: u32, answer: Result<Bytes, ClientError>) {
        let waiting = self.state().replies.remove(&id);
        if let Some(waiting) = waiting {
            drop(waiting.send(answer));
        }
    }

    pub(in super::super) fn ponged(&self, pong: Pong) {
        let waiting = self.state().pongs.remove(&pong.id);
        if let Some(waiting) = waiting {
            // Who asked may have gone.
            let _unheard = waiting.send(pong);
        }
    }
}
