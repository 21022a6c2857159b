//! The columns of a batch, typed, as far as conditions read them.

use std::rc::Rc;

use weir_guest::{
    Batch, BoolColumn, Column as _, EvalError, FixedColumn, TextColumn, TextListColumn,
};

use crate::kinds::{Column, ColumnType, Kind};

/// One column.
#[derive(Clone, Debug)]
pub(crate) enum ColumnData {
    U16(FixedColumn<u16>),
    U32(FixedColumn<u32>),
    U64(FixedColumn<u64>),
    I32(FixedColumn<i32>),
    F64(FixedColumn<f64>),
    Time(FixedColumn<i64>),
    Bool(BoolColumn),
    Text(Rc<TextColumn>),
    Texts(Rc<TextListColumn>),
}

/// The value of one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i128),
    Float(f64),
    Bool(bool),
    Time(i64),
    Text(String),
    Texts(Vec<String>),
}

impl ColumnData {
    /// The value of a row.
    pub(crate) fn cell(&self, row: usize) -> Cell {
        let cell = match self {
            Self::U16(column) => column.get(row).map(|value| Cell::Integer(value.into())),
            Self::U32(column) => column.get(row).map(|value| Cell::Integer(value.into())),
            Self::U64(column) => column.get(row).map(|value| Cell::Integer(value.into())),
            Self::I32(column) => column.get(row).map(|value| Cell::Integer(value.into())),
            Self::F64(column) => column
                .get(row)
                .filter(|value| !value.is_nan())
                .map(Cell::Float),
            Self::Time(column) => column.get(row).map(Cell::Time),
            Self::Bool(column) => column.get(row).map(Cell::Bool),
            Self::Text(column) => column.get(row).map(|text| Cell::Text(text.to_owned())),
            Self::Texts(column) => column
                .get(row)
                .map(|texts| Cell::Texts(texts.map(str::to_owned).collect())),
        };
        cell.unwrap_or(Cell::Null)
    }
}

/// Columns of a batch, by their places in the kind; those that nothing reads are not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    rows: usize,
    data: Vec<Option<ColumnData>>,
}

impl Columns {
    /// No columns yet.
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            rows,
            data: Vec::new(),
        }
    }

    /// Fetches columns, each once.
    pub(crate) fn fetch(
        batch: &Batch<'_>,
        kind: &Kind,
        wanted: &[Column],
    ) -> Result<Self, EvalError> {
        let mut columns = Self::new(batch.rows());
        let rows = columns.rows;
        for column in wanted {
            let name = kind.name_of(*column);
            let data = match kind.type_of(*column) {
                ColumnType::U16 => ColumnData::U16(batch.column_of(name, rows)?),
                ColumnType::U32 => ColumnData::U32(batch.column_of(name, rows)?),
                ColumnType::U64 => ColumnData::U64(batch.column_of(name, rows)?),
                ColumnType::I32 => ColumnData::I32(batch.column_of(name, rows)?),
                ColumnType::F64 => ColumnData::F64(batch.column_of(name, rows)?),
                ColumnType::Time => ColumnData::Time(batch.column_of(name, rows)?),
                ColumnType::Bool => ColumnData::Bool(batch.column_of(name, rows)?),
                ColumnType::Text => ColumnData::Text(Rc::new(batch.column_of(name, rows)?)),
                ColumnType::Texts => ColumnData::Texts(Rc::new(batch.column_of(name, rows)?)),
            };
            columns.put(*column, data);
        }
        Ok(columns)
    }

    /// Puts a column in its place.
    pub(crate) fn put(&mut self, column: Column, data: ColumnData) {
        if self.data.len() <= column {
            self.data.resize(column.saturating_add(1), None);
        }
        if let Some(slot) = self.data.get_mut(column) {
            *slot = Some(data);
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn get(&self, column: Column) -> Option<&ColumnData> {
        self.data.get(column)?.as_ref()
    }

    /// The value of a row; null where there is no such column.
    pub(crate) fn cell(&self, column: Column, row: usize) -> Cell {
        self.get(column).map_or(Cell::Null, |data| data.cell(row))
    }

    pub(crate) fn text(&self, column: Column) -> Option<&Rc<TextColumn>> {
        match self.get(column)? {
            ColumnData::Text(column) => Some(column),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, column: Column) -> Option<&Rc<TextListColumn>> {
        match self.get(column)? {
            ColumnData::Texts(column) => Some(column),
            _ => None,
        }
    }
}
