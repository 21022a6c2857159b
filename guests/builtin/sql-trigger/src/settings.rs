//! What the slot's settings may say; the defaults are in `settings.json`. The daemon makes them of
//! the `[[trigger]]` entries of its config.

use serde::Deserialize;

/// The slot's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The conditions; none is no mistake.
    pub(crate) conditions: Vec<RawCondition>,
    /// How many groups of thresholds are counted at a time; the oldest are forgotten.
    pub(crate) windows_max: usize,
}

/// One `[[trigger]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCondition {
    pub(crate) name: String,
    /// The kind of events that it is about.
    pub(crate) kind: String,
    /// SQL; see `docs/conditions.md`.
    pub(crate) condition: String,
    /// `critical`, `high`, `normal` or `low`; without one, `normal`.
    pub(crate) priority: Option<String>,
    /// The source that shall answer; empty: the stages.
    #[serde(default)]
    pub(crate) target: String,
    /// What a firing says, with `{column}` for a column's value.
    pub(crate) message: Option<String>,
    pub(crate) threshold: Option<RawThreshold>,
}

/// Fires only when so many rows have matched within so long.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawThreshold {
    pub(crate) count: u64,
    pub(crate) window_ms: u64,
    /// Columns: rows are counted apart by their values.
    #[serde(default)]
    pub(crate) by: Vec<String>,
}
