//! A batch as a publish frame, and back.

mod head;
mod table;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::columns::{self, ColumnError, STAMPED_FIELD};
use super::frame::{FRAME_BYTES_MAX, Frame, FrameError, FrameType, Layout, header_bytes, put_head};
use super::lengths::{self, Shape, Wrong};
use crate::batch::{Batch, BatchError, BatchHeader, Snapshot};
use crate::event::{Kind, Timestamp};
use crate::topic::{Topic, TopicError};
use head::Fixed;
use table::BUFFERS_MAX;

pub use table::CheckedTable;

/// The bytes of a publish frame at most: it has to fit into a deliver frame.
pub const PUBLISH_BYTES_MAX: usize = FRAME_BYTES_MAX - 4096;

/// A frame that is no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The frame itself.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It is of another type.
    #[error("a {found} frame, where a publish frame should be")]
    NotPublish {
        /// What it is.
        found: &'static str,
    },
    /// There is no such kind.
    #[error("kind {number}; kinds are 0 to 6")]
    Kind {
        /// Its number.
        number: u8,
    },
    /// The topic is none.
    #[error("the topic: {0}")]
    Topic(#[from] TopicError),
    /// There must be rows.
    #[error("a batch without rows that doesn't end a snapshot")]
    NoRows,
    /// The table has too few or too many lengths.
    #[error("{found} buffers for {kind} events, which have {expected}")]
    Buffers {
        /// The kind.
        kind: Kind,
        /// How many it has.
        expected: usize,
        /// How many there were.
        found: u32,
    },
    /// A column can't be what the table says.
    #[error("column `{field}` {wrong}")]
    Column {
        /// The column.
        field: &'static str,
        /// What is wrong.
        wrong: Wrong,
    },
    /// The buffers are longer or shorter than the payload.
    #[error("buffers of {expected} bytes in a payload of {found}")]
    Payload {
        /// What the table says.
        expected: usize,
        /// What is there.
        found: usize,
    },
    /// Frames of several kinds in one delivery.
    #[error("{one} and {other} events in one batch")]
    Mixed {
        /// The first kind.
        one: Kind,
        /// Another.
        other: Kind,
    },
    /// It says who observed its rows.
    #[error("column `source` has values; leave it empty, the broker says who it comes from")]
    ForeignSource,
    /// The frame is too large to be delivered.
    #[error("a publish frame of {bytes} bytes; at most {PUBLISH_BYTES_MAX} are allowed")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
}

impl PublishError {
    /// The code that a peer is told.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.code(),
            Self::TooLarge { .. } => "too-large",
            _ => "malformed",
        }
    }
}

/// Why a batch is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It is too large.
    #[error(
        "a batch of {rows} rows takes {bytes} bytes in a frame, at most {PUBLISH_BYTES_MAX} are allowed; publish fewer rows at a time"
    )]
    TooLarge {
        /// Its rows.
        rows: usize,
        /// The bytes of the frame.
        bytes: usize,
    },
    /// Its header is no header.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Who says who observed a batch's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp<'a> {
    /// The broker, of whoever publishes: a client leaves the column `source` out.
    Broker,
    /// The deliver frame says this; the column is left out where every row says the same.
    Deliver(&'a str),
}

/// Encodes a batch.
///
/// # Errors
/// If the frame would be too large.
pub fn encode(batch: &Batch, stamp: Stamp<'_>) -> Result<Bytes, EncodeError> {
    let header = batch.header();
    let rows = batch.rows();
    let mut parts: Vec<Cow<'_, [u8]>> = Vec::with_capacity(header.kind.fields().len() * 3);
    for (field, column) in header.kind.fields().iter().zip(batch.records().columns()) {
        columns::gather(field, column, stamp, &mut parts);
    }
    let lengths: Vec<u32> = parts
        .iter()
        .map(|part| u32::try_from(part.len()).unwrap_or(u32::MAX))
        .collect();
    let fixed = Fixed {
        kind: header.kind as u8,
        topic: header.topic.as_str(),
        snapshot: header.snapshot,
        first_sequence: header.first_sequence,
        opened: header.opened.0,
        closed: header.closed.0,
        rows: u32::try_from(rows).unwrap_or(u32::MAX),
    };
    let head = header_bytes(FrameType::Publish, &(fixed, lengths))?;
    let padded = |alignment: usize| {
        let parts = parts.iter().map(|part| part.len());
        parts.map(|bytes| bytes.next_multiple_of(alignment)).sum()
    };
    let layout = Layout::of(head.len(), padded);
    if layout.bytes > PUBLISH_BYTES_MAX {
        return Err(EncodeError::TooLarge {
            rows,
            bytes: layout.bytes,
        });
    }
    let mut out = BytesMut::with_capacity(layout.bytes);
    put_head(&mut out, FrameType::Publish, &head, &layout);
    for part in &parts {
        out.put_slice(part);
        let fill = part.len().next_multiple_of(layout.alignment()) - part.len();
        out.put_bytes(0, fill);
    }
    out.put_bytes(0, layout.bytes.saturating_sub(out.len()));
    Ok(out.freeze())
}

