//! A row, or a gap, as a line.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use weir_bus::batch::Batch;
use weir_bus::event::FieldType;
use weir_bus::pubsub::Gap;
use weir_bus::{CollectionEvent, Kind, Timestamp, Topic};

use crate::printable::is_printable;

/// What stands around a row, and its fields in the order of its kind.
#[derive(Serialize)]
struct RowLine<'a> {
    topic: &'a Topic,
    source: &'a str,
    sequence: u64,
    position: u64,
    #[serde(flatten)]
    event: CollectionEvent,
}

#[derive(Serialize)]
struct GapLine<'a> {
    gap: &'a Gap,
}

/// A row as an object of JSON: `topic`, `source` (who published it), `sequence`, `position`, `kind`, then
/// the fields of its kind in their order. None past the batch's end.
#[must_use]
pub fn json_line(batch: &Batch, position: u64, row: usize) -> Option<String> {
    let (event, (_, sequence)) = (batch.row(row)?, batch.stamp(row)?);
    let line = RowLine {
        topic: batch.topic(),
        source: &batch.header().source,
        sequence,
        position,
        event,
    };
    // A row has no map whose keys aren't texts, which is all that JSON can't hold.
    serde_json::to_string(&line).ok()
}

/// A gap as an object of JSON: `{"gap":{"missed":3,"reason":"queue-full","from":1,"to":2}}`, with the
/// `incarnations` `old` and `new` where the stream goes on in another life of the bus.
#[must_use]
pub fn gap_json(gap: &Gap) -> String {
    serde_json::to_string(&GapLine { gap }).unwrap_or_default()
}

/// A row for a person: when, where, who and which, then the fields that have a value. None past the
/// batch's end.
#[must_use]
pub fn text_line(batch: &Batch, row: usize) -> Option<String> {
    let (event, (_, sequence)) = (batch.row(row)?, batch.stamp(row)?);
    let source = &batch.header().source;
    let mut line = format!(
        "{} {} {}#{sequence}",
        moment(event.timestamp()),
        batch.topic(),
        printable(source)
    );
    let fields = serde_json::to_value(&event).unwrap_or_default();
    for (name, value) in fields.as_object().into_iter().flatten() {
        if ["kind", "timestamp"].contains(&name.as_str()) {
            continue;
        }
        if let Some(text) = field(event.kind(), name, value) {
            // Writing to a String can't fail.
            let _ = write!(line, " {name}={text}");
        }
    }
    Some(line)
}

/// A gap for a person.
#[must_use]
pub fn gap_text(gap: &Gap) -> String {
    let missed = gap.missed.map_or_else(
        || "an unknown number of".to_owned(),
        |rows| rows.to_string(),
    );
    let lives = gap.incarnations.map_or_else(String::new, |lives| {
        format!(
            "; the bus of incarnation {} has ended, {} goes on",
            lives.old, lives.new
        )
    });
    format!(
        "(gap: {missed} rows are missing here, {}{lives})",
        gap.reason
    )
}

/// A field's value; none where there is nothing to show.
fn field(kind: Kind, name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) if items.is_empty() => None,
        Value::String(text) => Some(word(text)),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(Value::as_str).map(word).collect();
            Some(format!("[{}]", items.join(" ")))
        }
        Value::Number(number) if is_time(kind, name) => {
            number.as_i64().map(|ns| moment(Timestamp(ns)))
        }
        other => Some(other.to_string()),
    }
}

fn is_time(kind: Kind, name: &str) -> bool {
    kind.field_index(name)
        .and_then(|index| kind.fields().get(index))
        .is_some_and(|field| field.field_type == FieldType::TimestampNs)
}

/// A moment as RFC 3339, to the millisecond; as a number where it lies before 1970.
fn moment(at: Timestamp) -> String {
    u64::try_from(at.0).map_or_else(
        |_| at.0.to_string(),
        |ns| humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(ns)).to_string(),
    )
}

/// A text, in quotes where it would run into its neighbours.
fn word(text: &str) -> String {
    let plain = |one: char| !one.is_whitespace() && !matches!(one, '"' | '[' | ']' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        return printable(text);
    }
    format!("\"{}\"", printable(text).replace('"', "\\\""))
}

/// The text without what a terminal would obey.
fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if is_printable(character) {
            line.push(character);
        } else {
            line.extend(character.escape_default());
        }
    }
    line
}
