//! The check of a value against its key: type, range, choices, form.
//!
//! Knows nothing of layers. Invariant: what comes out is within the range, and what doesn't is told with the
//! value and what is wrong with it.

use super::keys::{
    ACCOUNT_BYTES_MAX, Item, Key, TEXT_BYTES_MAX, Takes, TextRule, name_is_good, nearest_of,
};
use super::origin::shown;
use super::raw::{At, Raw};
use super::units::{OFF, SizeError, parse_size};
use super::value::Value;
use crate::trust::PublicKey;
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use weir_bus::TopicPattern;
use weir_sources::RedactionError;
use weir_sources::redaction::{PATTERN_PROGRAM_BYTES_MAX, check_pattern};

/// Why a value isn't one for its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) what: String,
    /// The part of the value that is wrong, if it isn't the whole: as it was given, and where.
    pub(crate) part: Option<(String, usize)>,
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self { what, part: None }
    }
}

impl From<&str> for Problem {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

/// Below the smallest value.
const BELOW: &str = "below the range";
/// Above the largest value.
const ABOVE: &str = "above the range";

/// Checks a value. Relative paths begin at `folder`.
///
/// # Errors
///
/// When the value isn't one for this key.
pub(crate) fn check(key: &Key, raw: &Raw, folder: Option<&Path>) -> Result<Value, Problem> {
    match (key.takes, raw) {
        (Takes::Integer { min, max }, Raw::Integer(number)) => {
            within(*number, min, max).map(Value::Integer)
        }
        (Takes::Size { min, max }, Raw::Integer(number)) => {
            within(*number, min, max).map(Value::Size)
        }
        (Takes::Size { min, max }, Raw::Text(text)) => match parse_size(text) {
            Ok(bytes) => within(bytes.into(), min, max).map(Value::Size),
            Err(SizeError::TooLarge) => Err(ABOVE.into()),
            Err(SizeError::NotASize) => Err("not a size".into()),
        },
        (Takes::Float { min, max }, Raw::Float(number)) => float(*number, min, max),
        // Whole numbers of this size are exact in a float, larger ones are out of range anyway.
        #[allow(
            clippy::cast_precision_loss,
            reason = "only compared with small bounds"
        )]
        (Takes::Float { min, max }, Raw::Integer(number)) => float(*number as f64, min, max),
        (Takes::DurationOrOff { .. }, Raw::Text(text)) if text.trim() == OFF => {
            Ok(Value::Text(OFF.to_owned()))
        }
        (Takes::Duration { min, max } | Takes::DurationOrOff { min, max }, Raw::Text(text)) => {
            duration(text, min, max)
        }
        (Takes::Switch, Raw::Bool(on)) => Ok(Value::Switch(*on)),
        (
            Takes::Choice {
                of,
                not_in_this_build,
            },
            Raw::Text(text),
        ) => choice(text, of, not_in_this_build).map(Value::Text),
        (Takes::Path, Raw::Text(text)) => path(text, folder).map(Value::Path),
        (Takes::Text(rule), Raw::Text(text)) => by_rule(rule, text).map(Value::Text),
        (Takes::List { of, items_max }, Raw::List(items)) => list(of, items_max, items, folder),
        (Takes::Free, Raw::Table(_)) => free(raw).map(Value::Free),
        (_, raw) => Err(wrong_type(raw)),
    }
}

/// Turns anything into what a guest gets as JSON.
///
/// # Errors
///
/// When JSON has no such value.
pub(crate) fn free(raw: &Raw) -> Result<Json, Problem> {
    let inside = |item: &At<Raw>| {
        free(&item.value).map_err(|problem| Problem {
            part: problem
                .part
                .or_else(|| Some((given(&item.value), item.offset))),
            ..problem
        })
    };
    match raw {
        Raw::Integer(number) => i64::try_from(*number)
            .map(Json::from)
            .map_err(|_| "more than 64 bits".into()),
        Raw::Float(number) => serde_json::Number::from_f64(*number)
            .map(Json::Number)
            .ok_or_else(|| "not a number that JSON has".into()),
        Raw::Bool(on) => Ok((*on).into()),
        Raw::Text(text) | Raw::Date(text) => Ok(text.clone().into()),
        Raw::List(items) => items.iter().map(inside).collect(),
        Raw::Table(entries) => {
            let mut object = Map::new();
            for entry in entries {
                object.insert(entry.key.value.clone(), inside(&entry.value)?);
            }
            Ok(Json::Object(object))
        }
        Raw::TooDeep => Err(wrong_type(raw)),
    }
}

