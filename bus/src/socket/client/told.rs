//! What a client's callers are told.

use std::fmt;

use serde::Serialize;

use crate::count::{Count, Drops};
use crate::pubsub::SubscribeError;
use crate::wire::ErrorFrame;

/// What the broker says no to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// What kind of reason, for programs.
    pub code: String,
    /// Why, for people.
    pub message: String,
    /// The topic that it is about.
    pub topic: Option<String>,
    /// The access rule that decided.
    pub rule: Option<String>,
    /// Rows that were refused.
    pub rows: u64,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ErrorFrame> for Refused {
    fn from(error: ErrorFrame) -> Self {
        Self {
            code: error.code,
            message: error.message,
            topic: error.topic,
            rule: error.rule,
            rows: error.rows,
        }
    }
}

impl Refused {
    pub(super) fn of_subscription(self, name: String) -> SubscribeError {
        SubscribeError::Refused {
            name,
            code: self.code,
            message: self.message,
            rule: self.rule,
        }
    }
}

/// What the broker has taken of everything that was published before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flushed {
    /// Rows that it took on this connection.
    pub published_rows: u64,
    /// Rows that it refused on this connection.
    pub refused_rows: u64,
    /// What it said no to since the last flush.
    pub refusals: Vec<Refused>,
}

/// What a client did so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClientStatus {
    /// Whether there is a connection.
    pub connected: bool,
    /// What the broker says its batches come from.
    pub source: Option<String>,
    /// What went wrong last.
    pub problem: Option<String>,
    /// How often it connected.
    pub connects: u64,
    /// What was accepted.
    pub published: Count,
    /// What of it was dropped here.
    pub dropped: Drops,
    /// What of it waits.
    pub waiting: Count,
    /// What of it was sent, and the broker hasn't said to have taken. It is sent again where the
    /// connection ends before.
    pub unconfirmed: Count,
    /// What was sent again.
    pub resent: Count,
    /// What was sent to a broker that went without a word of it: it may have arrived.
    pub unknown: Count,
    /// Rows that the broker refused.
    pub refused_rows: u64,
}
