//! Guests change places: the cut between two batches, probation, and the way back.
//!
//! The invariant: at every moment one generation answers for the slot, and while it is on probation there is
//! another to go back to, as it was at the cut: its instance untouched, its memory told, its state kept apart.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Duty;
use super::control::{Control, State};
use super::costs::Costs;
use super::generation::{Generation, Probation};
use super::probation::{Standing, judge};
use super::takeover::{Back, Candidate, InForce, Proposed, SwapEvent, SwapNotice, Told};
use crate::digest::Digest;
use crate::sandbox::{Instance, Memory, Source};

/// Notices that wait to be told; the oldest go. Nobody swaps so often between two looks.
const NOTICES_MAX: usize = 64;

impl<D: Duty> State<D> {
    fn note(&mut self, notice: SwapNotice) {
        if self.notices.len() >= NOTICES_MAX {
            self.notices.pop_front();
        }
        if notice.what != SwapEvent::Confirmed {
            self.statistics.last_swap = Some(notice.clone());
        }
        self.notices.push_back(notice);
    }

    /// This generation answers for the slot from now on: whether that changed what is kept of quarantines.
    fn comes_into_force(&mut self, duty: &D, next: InForce) -> bool {
        duty.in_force(&next.wants);
        let digest = next.digest.to_string();
        self.statistics.generation = next.number;
        self.statistics.module.clone_from(&next.module);
        self.statistics.digest.clone_from(&digest);
        self.costs = Costs::new();
        let cpu_share = next.source.limits().cpu_share;
        self.in_force = Some(next);
        self.supervisor.in_force(&digest, cpu_share)
    }

    fn notice(&self, what: SwapEvent, other: String, reason: String) -> SwapNotice {
        SwapNotice {
            what,
            generation: self.statistics.generation,
            module: self.statistics.module.clone(),
            digest: self.statistics.digest.clone(),
            other,
            pause_us: 0,
            unseen: 0,
            reason,
            rehearsal: None,
        }
    }
}

impl<D: Duty> Control<D> {
    /// What happened to the slot's guest since the last time.
    pub(super) fn take_notices(&self) -> VecDeque<SwapNotice> {
        std::mem::take(&mut self.state().notices)
    }

    /// Takes a proposed guest into force, if there is one.
    pub(super) fn take_proposed(&self, current: &mut Option<Generation>) {
        let (asked_back, proposed) = {
            let mut state = self.state();
            (state.asked_back.take(), state.proposed.take())
        };
        if let Some((back, told)) = asked_back {
            self.ready(current);
            let went = self.go_back(current, &back) || self.go_back_further(current, &back);
            let answer = went
                .then_some(())
                .ok_or_else(|| "there is no earlier generation to go back to".to_owned());
            // Who asked may have gone.
            drop(told.send(answer));
        }
        if let Some(proposed) = proposed {
            self.ready(current);
            self.cut(current, proposed);
            let follows = self.state().follows.take();
            if let Some(candidate) = follows {
                let told = None;
                self.cut(current, Proposed { candidate, told });
            }
        }
    }

    /// A replaced thread begins without a generation: it makes a fresh instance of what is in force.
    pub(super) fn ready(&self, current: &mut Option<Generation>) {
        if current.is_none() {
            *current = self.state().in_force.as_ref().map(Generation::of);
        }
    }

