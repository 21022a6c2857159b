//! What a trial tells: a verdict for each event, what the calls used, and which of them faulted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::verdict::EventVerdict;
use crate::digest::Digest;
use crate::sandbox::{Cost, Fault};

/// What all calls used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CallCosts {
    /// Calls.
    pub calls: u64,
    /// Rows of their batches.
    pub rows: u64,
    /// Fuel.
    pub fuel: u64,
    /// The fuel of the call that used most.
    pub fuel_call_max: u64,
    /// Time on the wall clock, in ns.
    pub time_ns: u64,
    /// The time of the call that took longest, in ns.
    pub time_call_max_ns: u64,
}

impl CallCosts {
    pub(super) fn add(&mut self, rows: usize, cost: Cost) {
        let time_ns = nanoseconds(cost.time);
        self.calls += 1;
        self.rows += rows as u64;
        self.fuel = self.fuel.saturating_add(cost.fuel);
        self.fuel_call_max = self.fuel_call_max.max(cost.fuel);
        self.time_ns = self.time_ns.saturating_add(time_ns);
        self.time_call_max_ns = self.time_call_max_ns.max(time_ns);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A call that did not end in an answer.
#[derive(Clone, Debug, Serialize)]
pub struct FaultReport {
    /// The events of its batch.
    pub events: Vec<u64>,
    /// What happened.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What came of a trial.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The guest's own name.
    pub name: String,
    /// The guest's own version.
    pub version: String,
    /// Its world.
    pub world: String,
    /// The digest of its component.
    pub sha256: Digest,
    /// How many batches it got.
    pub batches: usize,
    /// A verdict for each event, in the order of their numbers.
    pub events: Vec<EventVerdict>,
    /// What the calls used.
    pub costs: CallCosts,
    /// What the guest counted, by counter.
    pub counters: BTreeMap<String, u64>,
    /// Calls that did not end in an answer.
    pub faults: Vec<FaultReport>,
}
