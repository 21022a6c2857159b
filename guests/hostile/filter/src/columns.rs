//! Asks for what it may not have, or too often.

use weir_guest::{Batch, Column, EvalError, Selection, TextColumn, host};

/// The host must say no, and say why; that is no fault. What it said goes to the log.
fn must_be_refused<T>(result: Result<T, EvalError>) -> Result<Selection, EvalError> {
    match result {
        Ok(_) => Err(EvalError::Fatal("it was given".to_owned())),
        Err(EvalError::Fatal(reason) | EvalError::Reject(reason) | EvalError::Retry(reason)) => {
            host::info(reason);
            Ok(Selection::All)
        }
    }
}

/// A column that the kind has, and `init` didn't ask for.
pub(crate) fn not_asked_for(batch: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    must_be_refused(batch.column::<TextColumn>("executable"))
}

/// A column that the kind hasn't.
pub(crate) fn unknown(batch: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    must_be_refused(batch.column::<TextColumn>("shoe_size"))
}

/// A row that the batch hasn't.
pub(crate) fn row_out_of_range(batch: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    must_be_refused(batch.row(batch.rows()))
}

/// One column, `amount` times.
pub(crate) fn again_and_again(batch: &Batch<'_>, amount: u64) -> Result<Selection, EvalError> {
    for _ in 0..amount {
        batch.column::<TextColumn>("name")?;
    }
    Ok(Selection::All)
}

/// A good one: says how many rows it got, and how many names, and keeps them.
pub(crate) fn count(batch: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    let names: TextColumn = batch.column("name")?;
    let named = (0..names.rows())
        .filter(|row| names.get(*row).is_some())
        .count();
    host::info(format_args!("rows {} named {named}", batch.rows()));
    Ok(Selection::All)
}
