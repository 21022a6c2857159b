//! Calls as transactions: what a call wrote and counted, held back until it ends in an answer.

use std::collections::BTreeMap;

use super::GuestState;
use crate::sandbox::bindings;
use crate::sandbox::fault::{FaultReason, refuse};
use crate::sandbox::limits::Limit;

/// What a call would change outside of its instance.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Effects {
    /// State writes by key; none: deleted.
    writes: BTreeMap<String, Option<Vec<u8>>>,
    /// Amounts by counter.
    counters: Vec<u64>,
}

impl Effects {
    /// Room for that many counters.
    pub(in crate::sandbox) fn with_counters(counters: usize) -> Self {
        Self {
            writes: BTreeMap::new(),
            counters: vec![0; counters],
        }
    }

    pub(in crate::sandbox) fn clear(&mut self) {
        // Most calls have none of either, and then even the call to clear them is felt in a small one.
        if !self.writes.is_empty() {
            self.writes.clear();
        }
        if !self.counters.is_empty() {
            self.counters.fill(0);
        }
    }

    /// State writes of the call, to be made at once.
    pub(in crate::sandbox) const fn writes(&self) -> &BTreeMap<String, Option<Vec<u8>>> {
        &self.writes
    }

    /// What the call counted, by counter.
    pub(in crate::sandbox) fn counters(&self) -> &[u64] {
        &self.counters
    }
}

impl bindings::metrics::Host for GuestState {
    fn add(&mut self, counter: u32, amount: u64) -> wasmtime::Result<()> {
        self.host_call()?;
        let counters = self.effects.counters.len();
        let place = usize::try_from(counter).ok();
        match place.and_then(|place| self.effects.counters.get_mut(place)) {
            Some(sum) => {
                *sum = sum.saturating_add(amount);
                Ok(())
            }
            None => Err(refuse(
                FaultReason::InvalidOutput,
                format!("counted on counter {counter}; `init` told {counters}, from 0"),
            )),
        }
    }
}

impl bindings::state::Host for GuestState {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.host_call()?;
        self.charge(key.len())?;
        if let Some(written) = self.effects.writes.get(&key) {
            return Ok(written.clone());
        }
        Ok(self.store.get(&key))
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), bindings::state::StateError>> {
        self.host_call()?;
        self.charge(key.len().saturating_add(value.len()))?;
        let fits = self
            .store
            .fits(&self.limits, &self.effects.writes, &key, value.len());
        if let (Err(why), true) = (fits, self.limits.holds(Limit::StateQuota)) {
            return Ok(Err(bindings::state::StateError::Quota(why)));
        }
        if !self.limits.holds(Limit::Transaction) {
            self.store.write_now(&key, &value);
        }
        self.effects.writes.insert(key, Some(value));
        Ok(Ok(()))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<()> {
        self.host_call()?;
        self.charge(key.len())?;
        self.effects.writes.insert(key, None);
        Ok(())
    }

    fn keys(&mut self, prefix: String) -> wasmtime::Result<Vec<String>> {
        self.host_call()?;
        self.charge(prefix.len())?;
        Ok(self.store.keys(&prefix, &self.effects.writes))
    }
}
