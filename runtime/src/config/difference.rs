//! What differs between two configs, by key.
//!
//! Knows which keys a running daemon can change: those of slots, whom it trusts with their modules, and chains. Invariant: an empty answer means that all
//! differences are of that sort.

use super::validated::Config;
use serde_json::{Map, Value as Json};

/// The tables whose keys can change in a running daemon.
const LIVE: [&str; 3] = ["slots", "trust", "chain"];

/// The tables whose keys are names that the operator chose.
const NAMED: [&str; 2] = ["sources", "sinks"];

impl Config {
    /// The keys, as dotted paths, that `new` changes and that a running daemon can't: all but those of slots, trust and
    /// chains.
    /// A source or sink that came, went or became another kind is told by its name.
    #[must_use]
    pub fn changes_needing_restart(&self, new: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        match (serde_json::to_value(self), serde_json::to_value(new)) {
            (Ok(Json::Object(old)), Ok(Json::Object(new))) => {
                for (table, old, new) in pairs(&old, &new) {
                    if !LIVE.contains(&table) {
                        compare(table, old, new, &mut changes);
                    }
                }
            }
            // No config that was loaded is without a JSON form; if one were, the safe answer is "everything".
            _ => changes.push("the whole config".to_owned()),
        }
        changes.sort_unstable();
        changes
    }
}

/// The values of two tables, key by key.
fn pairs<'a>(
    old: &'a Map<String, Json>,
    new: &'a Map<String, Json>,
) -> impl Iterator<Item = (&'a str, Option<&'a Json>, Option<&'a Json>)> {
    let only_new = new.keys().filter(|key| !old.contains_key(*key));
    old.keys()
        .chain(only_new)
        .map(|key| (key.as_str(), old.get(key), new.get(key)))
}

/// Notes what differs at `path`. The depth is that of [`Config`] without its slots.
fn compare(path: &str, old: Option<&Json>, new: Option<&Json>, changes: &mut Vec<String>) {
    match (old, new) {
        (Some(Json::Object(old)), Some(Json::Object(new)))
            if old.get("kind") == new.get("kind") || !is_entry(path) =>
        {
            for (key, old, new) in pairs(old, new) {
                compare(&format!("{path}.{key}"), old, new, changes);
            }
        }
        (old, new) if old != new => changes.push(path.to_owned()),
        _ => {}
    }
}

/// Whether a path is that of a source or sink.
fn is_entry(path: &str) -> bool {
    path.split_once('.')
        .is_some_and(|(table, name)| NAMED.contains(&table) && !name.contains('.'))
}
