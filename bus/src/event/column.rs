//! What a field's Rust type is as a column: the one place that maps values to Arrow.
//!
//! It is not a general Arrow layer: only the types that events use are here.

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int32Builder, StringBuilder, TimestampNanosecondBuilder,
    UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, TimestampNanosecondType, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray, TimestampNanosecondArray,
};
use arrow_schema::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// The time zone of every timestamp column.
const TIME_ZONE: &str = "UTC";
/// What a list column's items are called; Arrow's own default.
pub(super) const LIST_ITEM: &str = "item";

/// A moment in nanoseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock's time now; the epoch itself if the clock stands before it.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// The type of a field, as guests are told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// UTF-8 text.
    Utf8,
    /// 16 bits, unsigned.
    U16,
    /// 32 bits, unsigned.
    U32,
    /// 64 bits, unsigned.
    U64,
    /// 32 bits, signed.
    I32,
    /// 64-bit floating point.
    F64,
    /// True or false.
    Bool,
    /// Nanoseconds since the epoch.
    TimestampNs,
    /// A list of texts.
    ListUtf8,
}

impl FieldType {
    /// The name that crosses to guests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::I32 => "i32",
            Self::F64 => "f64",
            Self::Bool => "bool",
            Self::TimestampNs => "timestamp-ns",
            Self::ListUtf8 => "list-utf8",
        }
    }

    /// The Arrow type.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Utf8 => DataType::Utf8,
            Self::U16 => DataType::UInt16,
            Self::U32 => DataType::UInt32,
            Self::U64 => DataType::UInt64,
            Self::I32 => DataType::Int32,
            Self::F64 => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, Some(TIME_ZONE.into())),
            Self::ListUtf8 => {
                DataType::List(Arc::new(Field::new(LIST_ITEM, DataType::Utf8, false)))
            }
        }
    }
}

/// A Rust type that is a column of an event.
pub trait ColumnType: Sized {
    /// The field's type.
    const TYPE: FieldType;
    /// Whether rows may have no value.
    const NULLABLE: bool;
    /// Collects values.
    type Builder;
    /// The typed array.
    type Array: Array + 'static;
    /// A value, borrowed from the array.
    type Item<'a>;

