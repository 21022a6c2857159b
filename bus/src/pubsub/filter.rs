//! Which events a subscriber gets: by kind, source, pid, priority, one comparison, and by cascade.
//!
//! What is asked, and what is asked of a batch as a whole; selecting rows is `rows`'s business. The
//! invariant: what can be wrong with a filter is found when it is subscribed with, not when batches flow.

use std::fmt;
use std::str::FromStr;

use super::compare::{Comparison, Operator};
use crate::batch::BatchHeader;
use crate::event::Kind;

/// Pids that one filter may name; looked up by bisection in a list that stays in the first cache.
pub const FILTER_PIDS_MAX: usize = 1_024;

/// The longest correlation id, root or glob of a filter, in bytes.
pub const FILTER_TEXT_BYTES_MAX: usize = 255;

/// How urgent a trigger request is, from the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Refused first under load.
    Low,
    /// The usual.
    Normal,
    /// Before the usual.
    High,
    /// Before all.
    Critical,
}

impl Priority {
    /// All of them, from the least.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The name, as in the column `priority`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no priority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no priority; they are low, normal, high, critical")]
pub struct UnknownPriority(pub String);

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(text: &str) -> Result<Self, UnknownPriority> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str() == text)
            .ok_or_else(|| UnknownPriority(text.to_owned()))
    }
}

/// Which events. All that is asked must hold; nothing asked selects everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventFilter {
    pub(super) kinds: Vec<Kind>,
    pub(super) source: Option<String>,
    pub(super) pids: Vec<u32>,
    pub(super) priority_min: Option<Priority>,
    pub(super) comparison: Option<Comparison>,
}

impl EventFilter {
    /// A filter that selects everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only events of these kinds.
    #[must_use]
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.kinds.extend(kinds);
        self
    }

    /// Only batches that this source published.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Only events about one of these processes.
    #[must_use]
    pub fn pids(mut self, pids: impl IntoIterator<Item = u32>) -> Self {
        self.pids.extend(pids);
        self
    }

    /// Only trigger requests at least this urgent.
    #[must_use]
    pub fn priority_min(mut self, priority_min: Priority) -> Self {
        self.priority_min = Some(priority_min);
        self
    }

    /// Only rows for which this comparison holds.
    #[must_use]
    pub fn compare(mut self, comparison: Comparison) -> Self {
        self.comparison = Some(comparison);
        self
    }

    /// The part that is asked of a batch as a whole.
    #[inline]
    pub(super) fn wants(&self, header: &BatchHeader) -> bool {
        self.wants_of(header.kind, &header.source)
    }

    /// The same of whatever is of a kind and from a source.
    #[inline]
    pub(super) fn wants_of(&self, kind: Kind, from: &str) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.source.as_ref().is_none_or(|source| **source == *from)
    }
}

/// Which cascades of triggers and findings. All that is asked must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorrelationFilter {
    pub(super) id: Option<String>,
    pub(super) glob: Option<String>,
    pub(super) root: Option<String>,
}

impl CorrelationFilter {
    /// A filter that selects everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only rows with this correlation id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Only rows whose correlation id matches: `*` is any text, `?` any one character.
    #[must_use]
    pub fn glob(mut self, glob: impl Into<String>) -> Self {
        self.glob = Some(glob.into());
        self
    }

    /// Only rows of the cascade that began with this request.
    #[must_use]
    pub fn root(mut self, root: impl Into<String>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// What is asked, with what it is called.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&'static str, &String)> {
        [
            ("correlation id", &self.id),
            ("correlation glob", &self.glob),
            ("root id", &self.root),
        ]
        .into_iter()
        .filter_map(|(what, text)| text.as_ref().map(|text| (what, text)))
    }
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// A column that no event asked for has.
    #[error("{whose} column `{column}`; the nearest is `{nearest}`")]
    UnknownColumn {
        /// As in "process events have no".
        whose: String,
        /// The column.
        column: String,
        /// The column whose name is most like it.
        nearest: &'static str,
    },
    /// A literal that the column can't be compared with.
    #[error(
        "column `{column}` of {kind} events is {column_type} and can't be compared with {literal}; write {needed}"
    )]
    LiteralType {
        /// The kind.
        kind: Kind,
        /// The column.
        column: String,
        /// Its type.
        column_type: &'static str,
        /// The literal.
        literal: String,
        /// What it should be.
        needed: &'static str,
    },
    /// An order of what has none.
    #[error(
        "column `{column}` of {kind} events is true or false and has no order for `{operator}`; use `=` or `!=`"
    )]
    Unordered {
        /// The kind.
        kind: Kind,
        /// The column.
        column: String,
        /// The operator.
        operator: Operator,
    },
    /// A list compared with one value.
    #[error(
        "column `{column}` of {kind} events is a list of texts and can't be compared; a guest can look into it"
    )]
    NotComparable {
        /// The kind.
        kind: Kind,
        /// The column.
        column: String,
    },
    /// A condition on what a kind doesn't have.
    #[error(
        "{kind} events have no {what}, none would ever be selected; leave the kind or the condition out"
    )]
    NeverSelected {
        /// The kind.
        kind: Kind,
        /// What they don't have.
        what: &'static str,
    },
    /// Too many pids.
    #[error(
        "the filter names {pids} pids, at most {FILTER_PIDS_MAX} are allowed; use several subscriptions, or a guest"
    )]
    TooManyPids {
        /// How many.
        pids: usize,
    },
    /// A text that is too long, or empty.
    #[error("the {what} has {bytes} bytes, 1 to {FILTER_TEXT_BYTES_MAX} are allowed")]
    TextLength {
        /// Which text.
        what: &'static str,
        /// How many it has.
        bytes: usize,
    },
}
