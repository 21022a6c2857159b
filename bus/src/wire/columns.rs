//! Columns from and to the buffers of a payload.
//!
//! Decoding goes through [`ArrayData`]'s checked builder alone: Arrow's own constructors panic on what
//! a stranger may send. What is aligned is shared with the frame, not copied.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray, make_array, new_null_array};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_data::ArrayData;
use bytes::Bytes;

use super::lengths::{Shape, offset_bytes, offset_values};
use super::publish::Stamp;
use crate::event::{FieldSpec, FieldType};

/// The widest value of a column: buffers that begin at a multiple of it are shared, others copied.
const VALUE_ALIGNMENT: usize = 8;

/// The field whose value the frame can say for all rows.
pub(super) const STAMPED_FIELD: &str = "source";

/// Values that aren't what their column says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{field}`: {problem}")]
pub struct ColumnError {
    /// The column.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Gathers a column's buffers, in the order of the wire, from row 0 on.
///
/// Where the frame says it all of the column `source`, nothing is sent of it.
pub(super) fn gather<'a>(
    field: &FieldSpec,
    column: &'a ArrayRef,
    stamp: Stamp<'_>,
    out: &mut Vec<Cow<'a, [u8]>>,
) {
    let rows = column.len();
    let nothing = rows == 0
        || column.null_count() == rows
        || (field.name == STAMPED_FIELD && is_said(column, stamp));
    if nothing {
        let buffers = super::lengths::buffers(field.field_type);
        out.extend(std::iter::repeat_n(Cow::Borrowed(&[][..]), buffers));
        return;
    }
    out.push(
        match column.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => Cow::Borrowed(&[]),
            Some(nulls) => Cow::Owned(bits(&nulls.inner().sliced(), rows)),
        },
    );
    match field.field_type {
        FieldType::Utf8 => {
            if let Some(texts) = column.as_string_opt::<i32>() {
                gather_texts(texts, out);
            }
        }
        FieldType::ListUtf8 => {
            if let Some(lists) = column.as_list_opt::<i32>() {
                let (first, offsets) = rebased(lists.offsets());
                out.push(offsets);
                let items = last_of(lists.offsets()).saturating_sub(first);
                let texts = lists.values().slice(first, items);
                match texts.as_string_opt::<i32>() {
                    Some(texts) if items > 0 => {
                        // The slice ends here: its bytes are copied. Lists are the rare columns.
                        let mut own = Vec::with_capacity(2);
                        gather_texts(texts, &mut own);
                        out.extend(own.into_iter().map(|part| Cow::Owned(part.into_owned())));
                    }
                    _ => out.extend([Cow::Borrowed(&[][..]), Cow::Borrowed(&[][..])]),
                }
            }
        }
        FieldType::Bool => {
            if let Some(array) = column.as_boolean_opt() {
                out.push(Cow::Owned(bits(&array.values().sliced(), rows)));
            }
        }
        field_type => out.push(Cow::Borrowed(fixed(column, field_type))),
    }
}

fn is_said(column: &ArrayRef, stamp: Stamp<'_>) -> bool {
    match stamp {
        Stamp::Broker => true,
        Stamp::Deliver(source) => column
            .as_string_opt::<i32>()
            .is_some_and(|texts| texts.iter().all(|text| text == Some(source))),
    }
}

/// A bitmap of exactly as many bytes as its rows need.
fn bits(buffer: &Buffer, rows: usize) -> Vec<u8> {
    let bytes = super::lengths::bit_bytes(rows);
    buffer.as_slice().get(..bytes).unwrap_or_default().to_vec()
}

fn fixed(column: &ArrayRef, field_type: FieldType) -> &[u8] {
    use arrow_array::types::{
        Float64Type, Int32Type, TimestampNanosecondType, UInt16Type, UInt32Type, UInt64Type,
    };
    macro_rules! values {
        ($type:ty) => {
            column
                .as_primitive_opt::<$type>()
                .map(|array| array.values().inner().as_slice())
        };
    }
    let bytes = match field_type {
        FieldType::U16 => values!(UInt16Type),
        FieldType::U32 => values!(UInt32Type),
        FieldType::U64 => values!(UInt64Type),
        FieldType::I32 => values!(Int32Type),
        FieldType::F64 => values!(Float64Type),
        FieldType::TimestampNs => values!(TimestampNanosecondType),
        FieldType::Utf8 | FieldType::Bool | FieldType::ListUtf8 => None,
    };
    bytes.unwrap_or_default()
}

