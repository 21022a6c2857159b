//! `[[trigger]]`, `[[exception]]` and `[admission]`: what fires, and what becomes of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_bus::Kind;

use super::super::units::duration_as_text;

/// `[rules]`: the conditions that come with the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesSettings {
    /// Whether they are among [`Config::trigger`](super::Config::trigger).
    pub builtin: bool,
}

/// `[admission]`: which firings become requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmissionSettings {
    /// A trigger may have so many requests within the window.
    pub rate_max: u32,
    /// The window.
    #[serde(with = "duration_as_text")]
    pub rate_window: Duration,
    /// The same trigger about the same is silent for so long after a request; zero: never.
    #[serde(with = "duration_as_text")]
    pub dedup_window: Duration,
    /// So many subjects are known again.
    pub dedup_entries_max: usize,
    /// So many requests may wait.
    pub queue_requests_max: usize,
    /// The share of these, in 0..=1, from which on requests of low priority are refused.
    pub low_share_max: f64,
    /// The most requests that may come before one in its cascade.
    pub depth_max: u32,
    /// How often what was suppressed is summed up.
    #[serde(with = "duration_as_text")]
    pub summary_interval: Duration,
}

/// `[[trigger]]`: a condition, and what happens where it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerSettings {
    /// The events that it looks at.
    pub kind: Kind,
    /// In SQL.
    pub condition: String,
    /// `critical`, `high`, `normal` or `low`.
    pub priority: String,
    /// The chain or source that answers; empty: the stages.
    pub target: String,
    /// What kind of answer is wanted of a source; empty: what it gives.
    pub analysis: String,
    /// What is said of a row, with `{column}` for its values.
    #[serde(default)]
    pub message: Option<String>,
    /// By which columns the same is known again; empty: the kind's own.
    pub dedup_by: Vec<String>,
    /// See [`AdmissionSettings::dedup_window`].
    #[serde(with = "duration_as_text")]
    pub dedup_window: Duration,
    /// See [`AdmissionSettings::rate_max`].
    pub rate_max: u32,
    /// See [`AdmissionSettings::rate_window`].
    #[serde(with = "duration_as_text")]
    pub rate_window: Duration,
    /// How many rows it takes.
    pub threshold: ThresholdSettings,
}

/// `[trigger.<name>.threshold]`: it fires only where so many rows come together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdSettings {
    /// So many rows; 1: each.
    pub count: u32,
    /// Within so long.
    #[serde(with = "duration_as_text")]
    pub window: Duration,
    /// With the same values in these columns.
    pub by: Vec<String>,
}

/// `[[exception]]`: a known good one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionSettings {
    /// The rule that is silent.
    pub trigger: String,
    /// Where this column …
    pub column: String,
    /// … has this value, as a text.
    pub value: String,
}
