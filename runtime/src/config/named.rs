//! Arrays of tables where the operator names the tables: `[[sinks]]` with `name = "t"` is `[sinks.t]`.
//!
//! Alone knows the second spelling. Invariant: what comes out is what the other spelling would have been, with the
//! places of the first; an item without a good name of its own is an error, and nothing of it is read.

use std::collections::BTreeMap;

use super::check::given;
use super::error::ConfigError;
use super::keys::TextRule;
use super::layer::{KeyPath, Reader, shown_key};
use super::raw::{At, Entry, Raw};

/// The key of an item that names it; no key of a named table is called so.
pub(crate) const NAME_KEY: &str = "name";

impl Reader<'_> {
    /// Reads the items of the array that stands in the place of the table of names at `path`.
    pub(super) fn items(&mut self, path: &KeyPath, items: &[At<Raw>]) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for item in items {
            let Raw::Table(entries) = &item.value else {
                self.not_a_table(path, item);
                continue;
            };
            let Some((name, offset)) = self.name_of(path, item.offset, entries) else {
                continue;
            };
            if let Some(first) = seen.insert(name, offset) {
                self.named_twice(path, name, offset, first);
                continue;
            }
            let is_other = |entry: &&Entry| entry.key.value != NAME_KEY;
            let rest: Vec<Entry> = entries.iter().filter(is_other).cloned().collect();
            let path: KeyPath = path.iter().cloned().chain([name.to_owned()]).collect();
            if self.name(&path, offset) {
                self.table(&path, &rest);
            }
        }
    }

    /// What an item is called, and where that stands.
    fn name_of<'a>(
        &mut self,
        path: &KeyPath,
        item: usize,
        entries: &'a [Entry],
    ) -> Option<(&'a str, usize)> {
        let Some(entry) = entries.iter().find(|entry| entry.key.value == NAME_KEY) else {
            let error = ConfigError::Missing {
                origin: (self.origin)(item),
                key: name_key(path),
                expected: TextRule::Name.to_string(),
                example: format!("{NAME_KEY} = \"NAME\""),
            };
            self.into.errors.push(error);
            return None;
        };
        if let Raw::Text(name) = &entry.value.value {
            return Some((name, entry.value.offset));
        }
        let error = ConfigError::Value {
            origin: (self.origin)(entry.value.offset),
            key: name_key(path),
            given: given(&entry.value.value),
            problem: "not a text".to_owned(),
            expected: TextRule::Name.to_string(),
        };
        self.into.errors.push(error);
        None
    }

    fn named_twice(&mut self, path: &KeyPath, name: &str, offset: usize, first: usize) {
        let error = ConfigError::Conflict {
            origin: (self.origin)(offset),
            key: name_key(path),
            given: given(&Raw::Text(name.to_owned())),
            problem: format!(
                "there is another of this name at {}; give each its own",
                (self.origin)(first)
            ),
        };
        self.into.errors.push(error);
    }
}

fn name_key(path: &KeyPath) -> String {
    format!("{}.{NAME_KEY}", shown_key(path))
}
