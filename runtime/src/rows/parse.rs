//! A line of JSON as a row, checked against its kind.
//!
//! It takes what `weir tap --json`, a `json` sink and people write; what isn't a field is an error with
//! the field that was meant.

use serde_json::{Map, Value};
use weir_bus::event::{FieldSpec, FieldType, UnknownKind};
use weir_bus::{CollectionEvent, Kind, Timestamp};

/// What stands around a row where a row is printed, and isn't the publisher's to say.
const AROUND: [&str; 4] = ["topic", "source", "sequence", "position"];

/// How much of a wrong value an error shows.
const SHOWN_CHARACTERS_MAX: usize = 40;

/// Why a line is no row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Json(String),
    /// It is JSON, and no object.
    #[error("a row is an object, as {{\"kind\":\"process\",\"pid\":7}}; this is {0}")]
    NotAnObject(String),
    /// Nothing says the kind.
    #[error("nothing says of which kind the row is: add \"kind\":\"process\", or use --kind")]
    NoKind,
    /// There is no such kind.
    #[error(transparent)]
    UnknownKind(#[from] UnknownKind),
    /// It says another kind than was asked for.
    #[error("the row is of kind {found}, and --kind says {expected}")]
    OtherKind {
        /// What `--kind` says.
        expected: Kind,
        /// What the row says.
        found: Kind,
    },
    /// A key that is no field.
    #[error("{kind} events have no field `{key}`; the nearest is `{nearest}`")]
    UnknownField {
        /// The row's kind.
        kind: Kind,
        /// The key.
        key: String,
        /// The field whose name is most like it.
        nearest: &'static str,
    },
    /// A value that the field can't hold.
    #[error("`{field}` of {kind} events is {found}; it must be {needed}")]
    Value {
        /// The row's kind.
        kind: Kind,
        /// The field.
        field: &'static str,
        /// The value.
        found: String,
        /// What it should be.
        needed: String,
    },
}

/// Reads rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowParser {
    /// The kind that every row must be of.
    pub kind: Option<Kind>,
    /// The kind of a row that says none.
    pub fallback: Option<Kind>,
}

impl RowParser {
    /// The row of a line; none where the line is empty, a gap, or what else a `json` sink tells. A field
    /// that isn't there is empty, 0 or null; a timestamp that isn't there is `now`.
    ///
    /// # Errors
    /// If it is no row of its kind.
    pub fn parse(self, line: &str, now: Timestamp) -> Result<Option<CollectionEvent>, RowError> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let value =
            serde_json::from_str(line).map_err(|error| RowError::Json(error.to_string()))?;
        let Value::Object(object) = value else {
            return Err(RowError::NotAnObject(shown(&value)));
        };
        let Some(mut object) = row_of(object) else {
            return Ok(None);
        };
        let kind = self.kind_of(&object)?;
        object.retain(|key, _| !AROUND.contains(&key.as_str()));
        for (key, value) in &object {
            if key != "kind" {
                check(kind, key, value)?;
            }
        }
        object.insert("kind".to_owned(), kind.as_str().into());
        object
            .entry("timestamp")
            .or_insert_with(|| Value::from(now.0));
        serde_json::from_value(Value::Object(object))
            .map(Some)
            .map_err(|error| RowError::Json(error.to_string()))
    }

    fn kind_of(self, object: &Map<String, Value>) -> Result<Kind, RowError> {
        let said = match object.get("kind") {
            None => None,
            Some(Value::String(name)) => Some(name.parse::<Kind>()?),
            Some(other) => return Err(UnknownKind(shown(other)).into()),
        };
        match (self.kind, said) {
            (Some(expected), Some(found)) if expected != found => {
                Err(RowError::OtherKind { expected, found })
            }
            (asked, said) => said.or(asked).or(self.fallback).ok_or(RowError::NoKind),
        }
    }
}

/// The object that holds the row's fields: the line's own, or that in a line of a `json` sink.
fn row_of(mut object: Map<String, Value>) -> Option<Map<String, Value>> {
    if object.get("gap").is_some_and(Value::is_object) {
        return None;
    }
    if !object.contains_key("type") {
        return Some(object);
    }
    match object.remove("event") {
        Some(Value::Object(event)) => Some(event),
        _ => None,
    }
}

fn check(kind: Kind, key: &str, value: &Value) -> Result<(), RowError> {
    let found = kind.fields().iter().find(|field| field.name == key);
    let field = found.ok_or_else(|| RowError::UnknownField {
        kind,
        key: key.to_owned(),
        nearest: nearest(kind, key),
    })?;
    if fits(field, value) {
        return Ok(());
    }
    let or_null = if field.nullable { ", or null" } else { "" };
    Err(RowError::Value {
        kind,
        field: field.name,
        found: shown(value),
        needed: format!("{}{or_null}", needed(field.field_type)),
    })
}

fn fits(field: &FieldSpec, value: &Value) -> bool {
    let below = |max: u64| value.as_u64().is_some_and(|number| number <= max);
    match field.field_type {
        _ if value.is_null() => field.nullable,
        FieldType::Utf8 => value.is_string(),
        FieldType::U16 => below(u16::MAX.into()),
        FieldType::U32 => below(u32::MAX.into()),
        FieldType::U64 => below(u64::MAX),
        FieldType::I32 => value.as_i64().is_some_and(|one| i32::try_from(one).is_ok()),
        FieldType::F64 => value.is_number(),
        FieldType::Bool => value.is_boolean(),
        FieldType::TimestampNs => value.is_i64(),
        FieldType::ListUtf8 => value
            .as_array()
            .is_some_and(|items| items.iter().all(Value::is_string)),
    }
}

fn needed(field_type: FieldType) -> String {
    let up_to = |max: u64| format!("a whole number from 0 to {max}");
    match field_type {
        FieldType::Utf8 => "a text".to_owned(),
        FieldType::U16 => up_to(u16::MAX.into()),
        FieldType::U32 => up_to(u32::MAX.into()),
        FieldType::U64 => up_to(u64::MAX),
        FieldType::I32 => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
        FieldType::F64 => "a number".to_owned(),
        FieldType::Bool => "true or false".to_owned(),
        FieldType::TimestampNs => "a whole number of nanoseconds since 1970".to_owned(),
        FieldType::ListUtf8 => "a list of texts".to_owned(),
    }
}

fn nearest(kind: Kind, key: &str) -> &'static str {
    let names = kind.fields().iter().map(|field| field.name);
    let names = names.filter(|name| !AROUND.contains(name));
    // A key is as long as its writer likes, and the comparison quadratic: its beginning tells enough.
    let key: String = key.chars().take(SHOWN_CHARACTERS_MAX).collect();
    names
        .min_by_key(|name| strsim::damerau_levenshtein(name, &key))
        .unwrap_or("timestamp")
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
