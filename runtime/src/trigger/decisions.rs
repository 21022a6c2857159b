//! What was decided lately, so that a person can ask about one event.
//!
//! Invariant: at most [`DECISIONS_MAX`] are kept; the oldest go.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use weir_bus::Timestamp;

/// So many are kept.
const DECISIONS_MAX: usize = 4_096;

/// What became of a firing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// Who observed the row that fired.
    pub source: Arc<str>,
    /// Its number there.
    pub sequence: u64,
    /// The slot.
    pub slot: String,
    /// The rule.
    pub rule: String,
    /// `admitted`, or why not: see [`Refusal::as_str`](super::Refusal::as_str).
    pub outcome: &'static str,
    /// The request that it became.
    pub request_id: Option<String>,
}

/// The last ones.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    last: VecDeque<Decision>,
}

impl Decisions {
    /// Keeps one.
    pub(super) fn keep(&mut self, decision: Decision) {
        if self.last.len() >= DECISIONS_MAX {
            self.last.pop_front();
        }
        self.last.push_back(decision);
    }

    /// What was decided about a row, oldest first.
    pub(super) fn about(&self, source: &str, sequence: u64) -> Vec<Decision> {
        let about = self.last.iter();
        about
            .filter(|one| one.sequence == sequence && *one.source == *source)
            .cloned()
            .collect()
    }
}
