//! Where each value of a config comes from, and how that is shown.
//!
//! What `weir config` prints is itself a config of the same values. Invariant: one entry for every key in force.

use super::keys::{Fallback, NAME_SEGMENT, SECTIONS, all, places_of_names};
use super::layer::{KeyPath, Layered};
use super::origin::Origin;
use super::value::{Value, path_as_toml};
use serde_json::json;

/// The whole config in force, with the origin of each value. Entries that are switched off are in it too.
#[derive(Debug, Clone, PartialEq)]
pub struct Provenance {
    values: Vec<Known>,
    unset: Vec<(String, &'static str)>,
}

/// A key, its value, and where that comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The dotted key, as TOML writes it.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where that comes from.
    pub origin: Origin,
}

impl Provenance {
    /// Puts what all layers said into the order of the key table.
    pub(crate) fn new(layered: &Layered) -> Self {
        let mut ranked: Vec<(&KeyPath, &(Value, Origin))> = layered.values.iter().collect();
        ranked.sort_by_cached_key(|(path, _)| rank(path));
        let values = ranked
            .into_iter()
            .map(|(path, (value, origin))| Known {
                key: path_as_toml(path),
                value: value.clone(),
                origin: origin.clone(),
            })
            .collect();
        Self {
            values,
            unset: unset(layered),
        }
    }

    /// All values in force, in the order of the key table.
    #[must_use]
    pub fn values(&self) -> &[Known] {
        &self.values
    }

    /// Keys that are unset, and what that means.
    #[must_use]
    pub fn unset(&self) -> &[(String, &'static str)] {
        &self.unset
    }

    /// Where the value of a dotted key comes from; nothing where it is unset or unknown.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        let found = self.values.iter().find(|known| known.key == key)?;
        Some(&found.origin)
    }

    /// The value of a dotted key; nothing where it is unset or unknown.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        let found = self.values.iter().find(|known| known.key == key)?;
        Some(&found.value)
    }

    /// A list of objects: `key`, `value`, `layer`, `origin` (as text) and, where they exist, `file`, `line`,
    /// `column` and `variable`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.values
            .iter()
            .map(|known| {
                let origin = &known.origin;
                let mut object = serde_json::Map::new();
                object.insert("key".to_owned(), known.key.clone().into());
                object.insert("value".to_owned(), known.value.to_json());
                object.insert("layer".to_owned(), json!(origin.layer));
                object.insert("origin".to_owned(), origin.to_string().into());
                if let Some(file) = &origin.file {
                    object.insert("file".to_owned(), file.to_string_lossy().into());
                }
                if let Some((line, column)) = origin.position {
                    object.insert("line".to_owned(), line.into());
                    object.insert("column".to_owned(), column.into());
                }
                if let Some(variable) = &origin.variable {
                    object.insert("variable".to_owned(), variable.clone().into());
                }
                serde_json::Value::Object(object)
            })
            .collect()
    }
}

/// Shows the whole config in force as TOML, each line with its origin as a comment.
#[must_use]
pub fn render(provenance: &Provenance) -> String {
    /// Origins stand in this column where the value leaves room.
    const ORIGIN_COLUMN: usize = 56;
    let mut text = String::new();
    let mut table = "";
    for known in &provenance.values {
        let its_table = head(&known.key);
        if !table.is_empty() && table != its_table {
            text.push('\n');
        }
        table = its_table;
        let line = format!("{} = {}", known.key, known.value.to_toml());
        text.push_str(&format!("{line:<ORIGIN_COLUMN$} # {}\n", known.origin));
    }
    if !provenance.unset.is_empty() {
        text.push('\n');
    }
    for (key, meaning) in &provenance.unset {
        text.push_str(&format!("# {key} is unset: {meaning}\n"));
    }
    text
}

/// What the lines of one paragraph share: the table, or the table and the name.
fn head(key: &str) -> &str {
    let segments_of_table = |section: &str| {
        let (table, _) = section.split_once(NAME_SEGMENT)?;
        key.starts_with(table).then(|| table.matches('.').count())
    };
    let dots = SECTIONS
        .iter()
        .find_map(|(section, _)| segments_of_table(section))
        .unwrap_or(0);
    key.match_indices('.')
        .nth(dots)
        .and_then(|(at, _)| key.get(..at))
        .unwrap_or(key)
}

/// Where a key stands in the order that is shown: its section (with sub-tables in their table), names, place in the
/// key table, and path.
fn rank(path: &KeyPath) -> (usize, Vec<&String>, usize, &KeyPath) {
    let first = path.first().map_or("", String::as_str);
    let section = SECTIONS
        .iter()
        .position(|(section, _)| section.split('.').next() == Some(first))
        .unwrap_or(SECTIONS.len());
    let place = all()
        .position(|key| {
            let mut given = path.iter();
            key.segments().all(|known| {
                given
                    .next()
                    .is_some_and(|given| known == NAME_SEGMENT || known == given)
            })
        })
        .unwrap_or(usize::MAX);
    let names = places_of_names(path).filter_map(|place| path.get(place));
    (section, names.collect(), place, path)
}

/// The keys without a value that would have a meaning.
fn unset(layered: &Layered) -> Vec<(String, &'static str)> {
    let mut unset = Vec::new();
    for key in all() {
        let Fallback::Unset { meaning, .. } = key.fallback else {
            continue;
        };
        let Some((table, rest)) = key.split_at_name() else {
            let path: KeyPath = key.segments().map(str::to_owned).collect();
            if !layered.values.contains_key(&path) {
                unset.push((key.path.to_owned(), meaning));
            }
            continue;
        };
        for entry in super::complete::entries_of(layered, table) {
            let kind: KeyPath = entry.iter().cloned().chain(["kind".to_owned()]).collect();
            let kind = layered.get(&kind).and_then(|(kind, _)| kind.as_text());
            let fits = key.kinds.is_empty() || kind.is_some_and(|kind| key.kinds.contains(&kind));
            let path: KeyPath = entry
                .iter()
                .cloned()
                .chain(rest.split('.').map(str::to_owned))
                .collect();
            if fits && !layered.values.contains_key(&path) {
                unset.push((path_as_toml(&path), meaning));
            }
        }
    }
    unset
}
