//! A guest in force: its instance, what makes another one, and what it is put back to after a fault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::sandbox::{Fault, FaultReason, Instance, Memory, Source};

/// A guest in force.
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) instance: Option<Instance>,
    pub(super) source: Arc<Source>,
    pub(super) module: String,
    pub(super) digest: Digest,
    pub(super) counters: Vec<String>,
    pub(super) kept: Kept,
}

/// How often the memory of a guest that has some is taken, between two batches.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// What a guest with memory is put back to after a fault.
#[derive(Debug, Default)]
pub(super) struct Kept {
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
    /// A call was answered: what it taught the guest isn't in a snapshot yet.
    pub(super) fn answered(&mut self) {
        let has_snapshots = self.instance.as_ref().is_some_and(Instance::has_snapshots);
        self.kept.calls_since += u64::from(has_snapshots);
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
        Ok(true)
    }

    /// Takes the memory of a guest that has some, if it is time to.
    ///
    /// # Errors
    /// The guest's snapshots are of no use: it is not asked for another. Its instance is gone, unless the
    /// snapshot was only too large.
    pub(super) fn remember(&mut self, now: Instant) -> Result<(), Fault> {
        if self.kept.is_due(now) {
            self.snapshot(now)?;
        }
        Ok(())
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
