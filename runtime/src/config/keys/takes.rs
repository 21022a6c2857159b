//! What a key takes: types with their ranges, and how they are told to people.
//!
//! Only the description; the check of a value is in `check.rs`. Invariant: every number, duration and size
//! has a lower and an upper bound.

use super::super::units::{duration_text, size_text};
use super::{ACCOUNT_BYTES_MAX, NAME_BYTES_MAX};
use std::fmt;
use std::time::Duration;
use weir_sources::redaction::PATTERN_BYTES_MAX;

/// Free texts have at most so many bytes: what a condition may have.
pub(crate) const TEXT_BYTES_MAX: usize = 16 << 10;

/// What a key takes. Bounds are inclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Takes {
    /// A whole number.
    Integer {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A number.
    Float {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
    },
    /// A duration, written like `"20ms"`.
    Duration {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// The same, or `"off"`.
    DurationOrOff {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A number of bytes, written like `"16MiB"` or as an integer.
    Size {
        /// The fewest bytes.
        min: u64,
        /// The most bytes.
        max: u64,
    },
    /// `true` or `false`.
    Switch,
    /// One of some words.
    Choice {
        /// The words.
        of: &'static [&'static str],
        /// Words that the design has, and this build hasn't.
        not_in_this_build: &'static [&'static str],
    },
    /// A path; a relative one starts at the folder of the file that it stands in.
    Path,
    /// A text that keeps a rule.
    Text(TextRule),
    /// A list of texts.
    List {
        /// What each item is.
        of: Item,
        /// At most so many.
        items_max: usize,
    },
    /// A table of which only the guest knows the keys; it gets it as JSON.
    Free,
}

/// What an item of a list is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item {
    /// A path.
    Path,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A text that keeps a rule.
    Text(TextRule),
}

/// The rule that a text keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRule {
    /// Any text of at most 16 KiB that isn't blank.
    Any,
    /// A name that can be a token of a topic.
    Name,
    /// The same, or an empty text for none.
    NameOrNone,
    /// `builtin:NAME`, or the path of a component.
    Module,
    /// 64 hexadecimal digits.
    Sha256,
    /// A public key of ed25519, in 64 hexadecimal digits.
    PublicKey,
    /// A topic pattern.
    Pattern,
    /// A pattern for paths.
    PathPattern,
    /// A regular expression.
    Expression,
    /// Log levels, by target if wanted.
    LogFilter,
    /// The name or number of a user or group.
    Account,
    /// The same, or an empty text for none.
    AccountOrNone,
}

impl fmt::Display for TextRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => write!(f, "a text of at most {TEXT_BYTES_MAX} bytes"),
            Self::NameOrNone => write!(
                f,
                "a name of A-Z, a-z, 0-9, `_` and `-`, at most {NAME_BYTES_MAX} bytes, or \"\" for none"
            ),
            Self::Name => write!(
                f,
                "a name of A-Z, a-z, 0-9, `_` and `-`, at most {NAME_BYTES_MAX} bytes"
            ),
            Self::Module => f.write_str("`builtin:NAME` or the path of a component"),
            Self::Sha256 => f.write_str("a SHA-256 of 64 hexadecimal digits"),
            Self::PublicKey => {
                f.write_str("a public key of ed25519 in 64 hexadecimal digits, as `weir guest keygen` prints it")
            }
            Self::Pattern => f.write_str("a topic pattern such as `events.process.>`"),
            Self::PathPattern => f.write_str("a pattern for paths such as `/home/*/.cache`"),
            Self::Expression => write!(
                f,
                "a regular expression such as `--pin[= ](\\S+)`, at most {PATTERN_BYTES_MAX} bytes"
            ),
            Self::LogFilter => f.write_str(
                "off, error, warn, info, debug or trace, or with targets, such as `info,weir::sandbox=debug`",
            ),
            Self::Account => write!(
                f,
                "the name or number of a user or group, at most {ACCOUNT_BYTES_MAX} bytes"
            ),
            Self::AccountOrNone => write!(
                f,
                "the name or number of a group, at most {ACCOUNT_BYTES_MAX} bytes, or \"\" for none"
            ),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("a path"),
            Self::Choice(of) => write!(f, "one of {}", of.join(", ")),
            Self::Text(rule) => rule.fmt(f),
        }
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { min, max } => write!(f, "an integer in {min}..={max}"),
            Self::Float { min, max } => write!(f, "a number in {min}..={max}"),
            Self::Duration { min, max } => write!(
                f,
                "a duration in {}..={}, such as \"{}\"",
                duration_text(*min),
                duration_text(*max),
                duration_text(*min)
            ),
            Self::DurationOrOff { min, max } => {
                write!(
                    f,
                    "{}, or \"off\"",
                    Self::Duration {
                        min: *min,
                        max: *max
                    }
                )
            }
            Self::Size { min, max } => write!(
                f,
                "a size in {}..={}, such as \"{}\", or an integer of bytes",
                size_text(*min),
                size_text(*max),
                size_text(*max)
            ),
            Self::Switch => f.write_str("true or false"),
            Self::Choice { of: [one], .. } => f.write_str(one),
            Self::Choice { of, .. } => write!(f, "one of {}", of.join(", ")),
            Self::Path => f.write_str("a path"),
            Self::Text(rule) => rule.fmt(f),
            Self::List { of, items_max } => {
                write!(f, "a list of at most {items_max} texts, each {of}")
            }
            Self::Free => f.write_str("a table"),
        }
    }
}
