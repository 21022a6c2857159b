//! A column's Arrow buffers as they cross the border of a sandbox: normalised, shared, not copied.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use bytes::Bytes;

use crate::event::FieldType;

/// The buffers of one column, little-endian, starting at row 0; empty where the type has none.
#[derive(Clone, Debug)]
pub struct ColumnBytes {
    /// The column's type.
    pub field_type: FieldType,
    /// Fixed-width values, the bytes of all texts, or a bitmap of booleans.
    pub values: Bytes,
    /// Offsets (`i32`) of texts into `values`.
    pub offsets: Bytes,
    /// Offsets (`i32`) of lists into the texts.
    pub list_offsets: Bytes,
    /// A bit a row: 1 where there is a value. Empty where every row has one.
    pub validity: Bytes,
}

/// Keeps an Arrow buffer alive behind a [`Bytes`].
struct Held(Buffer);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn share(buffer: Buffer) -> Bytes {
    if buffer.is_empty() {
        Bytes::new()
    } else {
        Bytes::from_owner(Held(buffer))
    }
}

impl ColumnBytes {
    /// The buffers of a column of `field_type`; of any other they are empty.
    pub(super) fn of(field_type: FieldType, column: &ArrayRef) -> Self {
        let validity = column
            .nulls()
            .filter(|nulls| nulls.null_count() > 0)
            .map_or_else(Bytes::new, |nulls| share(nulls.inner().sliced()));
        let mut bytes = Self {
            field_type,
            values: Bytes::new(),
            offsets: Bytes::new(),
            list_offsets: Bytes::new(),
            validity,
        };
        match field_type {
            FieldType::Utf8 => (bytes.offsets, bytes.values) = texts(column),
            FieldType::ListUtf8 => {
                if let Some(list) = column.as_list_opt::<i32>() {
                    bytes.list_offsets = share(list.offsets().inner().inner().clone());
                    (bytes.offsets, bytes.values) = texts(list.values());
                }
            }
            FieldType::Bool => {
                if let Some(array) = column.as_boolean_opt() {
                    bytes.values = share(array.values().sliced());
                }
            }
            _ => bytes.values = fixed(&column.to_data()),
        }
        bytes
    }
}

fn fixed(data: &ArrayData) -> Bytes {
    // A primitive array's data always starts at its buffer's first byte: slicing moves the buffer.
    data.buffers()
        .first()
        .map_or_else(Bytes::new, |buffer| share(buffer.clone()))
}

fn texts(column: &ArrayRef) -> (Bytes, Bytes) {
    column.as_string_opt::<i32>().map_or_else(
        || (Bytes::new(), Bytes::new()),
        |array| {
            (
                share(array.offsets().inner().inner().clone()),
                share(array.values().clone()),
            )
        },
    )
}
