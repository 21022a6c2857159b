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
use crate::digest::Digest;

/// The key of an item that names it; no key of a named table is called so.
pub(crate) const NAME_KEY: &str = "name";

/// The table whose items need no name: nobody would ask for one by it.
const NAMELESS: &str = "exception";

impl Reader<'_> {
    /// Reads the items of the array that stands in the place of the table of names at `path`.
    pub(super) fn items(&mut self, path: &KeyPath, items: &[At<Raw>]) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for item in items {
            let Raw::Table(entries) = &item.value else {
                self.not_a_table(path, item);
                continue;
            };
            let Some((name, offset)) = self.name_of(path, item.offset, entries) else {
                continue;
            };
            if let Some(first) = seen.insert(name.clone(), offset) {
                self.named_twice(path, &name, offset, first);
                continue;
            }
            let is_other = |entry: &&Entry| entry.key.value != NAME_KEY;
            let rest: Vec<Entry> = entries.iter().filter(is_other).cloned().collect();
            let path: KeyPath = path.iter().cloned().chain([name]).collect();
            if self.name(&path, offset) {
                self.table(&path, &rest);
            }
        }
    }

    /// What an item is called, and where that stands.
    fn name_of(
        &mut self,
        path: &KeyPath,
        item: usize,
        entries: &[Entry],
    ) -> Option<(String, usize)> {
        let Some(entry) = entries.iter().find(|entry| entry.key.value == NAME_KEY) else {
            if path.iter().eq([NAMELESS]) {
                return Some((name_by_content(entries), item));
            }
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
            return Some((name.clone(), entry.value.offset));
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

/// A name that the same item has in every layer, and no other.
fn name_by_content(entries: &[Entry]) -> String {
    /// So much of the digest: 64 bits tell more items apart than a config may hold.
    const DIGITS: usize = 16;
    let is_switch = |entry: &&Entry| entry.key.value == "enabled";
    let mut texts: Vec<String> = entries
        .iter()
        .filter(|entry| !is_switch(entry))
        .map(|entry| format!("{:?}={:?}", entry.key.value, plain(&entry.value.value)))
        .collect();
    texts.sort_unstable();
    let digest = Digest::of(texts.join("\n").as_bytes()).to_string();
    format!("no-{}", digest.get(..DIGITS).unwrap_or_default())
}

/// A value without its places in the text.
fn plain(value: &Raw) -> String {
    match value {
        Raw::List(items) => items.iter().map(|item| plain(&item.value)).collect(),
        other => given(other),
    }
}

fn name_key(path: &KeyPath) -> String {
    format!("{}.{NAME_KEY}", shown_key(path))
}
