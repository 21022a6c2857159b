//! Batches that came over a wire and that nobody here has looked into: whole publish frames, checked,
//! under one header.
//!
//! Small frames that follow each other on one connection, of one kind and topic, become one batch: a
//! queue, a lock and a wake-up for each row would cost more than all the rest. Their bytes stay as
//! they came. The invariant: every frame of a [`WireBatch`] has passed [`PublishFrame::of`].

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_select::concat::concat;
use bytes::Bytes;

use super::frame::{Frame, LARGE_FRAME_BYTES};
use super::publish::{DecodeError, PublishError, PublishFrame};
use crate::batch::{Batch, BatchError, BatchHeader};
use crate::event::Timestamp;
use crate::topic::Topic;

/// Frames are joined while they have fewer bytes together.
pub const RUN_BYTES_MAX: usize = 32 << 10;

/// One batch, as it came.
#[derive(Debug, Clone)]
pub struct WireBatch {
    header: BatchHeader,
    rows: usize,
    frames: Bytes,
}

impl WireBatch {
    /// The whole publish frames of a delivery, whose rows come from `source`.
    ///
    /// # Errors
    /// If they aren't publish frames of one kind and topic, one after the other.
    pub fn of_frames(source: &Arc<str>, frames: &Bytes) -> Result<Self, PublishError> {
        let mut rest = frames.clone();
        let mut first: Option<Self> = None;
        while let Some(frame) = Frame::read(&rest)? {
            let publish = PublishFrame::of(&frame)?;
            match &mut first {
                None => {
                    first = Some(Self {
                        header: BatchHeader {
                            kind: publish.kind,
                            topic: Topic::parse(publish.topic)?,
                            source: Arc::clone(source),
                            first_sequence: publish.first_sequence,
                            opened: publish.opened,
                            closed: publish.closed,
                            snapshot: publish.snapshot,
                        },
                        rows: publish.rows,
                        frames: frames.clone(),
                    });
                }
                Some(batch) if batch.header.kind == publish.kind => {
                    batch.rows += publish.rows;
                    batch.header.closed = batch.header.closed.max(publish.closed);
                    if let (Some(snapshot), Some(part)) =
                        (&mut batch.header.snapshot, publish.snapshot)
                    {
                        // Of a batch that was too large for one frame only the last part ends it.
                        snapshot.last |= part.last;
                    }
                }
                Some(batch) => {
                    let (one, other) = (batch.header.kind, publish.kind);
                    return Err(PublishError::Mixed { one, other });
                }
            }
            rest = rest.slice(frame.prefix().bytes..);
        }
        if !rest.is_empty() {
            let (expected, found) = (frames.len() - rest.len(), frames.len());
            return Err(PublishError::Payload { expected, found });
        }
        first.ok_or(PublishError::NoRows)
    }

    /// What is true of all its rows. (The times are of the first and the last frame.)
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Its rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Its publish frames, one after the other.
    #[must_use]
    pub const fn frames(&self) -> &Bytes {
        &self.frames
    }

    /// Bytes that it keeps alive.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frames.len().saturating_add(size_of::<Self>())
    }

    /// Looks into the columns: the one place where values that came over a wire are validated.
    ///
    /// # Errors
    /// If a value isn't what its column says.
    pub fn decode(&self) -> Result<Batch, DecodeError> {
        let mut batches = Vec::new();
        let mut rest = self.frames.clone();
        while let Some(frame) = Frame::read(&rest).map_err(PublishError::from)? {
            let publish = PublishFrame::of(&frame)?;
            let topic = self.header.topic.clone();
            let alignment = frame.prefix().alignment();
            let source = &self.header.source;
            batches.push(publish.decode(&frame.payload(), alignment, topic, source)?);
            rest = rest.slice(frame.prefix().bytes..);
        }
        let batch = match batches.pop() {
            Some(batch) if batches.is_empty() => batch,
            last => {
                batches.extend(last);
                join(self.header.clone(), &batches)?
            }
        };
        batch.keep_frames(self.frames.clone());
        Ok(batch)
    }
}

