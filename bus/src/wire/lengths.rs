//! The table of buffers: how many a column has, and how long each must be for so many rows.
//!
//! This is the whole check of a frame on arrival: by column, without a look at values.

use crate::event::{FieldSpec, FieldType, Kind};

/// The buffers of a column of this type, the validity included.
pub(super) const fn buffers(field_type: FieldType) -> usize {
    match field_type {
        FieldType::Utf8 => 3,
        FieldType::ListUtf8 => 4,
        _ => 2,
    }
}

/// The buffers of all columns of a kind.
pub(crate) const fn buffers_of(kind: Kind) -> usize {
    BUFFERS_OF[kind as usize]
}

const BUFFERS_OF: [usize; Kind::ALL.len()] = {
    let mut of = [0; Kind::ALL.len()];
    let mut at = 0;
    while at < Kind::ALL.len() {
        let kind = Kind::ALL[at];
        let mut field = 0;
        while field < kind.fields().len() {
            of[kind as usize] += buffers(kind.fields()[field].field_type);
            field += 1;
        }
        at += 1;
    }
    of
};

/// The bytes of one value, for types of fixed width.
pub(super) const fn width(field_type: FieldType) -> Option<usize> {
    match field_type {
        FieldType::U16 => Some(2),
        FieldType::U32 | FieldType::I32 => Some(4),
        FieldType::U64 | FieldType::F64 | FieldType::TimestampNs => Some(8),
        FieldType::Utf8 | FieldType::Bool | FieldType::ListUtf8 => None,
    }
}

/// The bytes of an offset.
const OFFSET_BYTES: usize = 4;

/// The bytes of so many bits.
#[inline]
pub(super) const fn bit_bytes(rows: usize) -> usize {
    rows.div_ceil(8)
}

/// The bytes of the offsets of so many values.
#[inline]
pub(super) const fn offset_bytes(values: usize) -> usize {
    values.saturating_add(1).saturating_mul(OFFSET_BYTES)
}

/// How many values offsets of so many bytes are for: at least one offset, all of them whole.
#[inline]
pub(super) const fn offset_values(bytes: usize) -> Option<usize> {
    if bytes.is_multiple_of(OFFSET_BYTES) {
        (bytes / OFFSET_BYTES).checked_sub(1)
    } else {
        None
    }
}

/// What a column's lengths say of it, if they can be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Values, with a bitmap of those that there are where `nulls`.
    Values {
        /// Whether there is a bitmap.
        nulls: bool,
    },
    /// No row has a value; nothing is there.
    AllNull,
}

/// Checks a column's lengths. `stamped` says that it may be left out for what its frame says
/// (`source`).
///
/// The error says what is wrong, without the column's name.
#[inline]
pub(super) fn shape(
    field: &FieldSpec,
    rows: usize,
    lengths: &[usize],
    stamped: bool,
) -> Result<Shape, Wrong> {
    let (&validity, data) = lengths.split_first().ok_or(Wrong::Buffers)?;
    if rows == 0 {
        return if lengths.iter().all(|&length| length == 0) {
            Ok(Shape::Values { nulls: false })
        } else {
            Err(Wrong::NotEmpty)
        };
    }
    if validity != 0 && validity != bit_bytes(rows) {
        return Err(Wrong::Validity);
    }
    if validity == 0 && data.iter().all(|&length| length == 0) {
        return if field.nullable || stamped {
            Ok(Shape::AllNull)
        } else {
            Err(Wrong::Missing)
        };
    }
    if validity != 0 && !field.nullable {
        return Err(Wrong::Nulls);
    }
    let fits = match (field.field_type, data) {
        (FieldType::Utf8, &[offsets, _]) => offsets == offset_bytes(rows),
        (FieldType::ListUtf8, &[lists, offsets, text]) => {
            lists == offset_bytes(rows)
                && if offsets == 0 {
                    text == 0
                } else {
                    offset_values(offsets).is_some()
                }
        }
        (FieldType::Bool, &[bits]) => bits == bit_bytes(rows),
        (field_type, &[values]) => {
            width(field_type).is_some_and(|width| Some(values) == width.checked_mul(rows))
        }
        _ => return Err(Wrong::Buffers),
    };
    if fits {
        Ok(Shape::Values {
            nulls: validity != 0,
        })
    } else {
        Err(Wrong::Length)
    }
}

/// What can be wrong with a column's lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// As many as its type has.
    #[error("has too few buffers in the table")]
    Buffers,
    /// No rows, and yet bytes.
    #[error("has bytes, and the batch has no rows")]
    NotEmpty,
    /// The bitmap is too long or too short.
    #[error("has a validity bitmap that isn't one bit a row")]
    Validity,
    /// There must be a value in every row.
    #[error("has no values, and must have one in every row")]
    Missing,
    /// There must be a value in every row.
    #[error("has a validity bitmap, and must have a value in every row")]
    Nulls,
    /// The buffers are too long or too short.
    #[error("has buffers whose lengths don't fit the batch's rows")]
    Length,
}
