//! What a layer says, key by key, and how one layer lies over another.
//!
//! Reads TOML texts, variables and flags into the same form. Invariant: what lies in [`Layered`] has passed
//! its key's check; what hasn't is an error.

use super::check::{Problem, check, free, given};
use super::error::ConfigError;
use super::keys::{Found, Key, children, find, name_is_good, nearest_key};
use super::origin::{Origin, shown};
use super::raw::{At, Entry, Raw};
use super::value::{Value, path_as_toml};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The segments of a key, with the names that the operator chose.
pub(crate) type KeyPath = Vec<String>;

/// The layers read so far, one over the other.
#[derive(Debug, Default)]
pub(crate) struct Layered {
    /// Each key's strongest value.
    pub(crate) values: BTreeMap<KeyPath, (Value, Origin)>,
    /// All that the operator named — a source, a slot, a stage of a chain —, and where it was first mentioned.
    pub(crate) names: BTreeMap<KeyPath, Origin>,
    /// Keys that somebody tried to set: these are wrong, not missing.
    pub(crate) failed: BTreeSet<KeyPath>,
    /// What is wrong, in the order in which it was read.
    pub(crate) errors: Vec<ConfigError>,
}

impl Layered {
    /// Lays a value over what is there. Tables merge by key, everything else replaces.
    fn set(&mut self, path: KeyPath, value: Value, origin: Origin) {
        if matches!(&value, Value::Free(json) if json.as_object().is_some_and(serde_json::Map::is_empty))
            && self.has_inside(&path)
        {
            return;
        }
        // In a free table a text may replace a table, and a table a text.
        let inside: Vec<KeyPath> = self.inside(&path).cloned().collect();
        for below in inside {
            self.values.remove(&below);
        }
        for length in 1..path.len() {
            self.values.remove(path.get(..length).unwrap_or_default());
        }
        self.values.insert(path, (value, origin));
    }

    fn inside<'a>(&'a self, path: &'a KeyPath) -> impl Iterator<Item = &'a KeyPath> {
        self.values
            .range(path.clone()..)
            .map(|(key, _)| key)
            .take_while(move |key| key.starts_with(path))
            .filter(move |key| key.len() > path.len())
    }

    /// Whether a free table has anything in it.
    pub(crate) fn has_inside(&self, path: &KeyPath) -> bool {
        self.inside(path).next().is_some()
    }

    /// The paths of what the operator named — a slot, a chain, a stage of it — that `path` is, or lies in; the
    /// innermost is the last.
    pub(crate) fn entries_around<'a>(
        &self,
        path: &'a [String],
    ) -> impl Iterator<Item = &'a [String]> {
        (1..=path.len())
            .filter_map(|length| path.get(..length))
            .filter(|entry| self.names.contains_key(*entry))
    }

    /// The value of a key, if a layer or its default gave it one.
    pub(crate) fn get(&self, path: &[String]) -> Option<&(Value, Origin)> {
        self.values.get(path)
    }
}

/// Reads one text or variable into [`Layered`].
pub(crate) struct Reader<'a> {
    /// Where to.
    pub(crate) into: &'a mut Layered,
    /// What stands at a byte of the text.
    pub(crate) origin: &'a dyn Fn(usize) -> Origin,
    /// Where relative paths begin.
    pub(crate) folder: Option<&'a Path>,
}

