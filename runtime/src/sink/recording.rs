//! Events as recordings: one file for each kind, rotated by size.

use std::collections::BTreeMap;
use std::path::PathBuf;

use weir_bus::Kind;
use weir_bus::batch::{Batch, RecordingWriter};
use weir_bus::pubsub::Gap;

use super::rotate::Rotation;
use super::{Sink, SinkError};

/// Records batches.
pub struct RecordingSink {
    rotation: Rotation,
    writers: BTreeMap<Kind, RecordingWriter>,
}

impl RecordingSink {
    /// To files beside `rotation.path`: `tape.arrow` becomes `tape.process.arrow`.
    #[must_use]
    pub const fn new(rotation: Rotation) -> Self {
        Self {
            rotation,
            writers: BTreeMap::new(),
        }
    }

    /// The files that are being written.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.writers.keys().map(|kind| self.path(*kind))
    }

    /// The file of a kind.
    pub(crate) fn path(&self, kind: Kind) -> PathBuf {
        let extension = self
            .rotation
            .path
            .extension()
            .and_then(|text| text.to_str());
        let extension = extension.unwrap_or("arrow");
        self.rotation
            .path
            .with_extension(format!("{kind}.{extension}"))
    }

    /// The kind's writer, on a new file where the last one has grown past its size.
    fn writer(&mut self, kind: Kind) -> Result<&mut RecordingWriter, SinkError> {
        let full = self
            .writers
            .get(&kind)
            .is_some_and(|writer| writer.bytes() >= self.rotation.bytes_max);
        if full && let Some(writer) = self.writers.remove(&kind) {
            writer.finish()?;
        }
        let path = self.path(kind);
        match self.writers.entry(kind) {
            std::collections::btree_map::Entry::Occupied(writer) => Ok(writer.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let rotation = Rotation {
                    path: path.clone(),
                    ..self.rotation.clone()
                };
                rotation.rotate()?;
                Ok(place.insert(RecordingWriter::create(&path, kind)?))
            }
        }
    }
}

impl Sink for RecordingSink {
    fn write(&mut self, batch: &Batch) -> Result<(), SinkError> {
        self.writer(batch.kind())?.write(batch)?;
        Ok(())
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), SinkError> {
        tracing::warn!(missed = ?gap.missed, reason = %gap.reason, "rows are missing in the recording");
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        for (_, writer) in std::mem::take(&mut self.writers) {
            writer.finish()?;
        }
        Ok(())
    }
}
