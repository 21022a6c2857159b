//! What comes of a subscription to tables: their parts, put together, and words about those that don't come.
//!
//! It prints nothing. The invariant: parts are kept until their table's end, or until another of the same source begins;
//! no more than one table of a source, and of so many sources as a daemon may have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use weir_bus::event::InventoryEvent;
use weir_bus::{Batch, CollectionEvent, Timestamp, topic};
use weir_sources::tables::{TABLE_BYTES_MAX, TABLE_CLASS};

use crate::cli::table;

/// Sources whose tables come together at the same time: twice what a daemon may have by default.
const SOURCES_MAX: usize = 32;

/// Tables that come together.
#[derive(Default)]
pub(super) struct Tables {
    coming: BTreeMap<Arc<str>, Whole>,
}

/// What a part leads to.
pub(super) enum Came {
    /// More is to come.
    Nothing,
    /// A table.
    Table(Whole),
    /// A word about one.
    Word(Word),
}

/// A table, or as much of it as has come.
#[derive(Default)]
pub(super) struct Whole {
    source: String,
    id: u64,
    opened: Timestamp,
    bytes: u64,
    is_whole: bool,
    /// Its parts, each with its position.
    pub(super) parts: Vec<(u64, Arc<Batch>)>,
}

impl Tables {
    /// Takes in what was delivered.
    pub(super) fn take(&mut self, position: u64, batch: &Arc<Batch>) -> Came {
        let header = batch.header();
        let Some(snapshot) = header.snapshot else {
            return Word::of(batch).map_or(Came::Nothing, Came::Word);
        };
        let before = self.coming.remove(&header.source);
        let (mut table, unfinished) = match before {
            Some(before) if before.id == snapshot.id => (before, None),
            other => (Whole::begin(batch, snapshot.id), other),
        };
        table.add(position, batch, snapshot.last);
        if table.is_whole || table.bytes > TABLE_BYTES_MAX {
            return Came::Table(table);
        }
        if self.coming.len() < SOURCES_MAX {
            self.coming.insert(Arc::clone(&header.source), table);
        }
        // Its end was lost, and a gap has told so.
        unfinished.map_or(Came::Nothing, Came::Table)
    }
}

impl Whole {
    fn begin(batch: &Batch, id: u64) -> Self {
        Self {
            source: batch.header().source.as_ref().to_owned(),
            id,
            opened: batch.header().opened,
            ..Self::default()
        }
    }

    fn add(&mut self, position: u64, batch: &Arc<Batch>, is_last: bool) {
        self.bytes = self.bytes.saturating_add(batch.bytes() as u64);
        self.is_whole = is_last;
        self.parts.push((position, Arc::clone(batch)));
    }

    fn rows(&self) -> usize {
        self.parts.iter().map(|(_, batch)| batch.rows()).sum()
    }

    fn age(&self) -> Duration {
        let ns = Timestamp::now().0.saturating_sub(self.opened.0);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
    }

    /// The line that stands before its rows.
    pub(super) fn text(&self) -> String {
        let (rows, age) = (self.rows(), table::seconds(self.age().as_secs_f64()));
        let end = if self.is_whole {
            ""
        } else {
            ", its end is missing"
        };
        let source = table::line(&self.source);
        format!("# {source}: {rows} rows, {age} old, look {}{end}", self.id)
    }

    /// The same for programs.
    pub(super) fn json(&self) -> String {
        json!({
            "type": "table",
            "source": self.source,
            "look": self.id,
            "rows": self.rows(),
            "age_ms": u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX),
            "whole": self.is_whole,
        })
        .to_string()
    }
}

/// A word about a table that doesn't come, or not as often as was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    source: String,
    state: String,
    reason: String,
    every_ms: Option<u64>,
    in_force_ms: Option<u64>,
    age_ms: Option<u64>,
}

impl Word {
    fn of(batch: &Batch) -> Option<Self> {
        let mut word = Self::default();
        for row in 0..batch.rows() {
            if let Some(CollectionEvent::Inventory(row)) = batch.row(row) {
                word.take(row);
            }
        }
        let topic = topic::families::tables(&word.source);
        (!word.state.is_empty() && *batch.topic() == topic).then_some(word)
    }

    fn take(&mut self, row: InventoryEvent) {
        if row.class != TABLE_CLASS {
            return;
        }
        self.source = row.item;
        let number = row.value.parse().ok();
        match row.attribute.as_str() {
            "state" => self.state = row.value,
            "reason" => self.reason = row.value,
            "every-ms" => self.every_ms = number,
            "in-force-ms" => self.in_force_ms = number,
            "age-ms" => self.age_ms = number,
            // Of a later version.
            _ => {}
        }
    }

