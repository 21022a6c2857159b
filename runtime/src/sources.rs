//! From the config's sources to sources.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_sources::{EventSource, ProcessSource, ReplayError, ReplayPace, ReplaySource};

use crate::config::{self, SourceSettings};

/// The sources that a config names; each has the name of its table.
pub(crate) fn from_config(
    sources: &BTreeMap<String, SourceSettings>,
) -> Result<Vec<Arc<dyn EventSource>>, SourceOpenError> {
    sources
        .iter()
        .map(|(name, settings)| source(name, settings))
        .collect()
}

/// A source that can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("sources.{source_name}: {reason}")]
pub struct SourceOpenError {
    /// The source's name.
    pub source_name: String,
    /// Why.
    pub reason: ReplayError,
}

fn source(name: &str, settings: &SourceSettings) -> Result<Arc<dyn EventSource>, SourceOpenError> {
    Ok(match settings {
        SourceSettings::Process { interval } => Arc::new(ProcessSource::new(*interval).named(name)),
        SourceSettings::Replay { path, pace } => {
            let pace = match pace {
                config::ReplayPace::Fast => ReplayPace::Fast,
                config::ReplayPace::Recorded => ReplayPace::AsRecorded,
            };
            let source = ReplaySource::open(path, pace).map_err(|reason| SourceOpenError {
                source_name: name.to_owned(),
                reason,
            })?;
            Arc::new(source.named(name))
        }
    })
}