    /// The cut: from here on the next generation answers.
    fn cut(&self, current: &mut Option<Generation>, proposed: Proposed) {
        let began = Instant::now();
        let Proposed { candidate, told } = proposed;
        let Candidate {
            guest,
            rehearsal,
            may_forget,
            memory,
        } = candidate;
        let (asked, original) = (guest.asked, guest.original.clone());
        let (module, digest, wants) = (guest.module.clone(), guest.digest, guest.wants.clone());
        let (instance, source) = guest.split();
        let may_forget = may_forget || current.is_none();
        let at_the_cut = match current {
            Some(current) => current.memory_at_the_cut(),
            None => memory,
        };
        let taken = self.take_over(instance, &source, at_the_cut.clone(), may_forget);
        let (instance, handed, reason) = match taken {
            Ok(taken) => taken,
            Err(why) => {
                let why = format!(
                    "{module} can't take over what the guest before it has in memory: {why}"
                );
                return self.refuse(&digest.to_string(), &why, told);
            }
        };
        let mut state = self.state();
        state.generations += 1;
        let next = InForce {
            number: state.generations,
            source: Arc::new(source),
            digest,
            module,
            wants,
            memory: handed.clone(),
            asked,
            original,
        };
        state.memory = handed;
        let mut generation = Generation::of(&next);
        state.statistics.memory_bytes = instance.memory_bytes();
        generation.instance = Some(instance);
        let before = state.in_force.take();
        let other = before.as_ref().map(|before| before.digest.to_string());
        let held_otherwise = state.comes_into_force(&self.duty, next);
        let mut gone = None;
        if let Some(mut old) = current.take() {
            generation.source.begin_probation();
            // What is on probation itself is nothing to go back to.
            let old = match old.probation.take() {
                Some(probation) => {
                    gone = Some(old);
                    probation.old
                }
                None => {
                    state.unseen = 0;
                    state.before = before.map(|before| InForce {
                        memory: at_the_cut,
                        ..before
                    });
                    old
                }
            };
            let since = Instant::now();
            generation.probation = Some(Box::new(Probation { old, since }));
            state.statistics.swaps += 1;
        }
        let number = generation.number;
        let is_swap = generation.probation.is_some();
        *current = Some(generation);
        drop(state);
        // Giving its memory back is a part of the pause, and of no lock.
        drop(gone);
        if is_swap {
            let mut state = self.state();
            let notice = state.notice(SwapEvent::Swapped, other.unwrap_or_default(), reason);
            state.note(SwapNotice {
                pause_us: micros(began.elapsed()),
                rehearsal,
                ..notice
            });
        }
        tracing::debug!(slot = %self.options.name, generation = number, %digest, "guest in force");
        if held_otherwise {
            tracing::info!(slot = %self.options.name, "another module ends the quarantine");
            self.keep_quarantine();
        }
        if let Some(told) = told {
            // Nobody waits any more: the switch is made all the same.
            drop(told.send(Ok(number)));
        }
    }

    /// An instance with what the one before had in memory, or without where it may begin so: what it has then, and
    /// what there is to tell.
    fn take_over(
        &self,
        mut instance: Instance,
        source: &Source,
        memory: Option<Memory>,
        may_forget: bool,
    ) -> Result<(Instance, Option<Memory>, String), String> {
        let slot = &self.options.name;
        let Err(why) = hand_on(&mut instance, memory.as_ref()) else {
            return Ok((instance, memory, String::new()));
        };
        if !may_forget {
            return Err(format!(
                "{why}; slots.{slot}.state = \"reset\" lets it begin without"
            ));
        }
        // What it has taken of it already is nothing to begin with.
        let fresh = source.instance().map_err(|fault| fault.to_string())?;
        tracing::warn!(slot, why, "the guest begins without memory");
        let told = format!("it begins without what the one before had in memory: {why}");
        Ok((fresh, None, told))
    }

    fn refuse(&self, digest: &str, why: &str, told: Option<Told<u64>>) {
        tracing::error!(slot = %self.options.name, digest, why, "the guest can't take over");
        let mut state = self.state();
        let notice = state.notice(SwapEvent::Refused, digest.to_owned(), why.to_owned());
        state.note(notice);
        drop(state);
        if let Some(told) = told {
            drop(told.send(Err(why.to_owned())));
        }
    }

    /// Looks at a guest on probation, after a batch that it answered.
    pub(super) fn judge(&self, current: &mut Option<Generation>, now: Instant) {
        let Some(generation) = current else {
            return;
        };
        let Some(probation) = &generation.probation else {
            return;
        };
        let (before, own) = (&probation.old.tally, &generation.tally);
        match judge(&self.options.swap, before, own, probation.since, now) {
            Standing::GoesOn => {}
            Standing::Confirmed => self.confirm(generation),
            Standing::GoesBack(why) => {
                self.go_back(current, &Back::tried(why));
            }
        }
    }

    fn confirm(&self, generation: &mut Generation) {
        let Some(probation) = generation.probation.take() else {
            return;
        };
        let mut state = self.state();
        generation.source.confirm();
        state.previous = state.before.take();
        state.unseen = 0;
        let other = probation.old.digest.to_string();
        let notice = state.notice(SwapEvent::Confirmed, other, String::new());
        state.note(notice);
        drop(state);
        tracing::info!(slot = %self.options.name, generation = generation.number, "guest confirmed");
    }

