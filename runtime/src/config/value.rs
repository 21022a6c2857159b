//! Values that passed the check of their key, and how they are written.
//!
//! Invariant: a [`Value`] is within the range of its key.

use super::units::{duration_text, size_text};
use serde_json::Value as Json;
use std::path::PathBuf;
use std::time::Duration;

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(u64),
    /// A number.
    Float(f64),
    /// A duration.
    Duration(Duration),
    /// A number of bytes.
    Size(u64),
    /// `true` or `false`.
    Switch(bool),
    /// A text, or one of some words.
    Text(String),
    /// A path; absolute where the layer has a folder.
    Path(PathBuf),
    /// A list of texts.
    List(Vec<String>),
    /// A value within a free table.
    Free(Json),
}

impl Value {
    /// The value as it is written in JSON: durations and sizes as texts, as in the config.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Size(bytes) => size_text(*bytes).into(),
            other => other.to_plain_json(),
        }
    }

    /// The value as [`Config`](super::Config) reads it: sizes are numbers of bytes.
    pub(crate) fn to_plain_json(&self) -> Json {
        match self {
            Self::Integer(number) | Self::Size(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Duration(duration) => duration_text(*duration).into(),
            Self::Switch(on) => (*on).into(),
            Self::Text(text) => text.clone().into(),
            Self::Path(path) => path.to_string_lossy().into(),
            Self::List(items) => items.clone().into(),
            Self::Free(json) => json.clone(),
        }
    }

    /// The value as it is written in TOML, on one line.
    #[must_use]
    pub fn to_toml(&self) -> String {
        json_as_toml(&self.to_json())
    }

    /// The text that it is, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Writes JSON as a TOML value on one line. The depth is that of a checked value.
fn json_as_toml(json: &Json) -> String {
    match json {
        // No checked value holds one; an empty text is the nearest that TOML has.
        Json::Null => "\"\"".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text_as_toml(text),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(json_as_toml).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Json::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{} = {}", key_as_toml(key), json_as_toml(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// A text as a TOML basic string: always on one line.
fn text_as_toml(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A segment of a key, quoted where TOML wants it.
pub(crate) fn key_as_toml(segment: &str) -> String {
    let bare = !segment.is_empty()
        && segment
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare {
        segment.to_owned()
    } else {
        text_as_toml(segment)
    }
}

/// A path of segments, as TOML writes a dotted key.
pub(crate) fn path_as_toml(path: &[String]) -> String {
    let segments: Vec<String> = path.iter().map(|segment| key_as_toml(segment)).collect();
    segments.join(".")
}