impl Reader<'_> {
    /// Reads the entries of the table at `path`. The depth is that of the key table.
    pub(crate) fn table(&mut self, path: &KeyPath, entries: &[Entry]) {
        let named = matches!(find(path), Found::NamedTable) && !path.is_empty();
        for entry in entries {
            let mut path = path.clone();
            path.push(entry.key.value.clone());
            if named && !self.name(&path, entry.key.offset) {
                continue;
            }
            self.entry(&path, entry.key.offset, &entry.value);
        }
    }

    /// Notes the name of something that the operator named; false where it can't be one.
    pub(super) fn name(&mut self, path: &KeyPath, offset: usize) -> bool {
        let Some((name, table)) = path.split_last() else {
            return false;
        };
        let origin = (self.origin)(offset);
        if !name_is_good(name) {
            self.into.errors.push(ConfigError::Name {
                origin,
                key: path_as_toml(table),
                name: format!("\"{}\"", shown(name)),
            });
            return false;
        }
        self.into.names.entry(path.clone()).or_insert(origin);
        true
    }

    /// Reads what stands at `path`.
    pub(crate) fn entry(&mut self, path: &KeyPath, key_offset: usize, value: &At<Raw>) {
        match find(path) {
            Found::Key(key) => self.key(key, path, value),
            Found::Inside(key) => self.free(key, path, value),
            found @ (Found::Table | Found::NamedTable) => match &value.value {
                Raw::Table(entries) => self.table(path, entries),
                Raw::List(items) if matches!(found, Found::NamedTable) && !items.is_empty() => {
                    self.items(path, items);
                }
                _ => self.not_a_table(path, value),
            },
            Found::Unknown => self.unknown(path, key_offset, &value.value),
        }
    }

    fn key(&mut self, key: &Key, path: &KeyPath, value: &At<Raw>) {
        match check(key, &value.value, self.folder) {
            Ok(Value::Free(_)) => self.free(key, path, value),
            Ok(checked) => {
                let origin = (self.origin)(value.offset);
                self.into.set(path.clone(), checked, origin);
            }
            Err(problem) => self.problem(key, path, value, problem),
        }
    }

    /// Reads a value within a free table: each leaf is a value of its own, so that layers merge by key.
    fn free(&mut self, key: &Key, path: &KeyPath, value: &At<Raw>) {
        match &value.value {
            Raw::Table(entries) if !entries.is_empty() => {
                for entry in entries {
                    let mut path = path.clone();
                    path.push(entry.key.value.clone());
                    self.free(key, &path, &entry.value);
                }
            }
            leaf => match free(leaf) {
                Ok(json) => {
                    let origin = (self.origin)(value.offset);
                    self.into.set(path.clone(), Value::Free(json), origin);
                }
                Err(problem) => self.problem(key, path, value, problem),
            },
        }
    }

    fn problem(&mut self, key: &Key, path: &KeyPath, value: &At<Raw>, problem: Problem) {
        let (part, offset) = problem
            .part
            .unwrap_or_else(|| (given(&value.value), value.offset));
        self.into.failed.insert(path.clone());
        let error = ConfigError::Value {
            origin: (self.origin)(offset),
            key: shown_key(path),
            given: part,
            problem: problem.what,
            expected: key.takes.to_string(),
        };
        self.into.errors.push(error);
    }

    pub(super) fn not_a_table(&mut self, path: &KeyPath, value: &At<Raw>) {
        let error = ConfigError::Value {
            origin: (self.origin)(value.offset),
            key: shown_key(path),
            given: given(&value.value),
            problem: "not a table".to_owned(),
            expected: match find(path) {
                Found::NamedTable => {
                    let table = path_as_toml(path);
                    format!("tables [{table}.NAME], or [[{table}]] each with a name")
                }
                _ => format!("a table with {}", children(path).join(", ")),
            },
        };
        self.into.errors.push(error);
    }

    fn unknown(&mut self, path: &KeyPath, offset: usize, value: &Raw) {
        let remedy = match nearest_key(path) {
            Some(near) => format!("did you mean {near}?"),
            None => {
                let parents = path.split_last().map_or(&[][..], |(_, parents)| parents);
                format!("there are {}", children(parents).join(", "))
            }
        };
        let error = ConfigError::UnknownKey {
            origin: (self.origin)(offset),
            key: shown_key(path),
            given: given(value),
            remedy,
        };
        self.into.errors.push(error);
    }
}

/// A key on one line, not too long.
pub(crate) fn shown_key(path: &[String]) -> String {
    shown(&path_as_toml(path))
}
