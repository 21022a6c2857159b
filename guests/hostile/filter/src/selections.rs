//! Answers with what is no selection of the batch.

use weir_guest::{Batch, EvalError, Selection};

fn rows(batch: &Batch<'_>) -> u32 {
    u32::try_from(batch.rows()).unwrap_or(u32::MAX)
}

/// The row after the last one.
pub(crate) fn rows_out_of_range(batch: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    Ok(Selection::Rows(vec![rows(batch)]))
}

/// All rows, the last one first; of a single row, one that isn't there after it.
pub(crate) fn rows_descending(batch: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    Ok(Selection::Rows((0..rows(batch).max(2)).rev().collect()))
}

/// The first row, twice.
pub(crate) fn rows_twice(_: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    Ok(Selection::Rows(vec![0, 0]))
}

/// `amount` rows, whatever the batch has.
pub(crate) fn rows_huge(_: &Batch<'_>, amount: u64) -> Result<Selection, EvalError> {
    Ok(Selection::Rows(
        (0..u32::try_from(amount).unwrap_or(u32::MAX)).collect(),
    ))
}

/// A bitmap without its last byte.
pub(crate) fn mask_too_short(batch: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    Ok(Selection::Mask(vec![
        0;
        batch
            .rows()
            .div_ceil(8)
            .saturating_sub(1)
    ]))
}

/// A bitmap with a byte too many.
pub(crate) fn mask_too_long(batch: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    Ok(Selection::Mask(vec![0; batch.rows().div_ceil(8) + 1]))
}

/// All bits of all bytes: past the last row, too, where the rows don't fill the last byte.
pub(crate) fn mask_bits_past_the_end(batch: &Batch<'_>, _: u64) -> Result<Selection, EvalError> {
    Ok(Selection::Mask(vec![u8::MAX; batch.rows().div_ceil(8)]))
}

/// A reason of `amount` bytes.
pub(crate) fn huge_error(_: &Batch<'_>, amount: u64) -> Result<Selection, EvalError> {
    Err(EvalError::Reject(
        "x".repeat(usize::try_from(amount).unwrap_or(usize::MAX)),
    ))
}