fn join(header: BatchHeader, batches: &[Batch]) -> Result<Batch, DecodeError> {
    let fields = header.kind.fields();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let parts: Vec<&dyn arrow_array::Array> = batches
            .iter()
            .filter_map(|batch| Some(batch.records().columns().get(index)?.as_ref()))
            .collect();
        columns.push(concat(&parts).map_err(|error| BatchError::Column {
            kind: header.kind,
            field: field.name,
            message: error.to_string(),
        })?);
    }
    Ok(Batch::new(header, columns)?)
}

/// Joins the publish frames of one connection to batches.
#[derive(Debug)]
pub struct RunBuilder {
    source: Arc<str>,
    /// The topic of the last batch: those that follow it mostly have the same.
    topic: Option<Topic>,
    /// What is open.
    open: Option<WireBatch>,
    /// Its frames. A vector of its own for each, so that no batch keeps the bytes of another alive.
    bytes: Vec<u8>,
}

impl RunBuilder {
    /// For a connection whose batches are said to come from `source`.
    #[must_use]
    pub fn new(source: Arc<str>) -> Self {
        Self {
            source,
            topic: None,
            open: None,
            bytes: Vec::new(),
        }
    }

    /// Takes a checked frame in; gives the batch that is finished by it, if it doesn't belong to it.
    ///
    /// # Errors
    /// If the topic is none; what is open stays as it is.
    pub fn push(
        &mut self,
        frame: &PublishFrame<'_>,
        bytes: &[u8],
    ) -> Result<Option<WireBatch>, PublishError> {
        if self.extends(frame, bytes.len()) {
            self.extend(frame, bytes);
            return Ok(None);
        }
        let header = self.header(frame)?;
        let finished = self.finish();
        self.bytes.extend_from_slice(bytes);
        self.open = Some(WireBatch {
            header,
            rows: frame.rows,
            frames: Bytes::new(),
        });
        Ok(finished)
    }

    /// Takes in a frame that has its bytes for itself, as a batch of its own; gives what was open, and it.
    ///
    /// # Errors
    /// If the topic is none; what is open stays as it is.
    pub fn push_alone(
        &mut self,
        frame: &PublishFrame<'_>,
        frames: Bytes,
    ) -> Result<(Option<WireBatch>, WireBatch), PublishError> {
        let header = self.header(frame)?;
        let alone = WireBatch {
            header,
            rows: frame.rows,
            frames,
        };
        Ok((self.finish(), alone))
    }

    fn header(&mut self, frame: &PublishFrame<'_>) -> Result<BatchHeader, PublishError> {
        let topic = match &self.topic {
            Some(topic) if topic.as_str() == frame.topic => topic.clone(),
            _ => self.topic.insert(Topic::parse(frame.topic)?).clone(),
        };
        Ok(BatchHeader {
            kind: frame.kind,
            topic,
            source: Arc::clone(&self.source),
            first_sequence: frame.first_sequence,
            opened: frame.opened,
            closed: frame.closed,
            snapshot: frame.snapshot,
        })
    }

    #[inline]
    fn extends(&self, frame: &PublishFrame<'_>, bytes: usize) -> bool {
        self.open.as_ref().is_some_and(|open| {
            bytes < LARGE_FRAME_BYTES
                && self.bytes.len().saturating_add(bytes) <= RUN_BYTES_MAX
                && open.header.kind == frame.kind
                && frame.snapshot.is_none()
                && open.header.snapshot.is_none()
                && open.header.first_sequence.wrapping_add(open.rows as u64) == frame.first_sequence
                && open.header.topic.as_str() == frame.topic
        })
    }

    #[inline]
    fn extend(&mut self, frame: &PublishFrame<'_>, bytes: &[u8]) {
        if let Some(open) = &mut self.open {
            open.rows += frame.rows;
            open.header.closed = Timestamp(open.header.closed.0.max(frame.closed.0));
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// What is open, finished: there is nothing more to read just now.
    pub fn finish(&mut self) -> Option<WireBatch> {
        let mut frames = std::mem::take(&mut self.bytes);
        // It may wait in queues, which count what it keeps alive: not twice what it has.
        frames.shrink_to_fit();
        let frames = Bytes::from(frames);
        self.open.take().map(|open| WireBatch { frames, ..open })
    }
}
