//! What is known of the machine, and what changed since it was last told.
//!
//! It reads nothing. The invariant: facts and their bytes are bounded, none is empty, and a change is told once.

use std::collections::BTreeMap;

use weir_bus::Timestamp;
use weir_bus::event::InventoryEvent;

/// Facts of one part: 4,096 mounts with five each, and room.
const FACTS_MAX: usize = 32_768;
/// Bytes of an item's name or a value: as long as a path may be.
const TEXT_BYTES_MAX: usize = 4_096;
/// What stands at the end of a text that was cut.
const CUT_MARK: &str = "…";

/// Of which class, item and attribute.
pub(super) type Key = (&'static str, String, String);

/// What one part of a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    by_key: BTreeMap<Key, String>,
    over: bool,
}

impl Facts {
    /// Notes an attribute; an empty value is none.
    pub(super) fn say(&mut self, class: &'static str, item: &str, attribute: &str, value: &str) {
        let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if value.is_empty() {
            return;
        }
        if self.by_key.len() >= FACTS_MAX {
            self.over = true;
            return;
        }
        let key = (class, cut(item), cut(attribute));
        self.by_key.insert(key, cut(value));
    }

    /// Whether more were found than there is room for.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// How many may be found.
    pub(super) const fn most() -> usize {
        FACTS_MAX
    }

    /// Takes over what was known before and isn't known now.
    fn keep_of(&mut self, before: &Self) {
        for (key, value) in &before.by_key {
            self.by_key
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
    }
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let room = TEXT_BYTES_MAX - CUT_MARK.len();
    let end = text.floor_char_boundary(room);
    format!("{}{CUT_MARK}", text.get(..end).unwrap_or_default())
}

/// An attribute that is new, has another value, or is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) key: Key,
    /// None: gone.
    pub(super) value: Option<String>,
}

impl Change {
    pub(super) fn row(self, timestamp: Timestamp) -> InventoryEvent {
        let (class, item, attribute) = self.key;
        InventoryEvent {
            timestamp,
            class: class.to_owned(),
            item,
            attribute,
            value: self.value.unwrap_or_default(),
        }
    }
}

/// The facts of all parts.
#[derive(Default)]
pub(super) struct Table {
    parts: Vec<Facts>,
    changes: BTreeMap<Key, Option<String>>,
}

impl Table {
    /// Takes in what the part of that number found now. `is_whole`: what wasn't found is gone.
    pub(super) fn update(&mut self, part: usize, mut facts: Facts, is_whole: bool) {
        if self.parts.len() <= part {
            self.parts.resize_with(part + 1, Facts::default);
        }
        let Some(before) = self.parts.get_mut(part) else {
            return;
        };
        if !is_whole {
            facts.keep_of(before);
        }
        for (key, value) in &facts.by_key {
            if before.by_key.get(key) != Some(value) {
                self.changes.insert(key.clone(), Some(value.clone()));
            }
        }
        for key in before.by_key.keys() {
            if !facts.by_key.contains_key(key) {
                self.changes.insert(key.clone(), None);
            }
        }
        *before = facts;
    }

    /// What changed since it was last taken: what is gone first.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let changes = std::mem::take(&mut self.changes).into_iter();
        let mut changes: Vec<Change> = changes.map(|(key, value)| Change { key, value }).collect();
        changes.sort_by_key(|change| change.value.is_some());
        changes
    }

    /// Everything, as rows.
    pub(super) fn rows(&self, timestamp: Timestamp) -> impl Iterator<Item = InventoryEvent> {
        let facts = self.parts.iter().flat_map(|facts| &facts.by_key);
        facts.map(move |(key, value)| {
            let change = Change {
                key: key.clone(),
                value: Some(value.clone()),
            };
            change.row(timestamp)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(all: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (attribute, value) in all {
            facts.say("disk", "a", attribute, value);
        }
        facts
    }

    fn changes(table: &mut Table) -> Vec<(String, Option<String>)> {
        let changes = table.take_changes().into_iter();
        changes.map(|change| (change.key.2, change.value)).collect()
    }

    #[test]
    fn a_change_is_told_once_and_what_is_gone_comes_first() {
        let mut table = Table::default();
        table.update(0, facts(&[("b", "1"), ("c", "2")]), true);
        assert_eq!(changes(&mut table).len(), 2);
        table.update(0, facts(&[("b", "1"), ("c", "2")]), true);
        assert_eq!(changes(&mut table), []);
        table.update(0, facts(&[("b", "3"), ("z", " ")]), true);
        let told = changes(&mut table);
        assert_eq!(
            told,
            [
                ("c".to_owned(), None),
                ("b".to_owned(), Some("3".to_owned()))
            ]
        );
        assert_eq!(changes(&mut table), []);
        assert_eq!(table.rows(Timestamp(1)).count(), 1);
    }

    #[test]
    fn what_could_not_be_read_is_not_gone() {
        let mut table = Table::default();
        table.update(0, facts(&[("b", "1"), ("c", "2")]), true);
        table.take_changes();
        table.update(0, facts(&[("c", "3")]), false);
        assert_eq!(
            changes(&mut table),
            [("c".to_owned(), Some("3".to_owned()))]
        );
        assert_eq!(table.rows(Timestamp(1)).count(), 2);
    }

    #[test]
    fn texts_and_facts_are_bounded() {
        let mut facts = Facts::default();
        facts.say("mount", &"é".repeat(5_000), "type", &"x".repeat(5_000));
        let ((_, item, _), value) = facts.by_key.first_key_value().unwrap();
        assert!(item.len() <= TEXT_BYTES_MAX && item.ends_with('…'));
        assert_eq!(value.len(), TEXT_BYTES_MAX);
        for item in 0..FACTS_MAX {
            facts.say("mount", &item.to_string(), "type", "x");
        }
        assert!(facts.is_over());
        assert_eq!(facts.by_key.len(), FACTS_MAX);
    }
}
