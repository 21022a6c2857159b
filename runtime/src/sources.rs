//! From the config's sources to sources.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_sources::{
    BinaryHash, BinaryHashOptions, EventSource, InventorySource, PerformanceSource, ProcessDetails,
    ProcessSource, ReplayError, ReplayPace, ReplaySource, Triggerable,
};

use crate::config::{self, SourceSettings};

/// The sources of streams that a config names; each has the name of its table.
pub(crate) fn from_config(
    sources: &BTreeMap<String, SourceSettings>,
) -> Result<Vec<Arc<dyn EventSource>>, SourceOpenError> {
    sources
        .iter()
        .filter_map(|(name, settings)| source(name, settings).transpose())
        .collect()
}

/// The sources that answer when asked, by name: those that this host offers. Why it doesn't offer one is
/// logged.
pub(crate) fn triggerables(
    sources: &BTreeMap<String, SourceSettings>,
) -> BTreeMap<String, Arc<dyn Triggerable>> {
    let mut offered = BTreeMap::new();
    for (name, settings) in sources {
        let Some(source) = triggerable(name, settings) else {
            continue;
        };
        match source.unavailable() {
            Some(reason) => {
                tracing::warn!(source = %name, %reason, "the source is not offered on this host, and nobody is answered by it");
            }
            None => {
                offered.insert(name.clone(), source);
            }
        }
    }
    offered
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

/// A source of a stream; none if it is one that answers when asked.
fn source(
    name: &str,
    settings: &SourceSettings,
) -> Result<Option<Arc<dyn EventSource>>, SourceOpenError> {
    Ok(Some(match settings {
        SourceSettings::Process {
            interval,
            cost_share,
            hashes,
        } => {
            let source = match interval {
                Some(interval) => ProcessSource::new(*interval),
                None => ProcessSource::default().on_demand(),
            };
            let source = source.cost_share(*cost_share).hashing(*hashes);
            Arc::new(source.named(name))
        }
        SourceSettings::Performance { interval } => {
            Arc::new(PerformanceSource::new(*interval).named(name))
        }
        SourceSettings::Inventory { interval } => {
            Arc::new(InventorySource::new(*interval).named(name))
        }
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
        SourceSettings::BinaryHash { .. } | SourceSettings::ProcessDetails { .. } => {
            return Ok(None);
        }
    }))
}

/// A source that answers when asked; none if it is one of a stream.
fn triggerable(name: &str, settings: &SourceSettings) -> Option<Arc<dyn Triggerable>> {
    match settings {
        SourceSettings::BinaryHash {
            roots,
            file_bytes_max,
            timeout,
        } => {
            let options = BinaryHashOptions {
                roots: roots.clone(),
                file_bytes_max: *file_bytes_max,
                timeout: *timeout,
            };
            Some(Arc::new(BinaryHash::new(options).named(name)))
        }
        SourceSettings::ProcessDetails { timeout } => {
            Some(Arc::new(ProcessDetails::new(*timeout).named(name)))
        }
        SourceSettings::Process { .. }
        | SourceSettings::Performance { .. }
        | SourceSettings::Inventory { .. }
        | SourceSettings::Replay { .. } => None,
    }
}
