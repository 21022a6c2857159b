//! Batches: immutable columns of events of one kind, shared by everybody who looks at them.
//!
//! A batch has exactly its kind's schema, from the moment it exists; nothing changes it afterwards.

mod batcher;
mod bytes;
mod ledger;
mod limits;
mod recording;
mod select;

use std::sync::{Arc, OnceLock};

use ::bytes::Bytes;
use arrow_array::{Array, ArrayRef, RecordBatch};

pub use self::bytes::ColumnBytes;
pub use batcher::Batcher;
pub use ledger::{Settlement, SourceCounts, SourceLoss};
pub use limits::{BatcherLimits, Emit, Pace};
pub use recording::{Recording, RecordingError, RecordingWriter};
pub use select::{SelectError, Selection};

use crate::event::{CollectionEvent, EventBuilder, Kind, Timestamp};
use crate::topic::Topic;
use crate::wire::{self, EncodeError, Stamp};

/// Marks the batches of one look at everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Snapshot {
    /// Names the snapshot within its source.
    pub id: u64,
    /// Whether the snapshot ends with this batch.
    pub last: bool,
}

/// What is true of all rows of a batch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BatchHeader {
    /// The kind of the events.
    pub kind: Kind,
    /// The topic that they go to.
    pub topic: Topic,
    /// Who published them here. (Who observed them stands in the column `source`.)
    pub source: Arc<str>,
    /// The first row's number within its source.
    pub first_sequence: u64,
    /// When the first row was appended.
    pub opened: Timestamp,
    /// When the batch was closed.
    pub closed: Timestamp,
    /// Which snapshot it belongs to.
    pub snapshot: Option<Snapshot>,
}

impl BatchHeader {
    /// Whether a batch under `older` is of no use to who wants the latest only, now that there is one under this header:
    /// see [`QueuePolicy::Latest`](crate::pubsub::QueuePolicy::Latest).
    #[must_use]
    pub fn overtakes(&self, older: &Self) -> bool {
        let same_key = match (self.snapshot, older.snapshot) {
            (None, None) => self.topic == older.topic,
            (Some(mine), Some(its)) => mine.id != its.id,
            _ => false,
        };
        same_key && self.source == older.source
    }
}

