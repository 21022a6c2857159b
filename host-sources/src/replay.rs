//! The replay source: recorded batches, sent again.
//!
//! It changes no row: timestamps and who observed them stay as recorded, only the publisher is this
//! source. The invariant: nothing of a recording is lost, however slow the pipeline is; several are
//! sent in the order in which their batches were closed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use weir_bus::batch::{Recording, RecordingError};
use weir_bus::{Batch, Emit, Kind, Pace, SourceCaps, Timestamp};

use crate::source::{EventSource, SourceContext, SourceError};

/// The name of the source.
pub const REPLAY_SOURCE_NAME: &str = "replay";
/// How the files of a folder end that are recordings.
pub const RECORDING_EXTENSION: &str = "arrow";
/// Recordings that are open at a time: one descriptor and one batch each.
pub const RECORDINGS_MAX: usize = 256;

/// Why nothing can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A recording can't be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The path can't be read.
    #[error("recordings in {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder holds no recording.
    #[error("recordings in {path}: there are none; their names end in .{RECORDING_EXTENSION}")]
    None {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds too many recordings.
    #[error("recordings in {path}: there are more than {RECORDINGS_MAX}; replay them in parts")]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

/// How fast recordings are replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplayPace {
    /// As fast as the pipeline takes them.
    #[default]
    Fast,
    /// With the pauses with which the batches were recorded.
    AsRecorded,
}

/// Replays recordings, and ends.
#[derive(Debug)]
pub struct ReplaySource {
    name: String,
    paths: Vec<PathBuf>,
    capabilities: SourceCaps,
    pace: ReplayPace,
}

impl ReplaySource {
    /// A source that replays a recording, or all of a folder (not of those within it).
    ///
    /// # Errors
    /// If a file or the folder can't be read, a file is no recording, or there is none.
    pub fn open(path: &Path, pace: ReplayPace) -> Result<Self, ReplayError> {
        let paths = recordings_at(path)?;
        let mut capabilities = SourceCaps::empty();
        for path in &paths {
            capabilities |= capability_of(Recording::open(path)?.kind());
        }
        Ok(Self {
            name: REPLAY_SOURCE_NAME.to_owned(),
            paths,
            capabilities,
            pace,
        })
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The recordings' files, in order of their names.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

#[async_trait]
impl EventSource for ReplaySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        self.capabilities
    }

    fn pace(&self) -> Pace {
        Pace::Periodic
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        let mut merged = Merged::open(&self.paths)?;
        context.ready();
        let began = Instant::now();
        let mut first_closed = None;
        while let Some(batch) = merged.next()? {
            let closed = batch.header().closed;
            let due = match self.pace {
                ReplayPace::Fast => began,
                ReplayPace::AsRecorded => {
                    began + between(*first_closed.get_or_insert(closed), closed)
                }
            };
            let send = async {
                tokio::time::sleep_until(due).await;
                context.emitter().deliver_batch(&batch).await
            };
            let emit = tokio::select! {
                biased;
                () = context.stopping() => return Ok(()),
                emit = send => emit,
            };
            if emit == Emit::Closed {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn recordings_at(path: &Path) -> Result<Vec<PathBuf>, ReplayError> {
    let io = |source| ReplayError::Io {
        path: path.to_owned(),
        source,
    };
    if !std::fs::metadata(path).map_err(io)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?.path();
        let is_recording = entry
            .extension()
            .is_some_and(|extension| extension == RECORDING_EXTENSION);
        if !is_recording || !entry.is_file() {
            continue;
        }
        if paths.len() >= RECORDINGS_MAX {
            return Err(ReplayError::TooMany {
                path: path.to_owned(),
            });
        }
        paths.push(entry);
    }
    if paths.is_empty() {
        return Err(ReplayError::None {
            path: path.to_owned(),
        });
    }
    paths.sort_unstable();
    Ok(paths)
}

/// What somebody who sends events of that kind can do.
const fn capability_of(kind: Kind) -> SourceCaps {
    match kind {
        Kind::Process => SourceCaps::PROCESS,
        Kind::Network => SourceCaps::NETWORK,
        Kind::Filesystem => SourceCaps::FILESYSTEM,
        Kind::Performance => SourceCaps::PERFORMANCE,
        Kind::Inventory | Kind::Trigger | Kind::Finding => SourceCaps::empty(),
    }
}

/// The time between two moments; none if they stand in the wrong order.
fn between(first: Timestamp, then: Timestamp) -> Duration {
    let ns = then.0.saturating_sub(first.0);
    Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
}

/// Several recordings as one.
struct Merged {
    /// Each with the batch that is its next.
    recordings: Vec<(Recording, Batch)>,
    /// What was met while looking ahead: it comes after the batches before it.
    error: Option<ReplayError>,
}

impl Merged {
    fn open(paths: &[PathBuf]) -> Result<Self, ReplayError> {
        let mut recordings = Vec::with_capacity(paths.len());
        for path in paths {
            let mut recording = Recording::open(path)?;
            if let Some(first) = recording.next() {
                recordings.push((recording, first?));
            }
        }
        Ok(Self {
            recordings,
            error: None,
        })
    }

    /// The batch that was closed first of those that are next; of equals the first file's.
    fn next(&mut self) -> Result<Option<Batch>, ReplayError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let heads = self.recordings.iter().enumerate();
        let first = heads.min_by_key(|(index, (_, batch))| (batch.header().closed, *index));
        let Some(index) = first.map(|(index, _)| index) else {
            return Ok(None);
        };
        let Some((recording, head)) = self.recordings.get_mut(index) else {
            return Ok(None);
        };
        let batch = match recording.next() {
            Some(Ok(next)) => std::mem::replace(head, next),
            Some(Err(error)) => {
                self.error = Some(error.into());
                self.recordings.remove(index).1
            }
            None => self.recordings.remove(index).1,
        };
        Ok(Some(batch))
    }
}

#[cfg(test)]
mod tests;
