//! What a field's Rust type is as a column: the one place that maps values to Arrow.
//!
//! It is not a general Arrow layer: only the types that events use are here.

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int32Builder, ListBuilder, StringBuilder,
    TimestampNanosecondBuilder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, TimestampNanosecondType, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, PrimitiveArray, StringArray, TimestampNanosecondArray,
};
use arrow_schema::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The time zone of every timestamp column.
const TIME_ZONE: &str = "UTC";
/// What a list column's items are called; Arrow's own default.
const LIST_ITEM: &str = "item";

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
}

macro_rules! primitive_column {
    ($rust:ty, $field_type:ident, $builder:ty, $arrow:ty, $wrap:expr, $unwrap:expr, $finish:expr) => {
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

primitive_column!(u16, U16, UInt16Builder, UInt16Type, same, same, plain);
primitive_column!(u32, U32, UInt32Builder, UInt32Type, same, same, plain);
primitive_column!(u64, U64, UInt64Builder, UInt64Type, same, same, plain);
primitive_column!(i32, I32, Int32Builder, Int32Type, same, same, plain);
primitive_column!(f64, F64, Float64Builder, Float64Type, same, same, plain);
primitive_column!(
    Timestamp,
    TimestampNs,
    TimestampNanosecondBuilder,
    TimestampNanosecondType,
    Timestamp,
    |time: Timestamp| time.0,
    zoned
);

macro_rules! plain_column {
    ($rust:ty, $field_type:ident, $nullable:literal, $builder:ty, $array:ty, $item:ty,
     new: $new:expr, append: $append:expr, cast: $cast:expr, item: $get:expr, owned: $own:expr, bytes: $bytes:expr) => {
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
        }
    };
}

/// An offset into a text column.
const OFFSET_BYTES: usize = size_of::<i32>();
/// Text bytes reserved for a row; a builder grows past it by doubling.
const TEXT_BYTES_A_ROW: usize = 16;

plain_column!(bool, Bool, false, BooleanBuilder, BooleanArray, bool,
    new: BooleanBuilder::with_capacity,
    append: |value: &bool, builder: &mut BooleanBuilder| builder.append_value(*value),
    cast: as_booleans,
    item: BooleanArray::value, owned: same, bytes: |_: &bool| 1);
plain_column!(Option<bool>, Bool, true, BooleanBuilder, BooleanArray, Option<bool>,
    new: BooleanBuilder::with_capacity,
    append: |value: &Option<bool>, builder: &mut BooleanBuilder| builder.append_option(*value),
    cast: as_booleans,
    item: |array: &BooleanArray, row| array.is_valid(row).then(|| array.value(row)),
    owned: same, bytes: |_: &Option<bool>| 1);
plain_column!(String, Utf8, false, StringBuilder, StringArray, &'a str,
    new: |rows| StringBuilder::with_capacity(rows, rows.saturating_mul(TEXT_BYTES_A_ROW)),
    append: |value: &String, builder: &mut StringBuilder| builder.append_value(value),
    cast: as_texts,
    item: StringArray::value, owned: str::to_owned,
    bytes: |value: &String| value.len() + OFFSET_BYTES);
plain_column!(Option<String>, Utf8, true, StringBuilder, StringArray, Option<&'a str>,
    new: |rows| StringBuilder::with_capacity(rows, rows.saturating_mul(TEXT_BYTES_A_ROW)),
    append: |value: &Option<String>, builder: &mut StringBuilder| builder.append_option(value.as_deref()),
    cast: as_texts,
    item: text_item, owned: |item: Option<&str>| item.map(str::to_owned),
    bytes: |value: &Option<String>| value.as_ref().map_or(0, String::len) + OFFSET_BYTES);

fn as_booleans(column: &ArrayRef) -> Option<&BooleanArray> {
    column.as_boolean_opt()
}

fn as_texts(column: &ArrayRef) -> Option<&StringArray> {
    column.as_string_opt::<i32>()
}

fn text_item(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

/// A row's list of texts, borrowed from its column.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    texts: &'a StringArray,
    start: usize,
    end: usize,
}

impl<'a> Texts<'a> {
    /// The texts in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a str> {
        (self.start..self.end).map(move |index| self.texts.value(index))
    }

    /// How many texts.
    #[must_use]
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl ColumnType for Vec<String> {
    const TYPE: FieldType = FieldType::ListUtf8;
    const NULLABLE: bool = false;
    type Builder = ListBuilder<StringBuilder>;
    type Array = ListArray;
    type Item<'a> = Texts<'a>;

    fn builder(rows: usize) -> Self::Builder {
        let texts = StringBuilder::with_capacity(rows, rows.saturating_mul(TEXT_BYTES_A_ROW));
        ListBuilder::with_capacity(texts, rows).with_field(Field::new(
            LIST_ITEM,
            DataType::Utf8,
            false,
        ))
    }
    fn append(&self, builder: &mut Self::Builder) {
        let texts = builder.values();
        for text in self {
            texts.append_value(text);
        }
        builder.append(true);
    }
    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        plain(builder)
    }
    fn array(column: &ArrayRef) -> Option<&Self::Array> {
        // The items' own type is part of the schema, which every batch has exactly.
        column
            .as_list_opt::<i32>()
            .filter(|list| list.values().data_type() == &DataType::Utf8)
    }
    fn item(array: &Self::Array, row: usize) -> Self::Item<'_> {
        let offsets = array.value_offsets();
        let bound = |at: usize| usize::try_from(offsets[at]).unwrap_or(0);
        Texts {
            texts: array.values().as_string::<i32>(),
            start: bound(row),
            end: bound(row + 1),
        }
    }
    fn owned(item: Self::Item<'_>) -> Self {
        item.iter().map(str::to_owned).collect()
    }
    fn bytes(&self) -> usize {
        self.iter()
            .map(|text| text.len() + OFFSET_BYTES)
            .sum::<usize>()
            + OFFSET_BYTES
    }
}
