//! What a slot's thread, the watch over it and the rest of the daemon share.
//!
//! The invariant: whoever takes the running job out of [`Control::running`] settles it. That is the
//! thread itself when its call returns, or the watch when the call has run past its wall clock: so
//! every job is settled once, and an abandoned call leaves no effect.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::aftermath::Handover;
use super::costs::Costs;
use super::recent::Recent;
use super::shadow::Shadow;
use super::statistics::SlotStatistics;
use super::supervision::Supervisor;
use super::takeover::{Back, Candidate, InForce, Kept, Proposed, SwapNotice, Told};
use super::{ABANDONED_THREADS_MAX, Duty, Part, Settled, SlotOptions, Without};
use crate::digest::Digest;
use crate::sandbox::{Cost, Fault, FaultReason, Memory, Prepared, Unsaved};

pub(super) struct RunningJob<D: Duty> {
    pub(super) job: Arc<D::Job>,
    /// When the call began that runs now: a job may take several.
    pub(super) since: Instant,
    pub(super) generation: u64,
    /// How its rows have ended so far: what those calls wrote has taken effect.
    pub(super) parts: Vec<Part<D::Answer>>,
    /// What those calls took.
    pub(super) spent: Cost,
    /// The guest's last fault among them.
    pub(super) fault: Option<FaultReason>,
}

impl<D: Duty> RunningJob<D> {
    /// How the job ended; rows that have not are without a verdict.
    pub(super) fn settled(mut self, why: Without) -> (Arc<D::Job>, Settled<D::Answer>, u64) {
        let all = D::batch(&self.job).rows();
        let done = self.parts.last().map_or(0, |part| part.rows.end);
        if done < all || self.parts.is_empty() {
            self.parts.push(Part {
                rows: done..all,
                verdict: Err(why),
            });
        }
        let settled = Settled {
            parts: self.parts,
            spent: self.spent,
            fault: self.fault,
        };
        (self.job, settled, self.generation)
    }
}

pub(super) struct State<D: Duty> {
    pub(super) proposed: Option<Proposed>,
    /// What takes over from the slot's first guest.
    pub(super) follows: Option<Candidate>,
    /// The operator wants the generation before back, for that reason.
    pub(super) asked_back: Option<(Back, Told<()>)>,
    pub(super) generations: u64,
    pub(super) in_force: Option<InForce>,
    /// What a guest on probation goes back to, as it was at the cut.
    pub(super) before: Option<InForce>,
    /// Batches that it has not seen, as those after it answered them.
    pub(super) unseen: u64,
    /// What was in force before the confirmed one.
    pub(super) previous: Option<InForce>,
    /// What the one in force had in memory when it was last asked.
    pub(super) memory: Option<Memory>,
    /// The last jobs.
    pub(super) recent: Recent<D::Job>,
    /// The guest that watches.
    pub(super) shadow: Option<Shadow<D>>,
    /// What happened to the guest, and nobody was told of yet.
    pub(super) notices: VecDeque<SwapNotice>,
    pub(super) running: Option<RunningJob<D>>,
    /// The thread that may take jobs; any other was given up.
    pub(super) thread: u64,
    /// Threads given up and still alive.
    abandoned: usize,
    stalled: bool,
    ended: bool,
    /// No more jobs come: nothing that is left waits for a pause.
    pub(super) finishing: bool,
    /// The CPU clock of the thread, as it was read last.
    pub(super) cpu_seen: Duration,
    /// The thread that waits to take over from one of low priority.
    pub(super) successor: Option<SyncSender<Handover>>,
    pub(super) supervisor: Supervisor,
    /// What the rows of the generation in force cost.
    pub(super) costs: Costs,
    pub(super) statistics: SlotStatistics,
    pub(super) faults_told: FaultsTold,
}

/// How often a slot's faults are told in the log; all are counted. Named attack: a guest that
/// faults at every batch, to fill the disk with what is told of it.
const FAULTS_TOLD_EVERY: Duration = Duration::from_secs(1);

/// When a slot's last fault was told, and how many came since.
#[derive(Debug, Default)]
pub(super) struct FaultsTold {
    last: Option<Instant>,
    untold: u64,
}

