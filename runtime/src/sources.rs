//! From the config's sources to sources.

#[cfg(not(target_os = "linux"))]
#[path = "sources/elsewhere.rs"]
mod native;
#[cfg(target_os = "linux")]
mod native;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use weir_sources::{
    BinaryHash, BinaryHashOptions, EventSource, InventorySource, PerformanceSource, ProcessDetails,
    ProcessSource, Redaction, RedactionError, ReplayError, ReplayPace, ReplaySource,
    ScheduleOptions, Triggerable,
};

use crate::config::{self, RedactSettings, SourceSettings};

/// The sources of streams that a config names; each has the name of its table, and those that come with one begin
/// with it.
pub(crate) fn from_config(
    sources: &BTreeMap<String, SourceSettings>,
    redact: &RedactSettings,
) -> Result<Vec<Arc<dyn EventSource>>, SourceOpenError> {
    let redaction = Redaction::new(redact.builtin, &redact.patterns);
    let mut opened = Vec::new();
    for (name, settings) in sources {
        opened.extend(streams(name, settings, &redaction)?);
    }
    Ok(opened)
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
    pub reason: SourceOpenReason,
}

/// Why a source can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceOpenReason {
    /// Its recording can't be played.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// What it shall replace in command lines can't be looked for.
    #[error(transparent)]
    Redaction(#[from] RedactionError),
    /// The files that it shall watch can't be.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Filesystem(#[from] weir_sources::FilesystemOptionsError),
}

const fn schedule(interval: Option<Duration>, cost_share: f64) -> ScheduleOptions {
    ScheduleOptions {
        interval,
        cost_share,
    }
}

/// The streams of a source of the config; none if it is one that answers when asked.
fn streams(
    name: &str,
    settings: &SourceSettings,
    redaction: &Result<Redaction, RedactionError>,
) -> Result<Vec<Arc<dyn EventSource>>, SourceOpenError> {
    let refused = |reason| SourceOpenError {
        source_name: name.to_owned(),
        reason,
    };
    Ok(match settings {
        SourceSettings::Process {
            interval,
            cost_share,
            events,
            hashes,
        } => {
            let redaction = redaction.clone().map_err(|why| refused(why.into()))?;
            let source = ProcessSource::default().scheduled(schedule(*interval, *cost_share));
            let source = source.hashing(*hashes).redacting(redaction).named(name);
            // Last, for it shares what was set before.
            let events = events.then(|| native::events(name, &source));
            let looks: Arc<dyn EventSource> = Arc::new(source);
            std::iter::once(looks).chain(events).collect()
        }
        SourceSettings::Network {
            interval,
            cost_share,
        } => vec![native::network(name, schedule(*interval, *cost_share))],
        SourceSettings::Filesystem(settings) => {
            vec![native::filesystem(name, settings).map_err(refused)?]
        }
        SourceSettings::Performance {
            interval,
            cost_share,
        } => {
            let source = PerformanceSource::default().scheduled(schedule(*interval, *cost_share));
            vec![Arc::new(source.named(name))]
        }
        SourceSettings::Inventory {
            interval,
            cost_share,
        } => {
            let source = InventorySource::default().scheduled(schedule(*interval, *cost_share));
            vec![Arc::new(source.named(name))]
        }
        SourceSettings::Replay { path, pace } => {
            let pace = match pace {
                config::ReplayPace::Fast => ReplayPace::Fast,
                config::ReplayPace::Recorded => ReplayPace::AsRecorded,
            };
            let source = ReplaySource::open(path, pace).map_err(|why| refused(why.into()))?;
            vec![Arc::new(source.named(name))]
        }
        SourceSettings::BinaryHash { .. } | SourceSettings::ProcessDetails { .. } => Vec::new(),
    })
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
        | SourceSettings::Network { .. }
        | SourceSettings::Filesystem(_)
        | SourceSettings::Performance { .. }
        | SourceSettings::Inventory { .. }
        | SourceSettings::Replay { .. } => None,
    }
}
