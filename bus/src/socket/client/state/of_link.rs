//! What the link does with the state: connections come up and go down, frames go out, answers come in.

use std::sync::Arc;

use bytes::Bytes;

use super::super::{ClientError, wake_all};
use super::{REFUSALS_MAX, Shared, State, subscribe_frame};
use crate::batch::Batch;
use crate::count::{Count, DropReason};
use crate::pubsub::{Gap, Queue};
use crate::wire::{
    ErrorFrame, FrameType, Ping, Pong, PongMore, ResumePoint, SessionName, Welcome, WelcomeMore,
    control_frame,
};

/// What of a batch a delivery is.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Part {
    /// All of it, or the rest.
    Last,
    /// So many rows, and more of it follow.
    OfMore { rows: u64 },
}

impl State {
    /// What was written and not confirmed goes out again, where the session goes on; where it doesn't,
    /// nobody knows whether it was taken.
    fn republish(&mut self, goes_on: bool, frames: u64) {
        if goes_on {
            self.unconfirmed.confirm(frames);
            self.resent += self.unconfirmed.count();
        } else {
            self.unknown += self.unconfirmed.count();
            self.unconfirmed.restart();
        }
        let mut again = self.unconfirmed.take();
        if goes_on {
            let batches = again.iter().filter(|one| one.count.is_some()).count();
            self.outbox_batches += batches;
            self.outbox_bytes += again.iter().map(|one| one.frame.len()).sum::<usize>();
            again.append(&mut self.outbox);
            self.outbox = again;
        }
    }
}

impl Shared {
    pub(in super::super) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// What the next connection goes on with.
    pub(in super::super) fn session(&self) -> Option<SessionName> {
        self.state().session
    }

    /// A connection stands: everybody is subscribed again, from where it was.
    pub(in super::super) fn up(&self, welcome: Welcome, more: WelcomeMore) -> Vec<Bytes> {
        let mut state = self.state();
        let frames = state
            .held
            .iter()
            .filter_map(|(number, held)| subscribe_frame(*number, &held.options, held.point))
            .collect();
        let incarnation = welcome.incarnation;
        let session = more.session.map(|session| SessionName {
            incarnation,
            session,
        });
        let goes_on = session.is_some() && state.session == session;
        state.session = session;
        state.republish(goes_on, more.frames);
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
        while out.len() < bytes_max && state.unconfirmed.has_room() {
            let Some(outgoing) = state.outbox.pop_front() else {
                break;
            };
            state.outbox_bytes = state.outbox_bytes.saturating_sub(outgoing.frame.len());
            out.extend_from_slice(&outgoing.frame);
            if outgoing.count.is_some() {
                state.outbox_batches = state.outbox_batches.saturating_sub(1);
                // Where no session can go on, nothing is sent again.
                if state.session.is_some() && state.unconfirmed.keep(outgoing) {
                    let id = u64::from(state.next());
                    let ping = control_frame(FrameType::Ping, &Ping { id });
                    out.extend(ping.iter().flatten());
                }
            }
        }
        if out.is_empty() && state.closing && state.outbox.is_empty() {
            return Err(());
        }
        drop(state);
        if !out.is_empty() {
            wake_all(&self.room);
        }
        Ok(())
    }

    /// A delivery or a gap of that subscription has been read; gives where it belongs. None where it was
    /// under way when the subscription ended.
    pub(in super::super) fn arrived(
        &self,
        number: u32,
        position: u64,
        part: Part,
    ) -> Option<Arc<Queue<Arc<Batch>>>> {
        let mut state = self.state();
        state.position = position;
        let incarnation = state.welcome.as_ref()?.incarnation;
        let held = state.held.get_mut(&number)?;
        match (part, &mut held.point) {
            (Part::Last, point) => {
                *point = Some(ResumePoint {
                    incarnation,
                    position,
                    rows: 0,
                });
            }
            (Part::OfMore { rows }, Some(point)) => point.rows = point.rows.saturating_add(rows),
            (Part::OfMore { .. }, None) => {}
        }
        Some(Arc::clone(&held.queue))
    }

    pub(in super::super) fn position(&self) -> u64 {
        self.state().position
    }

    /// The broker has agreed to a subscription. Of one that stood on an earlier connection it tells what
    /// is missing; one that doesn't know how can't: then nobody knows.
    pub(in super::super) fn subscribed(&self, number: u32) {
        let mut state = self.state();
        let resumes = state.session.is_some();
        let incarnation = state.welcome.as_ref().map(|welcome| welcome.incarnation);
        let (Some(held), Some(incarnation)) = (state.held.get_mut(&number), incarnation) else {
            return;
        };
        let begins = ResumePoint {
            incarnation,
            position: 0,
            rows: 0,
        };
        match held.point {
            Some(point) if !resumes => {
                let from = point.position.saturating_add(1);
                let gap = Gap::unknown(DropReason::Disconnected, from, from);
                held.queue.push_gap(gap);
                held.point = Some(begins);
            }
            Some(_) => {}
            None => held.point = Some(begins),
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

    pub(in super::super) fn ponged(&self, pong: Pong, more: PongMore) {
        let mut state = self.state();
        let was_full = !state.unconfirmed.has_room();
        state.unconfirmed.confirm(more.frames);
        let waiting = state.pongs.remove(&pong.id);
        drop(state);
        if was_full {
            self.work.notify_one();
        }
        if let Some(waiting) = waiting {
            // Who asked may have gone.
            let _unheard = waiting.send(pong);
        }
    }
}
