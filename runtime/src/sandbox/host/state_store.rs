//! A slot's state: keys and values within a quota, kept in memory, outliving every instance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sandbox::limits::Armed;

type Writes = BTreeMap<String, Option<Vec<u8>>>;

/// The state of one slot.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct StateStore {
    values: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl StateStore {
    fn values(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.values().get(key).cloned()
    }

    /// Whether a value may be set, after the writes that the call has made already.
    pub(super) fn fits(
        &self,
        limits: &Armed,
        writes: &Writes,
        key: &str,
        value_bytes: usize,
    ) -> Result<(), String> {
        if value_bytes > limits.state_value_bytes_max {
            return Err(format!(
                "a value of {value_bytes} bytes, and one may have {} (limits.state_value_bytes_max)",
                limits.state_value_bytes_max
            ));
        }
        let values = self.values();
        let (mut keys, mut bytes) = (1_usize, key.len().saturating_add(value_bytes));
        let kept = values
            .iter()
            .filter(|(stored, _)| stored.as_str() != key && !writes.contains_key(stored.as_str()));
        let kept = kept.map(|(stored, value)| stored.len().saturating_add(value.len()));
        let written = writes.iter().filter(|(written, _)| written.as_str() != key);
        let written = written.filter_map(|(written, value)| {
            Some(written.len().saturating_add(value.as_ref()?.len()))
        });
        for size in kept.chain(written) {
            keys = keys.saturating_add(1);
            bytes = bytes.saturating_add(size);
        }
        if keys > limits.state_keys_max {
            return Err(format!(
                "{keys} keys, and a slot may have {} (limits.state_keys_max)",
                limits.state_keys_max
            ));
        }
        if bytes > limits.state_bytes_max {
            return Err(format!(
                "{bytes} bytes of state, and a slot may have {} (limits.state_bytes_max)",
                limits.state_bytes_max
            ));
        }
        Ok(())
    }

    /// The keys with that prefix, as the call sees them.
    pub(super) fn keys(&self, prefix: &str, writes: &Writes) -> Vec<String> {
        let values = self.values();
        let stored = values
            .keys()
            .filter(|key| !writes.contains_key(key.as_str()));
        let written = writes.iter().filter(|(_, value)| value.is_some());
        let keys: BTreeSet<&String> = stored.chain(written.map(|(key, _)| key)).collect();
        let keys = keys.into_iter().filter(|key| key.starts_with(prefix));
        keys.cloned().collect()
    }

    /// Makes the writes of a call that ended in an answer.
    pub(in crate::sandbox) fn commit(&self, writes: &Writes) {
        if writes.is_empty() {
            return;
        }
        let mut values = self.values();
        for (key, value) in writes {
            match value {
                Some(value) => values.insert(key.clone(), value.clone()),
                None => values.remove(key),
            };
        }
    }

    /// What a test that switches transactions off shows the harm of.
    pub(super) fn write_now(&self, key: &str, value: &[u8]) {
        self.values().insert(key.to_owned(), value.to_vec());
    }

    /// How many keys and bytes it holds.
    pub(in crate::sandbox) fn size(&self) -> (usize, usize) {
        let values = self.values();
        let bytes = values
            .iter()
            .map(|(key, value)| key.len().saturating_add(value.len()));
        (values.len(), bytes.fold(0, usize::saturating_add))
    }
}
