//! A slot's state: keys and values within a quota, kept in memory, outliving every instance.
//!
//! While a guest is on probation, what it writes is its own: confirmed with it, or gone with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sandbox::limits::Armed;

type Writes = BTreeMap<String, Option<Vec<u8>>>;

/// Values are shared, so that a copy of the whole is a matter of microseconds: it is made between two
/// batches.
type Values = BTreeMap<String, Arc<[u8]>>;

#[derive(Debug, Default)]
struct State {
    values: Values,
    /// The confirmed values, while a guest is on probation.
    confirmed: Option<Values>,
}

/// The state of one slot.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct StateStore {
    state: Mutex<State>,
}

impl StateStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on what is written is on probation.
    pub(in crate::sandbox) fn begin_probation(&self) {
        let mut state = self.state();
        if state.confirmed.is_none() {
            state.confirmed = Some(state.values.clone());
        }
    }

    /// What was written on probation is the state.
    pub(in crate::sandbox) fn confirm(&self) {
        self.state().confirmed = None;
    }

    /// What was written on probation is gone.
    pub(in crate::sandbox) fn roll_back(&self) {
        let mut state = self.state();
        if let Some(confirmed) = state.confirmed.take() {
            state.values = confirmed;
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.state().values.get(key).map(|value| value.to_vec())
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
        let state = self.state();
        let (mut keys, mut bytes) = (1_usize, key.len().saturating_add(value_bytes));
        let kept = state.values.iter();
        let kept = kept
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
        let state = self.state();
        let stored = state
            .values
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
        let mut state = self.state();
        for (key, value) in writes {
            state.write(key, value.as_deref());
        }
    }

    /// What a test that switches transactions off shows the harm of.
    pub(super) fn write_now(&self, key: &str, value: &[u8]) {
        self.state().write(key, Some(value));
    }

    /// How many keys and bytes it holds.
    pub(in crate::sandbox) fn size(&self) -> (usize, usize) {
        let state = self.state();
        let bytes = state
            .values
            .iter()
            .map(|(key, value)| key.len().saturating_add(value.len()));
        (state.values.len(), bytes.fold(0, usize::saturating_add))
    }
}

impl State {
    fn write(&mut self, key: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.values.insert(key.to_owned(), Arc::from(value)),
            None => self.values.remove(key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(store: &StateStore, key: &str, value: Option<&str>) {
        let value = value.map(|value| value.as_bytes().to_vec());
        store.commit(&Writes::from([(key.to_owned(), value)]));
    }

    #[test]
    fn what_is_written_on_probation_is_confirmed_or_gone_as_a_whole() {
        for (confirmed, visible) in [(true, "new"), (false, "old")] {
            let store = StateStore::default();
            write(&store, "kept", Some("old"));
            write(&store, "removed", Some("old"));
            store.begin_probation();
            write(&store, "kept", Some("new"));
            write(&store, "removed", None);
            assert_eq!(store.get("kept"), Some(b"new".to_vec()));
            if confirmed {
                store.confirm();
            } else {
                store.roll_back();
            }
            assert_eq!(store.get("kept"), Some(visible.as_bytes().to_vec()));
            assert_eq!(store.get("removed").is_some(), !confirmed);
        }
    }
}
