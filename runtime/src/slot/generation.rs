//! A guest in force: its instance, what makes another one, and what it is put back to after a fault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::probation::Tally;
use super::takeover::InForce;
use crate::digest::Digest;
use crate::sandbox::{Fault, FaultReason, Instance, Memory, Source};

/// A guest in force.
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) instance: Option<Instance>,
    pub(super) source: Arc<Source>,
    pub(super) digest: Digest,
    pub(super) counters: Vec<String>,
    /// What it did since it came into force.
    pub(super) tally: Tally,
    /// Until it has proved itself.
    pub(super) probation: Option<Box<Probation>>,
    kept: Kept,
    /// Memory of the instance when it had answered its first call.
    first_bytes: Option<usize>,
}

/// What a guest on probation can be sent back for.
pub(super) struct Probation {
    /// The one before it, as it was at the cut.
    pub(super) old: Generation,
    pub(super) since: Instant,
}

/// How often the memory of a guest that has some is taken, between two batches.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// What a guest with memory is put back to after a fault.
#[derive(Debug, Default)]
struct Kept {
    memory: Option<Memory>,
    taken: Option<Instant>,
    /// Calls answered since: what a fault forgets.
    calls_since: u64,
    /// Its snapshots break or are too large: it goes on without.
    given_up: bool,
}

impl Kept {
    /// Whether it is time to take another.
    fn is_due(&self, now: Instant) -> bool {
        let is_old = self
            .taken
            .is_none_or(|taken| now.saturating_duration_since(taken) >= SNAPSHOT_EVERY);
        is_old && !self.given_up && self.calls_since > 0
    }

    fn keep(&mut self, memory: Option<Memory>, now: Instant) {
        self.memory = memory;
        self.taken = Some(now);
        self.calls_since = 0;
    }
}

impl Generation {
    /// What is in force, without an instance yet: the first call makes one.
    pub(super) fn of(in_force: &InForce) -> Self {
        Self {
            number: in_force.number,
            instance: None,
            source: Arc::clone(&in_force.source),
            digest: in_force.digest,
            counters: in_force.wants.counters.clone(),
            tally: Tally::default(),
            probation: None,
            kept: Kept {
                memory: in_force.memory.clone(),
                ..Kept::default()
            },
            first_bytes: None,
        }
    }

    /// What it has in memory, to be handed on: of now, or of its last snapshot where it can't tell.
    pub(super) fn memory_at_the_cut(&mut self) -> Option<Memory> {
        if !self.kept.given_up
            && let Err(fault) = self.snapshot(Instant::now())
        {
            tracing::warn!(%fault, "the guest can't tell what it has in memory: its last snapshot stands");
        }
        self.kept.memory.clone()
    }

    /// What it told last that it has in memory.
    pub(super) const fn memory(&self) -> Option<&Memory> {
        self.kept.memory.as_ref()
    }

    /// Linear memory of the instance.
    pub(super) fn memory_bytes(&self) -> usize {
        self.instance.as_ref().map_or(0, Instance::memory_bytes)
    }

    /// A call was answered: what it taught the guest isn't in a snapshot yet.
    pub(super) fn answered(&mut self) {
        let has_snapshots = self.instance.as_ref().is_some_and(Instance::has_snapshots);
        self.kept.calls_since += u64::from(has_snapshots);
        let bytes = self.memory_bytes();
        self.first_bytes.get_or_insert(bytes);
    }

    /// The instance broke: it goes. How many calls it forgets.
    pub(super) fn broke(&mut self) -> u64 {
        self.instance = None;
        std::mem::take(&mut self.kept.calls_since)
    }

    /// Makes a fresh instance where there is none, with the memory that the last snapshot has.
    /// Whether it had to.
    pub(super) fn ready(&mut self, slot: &str) -> Result<bool, Fault> {
        if self.instance.is_some() {
            return Ok(false);
        }
        let mut instance = self.source.instance()?;
        if let Some(memory) = &self.kept.memory {
            match instance.restore(memory) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    tracing::warn!(slot, why, "the guest refuses its own snapshot");
                    self.kept.memory = None;
                    instance = self.source.instance()?;
                }
                Err(fault) => {
                    self.kept.memory = None;
                    self.kept.given_up = true;
                    return Err(fault);
                }
            }
        }
        self.instance = Some(instance);
        self.first_bytes = None;
        Ok(true)
    }

    /// Takes the memory of a guest that has some, if it is time to; whether it was.
    ///
    /// # Errors
    /// The guest's snapshots are of no use: it is not asked for another. Its instance is gone, unless the
    /// snapshot was only too large.
    pub(super) fn remember(&mut self, now: Instant) -> Result<bool, Fault> {
        let is_due = self.kept.is_due(now);
        if is_due {
            self.snapshot(now)?;
        }
        Ok(is_due)
    }

    /// Makes the instance anew if its memory is past that share of what it may have: how many answered
    /// calls that forgets; none if there was no need. One that was past it from its first call on would be
    /// there again after the next: it stays.
    ///
    /// # Errors
    /// The guest broke on the way. The next call makes a fresh instance.
    pub(super) fn recycle(
        &mut self,
        share: f64,
        slot: &str,
        now: Instant,
    ) -> Result<Option<u64>, Fault> {
        let most = self.source.limits().memory_bytes_max;
        let is_past = |bytes: usize| is_past(bytes, most, share);
        if !is_past(self.memory_bytes()) || self.first_bytes.is_none_or(is_past) {
            return Ok(None);
        }
        if !self.kept.given_up {
            self.snapshot(now)?;
        }
        let forgotten = self.broke();
        self.ready(slot)?;
        Ok(Some(forgotten))
    }

    fn snapshot(&mut self, now: Instant) -> Result<(), Fault> {
        let Some(instance) = &mut self.instance else {
            return Ok(());
        };
        match instance.snapshot() {
            Ok(memory) => {
                self.kept.keep(memory, now);
                Ok(())
            }
            Err(fault) => {
                self.kept.given_up = true;
                // A snapshot that is only too large leaves the instance as it was.
                if fault.reason != FaultReason::Output {
                    self.instance = None;
                }
                Err(fault)
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of memories are exact in a float"
)]
fn is_past(bytes: usize, most: usize, share: f64) -> bool {
    bytes as f64 > most as f64 * share
}
