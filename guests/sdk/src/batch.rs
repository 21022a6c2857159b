//! The borrowed batch, with its columns typed.
//!
//! It is gone when the call returns; what is fetched from it is the guest's own.

use crate::bindings::imports::weir::collector::batches as wit;
use crate::column::{Column, RawColumn};
use crate::{EvalError, FieldError, Row};

/// Events of one kind, that the host owns.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    handle: &'a wit::Batch,
}

impl<'a> Batch<'a> {
    #[doc(hidden)]
    #[must_use]
    pub fn new(handle: &'a wit::Batch) -> Self {
        Self { handle }
    }

    /// The kind's name: `process`, …
    #[must_use]
    pub fn kind(&self) -> String {
        self.handle.kind()
    }

    /// The topic that the events are on.
    #[must_use]
    pub fn topic(&self) -> String {
        self.handle.topic()
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.handle.len() as usize
    }

    /// Rows of this slot's stream that were lost just before this batch; `None`: unknown how many.
    #[must_use]
    pub fn missed(&self) -> Option<u64> {
        self.handle.missed()
    }

    /// A whole column. It crosses the border anew at each call: fetch it once.
    ///
    /// # Errors
    /// `fatal` where there is no such column, where `init` didn't ask for it, and where it is of
    /// another type: each is a mistake of the guest.
    pub fn column<C: Column>(&self, field: &str) -> Result<C, EvalError> {
        self.column_of(field, self.rows())
    }

    /// As `column`, with the number of rows known: it spares a host call.
    #[doc(hidden)]
    pub fn column_of<C: Column>(&self, field: &str, rows: usize) -> Result<C, EvalError> {
        let column = self.handle.column(field).map_err(fatal)?;
        let raw = RawColumn {
            type_name: column.type_,
            values: column.values,
            offsets: column.offsets,
            list_offsets: column.list_offsets,
            validity: column.validity,
        };
        C::from_raw(raw, rows).map_err(|error| EvalError::Fatal(format!("{field}: {error}")))
    }

    /// One row with all the fields that `init` asked for, by name: for the few that matter.
    ///
    /// # Errors
    /// `fatal` where there is no such row.
    pub fn row(&self, row: usize) -> Result<Row, EvalError> {
        self.handle
            .row(u32::try_from(row).unwrap_or(u32::MAX))
            .map_err(fatal)
    }
}

/// Asking for what isn't there is a mistake in the guest.
fn fatal(error: FieldError) -> EvalError {
    EvalError::Fatal(match error {
        FieldError::UnknownField(field) => format!("the kind has no field `{field}`"),
        FieldError::NotAskedFor(field) => format!("`init` did not ask for the field `{field}`"),
        FieldError::OutOfRange(rows) => format!("the batch has only {rows} rows"),
    })
}