/// A value as it was given, on one line and not too long.
pub(crate) fn given(raw: &Raw) -> String {
    match raw {
        Raw::Integer(number) if number.unsigned_abs() > u128::from(u64::MAX) => {
            let sign = if *number < 0 { "-" } else { "" };
            format!("{sign}(more than 64 bits)")
        }
        Raw::Integer(number) => number.to_string(),
        Raw::Float(number) => format!("{number:?}"),
        Raw::Bool(on) => on.to_string(),
        Raw::Text(text) => format!("\"{}\"", shown(text)),
        Raw::Date(date) => shown(date),
        Raw::List(items) => {
            let items: Vec<String> = items
                .iter()
                .take(8)
                .map(|item| given(&item.value))
                .collect();
            shown(&format!("[{}]", items.join(", ")))
        }
        Raw::Table(_) => "{…}".to_owned(),
        Raw::TooDeep => "…".to_owned(),
    }
}

fn wrong_type(raw: &Raw) -> Problem {
    match raw {
        Raw::Integer(_) => "an integer is the wrong type",
        Raw::Float(_) => "a number with a point is the wrong type",
        Raw::Bool(_) => "a truth value is the wrong type",
        Raw::Text(_) => "a text is the wrong type",
        Raw::Date(_) => "a date is the wrong type",
        Raw::List(_) => "a list is the wrong type",
        Raw::Table(_) => "a table is the wrong type",
        Raw::TooDeep => "nested too deeply",
    }
    .into()
}

fn within(number: i128, min: u64, max: u64) -> Result<u64, Problem> {
    if number < min.into() {
        return Err(BELOW.into());
    }
    match u64::try_from(number) {
        Ok(number) if number <= max => Ok(number),
        _ => Err(ABOVE.into()),
    }
}

fn float(number: f64, min: f64, max: f64) -> Result<Value, Problem> {
    if number.is_nan() {
        Err("not a number".into())
    } else if number < min {
        Err(BELOW.into())
    } else if number > max {
        Err(ABOVE.into())
    } else {
        Ok(Value::Float(number))
    }
}

fn duration(text: &str, min: Duration, max: Duration) -> Result<Value, Problem> {
    match humantime::parse_duration(text.trim()) {
        Ok(duration) if duration < min => Err(BELOW.into()),
        Ok(duration) if duration > max => Err(ABOVE.into()),
        Ok(duration) => Ok(Value::Duration(duration)),
        Err(humantime::DurationError::NumberOverflow) => Err(ABOVE.into()),
        Err(_) if is_negative(text.trim()) => Err(BELOW.into()),
        Err(_) => Err("not a duration".into()),
    }
}

fn is_negative(duration: &str) -> bool {
    let without_sign = duration.strip_prefix('-');
    without_sign.is_some_and(|rest| humantime::parse_duration(rest.trim()).is_ok())
}

fn choice(text: &str, of: &[&str], not_in_this_build: &[&str]) -> Result<String, Problem> {
    if of.contains(&text) {
        Ok(text.to_owned())
    } else if not_in_this_build.contains(&text) {
        Err("not in this build".into())
    } else if let Some(near) = nearest_of(text, of.iter().copied()) {
        Err(format!("unknown choice, did you mean \"{near}\"?").into())
    } else {
        Err("unknown choice".into())
    }
}

fn path(text: &str, folder: Option<&Path>) -> Result<PathBuf, Problem> {
    if text.is_empty() {
        return Err("empty".into());
    }
    if text.contains('\0') {
        return Err("a path with a zero byte".into());
    }
    let path = folder.map_or_else(|| PathBuf::from(text), |folder| folder.join(text));
    if path.to_str().is_none() {
        return Err("relative to a folder whose name isn't UTF-8".into());
    }
    Ok(path)
}

fn list(
    of: Item,
    items_max: usize,
    items: &[At<Raw>],
    folder: Option<&Path>,
) -> Result<Value, Problem> {
    if items.len() > items_max {
        return Err(format!("{} items are too many", items.len()).into());
    }
    let mut checked = Vec::with_capacity(items.len());
    for item in items {
        let result = match (of, &item.value) {
            (Item::Path, Raw::Text(text)) => {
                path(text, folder).map(|path| path.to_string_lossy().into_owned())
            }
            (Item::Choice(of), Raw::Text(text)) => choice(text, of, &[]),
            (Item::Text(rule), Raw::Text(text)) => by_rule(rule, text),
            (_, raw) => Err(wrong_type(raw)),
        };
        checked.push(result.map_err(|problem| Problem {
            part: Some((given(&item.value), item.offset)),
            ..problem
        })?);
    }
    Ok(Value::List(checked))
}

