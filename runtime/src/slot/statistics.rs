//! What a slot counts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use weir_bus::pubsub::QueueCounts;

use super::{Quantiles, QuarantineStatus, Settled, ShadowStatus, SwapNotice, Without};
use crate::config::OnFault;
use crate::sandbox::{Cost, Fault, FaultReason};

/// The counts of a slot at one instant.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SlotStatistics {
    /// The slot's name.
    pub slot: String,
    /// `filter`, `trigger` or `stage`.
    pub world: String,
    /// `running`, `throttled`, `backing-off`, `quarantined`, `stalled` or `ended`.
    pub state: String,
    /// The module as the config names it.
    pub module: String,
    /// The digest of the module.
    pub digest: String,
    /// How many guests were in force in this slot, this one included.
    pub generation: u64,
    /// Whether it is on probation: the one before can still come back.
    pub on_probation: bool,
    /// How often a guest took over from another.
    pub swaps: u64,
    /// How often the one before came back.
    pub rollbacks: u64,
    /// The last time that a guest took over, went back, or could not take over.
    pub last_swap: Option<SwapNotice>,
    /// The guest that watches, where one does.
    pub shadow: Option<ShadowStatus>,
    /// Calls that ended in an answer.
    pub answered: u64,
    /// Rows of those calls.
    pub rows_answered: u64,
    /// Calls in which the guest gave no verdict, without a fault.
    pub rejected: u64,
    /// Rows that went without a verdict, for whatever reason.
    pub rows_unanswered: u64,
    /// Of these, rows that were let pass (`on_fault`).
    pub rows_passed: u64,
    /// Of these, rows that were dropped.
    pub rows_dropped: u64,
    /// Of these, rows that were dropped and are to be kept among the dead letters.
    pub rows_dead_lettered: u64,
    /// Rows that the guest itself could not decide.
    pub rows_undecided: u64,
    /// Faults by reason.
    pub faults: BTreeMap<FaultReason, u64>,
    /// The last fault.
    pub last_fault: Option<Fault>,
    /// Batches with a fault of the guest's; with its repetition and its search, a batch is one.
    pub faulted: u64,
    /// Batches tried once more after a fault.
    pub retries: u64,
    /// Runs made to find the rows that break the guest.
    pub search_runs: u64,
    /// Rows found that break the guest.
    pub rows_poisonous: u64,
    /// Dead letters written: for these, and for all rows without a verdict where `on_fault` says so.
    pub dead_letters: u64,
    /// Dead letters that could not be written.
    pub dead_letters_lost: u64,
    /// Instances made after a fault.
    pub restarts: u64,
    /// Calls that guests with memory had answered since their last snapshot when they broke: what
    /// they learned from them is forgotten.
    pub calls_forgotten: u64,
    /// Fuel of all calls.
    pub fuel: u64,
    /// Fuel a row of the generation in force, over its answered calls.
    pub fuel_of_row: Quantiles,
    /// Nanoseconds a row of the same.
    #[serde(rename = "time_of_row_ns")]
    pub ns_of_row: Quantiles,
    /// Time of all calls on the wall clock; written as nanoseconds.
    #[serde(rename = "time_ns", serialize_with = "as_ns")]
    pub time: Duration,
    /// CPU time of the slot's thread; written as nanoseconds.
    #[serde(rename = "cpu_ns", serialize_with = "as_ns")]
    pub cpu: Duration,
    /// How long batches waited because the slot had used its share of the CPU; written as nanoseconds.
    #[serde(rename = "throttled_ns", serialize_with = "as_ns")]
    pub throttled: Duration,
    /// Linear memory of the instance, in bytes.
    pub memory_bytes: usize,
    /// The most that an instance had after a call.
    pub memory_bytes_peak: usize,
    /// Instances made anew because their memory had grown.
    pub recycled: u64,
    /// The quarantine of the module in force, where it is in one.
    pub quarantine: Option<QuarantineStatus>,
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
    /// Log lines that passed.
    pub log_lines: u64,
    /// Log lines that were dropped.
    pub log_dropped: u64,
    /// Threads given up and still alive.
    pub abandoned_threads: usize,
    /// What came to the slot, and what became of it.
    pub queue: QueueCounts,
}

pub(super) fn as_ns<S: serde::Serializer>(
    time: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

impl SlotStatistics {
    /// All faults.
    #[must_use]
    pub fn faults_total(&self) -> u64 {
        self.faults.values().sum()
    }

    pub(super) fn count_fault(&mut self, fault: Fault) {
        *self.faults.entry(fault.reason).or_default() += 1;
        self.last_fault = Some(fault);
    }

    /// Counts the rows without a verdict, and what becomes of them.
    pub(super) fn count_without<A>(&mut self, settled: &Settled<A>, on_fault: OnFault) {
        for (rows, why) in settled.without() {
            let count = rows.len() as u64;
            self.rows_unanswered += count;
            if why == Without::Poisonous {
                self.rows_poisonous += count;
            }
            match on_fault {
                OnFault::Pass => self.rows_passed += count,
                OnFault::Drop => self.rows_dropped += count,
                OnFault::DeadLetter => self.rows_dead_lettered += count,
            }
        }
    }

    pub(super) fn count_cost(&mut self, cost: Cost) {
        self.fuel = self.fuel.saturating_add(cost.fuel);
        self.time = self.time.saturating_add(cost.time);
    }
}
