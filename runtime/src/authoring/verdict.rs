//! What a guest said of an event, in the form in which it is shown, written and compared.

use serde::{Deserialize, Serialize};

use crate::sandbox::{FaultReason, Finding, Severity, World};

/// A rule that fired, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedFiring {
    /// The rule.
    pub rule: String,
    /// What the guest says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A rule that could not decide, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedUndecided {
    /// The rule.
    pub rule: String,
    /// The part of it.
    pub part: String,
    /// Why.
    pub reason: String,
}

/// What a stage found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingText {
    /// `info`, `low`, `medium`, `high` or `critical`.
    pub severity: String,
    /// One line for a person.
    pub title: String,
    /// What it is about.
    pub subject: String,
    /// `key=value` texts, as a finding's event has them.
    pub evidence: Vec<String>,
}

impl From<&Finding> for FindingText {
    fn from(finding: &Finding) -> Self {
        let evidence = finding.evidence.iter();
        Self {
            severity: Severity::as_str(finding.severity).to_owned(),
            title: finding.title.clone(),
            subject: finding.subject.clone(),
            evidence: evidence
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
        }
    }
}

/// What a guest said of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// A filter lets it go on.
    Kept,
    /// A filter takes it out.
    Removed,
    /// No rule of a trigger fires, and each could decide.
    NoMatch,
    /// Rules fire, or could not decide.
    Match {
        /// Those that fire.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        firings: Vec<NamedFiring>,
        /// Those that could not decide.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        undecided: Vec<NamedUndecided>,
    },
    /// A stage's findings; there may be none.
    Findings {
        /// In the guest's order.
        findings: Vec<FindingText>,
    },
    /// The guest doesn't want events of that kind or topic: the daemon never shows it one.
    NotAsked,
    /// The guest gave its batch no verdict; it isn't a fault.
    Rejected {
        /// What it says.
        reason: String,
    },
    /// The call did not end in an answer.
    Fault {
        /// Why, as a [`FaultReason`] is named.
        reason: String,
    },
}

impl Verdict {
    /// A call that faulted.
    #[must_use]
    pub fn fault(reason: FaultReason) -> Self {
        Self::Fault {
            reason: reason.as_str().to_owned(),
        }
    }
}

/// An event's number and its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventVerdict {
    /// The event's place in its file, from 1.
    pub event: u64,
    /// What the guest said of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What stands in a file of expected verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedVerdicts {
    /// The guest's world.
    pub world: String,
    /// One for each event, in the order of their numbers.
    pub events: Vec<EventVerdict>,
}

impl ExpectedVerdicts {
    /// Of a guest of that world.
    #[must_use]
    pub fn new(world: World, events: Vec<EventVerdict>) -> Self {
        Self {
            world: world.as_str().to_owned(),
            events,
        }
    }
}