    /// Ends a probation: the guest before is in force again, from its state at the cut. False where there
    /// is none.
    pub(super) fn go_back(&self, current: &mut Option<Generation>, back: &Back) -> bool {
        let Some(probation) = current
            .as_mut()
            .and_then(|current| current.probation.take())
        else {
            return false;
        };
        let Some(gone) = current.replace(probation.old) else {
            return false;
        };
        let mut state = self.state();
        gone.source.roll_back();
        let before = state.before.take();
        let held_otherwise = {
            let gone = (gone.digest, std::mem::take(&mut state.unseen));
            self.back_in_force(&mut state, before, gone, back)
        };
        drop(state);
        self.log_rolled_back(&gone.digest, &back.why);
        if held_otherwise {
            self.keep_quarantine();
        }
        true
    }

    /// Goes back to the generation before the confirmed one.
    fn go_back_further(&self, current: &mut Option<Generation>, back: &Back) -> bool {
        let Some(mut previous) = self.state().previous.take() else {
            return false;
        };
        let Some(mut gone) = current.take() else {
            return false;
        };
        let made = previous.source.instance().and_then(|mut instance| {
            let newest = gone.memory_at_the_cut();
            if hand_on(&mut instance, newest.as_ref()).is_ok() {
                previous.memory = newest;
                return Ok(instance);
            }
            // Its own, then: what it had when it went.
            let mut instance = previous.source.instance()?;
            if let Err(why) = hand_on(&mut instance, previous.memory.as_ref()) {
                tracing::warn!(slot = %self.options.name, why, "the guest begins without memory");
                instance = previous.source.instance()?;
            }
            Ok(instance)
        });
        match made {
            Ok(instance) => {
                let mut generation = Generation::of(&previous);
                generation.instance = Some(instance);
                let mut state = self.state();
                let held_otherwise = {
                    let gone = (gone.digest, gone.tally.batches);
                    self.back_in_force(&mut state, Some(previous), gone, back)
                };
                drop(state);
                self.log_rolled_back(&gone.digest, &back.why);
                if held_otherwise {
                    self.keep_quarantine();
                }
                *current = Some(generation);
                true
            }
            Err(fault) => {
                tracing::error!(slot = %self.options.name, %fault, "the earlier generation can't be made again");
                *current = Some(gone);
                false
            }
        }
    }

    /// Whether that changed what is kept of quarantines.
    fn back_in_force(
        &self,
        state: &mut State<D>,
        before: Option<InForce>,
        (gone, unseen): (Digest, u64),
        back: &Back,
    ) -> bool {
        let Some(mut before) = before else {
            return false;
        };
        if let Some(gone) = state.in_force.as_ref().filter(|_| back.is_tried) {
            before.asked = gone.asked;
        }
        state.memory.clone_from(&before.memory);
        let held_otherwise = state.comes_into_force(&self.duty, before);
        state.statistics.rollbacks += 1;
        let notice = state.notice(SwapEvent::RolledBack, gone.to_string(), back.why.clone());
        state.note(SwapNotice { unseen, ..notice });
        held_otherwise
    }

    fn log_rolled_back(&self, from: &Digest, why: &str) {
        tracing::warn!(slot = %self.options.name, %from, why, "rolled back");
    }

    /// The thread of a guest on probation was given up: the one before is in force, from its memory. Whether that
    /// changed what is kept of quarantines.
    pub(super) fn give_up_probation(&self, state: &mut State<D>) -> bool {
        let Some(before) = state.before.take() else {
            return false;
        };
        let Some(gone) = &state.in_force else {
            return false;
        };
        gone.source.roll_back();
        let gone = (gone.digest, std::mem::take(&mut state.unseen));
        let back = Back::tried("a call did not return");
        self.back_in_force(state, Some(before), gone, &back)
    }
}

/// Puts memory into a fresh instance; the error says why it can't take it.
pub(super) fn hand_on(instance: &mut Instance, memory: Option<&Memory>) -> Result<(), String> {
    let Some(memory) = memory.filter(|_| instance.has_snapshots()) else {
        return Ok(());
    };
    match instance.restore(memory) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(format!("version {}: {why}", memory.version())),
        Err(fault) => Err(fault.to_string()),
    }
}

fn micros(pause: Duration) -> u64 {
    u64::try_from(pause.as_micros()).unwrap_or(u64::MAX)
}
