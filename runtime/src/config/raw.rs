//! Values as they were written, before anybody asked whether they are right.
//!
//! Knows how TOML and the one-line texts of environment and flags are read, and no key. Invariant: whatever
//! the text, it becomes a value or an error with a place, never a panic; the depth is bounded.

use super::keys::Takes;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Tables and lists inside each other beyond this depth are refused: what a guest's settings need, and no stack overflow.
pub(crate) const DEPTH_MAX: usize = 32;

/// Whole numbers of so many digits are kept; what is longer is outside of every range.
const INTEGER_DIGITS_MAX: usize = 38;

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    /// A whole number; clamped to ±`i128::MAX`.
    Integer(i128),
    /// A number with a point or an exponent, infinity, or not a number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A text.
    Text(String),
    /// A date or time.
    Date(String),
    /// A list.
    List(Vec<At<Self>>),
    /// A table, in the order of the text.
    Table(Vec<Entry>),
    /// What lies deeper than [`DEPTH_MAX`].
    TooDeep,
}

/// Something, and the byte of the text where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct At<T> {
    /// What.
    pub(crate) value: T,
    /// Where.
    pub(crate) offset: usize,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: At<String>,
    /// The value.
    pub(crate) value: At<Raw>,
}

/// What is wrong with a text that should be TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxProblem {
    /// What is wrong, in one line.
    pub(crate) message: String,
    /// The byte where it was seen.
    pub(crate) offset: usize,
}

/// Reads a TOML document.
///
/// # Errors
///
/// All that is wrong with it.
pub(crate) fn parse_document(text: &str) -> Result<Vec<Entry>, Vec<SyntaxProblem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table(document.get_ref(), 0));
    }
    Err(errors
        .iter()
        .map(|error| SyntaxProblem {
            message: error.message().escape_debug().to_string(),
            offset: error.span().map_or(0, |span| span.start),
        })
        .collect())
}

/// Reads the one-line text of a variable or flag as what `takes` asks for. What doesn't fit stays a text, for
/// the check to complain of.
pub(crate) fn parse_line(text: &str, takes: &Takes) -> Raw {
    let as_text = || Raw::Text(text.to_owned());
    match takes {
        Takes::Integer { .. } => integer(text.trim(), 10).unwrap_or_else(as_text),
        Takes::Float { .. } => text.trim().parse().map_or_else(|_| as_text(), Raw::Float),
        Takes::Switch => text.trim().parse().map_or_else(|_| as_text(), Raw::Bool),
        Takes::List { .. } => list(text).unwrap_or_else(as_text),
        Takes::Free => parse_free(text),
        Takes::Size { .. } if text.trim_start().starts_with('-') => {
            integer(text.trim(), 10).unwrap_or_else(as_text)
        }
        Takes::Duration { .. }
        | Takes::DurationOrOff { .. }
        | Takes::Size { .. }
        | Takes::Choice { .. }
        | Takes::Path
        | Takes::Text(_) => as_text(),
    }
}

/// Reads a TOML value, else takes the text as it stands.
pub(crate) fn parse_free(text: &str) -> Raw {
    match DeValue::parse_recoverable(text) {
        (value, errors) if errors.is_empty() => from_toml(value.get_ref(), 0),
        _ => Raw::Text(text.to_owned()),
    }
}

/// `["a", "b"]`, or `a,b`; nothing is an empty list.
fn list(text: &str) -> Option<Raw> {
    if text.trim_start().starts_with('[') {
        return match parse_free(text) {
            list @ Raw::List(_) => Some(list),
            _ => None,
        };
    }
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| At {
            value: Raw::Text(item.to_owned()),
            offset: 0,
        });
    Some(Raw::List(items.collect()))
}

fn from_toml(value: &DeValue<'_>, depth: usize) -> Raw {
    if depth > DEPTH_MAX {
        return Raw::TooDeep;
    }
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => integer(number.as_str(), number.radix())
            .unwrap_or_else(|| Raw::Text(number.to_string())),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or_else(|_| Raw::Text(number.to_string()), Raw::Float),
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Datetime(date) => Raw::Date(date.to_string()),
        DeValue::Array(items) => {
            Raw::List(items.iter().map(|item| spanned(item, depth + 1)).collect())
        }
        DeValue::Table(entries) => Raw::Table(table(entries, depth)),
    }
}

fn table(entries: &DeTable<'_>, depth: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = entries
        .iter()
        .map(|(key, value)| Entry {
            key: At {
                value: key.get_ref().to_string(),
                offset: key.span().start,
            },
            value: spanned(value, depth + 1),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key.offset);
    entries
}

fn spanned(value: &Spanned<DeValue<'_>>, depth: usize) -> At<Raw> {
    At {
        value: from_toml(value.get_ref(), depth),
        offset: value.span().start,
    }
}

/// A whole number, clamped; nothing where the text isn't one.
fn integer(text: &str, radix: u32) -> Option<Raw> {
    let clean = text.replace('_', "");
    if let Ok(number) = i128::from_str_radix(&clean, radix) {
        return Some(Raw::Integer(number));
    }
    let (negative, digits) = match clean.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, clean.strip_prefix('+').unwrap_or(&clean)),
    };
    let long = digits.len() > INTEGER_DIGITS_MAX && digits.chars().all(|c| c.is_digit(radix));
    long.then_some(Raw::Integer(if negative { -i128::MAX } else { i128::MAX }))
}
