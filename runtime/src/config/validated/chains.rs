//! `[chains]` and `[chain.<name>]`: what works on requests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::units::duration_as_text;

/// `[chains]`: what all runs share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainsSettings {
    /// At most so many runs at a time.
    pub runs_max: usize,
    /// A run of something that isn't a chain may take so long.
    #[serde(with = "duration_as_text")]
    pub request_timeout: Duration,
    /// So many of the runs that ended are kept for the status.
    pub ended_max: usize,
}

/// `[chain.<name>]`: stages that work on a request together. They make a plan: see
/// [`Plan`](crate::chain::plan::Plan).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSettings {
    /// A run may take so long.
    #[serde(with = "duration_as_text")]
    pub timeout: Duration,
    /// `[chain.<name>.stages.<name>]`, by name.
    #[serde(default)]
    pub stages: BTreeMap<String, ChainStageSettings>,
}

/// `[chain.<name>.stages.<name>]`: a stage of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainStageSettings {
    /// The slot that does it. Without slot and source, it is the slot or else the source of the stage's name.
    #[serde(default)]
    pub slot: Option<String>,
    /// The source that does it.
    #[serde(default)]
    pub source: Option<String>,
    /// The stages that it waits for.
    pub after: Vec<String>,
    /// Whether the chain can do without it.
    pub optional: bool,
    /// An attempt may take so long.
    #[serde(with = "duration_as_text")]
    pub timeout: Duration,
    /// So many more attempts follow one that failed.
    pub retries: u32,
    /// The pause before the first of them.
    #[serde(with = "duration_as_text")]
    pub retry_pause: Duration,
}