    /// A line for a person.
    pub(super) fn text(&self) -> String {
        let time = |ms: Option<u64>| {
            let ms = Duration::from_millis(ms.unwrap_or_default());
            table::seconds(ms.as_secs_f64())
        };
        let (source, reason) = (table::line(&self.source), table::line(&self.reason));
        if ["stretched", "restored"].contains(&self.state.as_str()) {
            let (in_force, every) = (time(self.in_force_ms), time(self.every_ms));
            return format!(
                "({source}: {reason}; it looks every {in_force}, and every {every} was asked for)"
            );
        }
        let last = match self.age_ms {
            Some(_) => format!("the last one is {} old", time(self.age_ms)),
            None => "there has been none yet".to_owned(),
        };
        format!("({source}: no new table, {reason}; {last})")
    }

    /// The same for programs.
    pub(super) fn json(&self) -> String {
        json!({
            "type": "table-missing",
            "source": self.source,
            "state": self.state,
            "reason": self.reason,
            "every_ms": self.every_ms,
            "in_force_ms": self.in_force_ms,
            "age_ms": self.age_ms,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use weir_bus::event::ProcessEvent;
    use weir_bus::{BatchHeader, Kind, Snapshot};

    use super::*;

    fn part(source: &str, id: u64, last: bool, rows: u32) -> Arc<Batch> {
        let row = |pid| -> CollectionEvent {
            let row = ProcessEvent {
                pid,
                ..ProcessEvent::default()
            };
            row.into()
        };
        let rows: Vec<_> = (0..rows).map(row).collect();
        let topic = topic::of_event(Kind::Process, "observed");
        let batch = Batch::of_events(topic, source, 0, &rows).unwrap();
        let header = BatchHeader {
            snapshot: Some(Snapshot { id, last }),
            ..batch.header().clone()
        };
        Arc::new(Batch::new(header, batch.records().columns().to_vec()).unwrap())
    }

    /// What comes of parts: source, look, rows, and whether it is whole.
    fn check(parts: &[Arc<Batch>], expected: &[(&str, u64, usize, bool)]) {
        let mut tables = Tables::default();
        let mut found = Vec::new();
        for part in parts {
            if let Came::Table(table) = tables.take(1, part) {
                found.push((table.source.clone(), table.id, table.rows(), table.is_whole));
            }
        }
        let found: Vec<_> = found
            .iter()
            .map(|(source, id, rows, whole)| (source.as_str(), *id, *rows, *whole))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_become_tables_however_those_of_several_sources_come() {
        let a = |id, last, rows| part("a", id, last, rows);
        let b = |id, last, rows| part("b", id, last, rows);
        check(&[a(1, true, 3)], &[("a", 1, 3, true)]);
        check(
            &[a(1, false, 3), b(7, false, 1), a(1, true, 2), b(7, true, 0)],
            &[("a", 1, 5, true), ("b", 7, 1, true)],
        );
        check(
            &[a(1, false, 3), a(2, false, 1), a(2, true, 1)],
            &[("a", 1, 3, false), ("a", 2, 2, true)],
        );
    }

    fn word(attributes: &[(&str, &str)]) -> Word {
        let row = |(attribute, value): &(&str, &str)| -> CollectionEvent {
            let row = InventoryEvent {
                class: TABLE_CLASS.to_owned(),
                item: "process".to_owned(),
                attribute: (*attribute).to_owned(),
                value: (*value).to_owned(),
                ..InventoryEvent::default()
            };
            row.into()
        };
        let rows: Vec<_> = attributes.iter().map(row).collect();
        let topic = topic::families::tables("process");
        let batch = Batch::of_events(topic, "process", 0, &rows).unwrap();
        match Tables::default().take(1, &Arc::new(batch)) {
            Came::Word(word) => word,
            _ => panic!("no word"),
        }
    }

    #[test]
    fn a_table_that_does_not_come_is_told_with_the_age_of_the_last() {
        let failed = word(&[
            ("state", "failed"),
            ("reason", "the source failed: no luck"),
            ("age-ms", "13000"),
            ("later", "?"),
        ]);
        let expected =
            "(process: no new table, the source failed: no luck; the last one is 13.0 s old)";
        assert_eq!(failed.text(), expected);
        assert!(failed.json().contains("\"age_ms\":13000"));
        let late = word(&[("state", "late"), ("reason", "x")]);
        assert_eq!(
            late.text(),
            "(process: no new table, x; there has been none yet)"
        );
        let stretched = word(&[
            ("state", "stretched"),
            ("reason", "x"),
            ("every-ms", "1000"),
            ("in-force-ms", "3000"),
        ]);
        let expected = "(process: x; it looks every 3.0 s, and every 1.0 s was asked for)";
        assert_eq!(stretched.text(), expected);
    }
}
