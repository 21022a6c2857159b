//! Events as lines of JSON, to stdout or to a file.

use std::sync::Arc;

use serde::Serialize;
use weir_bus::batch::Batch;
use weir_bus::pubsub::{Gap, Incarnations};
use weir_bus::{CollectionEvent, Topic};

use super::rotate::{RotatingFile, Rotation};
use super::{Console, Sink, SinkError};

/// A line of JSON.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way out")]
enum Line<'a> {
    Event {
        topic: &'a Topic,
        source: String,
        sequence: u64,
        event: CollectionEvent,
    },
    Gap {
        missed: Option<u64>,
        reason: &'static str,
        from: u64,
        to: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        incarnations: Option<Incarnations>,
    },
}

enum Target {
    Stdout(Arc<Console>),
    File(RotatingFile),
}

/// Writes a line of JSON for each event.
pub struct JsonSink {
    target: Target,
}

impl JsonSink {
    /// To stdout.
    #[must_use]
    pub const fn stdout(console: Arc<Console>) -> Self {
        Self {
            target: Target::Stdout(console),
        }
    }

    /// To a file that is rotated by size.
    ///
    /// # Errors
    /// If it can't be opened.
    pub fn file(rotation: Rotation) -> Result<Self, SinkError> {
        Ok(Self {
            target: Target::File(RotatingFile::open(rotation)?),
        })
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), SinkError> {
        match &mut self.target {
            Target::Stdout(console) => {
                console.json(line);
                Ok(())
            }
            Target::File(file) => {
                let mut text = serde_json::to_vec(line).map_err(|error| SinkError::Io {
                    path: file.path().to_owned(),
                    source: error.into(),
                })?;
                text.push(b'\n');
                file.write(&text)
            }
        }
    }
}

impl Sink for JsonSink {
    fn write(&mut self, batch: &Batch) -> Result<(), SinkError> {
        for row in 0..batch.rows() {
            let (Some(event), Some((source, sequence))) = (batch.row(row), batch.stamp(row)) else {
                continue;
            };
            self.line(&Line::Event {
                topic: batch.topic(),
                source: source.to_owned(),
                sequence,
                event,
            })?;
        }
        if let Target::File(file) = &mut self.target {
            file.flush()?;
        }
        Ok(())
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), SinkError> {
        self.line(&Line::Gap {
            missed: gap.missed,
            reason: gap.reason.as_str(),
            from: gap.from,
            to: gap.to,
            incarnations: gap.incarnations,
        })
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        match &mut self.target {
            Target::Stdout(_) => Ok(()),
            Target::File(file) => file.flush(),
        }
    }
}
