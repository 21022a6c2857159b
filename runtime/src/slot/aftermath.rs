//! What happens around a slot's calls: what waits, what is settled uncalled, what is kept of rows and
//! modules that break, and when instances and threads are made anew.
//!
//! Does what the supervisor decides. Disks and logs are never touched under the slot's lock.

use std::ops::Range;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use weir_bus::batch::Batch;

use super::control::{Control, State};
use super::generation::Generation;
use super::supervision::{Permit, Told, Wait};
use super::{Duty, Settled, Without, worker};
use crate::config::OnFault;
use crate::dead_letters::Holder;
use crate::sandbox::{Fault, Sandbox};

/// What a thread needs to take a slot over: its number, and the guest.
pub(super) type Handover = (u64, Option<Generation>);

/// How a wait before the next job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rested {
    /// The next job may be taken.
    Ready,
    /// Another guest waits to come into force.
    Proposed,
}

impl<D: Duty> State<D> {
    /// The slot's thread has used CPU time, by that reading of its clock.
    pub(super) fn used_cpu(&mut self, clock: Duration, now: Instant) {
        let used = clock.saturating_sub(std::mem::replace(&mut self.cpu_seen, clock));
        self.statistics.cpu += used;
        self.supervisor.used(now, used);
    }

    /// Another thread takes the slot over.
    pub(super) fn next_thread(&mut self) -> u64 {
        self.thread += 1;
        self.cpu_seen = Duration::ZERO;
        self.successor = None;
        self.supervisor.on_a_fresh_thread();
        self.thread
    }
}

impl<D: Duty> Control<D> {
    /// Waits while the slot is throttled, and while its guest is paused where jobs may wait. Another
    /// guest, a release and the end of the slot cut it short: what is queued at the end is worked on
    /// without a pause, within the time that draining has.
    pub(super) fn rest(&self) -> Rested {
        let mut state = self.state();
        loop {
            if state.proposed.is_some() {
                return Rested::Proposed;
            }
            let now = Instant::now();
            let (until, is_throttled) = match state.supervisor.wait(now) {
                _ if state.finishing => return Rested::Ready,
                Some(Wait::Throttled(until)) => (until, true),
                Some(Wait::BackingOff(until)) if D::MAY_WAIT => (until, false),
                Some(Wait::BackingOff(_)) | None => return Rested::Ready,
            };
            let left = until.saturating_duration_since(now);
            state = self
                .woken
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            if is_throttled {
                state.statistics.throttled += now.elapsed();
            }
        }
    }

    /// What may be done with a job that is there. At the end nothing waits for a pause to be over.
    pub(super) fn permit(&self, now: Instant) -> Permit {
        let state = self.state();
        match state.supervisor.permit(now) {
            Permit::BackingOff if state.finishing || D::MAY_WAIT => Permit::Call,
            permit => permit,
        }
    }

    /// The end has begun: nothing that is queued waits for a pause any more.
    pub(super) fn hurry(&self) {
        self.state().finishing = true;
        self.woken.notify_all();
    }

    /// Settles a job about which the guest isn't asked.
    pub(super) fn settle_uncalled(&self, job: &D::Job, why: Without) {
        let settled = Settled::whole(D::batch(job).rows(), Err(why));
        let mut state = self.state();
        let statistics = &mut state.statistics;
        statistics.count_without(&settled, self.options.on_fault);
        let generation = statistics.generation;
        drop(state);
        self.settle(job, settled, generation);
    }

    /// Makes the effects of a job that is this caller's to settle.
    pub(super) fn settle(&self, job: &D::Job, settled: Settled<D::Answer>, generation: u64) {
        if self.options.on_fault == OnFault::DeadLetter {
            for (rows, why) in settled.without() {
                // Those were written when they were found, with their fault.
                if why != Without::Poisonous {
                    self.bury(D::batch(job), rows, why, None);
                }
            }
        }
        self.duty.settle(job, settled, generation);
    }

    /// Writes rows to the dead letters.
    pub(super) fn bury(
        &self,
        batch: &Batch,
        rows: Range<usize>,
        why: Without,
        fault: Option<&Fault>,
    ) {
        let (module, digest, generation) = {
            let statistics = &self.state().statistics;
            let (module, digest) = (&statistics.module, &statistics.digest);
            (module.clone(), digest.clone(), statistics.generation)
        };
        let holder = Holder {
            slot: &self.options.name,
            generation,
            module: &module,
            digest: &digest,
        };
        let count = rows.len() as u64;
        let letters = &self.options.dead_letters;
        let written = letters.write(holder, why.as_str(), fault, batch, rows);
        let mut state = self.state();
        state.statistics.dead_letters += written;
        state.statistics.dead_letters_lost += count.saturating_sub(written);
    }