impl FaultsTold {
    /// Whether to tell of a fault now: then, how many were not told before it.
    pub(super) fn tell(&mut self, now: Instant) -> Option<u64> {
        let is_due = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= FAULTS_TOLD_EVERY);
        if !is_due {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// What a slot's thread shares with everybody else.
pub(super) struct Control<D: Duty> {
    pub(super) options: SlotOptions,
    pub(super) duty: D,
    state: Mutex<State<D>>,
    ended: Condvar,
    /// Wakes a thread that rests.
    pub(super) woken: Condvar,
}

impl<D: Duty> Control<D> {
    /// Of a slot that has had so many generations.
    pub(super) fn new(options: SlotOptions, duty: D, generations: u64) -> Self {
        let statistics = SlotStatistics {
            slot: options.name.clone(),
            world: D::WORLD.as_str().to_owned(),
            ..SlotStatistics::default()
        };
        let kept = options.ledger.read(&options.name);
        let settings = options.supervision.clone();
        Self {
            duty,
            state: Mutex::new(State {
                proposed: None,
                follows: None,
                asked_back: None,
                generations,
                in_force: None,
                before: None,
                unseen: 0,
                previous: None,
                memory: None,
                recent: Recent::new(options.swap.replay_batches),
                shadow: None,
                notices: VecDeque::new(),
                running: None,
                thread: 0,
                abandoned: 0,
                stalled: false,
                ended: false,
                finishing: false,
                cpu_seen: Duration::ZERO,
                successor: None,
                costs: Costs::new(),
                supervisor: Supervisor::new(settings, kept, Instant::now()),
                statistics,
                faults_told: FaultsTold::default(),
            }),
            ended: Condvar::new(),
            woken: Condvar::new(),
            options,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a guest forward; the thread takes it before its next batch.
    pub(super) fn propose(&self, proposed: Proposed) {
        let mut state = self.state();
        if state.in_force.is_none() {
            // The slot is known by its first guest from the start, before its thread has taken it.
            let guest = &proposed.candidate.guest;
            state.statistics.module.clone_from(&guest.module);
            state.statistics.digest = guest.digest.to_string();
        }
        // An earlier proposal that was not taken yet is overtaken: its waiter hears so.
        state.proposed = Some(proposed);
        drop(state);
        self.woken.notify_all();
        self.duty.interrupt();
    }

    /// Has the slot go back to the generation before, between two batches.
    pub(super) fn ask_back(&self, back: Back, told: Told<()>) {
        self.state().asked_back = Some((back, told));
        self.woken.notify_all();
        self.duty.interrupt();
    }

    /// Starts a thread that may take jobs.
    pub(super) fn spawn(self: &Arc<Self>) -> std::io::Result<()> {
        let thread = self.state().thread;
        self.spawn_thread(thread)
    }

    /// What the way to the slot was made for can't change under it.
    pub(super) fn fits(&self, guest: &Prepared) -> Result<(), String> {
        if guest.world != D::WORLD {
            return Err(format!(
                "{} is a {}, and the slot is a {}'s; a slot changes its world only with a restart",
                guest.module,
                guest.world.as_str(),
                D::WORLD.as_str()
            ));
        }
        let state = self.state();
        let differs = state.in_force.as_ref().is_some_and(|in_force| {
            in_force.wants.kinds != guest.wants.kinds
                || in_force.wants.patterns != guest.wants.patterns
        });
        if differs {
            return Err(format!(
                "{} wants other events than the guest in force: needs a restart",
                guest.module
            ));
        }
        Ok(())
    }

    /// What was asked for last.
    pub(super) fn asked(&self) -> Option<Digest> {
        let state = self.state();
        let proposed = state.proposed.as_ref();
        let proposed = proposed.map(|proposed| proposed.candidate.guest.asked);
        proposed.or_else(|| state.in_force.as_ref().map(|in_force| in_force.asked))
    }

    /// What is to outlive the process. In one lock with what changes it: of one generation, all of it.
    pub(super) fn kept(&self) -> Option<Kept> {
        let state = self.state();
        let (of, memory) = match &state.before {
            Some(before) => (before, &before.memory),
            None => (state.in_force.as_ref()?, &state.memory),
        };
        Some(Kept {
            generation: of.number,
            module: of.module.clone(),
            digest: of.digest,
            original: of.original.clone(),
            settings: of.source.settings().to_owned(),
            asked: of.asked,
            memory: memory.clone(),
            unsaved: of.source.take_unsaved(),
        })
    }

    /// It could not be saved.
    pub(super) fn not_kept(&self, unsaved: Unsaved) {
        if let Some(in_force) = &self.state().in_force {
            in_force.source.not_saved(unsaved);
        }
    }

    /// Gives up a call that has run past its wall clock: what its batch has no answer for is settled
    /// without one, and another thread goes on with the next one.
    pub(super) fn watch(self: &Arc<Self>, now: Instant) {
        self.prepare_successor();
        let mut state = self.state();
        let overdue = state.running.as_ref().is_some_and(|running| {
            now.saturating_duration_since(running.since) > self.options.call_wall_max
        });
        if !overdue {
            return;
        }
        let Some(running) = state.running.take() else {
            return;
        };
        state.next_thread();
        let held_otherwise = self.give_up_probation(&mut state);
        state.abandoned += 1;
        state.stalled = state.abandoned >= ABANDONED_THREADS_MAX;
        let stalled = state.stalled;
        let message = format!(
            "a call did not return within {} ms: its thread was given up",
            self.options.call_wall_max.as_millis()
        );
        state
            .statistics
            .count_fault(Fault::of(FaultReason::Stalled, message));
        let (job, settled, generation) = running.settled(Without::Stalled);
        state
            .statistics
            .count_without(&settled, self.options.on_fault);
        drop(state);
        self.settle(&job, settled, generation);
        if held_otherwise {
            self.keep_quarantine();
        }
        tracing::warn!(slot = %self.options.name, stalled, "a guest's thread was given up");
        if stalled {
            // Its queue goes on by its own policy; nobody takes from it until the operator acts.
            tracing::error!(slot = %self.options.name, threads = ABANDONED_THREADS_MAX, "slot stopped: its threads do not return");
            return;
        }
        if let Err(error) = self.spawn() {
            tracing::error!(slot = %self.options.name, %error, "no thread for the slot");
            self.end();
        }
    }

    /// The state, while a job runs on that thread; none if the thread was given up.
    pub(super) fn running_on(&self, thread: u64) -> Option<MutexGuard<'_, State<D>>> {
        let state = self.state();
        (state.thread == thread && state.running.is_some()).then_some(state)
    }

    /// Another call of the job under way begins; false if its thread was given up.
    pub(super) fn begins(&self, thread: u64, now: Instant) -> bool {
        let Some(mut state) = self.running_on(thread) else {
            return false;
        };
        if let Some(running) = &mut state.running {
            running.since = now;
        }
        true
    }

    /// A thread that was given up has come back.
    pub(super) fn returned(&self) {
        let mut state = self.state();
        state.abandoned = state.abandoned.saturating_sub(1);
    }

    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        // Who waits to take over has nothing to take over any more.
        state.successor = None;
        state.shadow = None;
        drop(state);
        self.ended.notify_all();
    }

    /// Waits for the thread to end; false if the deadline came first.
    pub(super) fn wait_ended(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .ended
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    pub(super) fn statistics(&self) -> SlotStatistics {
        let state = self.state();
        let now = Instant::now();
        let mut statistics = state.statistics.clone();
        statistics.fuel_of_row = state.costs.fuel_of_row();
        statistics.ns_of_row = state.costs.ns_of_row();
        statistics.quarantine = state.supervisor.quarantine_status(now);
        statistics.abandoned_threads = state.abandoned;
        statistics.state = match (state.ended, state.stalled) {
            (true, _) => "ended",
            (false, true) => "stalled",
            (false, false) => state.supervisor.state(now),
        }
        .to_owned();
        if let Some(in_force) = &state.in_force {
            (statistics.log_lines, statistics.log_dropped) = in_force.source.log_counts();
        }
        statistics.on_probation = state.before.is_some();
        statistics.shadow = state.shadow.as_ref().map(Shadow::status);
        drop(state);
        statistics.queue = self.duty.counts();
        statistics
    }
}