fn gather_texts<'a>(texts: &'a StringArray, out: &mut Vec<Cow<'a, [u8]>>) {
    let (first, offsets) = rebased(texts.offsets());
    let last = last_of(texts.offsets());
    out.push(offsets);
    let text = texts.values().as_slice().get(first..last);
    out.push(Cow::Borrowed(text.unwrap_or_default()));
}

/// Offsets that begin with 0, and where they began.
fn rebased(offsets: &OffsetBuffer<i32>) -> (usize, Cow<'_, [u8]>) {
    let first = offsets.inner().first().copied().unwrap_or_default();
    if first == 0 {
        let values = offsets.inner().inner().as_slice();
        return (0, Cow::Borrowed(values));
    }
    let moved = offsets.iter().map(|offset| offset.saturating_sub(first));
    let bytes = moved.flat_map(i32::to_le_bytes).collect();
    (
        usize::try_from(first).unwrap_or_default(),
        Cow::Owned(bytes),
    )
}

fn last_of(offsets: &OffsetBuffer<i32>) -> usize {
    let last = offsets.inner().last().copied().unwrap_or_default();
    usize::try_from(last).unwrap_or_default()
}

/// Makes a column of its buffers, whose lengths [`super::lengths::shape`] has let pass.
pub(super) fn make(
    field: &FieldSpec,
    rows: usize,
    shape: Shape,
    buffers: &[Bytes],
    stamp: &str,
) -> Result<ArrayRef, ColumnError> {
    let wrong = |problem: String| ColumnError {
        field: field.name,
        problem,
    };
    let data_type = field.field_type.arrow();
    if shape == Shape::AllNull {
        if field.name == STAMPED_FIELD {
            return Ok(Arc::new(StringArray::new_repeated(stamp, rows)));
        }
        return Ok(new_null_array(&data_type, rows));
    }
    let buffer = |index: usize| buffers.get(index).map(aligned).unwrap_or_default();
    let validity = match shape {
        Shape::Values { nulls: true } => Some(buffer(0)),
        _ => None,
    };
    let mut builder = ArrayData::builder(data_type)
        .len(rows)
        .null_bit_buffer(validity);
    builder = match field.field_type {
        FieldType::Utf8 => builder
            .add_buffer(offsets_or_zero(buffer(1)))
            .add_buffer(buffer(2)),
        FieldType::ListUtf8 => {
            let offsets = offsets_or_zero(buffer(2));
            let items = offset_values(offsets.len()).unwrap_or_default();
            let texts = ArrayData::builder(FieldType::Utf8.arrow())
                .len(items)
                .add_buffer(offsets)
                .add_buffer(buffer(3))
                .build()
                .map_err(|error| wrong(error.to_string()))?;
            begins_and_ends(&buffer(2), buffer(3).len()).map_err(wrong)?;
            begins_and_ends(&buffer(1), items).map_err(wrong)?;
            builder
                .add_buffer(offsets_or_zero(buffer(1)))
                .add_child_data(texts)
        }
        _ => builder.add_buffer(buffer(1)),
    };
    if field.field_type == FieldType::Utf8 {
        begins_and_ends(&buffer(1), buffer(2).len()).map_err(wrong)?;
    }
    let data = builder.build().map_err(|error| wrong(error.to_string()))?;
    Ok(make_array(data))
}

/// Offsets of no values may be left out; Arrow wants the one that there always is.
fn offsets_or_zero(offsets: Buffer) -> Buffer {
    if offsets.is_empty() {
        Buffer::from(vec![0_u8; offset_bytes(0)])
    } else {
        offsets
    }
}

/// That offsets begin with 0 and end with the length of what they point into: Arrow allows less, and
/// then the same rows would have several forms.
fn begins_and_ends(offsets: &Buffer, length: usize) -> Result<(), String> {
    let bytes = offsets.as_slice();
    let at = |chunk: Option<&[u8; 4]>| chunk.map_or(0, |chunk| i32::from_le_bytes(*chunk));
    let (first, last) = (at(bytes.first_chunk()), at(bytes.last_chunk()));
    if first == 0 && usize::try_from(last).is_ok_and(|last| last == length) {
        Ok(())
    } else {
        Err(format!(
            "offsets from {first} to {last}, they must go from 0 to {length}"
        ))
    }
}

/// Shares the bytes where they are aligned, copies them where they aren't: Arrow panics on others.
fn aligned(bytes: &Bytes) -> Buffer {
    if bytes.as_ptr().align_offset(VALUE_ALIGNMENT) == 0 {
        Buffer::from(bytes.clone())
    } else {
        Buffer::from(bytes.as_ref())
    }
}
