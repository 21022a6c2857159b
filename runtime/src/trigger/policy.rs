//! What the config says of triggers, as admission asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::{AdmissionSettings, CONDITIONS_SLOT, Config, TriggerSettings};

/// Who can answer requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// The chains.
    pub chains: BTreeSet<String>,
    /// The sources that answer, with the analyses that each offers.
    pub sources: BTreeMap<String, &'static [&'static str]>,
}

/// How often a trigger may fire, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TriggerPolicy {
    pub(super) analysis: String,
    /// Empty: by the kind's own columns.
    pub(super) dedup_by: Vec<String>,
    pub(super) dedup_window: Duration,
    pub(super) rate_max: u32,
    pub(super) rate_window: Duration,
}

/// A known good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exception {
    pub(super) column: String,
    pub(super) value: String,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub(super) admission: AdmissionSettings,
    pub(super) targets: Targets,
    /// A request that waits longer isn't begun.
    pub(super) request_timeout: Duration,
    /// Of triggers that the config doesn't name.
    pub(super) other: TriggerPolicy,
    by_rule: BTreeMap<String, TriggerPolicy>,
    exceptions: BTreeMap<String, Vec<Exception>>,
}

impl Policy {
    /// As a config says, where those are that can answer.
    #[must_use]
    pub fn new(config: &Config, targets: Targets) -> Self {
        let admission = config.admission.clone();
        let mut exceptions: BTreeMap<String, Vec<Exception>> = BTreeMap::new();
        for exception in config.exception.values() {
            let of_trigger = exceptions.entry(exception.trigger.clone()).or_default();
            of_trigger.push(Exception {
                column: exception.column.clone(),
                value: exception.value.clone(),
            });
        }
        Self {
            other: TriggerPolicy {
                analysis: String::new(),
                dedup_by: Vec::new(),
                dedup_window: admission.dedup_window,
                rate_max: admission.rate_max,
                rate_window: admission.rate_window,
            },
            by_rule: config.trigger.iter().map(of_settings).collect(),
            request_timeout: config.chains.request_timeout,
            admission,
            targets,
            exceptions,
        }
    }

    /// What holds for a rule of a slot.
    pub(super) fn of(&self, slot: &str, rule: &str) -> &TriggerPolicy {
        let named = (slot == CONDITIONS_SLOT).then(|| self.by_rule.get(rule));
        named.flatten().unwrap_or(&self.other)
    }

    /// The known good ones of a rule of a slot.
    pub(super) fn exceptions(&self, slot: &str, rule: &str) -> &[Exception] {
        let named = (slot == CONDITIONS_SLOT).then(|| self.exceptions.get(rule));
        named.flatten().map_or(&[], Vec::as_slice)
    }
}

fn of_settings((rule, settings): (&String, &TriggerSettings)) -> (String, TriggerPolicy) {
    let policy = TriggerPolicy {
        analysis: settings.analysis.clone(),
        dedup_by: settings.dedup_by.clone(),
        dedup_window: settings.dedup_window,
        rate_max: settings.rate_max,
        rate_window: settings.rate_window,
    };
    (rule.clone(), policy)
}
