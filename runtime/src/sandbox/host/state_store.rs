//! A slot's state: keys and values within a quota, kept in memory, outliving every instance.
//!
//! While a guest is on probation, what it writes is its own: confirmed with it, or gone with it. What a
//! restart finds again is the confirmed state, and only that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sandbox::limits::Armed;

type Writes = BTreeMap<String, Option<Vec<u8>>>;

/// Values are shared, so that a copy of the whole is a matter of microseconds: it is made between two
/// batches.
type Values = BTreeMap<String, Arc<[u8]>>;

/// What changed since the last save, by key; none: deleted.
pub type Unsaved = BTreeMap<String, Option<Arc<[u8]>>>;

#[derive(Debug, Default)]
struct State {
    values: Values,
    /// Keys whose confirmed value isn't saved yet.
    unsaved: BTreeSet<String>,
    /// The confirmed values, while a guest is on probation.
    confirmed: Option<Values>,
    /// Keys that were written on probation.
    tried: BTreeSet<String>,
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

    /// What an earlier run saved.
    pub(in crate::sandbox) fn load(&self, values: Values) {
        self.state().values = values;
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
        let mut state = self.state();
        if state.confirmed.take().is_some() {
            let mut tried = std::mem::take(&mut state.tried);
            state.unsaved.append(&mut tried);
        }
    }

    /// What was written on probation is gone.
    pub(in crate::sandbox) fn roll_back(&self) {
        let mut state = self.state();
        if let Some(confirmed) = state.confirmed.take() {
            state.values = confirmed;
            state.tried.clear();
        }
    }

    /// What of the confirmed state changed since the last time.
    pub(in crate::sandbox) fn take_unsaved(&self) -> Unsaved {
        let mut state = self.state();
        let keys = std::mem::take(&mut state.unsaved);
        let values = state.confirmed.as_ref().unwrap_or(&state.values);
        let keys = keys.into_iter();
        keys.map(|key| {
            let value = values.get(&key).cloned();
            (key, value)
        })
        .collect()
    }

    /// Saving failed: these are to be saved the next time, as they are then.
    pub(in crate::sandbox) fn not_saved(&self, keys: impl Iterator<Item = String>) {
        self.state().unsaved.extend(keys);
    }

    /// A copy that nobody else writes to.
    pub(in crate::sandbox) fn fork(&self) -> Self {
        let values = self.state().values.clone();
        Self {
            state: Mutex::new(State {
                values,
                ..State::default()
            }),
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
        let written = if self.confirmed.is_some() {
            &mut self.tried
        } else {
            &mut self.unsaved
        };
        if !written.contains(key) {
            written.insert(key.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(store: &StateStore, key: &str, value: Option<&str>) {
        let value = value.map(|value| value.as_bytes().to_vec());
        store.commit(&Writes::from([(key.to_owned(), value)]));
    }

    fn unsaved(store: &StateStore) -> Vec<(String, Option<String>)> {
        let text = |value: Arc<[u8]>| String::from_utf8_lossy(&value).into_owned();
        let changed = store.take_unsaved().into_iter();
        changed.map(|(key, value)| (key, value.map(text))).collect()
    }

    #[test]
    fn what_is_written_on_probation_is_confirmed_or_gone_as_a_whole() {
        let check = |confirmed: bool, visible: &str, saved: &[(&str, Option<&str>)]| {
            let store = StateStore::default();
            write(&store, "kept", Some("old"));
            write(&store, "removed", Some("old"));
            assert_eq!(unsaved(&store).len(), 2);
            store.begin_probation();
            write(&store, "kept", Some("new"));
            write(&store, "removed", None);
            assert_eq!(store.get("kept"), Some(b"new".to_vec()));
            assert_eq!(unsaved(&store), [], "on probation nothing is to be saved");
            if confirmed {
                store.confirm();
            } else {
                store.roll_back();
            }
            assert_eq!(store.get("kept"), Some(visible.as_bytes().to_vec()));
            assert_eq!(store.get("removed").is_some(), !confirmed);
            let owned =
                |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(str::to_owned));
            assert_eq!(unsaved(&store), saved.iter().map(owned).collect::<Vec<_>>());
        };
        check(true, "new", &[("kept", Some("new")), ("removed", None)]);
        check(false, "old", &[]);
    }

    #[test]
    fn what_was_unsaved_before_probation_is_saved_during_it_as_it_was_at_the_cut() {
        let store = StateStore::default();
        write(&store, "count", Some("1"));
        store.begin_probation();
        write(&store, "count", Some("2"));
        assert_eq!(
            unsaved(&store),
            [("count".to_owned(), Some("1".to_owned()))]
        );
        store.not_saved(["count".to_owned()].into_iter());
        store.roll_back();
        assert_eq!(
            unsaved(&store),
            [("count".to_owned(), Some("1".to_owned()))]
        );
    }
}
