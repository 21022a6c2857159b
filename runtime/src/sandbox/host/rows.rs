//! One row of a batch as a list of named values: for the few that matter.

use weir_bus::FieldType;
use weir_bus::batch::Batch as Events;
use weir_bus::event::column::{ColumnType, Timestamp};

use crate::sandbox::bindings::batches::{Row, Value};

/// The values of a row, of those fields that `asked` says; none past the batch's end.
pub(super) fn row_of(events: &Events, row: usize, asked: impl Fn(usize) -> bool) -> Option<Row> {
    if row >= events.rows() {
        return None;
    }
    let fields = events.kind().fields().iter().enumerate();
    let columns = fields.zip(events.records().columns());
    let values = columns
        .filter(|((index, _), _)| asked(*index))
        .map(|((_, field), column)| {
            let value = match field.field_type {
                FieldType::Utf8 => of::<Option<String>>(column, row, |text| {
                    text.map(|text| Value::Text(text.to_owned()))
                }),
                FieldType::U16 => of::<Option<u16>>(column, row, |number| {
                    number.map(|number| Value::Unsigned(number.into()))
                }),
                FieldType::U32 => of::<Option<u32>>(column, row, |number| {
                    number.map(|number| Value::Unsigned(number.into()))
                }),
                FieldType::U64 => {
                    of::<Option<u64>>(column, row, |number| number.map(Value::Unsigned))
                }
                FieldType::I32 => of::<Option<i32>>(column, row, |number| {
                    number.map(|number| Value::Signed(number.into()))
                }),
                FieldType::F64 => of::<Option<f64>>(column, row, |number| number.map(Value::Float)),
                FieldType::Bool => {
                    of::<Option<bool>>(column, row, |value| value.map(Value::Boolean))
                }
                FieldType::TimestampNs => of::<Option<Timestamp>>(column, row, |time| {
                    time.map(|time| Value::Signed(time.0))
                }),
                FieldType::ListUtf8 => of::<Vec<String>>(column, row, |texts| {
                    Some(Value::Texts(texts.iter().map(str::to_owned).collect()))
                }),
            };
            (field.name.to_owned(), value)
        });
    Some(values.collect())
}

fn of<T: ColumnType>(
    column: &arrow_array::ArrayRef,
    row: usize,
    value: impl FnOnce(T::Item<'_>) -> Option<Value>,
) -> Value {
    T::array(column)
        .and_then(|array| value(T::item(array, row)))
        .unwrap_or(Value::Null)
}
