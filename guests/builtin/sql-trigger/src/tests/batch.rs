//! Made-up batches, and what conditions say of them.

use std::rc::Rc;

use weir_guest::{BoolColumn, FixedColumn, TextColumn, TextListColumn, Verdicts};

use crate::columns::{Cell, ColumnData, Columns};
use crate::conditions::Conditions;
use crate::kinds::{ColumnType, Kind};
use crate::settings::RawCondition;
use crate::threshold::Windows;

/// A row: its columns by name; the others are null.
pub(crate) type Row = Vec<(&'static str, Cell)>;

pub(crate) fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

pub(crate) fn texts(texts: &[&str]) -> Cell {
    Cell::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

/// A process that many conditions are about.
pub(crate) fn evil() -> Row {
    vec![
        ("timestamp", Cell::Time(1_769_860_800_000_000_000)),
        ("pid", Cell::Integer(4321)),
        ("name", text("evil.exe")),
        ("cpu_usage", Cell::Float(99.0)),
        ("command_line", texts(&["evil.exe", "-e", "curl | sh"])),
        ("accessible", Cell::Bool(true)),
        ("executable_deleted", Cell::Bool(false)),
        ("memory_bytes", Cell::Integer(i128::from(u64::MAX))),
        ("exit_code", Cell::Integer(-1)),
        ("start_time", Cell::Time(1_769_860_800_000_000_000)),
    ]
}

/// All columns of a kind, of rows.
pub(crate) fn columns(kind: &Kind, rows: &[Row]) -> Columns {
    let mut columns = Columns::new(rows.len());
    for (place, (name, column_type)) in kind.columns.iter().enumerate() {
        let cells: Vec<&Cell> = rows
            .iter()
            .map(|row| {
                row.iter()
                    .find(|(field, _)| field == name)
                    .map_or(&Cell::Null, |(_, cell)| cell)
            })
            .collect();
        fn integers<T: TryFrom<i128>>(cells: &[&Cell]) -> Vec<Option<T>> {
            let integer = |cell: &&Cell| match cell {
                Cell::Integer(value) => T::try_from(*value).ok(),
                _ => None,
            };
            cells.iter().map(integer).collect()
        }
        let data = match column_type {
            ColumnType::U16 => ColumnData::U16(FixedColumn::of(&integers(&cells))),
            ColumnType::U32 => ColumnData::U32(FixedColumn::of(&integers(&cells))),
            ColumnType::U64 => ColumnData::U64(FixedColumn::of(&integers(&cells))),
            ColumnType::I32 => ColumnData::I32(FixedColumn::of(&integers(&cells))),
            ColumnType::F64 => {
                let floats: Vec<Option<f64>> = cells
                    .iter()
                    .map(|cell| match cell {
                        Cell::Float(value) => Some(*value),
                        _ => None,
                    })
                    .collect();
                ColumnData::F64(FixedColumn::of(&floats))
            }
            ColumnType::Time => {
                let times: Vec<Option<i64>> = cells
                    .iter()
                    .map(|cell| match cell {
                        Cell::Time(value) => Some(*value),
                        _ => None,
                    })
                    .collect();
                ColumnData::Time(FixedColumn::of(&times))
            }
            ColumnType::Bool => {
                let bools: Vec<Option<bool>> = cells
                    .iter()
                    .map(|cell| match cell {
                        Cell::Bool(value) => Some(*value),
                        _ => None,
                    })
                    .collect();
                ColumnData::Bool(BoolColumn::of(&bools))
            }
            ColumnType::Text => {
                let texts: Vec<Option<&str>> = cells
                    .iter()
                    .map(|cell| match cell {
                        Cell::Text(text) => Some(text.as_str()),
                        _ => None,
                    })
                    .collect();
                ColumnData::Text(Rc::new(TextColumn::of(&texts)))
            }
            ColumnType::Texts => {
                let lists: Vec<Option<Vec<&str>>> = cells
                    .iter()
                    .map(|cell| match cell {
                        Cell::Texts(texts) => Some(texts.iter().map(String::as_str).collect()),
                        _ => None,
                    })
                    .collect();
                let lists: Vec<Option<&[&str]>> = lists.iter().map(Option::as_deref).collect();
                ColumnData::Texts(Rc::new(TextListColumn::of(&lists)))
            }
        };
        columns.put(place, data);
    }
    columns
}

/// A condition about processes that is called `x`.
pub(crate) fn raw(condition: &str) -> RawCondition {
    RawCondition {
        name: "x".to_owned(),
        kind: "process".to_owned(),
        condition: condition.to_owned(),
        ..RawCondition::default()
    }
}

/// What an explanation says of one row of a kind.
pub(crate) fn verdict_of(kind: &str, condition: &str, row: Row) -> String {
    let raw = RawCondition {
        kind: kind.to_owned(),
        ..raw(condition)
    };
    let conditions =
        Conditions::compile(&[raw]).unwrap_or_else(|error| panic!("{condition}: {error}"));
    let of_kind = conditions.of(kind).unwrap();
    let columns = columns(of_kind.kind, &[row]);
    let verdict = conditions
        .explain(of_kind, &columns, 0, &Windows::new(1))
        .remove(0)
        .verdict;
    // What is evaluated of a batch says the same.
    let (verdicts, left_out) = conditions.verdicts(of_kind, &columns, &mut Windows::new(1));
    assert_eq!(left_out, 0);
    assert_eq!(
        verdicts.firings.len(),
        usize::from(verdict == "match"),
        "{condition}"
    );
    let undecided = verdicts
        .undecided
        .iter()
        .map(|row| format!("could not evaluate: {}", row.reason));
    let is_fault = verdict.starts_with("could not");
    assert_eq!(
        undecided.collect::<Vec<_>>(),
        is_fault
            .then_some(verdict.clone())
            .into_iter()
            .collect::<Vec<_>>(),
        "{condition}"
    );
    verdict
}

/// What a condition says of a process.
pub(crate) fn verdict(condition: &str, row: Row) -> String {
    verdict_of("process", condition, row)
}

/// The verdicts of several conditions over a batch.
pub(crate) fn verdicts(raw: &[RawCondition], rows: &[Row]) -> Verdicts {
    let conditions = Conditions::compile(raw).unwrap();
    let of_kind = conditions.of("process").unwrap();
    conditions
        .verdicts(
            of_kind,
            &columns(of_kind.kind, rows),
            &mut Windows::new(100),
        )
        .0
}