fn by_rule(rule: TextRule, text: &str) -> Result<String, Problem> {
    match rule {
        TextRule::Any if text.trim().is_empty() => Err("empty".into()),
        TextRule::Any if text.len() > TEXT_BYTES_MAX => {
            Err(format!("{} bytes are too many", text.len()).into())
        }
        TextRule::NameOrNone if text.is_empty() => Ok(String::new()),
        TextRule::Name | TextRule::NameOrNone if !name_is_good(text) => Err("not a name".into()),
        TextRule::Module => module(text),
        TextRule::Sha256 if text.len() != 64 => {
            Err(format!("{} characters, not 64", text.chars().count()).into())
        }
        TextRule::Sha256 if !text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Err("not hexadecimal".into())
        }
        TextRule::Sha256 => Ok(text.to_ascii_lowercase()),
        TextRule::PublicKey => match text.parse::<PublicKey>() {
            Ok(key) => Ok(key.to_string()),
            Err(error) => Err(error.to_string().into()),
        },
        TextRule::Pattern => match TopicPattern::parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(shown_whole(&error.to_string()).into()),
        },
        TextRule::PathPattern => path_pattern(text),
        TextRule::Expression => expression(text),
        TextRule::LogFilter => log_filter(text),
        TextRule::AccountOrNone if text.is_empty() => Ok(String::new()),
        TextRule::Account | TextRule::AccountOrNone => account(text),
        TextRule::Any | TextRule::Name | TextRule::NameOrNone => Ok(text.to_owned()),
    }
}

/// An error of our own on one line; it is bounded by the one who wrote it.
fn shown_whole(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn module(text: &str) -> Result<String, Problem> {
    match text.strip_prefix("builtin:") {
        Some(name) if !name_is_good(name) => Err("no name of a built-in guest".into()),
        None if text.is_empty() => Err("empty".into()),
        None if text.contains('\0') => Err("a path with a zero byte".into()),
        _ => Ok(text.to_owned()),
    }
}

/// The name or number of a user or group; whether there is one is asked when the socket is opened.
fn account(text: &str) -> Result<String, Problem> {
    /// What such names have besides letters and digits: those of directories are `user@domain` or `DOMAIN\user`.
    const MARKS: &str = "._-$@\\";
    let is_one = |c: char| c.is_alphanumeric() || MARKS.contains(c);
    if text.is_empty() {
        Err("empty".into())
    } else if text.len() > ACCOUNT_BYTES_MAX {
        Err(format!("{} bytes are too many", text.len()).into())
    } else if text.starts_with('-') || !text.chars().all(is_one) {
        Err("no such name can be".into())
    } else {
        Ok(text.to_owned())
    }
}

/// A pattern for paths; whether it is one says the crate that matches by it, where there is one that does.
fn path_pattern(text: &str) -> Result<String, Problem> {
    if text.is_empty() {
        return Err("empty".into());
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = weir_sources::filesystem::check_pattern(text) {
        return Err(shown_whole(&error.to_string()).into());
    }
    Ok(text.to_owned())
}

/// A pattern for what is replaced in command lines.
fn expression(text: &str) -> Result<String, Problem> {
    if text.is_empty() {
        return Err("empty".into());
    }
    match check_pattern(text) {
        Ok(()) => Ok(text.to_owned()),
        // The pattern itself stands before it.
        Err(RedactionError::Pattern { problem, .. }) => {
            Err(shown_whole(&format!("no regular expression: {problem}")).into())
        }
        Err(RedactionError::TooLarge { .. }) => Err(format!(
            "more than {PATTERN_PROGRAM_BYTES_MAX} bytes once compiled; repeat less often, or a smaller class"
        )
        .into()),
        Err(error) => Err(shown_whole(&error.to_string()).into()),
    }
}

/// The levels that a log filter knows.
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// `LEVEL` or `TARGET=LEVEL`, with commas between them.
fn log_filter(text: &str) -> Result<String, Problem> {
    for directive in text.split(',') {
        let level = directive
            .rsplit_once('=')
            .map_or(directive, |(_, level)| level)
            .trim();
        if !LOG_LEVELS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(level))
        {
            let hint = nearest_of(level, LOG_LEVELS.into_iter())
                .map(|near| format!(", did you mean \"{near}\"?"))
                .unwrap_or_default();
            return Err(format!("no log level \"{}\"{hint}", shown(level)).into());
        }
    }
    Ok(text.to_owned())
}