    /// Tells of a quarantine that began, goes on or is over, and keeps it.
    pub(super) fn tell(&self, told: Option<Told>, fault: Option<&Fault>) {
        let slot = &self.options.name;
        match (told, fault) {
            (None, _) => return,
            (Some(Told::Quarantined(pause)), Some(fault)) => {
                let digest = self.state().statistics.digest.clone();
                let pause_ms = pause.as_millis();
                tracing::warn!(slot, digest, reason = %fault.reason, pause_ms, "module in quarantine: it is tried again after a pause, or when it is released");
            }
            (Some(_), _) => tracing::info!(slot, "the quarantine is over"),
        }
        self.keep_quarantine();
    }

    /// Ends the quarantine; false if there is none.
    pub(super) fn release(&self) -> bool {
        let was_held = self.state().supervisor.release();
        self.woken.notify_all();
        if was_held {
            tracing::info!(slot = %self.options.name, "released from quarantine by the operator");
            self.keep_quarantine();
        }
        was_held
    }

    /// Keeps on disk what is so now: whoever comes last keeps the latest.
    pub(super) fn keep_quarantine(&self) {
        let slot = &self.options.name;
        let now = || self.state().supervisor.quarantined();
        if let Err(error) = self.options.ledger.write(slot, &now) {
            tracing::warn!(slot, %error, "the quarantine can't be kept across a restart");
        }
    }

    /// Between two jobs: takes the guest's memory if it is time to, and makes its instance anew if that
    /// has grown past the mark.
    pub(super) fn after_job(&self, generation: &mut Generation, now: Instant) {
        let slot = &self.options.name;
        match generation.remember(now) {
            Ok(false) => {}
            Ok(true) => self.state().memory = generation.memory().cloned(),
            Err(fault) => {
                tracing::warn!(slot, %fault, "no snapshots of this guest any more");
                self.state().statistics.count_fault(fault);
            }
        }
        match generation.recycle(self.options.supervision.memory_share_max, slot, now) {
            Ok(None) => {}
            Ok(Some(forgotten)) => {
                let bytes = generation.memory_bytes();
                let mut state = self.state();
                state.statistics.recycled += 1;
                state.statistics.calls_forgotten += forgotten;
                state.statistics.memory_bytes = bytes;
            }
            Err(fault) => self.state().statistics.count_fault(fault),
        }
    }

    /// The slot ends: what its guest has in memory is kept as of now.
    pub(super) fn remember_at_the_end(&self, generation: &mut Option<Generation>) {
        if let Some(generation) = generation {
            let memory = generation.memory_at_the_cut();
            self.state().memory = memory;
        }
    }

    /// Makes the thread that is to take over from one of low priority when that has behaved. Not on that one: a
    /// thread has its maker's priority, and raising one needs a privilege.
    pub(super) fn prepare_successor(self: &Arc<Self>) {
        let is_needed = {
            let state = self.state();
            state.supervisor.is_slow() && state.successor.is_none()
        };
        if !is_needed {
            return;
        }
        match self.make_successor() {
            Ok(successor) => self.state().successor = Some(successor),
            Err(error) => {
                let slot = &self.options.name;
                tracing::warn!(slot, %error, "no fresh thread: the slot keeps its low priority");
            }
        }
    }

    fn make_successor(self: &Arc<Self>) -> std::io::Result<SyncSender<Handover>> {
        let (successor, handover) = std::sync::mpsc::sync_channel::<Handover>(1);
        let control = Arc::clone(self);
        Sandbox::spawn(self.thread_name(), move || {
            // An error says that the slot ended, or that its thread was given up.
            if let Ok((thread, generation)) = handover.recv() {
                worker::run(&control, thread, generation);
            }
        })?;
        Ok(successor)
    }

    /// Hands the slot over to a fresh thread, if this one's guest has behaved for long enough; false if
    /// this one goes on.
    pub(super) fn hand_over(&self, generation: &mut Option<Generation>, now: Instant) -> bool {
        let mut state = self.state();
        if !state.supervisor.deserves_a_fresh_thread(now) {
            return false;
        }
        let Some(successor) = state.successor.take() else {
            return false;
        };
        let thread = state.next_thread();
        drop(state);
        // It waits for nothing else, and there is room for one.
        successor.try_send((thread, generation.take())).is_ok()
    }

    fn thread_name(&self) -> String {
        format!("slot-{}", self.options.name)
    }

    /// Starts the thread of that number.
    pub(super) fn spawn_thread(self: &Arc<Self>, thread: u64) -> std::io::Result<()> {
        let control = Arc::clone(self);
        Sandbox::spawn(self.thread_name(), move || {
            worker::run(&control, thread, None);
        })?;
        Ok(())
    }
}