/// The head of a publish frame, read and checked, its columns' lengths too.
#[derive(Debug, Clone)]
pub struct PublishFrame<'a> {
    /// The kind of its rows.
    pub kind: Kind,
    /// Its topic, not yet checked.
    pub topic: &'a str,
    /// Part of a snapshot.
    pub snapshot: Option<Snapshot>,
    /// The first row's number at its publisher.
    pub first_sequence: u64,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was closed.
    pub closed: Timestamp,
    /// Its rows.
    pub rows: usize,
    /// Whether the frame says itself who observed its rows.
    pub says_source: bool,
    /// The table of lengths, as it stands in the header.
    lengths: &'a [u8],
}

impl<'a> PublishFrame<'a> {
    /// Reads a frame's head, and checks its table against the kind, the rows and the payload.
    ///
    /// # Errors
    /// If the frame lies.
    pub fn read(
        header: &'a [u8],
        payload_bytes: usize,
        alignment: usize,
    ) -> Result<Self, PublishError> {
        Self::read_like(
            &mut CheckedTable::default(),
            header,
            payload_bytes,
            alignment,
        )
    }

    /// As [`PublishFrame::read`], of a frame that follows others: where its table is that of the last
    /// frame, with as many rows in as large a payload, the answer of the check is the same too.
    ///
    /// # Errors
    /// If the frame lies.
    #[inline]
    pub fn read_like(
        last: &mut CheckedTable,
        header: &'a [u8],
        payload_bytes: usize,
        alignment: usize,
    ) -> Result<Self, PublishError> {
        let mut frame = Self::read_head(header)?;
        if !last.is_of(&frame, payload_bytes, alignment) {
            let says_source = frame.check(payload_bytes, alignment)?;
            last.remember(&frame, payload_bytes, alignment, says_source);
        }
        frame.says_source = last.says_source;
        Ok(frame)
    }

    fn read_head(header: &'a [u8]) -> Result<Self, PublishError> {
        let (fixed, lengths) = match Fixed::read(header) {
            Some(read) => read,
            None => postcard::take_from_bytes(header).map_err(|error| no_header(&error))?,
        };
        let kind = Kind::ALL
            .get(usize::from(fixed.kind))
            .copied()
            .ok_or(PublishError::Kind { number: fixed.kind })?;
        if fixed.rows == 0 && !fixed.snapshot.is_some_and(|snapshot| snapshot.last) {
            return Err(PublishError::NoRows);
        }
        Ok(Self {
            kind,
            topic: fixed.topic,
            snapshot: fixed.snapshot,
            first_sequence: fixed.first_sequence,
            opened: Timestamp(fixed.opened),
            closed: Timestamp(fixed.closed),
            // A row count that lies is found by the first column's lengths.
            rows: usize::try_from(fixed.rows).unwrap_or(usize::MAX),
            says_source: false,
            lengths,
        })
    }

    /// The batch of a frame's columns, whose rows are said to come from `source`.
    ///
    /// # Errors
    /// If a value isn't what its column says.
    pub fn decode(
        &self,
        payload: &Bytes,
        alignment: usize,
        topic: Topic,
        source: &Arc<str>,
    ) -> Result<Batch, DecodeError> {
        let mut columns = Vec::with_capacity(self.kind.fields().len());
        let mut from = 0_usize;
        self.each_column::<DecodeError>(|field, lengths| {
            let mut buffers: [Bytes; BUFFERS_MAX] = Default::default();
            for (buffer, &length) in buffers.iter_mut().zip(lengths) {
                let to = from.saturating_add(length);
                if to > payload.len() {
                    let (expected, found) = (to, payload.len());
                    return Err(PublishError::Payload { expected, found }.into());
                }
                *buffer = payload.slice(from..to);
                from = from.saturating_add(length.next_multiple_of(alignment));
            }
            let stamped = field.name == STAMPED_FIELD;
            let shape: Shape =
                lengths::shape(field, self.rows, lengths, stamped).map_err(|wrong| {
                    PublishError::Column {
                        field: field.name,
                        wrong,
                    }
                })?;
            columns.push(columns::make(field, self.rows, shape, &buffers, source)?);
            Ok(())
        })?;
        let header = BatchHeader {
            kind: self.kind,
            topic,
            source: Arc::clone(source),
            first_sequence: self.first_sequence,
            opened: self.opened,
            closed: self.closed,
            snapshot: self.snapshot,
        };
        Ok(Batch::new(header, columns)?)
    }

    /// Reads and checks a whole frame.
    ///
    /// # Errors
    /// If it isn't a publish frame, or lies.
    pub fn of(frame: &'a Frame) -> Result<Self, PublishError> {
        if frame.frame_type() != FrameType::Publish {
            return Err(PublishError::NotPublish {
                found: frame.frame_type().as_str(),
            });
        }
        if frame.prefix().bytes > PUBLISH_BYTES_MAX {
            return Err(PublishError::TooLarge {
                bytes: frame.prefix().bytes,
            });
        }
        let payload_bytes = frame.prefix().bytes - frame.prefix().payload_offset();
        Self::read(frame.header(), payload_bytes, frame.prefix().alignment())
    }
}

/// Columns whose values aren't what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A column.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// All of them together.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

fn no_header(error: &postcard::Error) -> PublishError {
    PublishError::Frame(FrameError::Header {
        name: FrameType::Publish.as_str(),
        problem: error.to_string(),
    })
}
