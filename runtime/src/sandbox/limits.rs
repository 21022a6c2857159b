//! What a guest may use. Every limit is named here, enforced in this folder, and named again in
//! the fault that breaking it gives.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::fault::{FaultReason, Refusal, Refused};
use crate::config::Limits;

/// The limits of one guest, as its slot's config says them, and how they are taken.
#[derive(Clone, Debug)]
pub(super) struct Armed {
    limits: Limits,
    /// Which checks a test has switched off.
    #[cfg(feature = "limits-off")]
    off: Vec<Limit>,
}

impl Deref for Armed {
    type Target = Limits;

    fn deref(&self) -> &Limits {
        &self.limits
    }
}

/// CPU time of a stage's call.
const CPU_CALL_STAGE: Duration = Duration::from_secs(1);
/// CPU time of a filter's or trigger's call: they stand in the way of every event.
const CPU_CALL_BATCH: Duration = Duration::from_millis(250);

/// The checks that a test can switch off, to show that it is they that hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The fuel of a call.
    Fuel,
    /// CPU time and wall clock of a call.
    Deadline,
    /// Linear memory.
    Memory,
    /// Tables and their elements.
    Tables,
    /// The fault `would-block`: without it the host waits.
    WouldBlock,
    /// Host calls for a batch.
    HostCalls,
    /// Bytes passed to the host.
    HostBytes,
    /// Handles held.
    Handles,
    /// The size of an answer.
    OutputSize,
    /// That an answer fits its batch.
    OutputFit,
    /// Lines of the log.
    LogRate,
    /// The quota of the state.
    StateQuota,
    /// That a call which faults leaves nothing.
    Transaction,
}

impl Limits {
    /// The CPU time of a call.
    pub(crate) fn cpu_of_call(&self, is_stage: bool) -> Duration {
        self.cpu_call.unwrap_or(if is_stage {
            CPU_CALL_STAGE
        } else {
            CPU_CALL_BATCH
        })
    }

    /// The wall clock of a call.
    pub(crate) fn wall_of_call(&self, is_stage: bool) -> Duration {
        self.cpu_of_call(is_stage).saturating_mul(self.wall_factor)
    }
}

impl Armed {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            #[cfg(feature = "limits-off")]
            off: Vec::new(),
        }
    }

    #[cfg(feature = "limits-off")]
    pub(super) fn without(mut self, off: &[Limit]) -> Self {
        self.off = off.to_vec();
        self
    }

    /// Whether a check is made: always, but in tests that switch it off.
    #[cfg(not(feature = "limits-off"))]
    #[expect(clippy::unused_self, reason = "the feature's other half looks at it")]
    pub(super) const fn holds(&self, _limit: Limit) -> bool {
        true
    }

    /// Whether a check is made.
    #[cfg(feature = "limits-off")]
    pub(super) fn holds(&self, limit: Limit) -> bool {
        !self.off.contains(&limit)
    }

    /// The fuel of a call over that many rows.
    pub(super) fn fuel(&self, rows: usize) -> u64 {
        if !self.holds(Limit::Fuel) {
            return u64::MAX;
        }
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.fuel_call
            .saturating_add(self.fuel_row.saturating_mul(rows))
    }

    /// The most entries of an answer over that many rows.
    pub(super) fn output_rows(&self, rows: usize) -> usize {
        let factor = usize::try_from(self.output_rows_factor).unwrap_or(usize::MAX);
        rows.saturating_mul(factor).max(factor)
    }
}

/// The memory that all guests together may have.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl MemoryBudget {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            bytes_max,
        }
    }

    /// Takes bytes, or says no.
    fn take(&self, bytes: usize) -> bool {
        let take = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= self.bytes_max);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Says no to a guest that grows past its limits, and remembers that it did: the guest sees an
/// allocation fail, and what it does then is its own story.
pub(super) struct Limiter {
    budget: Arc<MemoryBudget>,
    memory_bytes: usize,
    memory_bytes_max: usize,
    tables_max: usize,
    table_elements_max: usize,
    core_instances_max: usize,
    pub(super) refused: Refused,
}

impl Limiter {
    pub(super) fn new(limits: &Armed, budget: Arc<MemoryBudget>) -> Self {
        let or_off = |limit, value| {
            if limits.holds(limit) {
                value
            } else {
                usize::MAX
            }
        };
        Self {
            budget,
            memory_bytes: 0,
            memory_bytes_max: or_off(Limit::Memory, limits.memory_bytes_max),
            tables_max: or_off(Limit::Tables, limits.tables_max),
            table_elements_max: or_off(Limit::Tables, limits.table_elements_max),
            core_instances_max: limits.core_instances_max,
            refused: Refused::default(),
        }
    }

    /// Linear memory that the guest has now.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn refuse(&mut self, reason: FaultReason, message: String) {
        self.refused = Refused(Some(Refusal { reason, message }));
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.give_back(self.memory_bytes);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = desired.saturating_sub(current);
        let total = self.memory_bytes.saturating_add(grown);
        if total > self.memory_bytes_max {
            let message = format!(
                "wanted {total} bytes of memory, and may have {} (limits.memory_bytes_max)",
                self.memory_bytes_max
            );
            self.refuse(FaultReason::Memory, message);
            return Ok(false);
        }
        if !self.budget.take(grown) {
            let message = format!(
                "wanted {grown} bytes more, and all guests together may have {} (sandbox.guests_memory_bytes_max)",
                self.budget.bytes_max
            );
            self.refuse(FaultReason::Memory, message);
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table_elements_max {
            let message = format!(
                "wanted a table of {desired} elements, and may have {} (limits.table_elements_max)",
                self.table_elements_max
            );
            self.refuse(FaultReason::Tables, message);
            return Ok(false);
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.core_instances_max
    }

    fn tables(&self) -> usize {
        self.tables_max
    }

    fn memories(&self) -> usize {
        // Each core instance may have one; their bytes are counted together.
        self.core_instances_max
    }
}