/// Columns that are no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The columns are not the kind's.
    #[error("{kind} events have {expected} columns, not {found}")]
    ColumnCount {
        /// The kind.
        kind: Kind,
        /// How many columns it has.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// A column is not what its field says.
    #[error("column `{field}` of {kind} events: {message}")]
    Column {
        /// The kind.
        kind: Kind,
        /// The field.
        field: &'static str,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// What a column costs beside its buffers: a pointer to it, and the counts of who holds it.
const COLUMN_BYTES: usize = 32;

/// What a buffer costs beside its bytes: where they are, how they are freed, and who holds them. (Measured, with arrow 60:
/// the columns of a batch of one row.) It makes a third of a batch of ten rows.
const BUFFER_BYTES: usize = 64;

/// The part of a batch that all its holders share.
#[derive(Debug)]
struct Shared {
    records: RecordBatch,
    /// Each column's buffers as they cross to guests; made when the first guest asks.
    crossing: Box<[OnceLock<ColumnBytes>]>,
    bytes: usize,
}

/// Immutable columns of events of one kind. Cheap to clone: one shared pointer.
#[derive(Clone, Debug)]
pub struct Batch(Arc<Headed>);

/// Columns under a header; the same columns can stand under another.
#[derive(Debug)]
struct Headed {
    header: BatchHeader,
    shared: Arc<Shared>,
    /// The batch as publish frames; made when the first connection takes it.
    frames: OnceLock<Box<[Bytes]>>,
}

impl Batch {
    /// A batch of columns that come in the order of the kind's fields.
    ///
    /// # Errors
    /// If a column's type, length or nulls aren't what the kind says.
    pub fn new(header: BatchHeader, columns: Vec<ArrayRef>) -> Result<Self, BatchError> {
        let kind = header.kind;
        let fields = kind.fields();
        if fields.len() != columns.len() {
            return Err(BatchError::ColumnCount {
                kind,
                expected: fields.len(),
                found: columns.len(),
            });
        }
        let rows = columns.first().map_or(0, |column| column.len());
        for (field, column) in fields.iter().zip(&columns) {
            let wrong = |message: String| BatchError::Column {
                kind,
                field: field.name,
                message,
            };
            if column.data_type() != &field.field_type.arrow() {
                return Err(wrong(format!(
                    "is {}, must be {}",
                    column.data_type(),
                    field.field_type.as_str()
                )));
            }
            if column.len() != rows {
                return Err(wrong(format!(
                    "has {} rows, the first column {rows}",
                    column.len()
                )));
            }
            if !field.nullable && column.null_count() > 0 {
                return Err(wrong(format!(
                    "has {} nulls, and may have none",
                    column.null_count()
                )));
            }
        }
        let records =
            RecordBatch::try_new(kind.schema(), columns).map_err(|error| BatchError::Column {
                kind,
                field: "",
                message: error.to_string(),
            })?;
        Ok(Self::of_records(header, records))
    }

    /// Of records that are known to have the kind's schema.
    fn of_records(header: BatchHeader, records: RecordBatch) -> Self {
        let crossing: Box<[OnceLock<ColumnBytes>]> = (0..records.num_columns())
            .map(|_| OnceLock::new())
            .collect();
        // A slice counts the whole buffers that it is a part of: those are what it keeps alive.
        let bytes = records.get_array_memory_size()
            + records.num_columns() * COLUMN_BYTES
            + wire::buffers_of(header.kind) * BUFFER_BYTES
            + size_of_val(&*crossing)
            + size_of::<Shared>()
            + size_of::<Headed>();
        let shared = Arc::new(Shared {
            records,
            crossing,
            bytes,
        });
        Self(Arc::new(Headed {
            header,
            shared,
            frames: OnceLock::new(),
        }))
    }

    /// Whether both are the same columns, under whatever headers.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.shared, &other.0.shared)
    }

    /// A batch of a few rows of one kind, made at once: for what isn't a stream.
    ///
    /// # Errors
    /// If the rows are of several kinds.
    pub fn of_events(
        topic: Topic,
        source: &str,
        first_sequence: u64,
        events: &[CollectionEvent],
    ) -> Result<Self, BatchError> {
        use crate::event::EventRow as _;
        let kind = events.first().map_or(Kind::Process, CollectionEvent::kind);
        let mut builder = EventBuilder::new(kind, events.len());
        for (sequence, event) in (first_sequence..).zip(events) {
            if !event.append_to(&mut builder, sequence) {
                return Err(BatchError::Column {
                    kind,
                    field: "kind",
                    message: format!("{} events can't be in a batch of {kind}", event.kind()),
                });
            }
        }
        let now = Timestamp::now();
        let header = BatchHeader {
            kind,
            topic,
            source: source.into(),
            first_sequence,
            opened: now,
            closed: now,
            snapshot: None,
        };
        Self::new(header, builder.finish(source))
    }

    /// What is true of all rows.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.0.header
    }

    /// The kind of the events.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.header.kind
    }

    /// The topic that they go to.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.0.header.topic
    }

    /// How many rows.
    #[must_use]
    #[inline]
    pub fn rows(&self) -> usize {
        self.0.shared.records.num_rows()
    }

    /// Bytes that the batch keeps alive, counted once when it was made.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        self.0.shared.bytes
    }

    /// The columns, with the kind's schema.
    #[must_use]
    pub fn records(&self) -> &RecordBatch {
        &self.0.shared.records
    }

    /// A column by its field's name.
    #[must_use]
    pub fn column(&self, field: &str) -> Option<&ArrayRef> {
        let index = self.kind().field_index(field)?;
        self.0.shared.records.columns().get(index)
    }

    /// A column's buffers as they cross to guests, made once for all who ask. `index` is the
    /// field's place ([`Kind::field_index`]); none past the last.
    #[must_use]
    pub fn column_bytes(&self, index: usize) -> Option<&ColumnBytes> {
        let column = self.0.shared.records.columns().get(index)?;
        let field = self.kind().fields().get(index)?;
        let cell = self.0.shared.crossing.get(index)?;
        Some(cell.get_or_init(|| ColumnBytes::of(field.field_type, column)))
    }

    /// The batch as publish frames, one after the other in each piece, made once for all connections.
    /// Each piece fits a deliver frame; there are several only where the batch is too large for one.
    ///
    /// # Errors
    /// If a single row is too large for a frame.
    pub fn frames(&self) -> Result<&[Bytes], EncodeError> {
        if let Some(frames) = self.0.frames.get() {
            return Ok(frames);
        }
        let mut frames = Vec::with_capacity(1);
        self.encode_into(Stamp::Deliver(&self.header().source), &mut frames)?;
        Ok(self.0.frames.get_or_init(|| frames.into()))
    }

    /// Whether it neither has rows nor ends a snapshot: nobody needs to hear of it, and no frame may
    /// carry it.
    #[inline]
    pub(crate) fn is_void(&self) -> bool {
        self.rows() == 0 && !self.header().snapshot.is_some_and(|snapshot| snapshot.last)
    }

    /// Appends the publish frames of the batch: one, or as many as it takes; none of a void one.
    pub(crate) fn encode_into(
        &self,
        stamp: Stamp<'_>,
        frames: &mut Vec<Bytes>,
    ) -> Result<(), EncodeError> {
        if self.is_void() {
            return Ok(());
        }
        match wire::encode(self, stamp) {
            Ok(frame) => {
                frames.push(frame);
                Ok(())
            }
            Err(EncodeError::TooLarge { rows, .. }) if rows > 1 => {
                let records = &self.0.shared.records;
                let half = rows / 2;
                for (from, count) in [(0, half), (half, rows - half)] {
                    let part = records.slice(from, count);
                    let mut header = self.header().clone();
                    header.first_sequence = header.first_sequence.saturating_add(from as u64);
                    if let Some(snapshot) = &mut header.snapshot {
                        // Only its last rows end it.
                        snapshot.last &= from > 0;
                    }
                    Self::of_records(header, part).encode_into(stamp, frames)?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The batch without its first rows; none where there are no others.
    pub(crate) fn without_first(&self, rows: usize) -> Option<Self> {
        let left = self.rows().checked_sub(rows).filter(|left| *left > 0)?;
        let mut header = self.header().clone();
        header.first_sequence = header.first_sequence.saturating_add(rows as u64);
        Some(Self::of_records(
            header,
            self.0.shared.records.slice(rows, left),
        ))
    }

    /// Keeps the frames that the batch was decoded from.
    pub(crate) fn keep_frames(&self, frames: Bytes) {
        // Made already by somebody else: then they are the same.
        drop(self.0.frames.set(Box::new([frames])));
    }

    /// One row as a value; none past the end.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<CollectionEvent> {
        CollectionEvent::of(self, row)
    }

    /// What the batcher stamped on a row: who observed it, and its number there; none past the end.
    #[must_use]
    pub fn stamp(&self, row: usize) -> Option<(&str, u64)> {
        use arrow_array::cast::AsArray as _;
        let source = self.column("source")?.as_string_opt::<i32>()?;
        let sequence = self.column("sequence")?;
        let sequence = sequence.as_primitive_opt::<arrow_array::types::UInt64Type>()?;
        (row < self.rows()).then(|| (source.value(row), sequence.value(row)))
    }

    /// The same rows, as part of a snapshot.
    pub(crate) fn in_snapshot(&self, snapshot: Snapshot) -> Self {
        self.under(BatchHeader {
            snapshot: Some(snapshot),
            ..self.header().clone()
        })
    }

    fn under(&self, header: BatchHeader) -> Self {
        let shared = Arc::clone(&self.0.shared);
        Self(Arc::new(Headed {
            header,
            shared,
            frames: OnceLock::new(),
        }))
    }

    /// The same rows as another's publication: recorded events keep the `source` of who observed
    /// them, while the header says who publishes them now.
    #[must_use]
    pub fn published_by(&self, source: Arc<str>) -> Self {
        self.under(BatchHeader {
            source,
            ..self.header().clone()
        })
    }
}

#[cfg(test)]
mod tests;