    /// A builder with room for `rows`.
    fn builder(rows: usize) -> Self::Builder;
    /// Appends one value.
    fn append(&self, builder: &mut Self::Builder);
    /// Closes the column and leaves the builder empty.
    fn finish(builder: &mut Self::Builder) -> ArrayRef;
    /// The typed view of a column; none if it is of another type.
    fn array(column: &ArrayRef) -> Option<&Self::Array>;
    /// The value of a row, which must lie within the array.
    fn item(array: &Self::Array, row: usize) -> Self::Item<'_>;
    /// An owned value.
    fn owned(item: Self::Item<'_>) -> Self;
    /// About how many bytes the value takes in its column.
    fn bytes(&self) -> usize;
    /// Appends rows of an array, which must lie within it; false if the column can't grow that large.
    fn append_rows(array: &Self::Array, rows: Range<usize>, builder: &mut Self::Builder) -> bool;
    /// About how many bytes rows of an array take, which must lie within it.
    fn bytes_of_rows(array: &Self::Array, rows: Range<usize>) -> usize;
}

/// As builders have it, which know of no zone.
fn unzoned(array: TimestampNanosecondArray) -> TimestampNanosecondArray {
    array.with_timezone_opt(None::<Arc<str>>)
}

macro_rules! primitive_column {
    ($rust:ty, $field_type:ident, $builder:ty, $arrow:ty, $wrap:expr, $unwrap:expr, $finish:expr, $built:expr) => {
        impl ColumnType for $rust {
            const TYPE: FieldType = FieldType::$field_type;
            const NULLABLE: bool = false;
            type Builder = $builder;
            type Array = PrimitiveArray<$arrow>;
            type Item<'a> = $rust;

            fn builder(rows: usize) -> Self::Builder {
                <$builder>::with_capacity(rows)
            }
            fn append(&self, builder: &mut Self::Builder) {
                builder.append_value($unwrap(*self));
            }
            fn finish(builder: &mut Self::Builder) -> ArrayRef {
                $finish(builder)
            }
            fn array(column: &ArrayRef) -> Option<&Self::Array> {
                column.as_primitive_opt::<$arrow>()
            }
            fn item(array: &Self::Array, row: usize) -> Self::Item<'_> {
                $wrap(array.value(row))
            }
            fn owned(item: Self::Item<'_>) -> Self {
                item
            }
            fn bytes(&self) -> usize {
                size_of::<$rust>()
            }
            fn append_rows(
                array: &Self::Array,
                rows: Range<usize>,
                builder: &mut Self::Builder,
            ) -> bool {
                builder.append_array(&$built(array.slice(rows.start, rows.len())));
                true
            }
            fn bytes_of_rows(_: &Self::Array, rows: Range<usize>) -> usize {
                rows.len() * size_of::<$rust>()
            }
        }

        impl ColumnType for Option<$rust> {
            const TYPE: FieldType = FieldType::$field_type;
            const NULLABLE: bool = true;
            type Builder = $builder;
            type Array = PrimitiveArray<$arrow>;
            type Item<'a> = Self;

            fn builder(rows: usize) -> Self::Builder {
                <$builder>::with_capacity(rows)
            }
            fn append(&self, builder: &mut Self::Builder) {
                builder.append_option(self.map($unwrap));
            }
            fn finish(builder: &mut Self::Builder) -> ArrayRef {
                $finish(builder)
            }
            fn array(column: &ArrayRef) -> Option<&Self::Array> {
                column.as_primitive_opt::<$arrow>()
            }
            fn item(array: &Self::Array, row: usize) -> Self::Item<'_> {
                array.is_valid(row).then(|| $wrap(array.value(row)))
            }
            fn owned(item: Self::Item<'_>) -> Self {
                item
            }
            fn bytes(&self) -> usize {
                size_of::<$rust>()
            }
            fn append_rows(
                array: &Self::Array,
                rows: Range<usize>,
                builder: &mut Self::Builder,
            ) -> bool {
                builder.append_array(&$built(array.slice(rows.start, rows.len())));
                true
            }
            fn bytes_of_rows(_: &Self::Array, rows: Range<usize>) -> usize {
                rows.len() * size_of::<$rust>()
            }
        }
    };
}

/// Values that Arrow holds as they are.
fn same<T>(value: T) -> T {
    value
}

fn plain<B: arrow_array::builder::ArrayBuilder>(builder: &mut B) -> ArrayRef {
    builder.finish()
}

fn zoned(builder: &mut TimestampNanosecondBuilder) -> ArrayRef {
    let array: TimestampNanosecondArray = builder.finish();
    Arc::new(array.with_timezone(TIME_ZONE))
}

primitive_column!(u16, U16, UInt16Builder, UInt16Type, same, same, plain, same);
primitive_column!(u32, U32, UInt32Builder, UInt32Type, same, same, plain, same);
primitive_column!(u64, U64, UInt64Builder, UInt64Type, same, same, plain, same);
primitive_column!(i32, I32, Int32Builder, Int32Type, same, same, plain, same);
primitive_column!(
    f64,
    F64,
    Float64Builder,
    Float64Type,
    same,
    same,
    plain,
    same
);
primitive_column!(
    Timestamp,
    TimestampNs,
    TimestampNanosecondBuilder,
    TimestampNanosecondType,
    Timestamp,
    |time: Timestamp| time.0,
    zoned,
    unzoned
);

macro_rules! plain_column {
    ($rust:ty, $field_type:ident, $nullable:literal, $builder:ty, $array:ty, $item:ty,
     new: $new:expr, append: $append:expr, cast: $cast:expr, item: $get:expr, owned: $own:expr, bytes: $bytes:expr,
     append_rows: $append_rows:expr, bytes_of_rows: $bytes_of_rows:expr) => {
        impl ColumnType for $rust {
            const TYPE: FieldType = FieldType::$field_type;
            const NULLABLE: bool = $nullable;
            type Builder = $builder;
            type Array = $array;
            type Item<'a> = $item;

            fn builder(rows: usize) -> Self::Builder {
                $new(rows)
            }
            fn append(&self, builder: &mut Self::Builder) {
                $append(self, builder);
            }
            fn finish(builder: &mut Self::Builder) -> ArrayRef {
                plain(builder)
            }
            fn array(column: &ArrayRef) -> Option<&Self::Array> {
                $cast(column)
            }
            fn item(array: &Self::Array, row: usize) -> Self::Item<'_> {
                $get(array, row)
            }
            fn owned(item: Self::Item<'_>) -> Self {
                $own(item)
            }
            fn bytes(&self) -> usize {
                $bytes(self)
            }
            fn append_rows(
                array: &Self::Array,
                rows: Range<usize>,
                builder: &mut Self::Builder,
            ) -> bool {
                $append_rows(builder, &array.slice(rows.start, rows.len()))
            }
            fn bytes_of_rows(array: &Self::Array, rows: Range<usize>) -> usize {
                $bytes_of_rows(array, rows)
            }
        }
    };
}

