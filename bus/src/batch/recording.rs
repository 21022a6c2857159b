//! Recordings: batches of one kind as an Arrow IPC file, which other tools open too.
//!
//! The columns are the file's record batches. What the file format has no place for, each batch's
//! header, stands in the footer's metadata; a file that other tools wrote has none, and is read
//! with headers made from its rows.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;

use super::{Batch, BatchError, BatchHeader};
use crate::event::{Kind, Timestamp};
use crate::topic;

/// The schema's metadata key that names the kind.
const KIND_KEY: &str = "weir.kind";
/// The footer's metadata key that holds the headers, as JSON.
const HEADERS_KEY: &str = "weir.headers";
/// Batches in one recording; their headers are kept until the file is finished.
const RECORDING_BATCHES_MAX: usize = 1 << 20;

/// What goes wrong with a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file can't be opened, written or read.
    #[error("recording {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no Arrow IPC file, or a broken one.
    #[error("recording {path}: {message}; a recording is an Arrow IPC file")]
    Format {
        /// The file.
        path: PathBuf,
        /// What Arrow says.
        message: String,
    },
    /// The file's columns are those of no kind of events.
    #[error("recording {path}: its columns are those of no kind of events")]
    NoKind {
        /// The file.
        path: PathBuf,
    },
    /// The batch is of another kind than the recording.
    #[error("recording {path} holds {expected} events, not {found}: write a file for each kind")]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// The recording's kind.
        expected: Kind,
        /// The batch's kind.
        found: Kind,
    },
    /// A batch in the file is none.
    #[error("recording {path}: {source}")]
    Batch {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BatchError,
    },
    /// The file holds as many batches as it may.
    #[error("recording {path} holds {RECORDING_BATCHES_MAX} batches, the most: begin another file")]
    Full {
        /// The file.
        path: PathBuf,
    },
}

/// Writes batches of one kind to a file.
pub struct RecordingWriter {
    path: PathBuf,
    kind: Kind,
    writer: FileWriter<BufWriter<File>>,
    headers: Vec<BatchHeader>,
    bytes: u64,
}

impl RecordingWriter {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// If it can't be created or written.
    pub fn create(path: &Path, kind: Kind) -> Result<Self, RecordingError> {
        let file = File::create(path).map_err(|source| RecordingError::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut schema = kind.schema().as_ref().clone();
        schema
            .metadata
            .insert(KIND_KEY.to_owned(), kind.as_str().to_owned());
        let writer = FileWriter::try_new_buffered(file, &schema)
            .map_err(|error| format_error(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            kind,
            writer,
            headers: Vec::new(),
            bytes: 0,
        })
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// If it is of another kind, the file is full, or can't be written.
    pub fn write(&mut self, batch: &Batch) -> Result<(), RecordingError> {
        if batch.kind() != self.kind {
            return Err(RecordingError::OtherKind {
                path: self.path.clone(),
                expected: self.kind,
                found: batch.kind(),
            });
        }
        if self.headers.len() >= RECORDING_BATCHES_MAX {
            return Err(RecordingError::Full {
                path: self.path.clone(),
            });
        }
        self.writer
            .write(batch.records())
            .map_err(|error| format_error(&self.path, &error))?;
        self.headers.push(batch.header().clone());
        self.bytes = self.bytes.saturating_add(batch.bytes() as u64);
        Ok(())
    }

    /// About how many bytes were written.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the footer; without it the file can't be read.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(mut self) -> Result<(), RecordingError> {
        let headers =
            serde_json::to_string(&self.headers).map_err(|error| RecordingError::Format {
                path: self.path.clone(),
                message: error.to_string(),
            })?;
        self.writer.write_metadata(HEADERS_KEY, headers);
        self.writer
            .finish()
            .map_err(|error| format_error(&self.path, &error))
    }
}

fn format_error(path: &Path, error: &arrow_schema::ArrowError) -> RecordingError {
    RecordingError::Format {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

/// The batches of a recording, in order.
pub struct Recording {
    path: PathBuf,
    kind: Kind,
    reader: FileReader<BufReader<File>>,
    headers: std::vec::IntoIter<BatchHeader>,
    next_sequence: u64,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// If it can't be read, is no Arrow IPC file, or has the columns of no kind.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let io = |source| RecordingError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let reader =
            FileReader::try_new_buffered(file, None).map_err(|error| format_error(path, &error))?;
        let schema = reader.schema();
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.schema().fields() == schema.fields())
            .ok_or_else(|| RecordingError::NoKind {
                path: path.to_owned(),
            })?;
        let headers: Vec<BatchHeader> = reader
            .custom_metadata()
            .get(HEADERS_KEY)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            kind,
            reader,
            headers: headers.into_iter(),
            next_sequence: 0,
        })
    }

    /// The kind of its events.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    fn batch(&mut self, records: &arrow_array::RecordBatch) -> Result<Batch, RecordingError> {
        // A header of another kind is nobody's: the columns decide.
        let recorded = self
            .headers
            .next()
            .filter(|header| header.kind == self.kind);
        let header = recorded.unwrap_or_else(|| self.made_header());
        self.next_sequence += records.num_rows() as u64;
        Batch::new(header, records.columns().to_vec()).map_err(|source| RecordingError::Batch {
            path: self.path.clone(),
            source,
        })
    }

    fn made_header(&self) -> BatchHeader {
        BatchHeader {
            kind: self.kind,
            topic: topic::of_event(self.kind, "observed"),
            source: "recording".into(),
            first_sequence: self.next_sequence,
            opened: Timestamp::default(),
            closed: Timestamp::default(),
            snapshot: None,
        }
    }
}

impl Iterator for Recording {
    type Item = Result<Batch, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        let records = self.reader.next()?;
        Some(
            records
                .map_err(|error| format_error(&self.path, &error))
                .and_then(|records| self.batch(&records)),
        )
    }
}