/// An offset into a text column.
pub(super) const OFFSET_BYTES: usize = size_of::<i32>();
/// Text bytes reserved for a row; a builder grows past it by doubling.
pub(super) const TEXT_BYTES_A_ROW: usize = 16;

plain_column!(bool, Bool, false, BooleanBuilder, BooleanArray, bool,
    new: BooleanBuilder::with_capacity,
    append: |value: &bool, builder: &mut BooleanBuilder| builder.append_value(*value),
    cast: as_booleans,
    item: BooleanArray::value, owned: same, bytes: |_: &bool| 1,
    append_rows: append_booleans, bytes_of_rows: |_: &BooleanArray, rows: Range<usize>| rows.len());
plain_column!(Option<bool>, Bool, true, BooleanBuilder, BooleanArray, Option<bool>,
    new: BooleanBuilder::with_capacity,
    append: |value: &Option<bool>, builder: &mut BooleanBuilder| builder.append_option(*value),
    cast: as_booleans,
    item: |array: &BooleanArray, row| array.is_valid(row).then(|| array.value(row)),
    owned: same, bytes: |_: &Option<bool>| 1,
    append_rows: append_booleans, bytes_of_rows: |_: &BooleanArray, rows: Range<usize>| rows.len());
plain_column!(String, Utf8, false, StringBuilder, StringArray, &'a str,
    new: |rows| StringBuilder::with_capacity(rows, rows.saturating_mul(TEXT_BYTES_A_ROW)),
    append: |value: &String, builder: &mut StringBuilder| builder.append_value(value),
    cast: as_texts,
    item: StringArray::value, owned: str::to_owned,
    bytes: |value: &String| value.len() + OFFSET_BYTES,
    append_rows: append_texts, bytes_of_rows: bytes_of_texts);
plain_column!(Option<String>, Utf8, true, StringBuilder, StringArray, Option<&'a str>,
    new: |rows| StringBuilder::with_capacity(rows, rows.saturating_mul(TEXT_BYTES_A_ROW)),
    append: |value: &Option<String>, builder: &mut StringBuilder| builder.append_option(value.as_deref()),
    cast: as_texts,
    item: text_item, owned: |item: Option<&str>| item.map(str::to_owned),
    bytes: |value: &Option<String>| value.as_ref().map_or(0, String::len) + OFFSET_BYTES,
    append_rows: append_texts, bytes_of_rows: bytes_of_texts);

fn append_booleans(builder: &mut BooleanBuilder, array: &BooleanArray) -> bool {
    builder.append_array(array);
    true
}

pub(super) fn append_texts(builder: &mut StringBuilder, array: &StringArray) -> bool {
    builder.append_array(array).is_ok()
}

pub(super) fn bytes_of_texts(array: &StringArray, rows: Range<usize>) -> usize {
    let offsets = array.value_offsets();
    let texts = bound(offsets, rows.end).saturating_sub(bound(offsets, rows.start));
    texts + rows.len() * OFFSET_BYTES
}

/// An offset as a place; 0 past the last.
pub(super) fn bound(offsets: &[i32], at: usize) -> usize {
    let offset = offsets.get(at).copied();
    usize::try_from(offset.unwrap_or_default()).unwrap_or_default()
}

fn as_booleans(column: &ArrayRef) -> Option<&BooleanArray> {
    column.as_boolean_opt()
}

fn as_texts(column: &ArrayRef) -> Option<&StringArray> {
    column.as_string_opt::<i32>()
}

fn text_item(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}
