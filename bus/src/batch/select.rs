//! Which rows of a batch go on: by row numbers or by a mask. Selecting never changes a batch; it
//! makes a new one, or hands the same one on where nothing falls out.

use arrow_array::{BooleanArray, UInt32Array};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take_record_batch;

use super::{Batch, BatchHeader};

/// Rows of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every row.
    All,
    /// No row.
    None,
    /// Row numbers, ascending, each once.
    Rows(Vec<u32>),
    /// One bit a row, least significant first (Arrow's layout).
    Mask(Vec<u8>),
}

/// A selection that doesn't fit its batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A row past the end.
    #[error("row {row} of a batch of {rows}: row numbers go from 0 to {rows} - 1")]
    OutOfRange {
        /// The row number.
        row: u32,
        /// How many rows there are.
        rows: usize,
    },
    /// Rows out of order, or twice.
    #[error("row {row} after row {before}: row numbers must ascend, each once")]
    NotAscending {
        /// The row number before.
        before: u32,
        /// The row number.
        row: u32,
    },
    /// A mask of another length.
    #[error("a mask of {found} bytes for {rows} rows: it must have {expected}")]
    MaskLength {
        /// How many rows there are.
        rows: usize,
        /// The bytes that they take.
        expected: usize,
        /// The bytes that there were.
        found: usize,
    },
    /// Arrow refused.
    #[error("selecting rows: {0}")]
    Arrow(String),
}

impl Selection {
    /// How many of `rows` rows it keeps.
    ///
    /// # Errors
    /// If it doesn't fit a batch of that many rows.
    pub fn count(&self, rows: usize) -> Result<usize, SelectError> {
        match self {
            Self::All => Ok(rows),
            Self::None => Ok(0),
            Self::Rows(list) => {
                let mut before: Option<u32> = None;
                for &row in list {
                    if usize::try_from(row).map_or(true, |row| row >= rows) {
                        return Err(SelectError::OutOfRange { row, rows });
                    }
                    if let Some(before) = before.filter(|&before| before >= row) {
                        return Err(SelectError::NotAscending { before, row });
                    }
                    before = Some(row);
                }
                Ok(list.len())
            }
            Self::Mask(mask) => {
                let expected = rows.div_ceil(8);
                if mask.len() != expected {
                    return Err(SelectError::MaskLength {
                        rows,
                        expected,
                        found: mask.len(),
                    });
                }
                // Bits past the last row mean nothing, and must not count.
                let whole = rows / 8;
                let mut kept = 0_usize;
                for (index, byte) in mask.iter().enumerate() {
                    let valid = if index < whole {
                        u8::MAX
                    } else {
                        (1_u8 << (rows % 8)) - 1
                    };
                    kept += (byte & valid).count_ones() as usize;
                }
                Ok(kept)
            }
        }
    }
}

impl Batch {
    /// The rows that a selection keeps, as a batch; this one itself where it keeps all.
    ///
    /// # Errors
    /// If the selection doesn't fit.
    pub fn select(&self, selection: &Selection) -> Result<Self, SelectError> {
        let rows = self.rows();
        let kept = selection.count(rows)?;
        if kept == rows {
            return Ok(self.clone());
        }
        let arrow = |error: arrow_schema::ArrowError| SelectError::Arrow(error.to_string());
        let records = match selection {
            // All was handed on above. An empty slice would keep every buffer alive.
            Selection::All | Selection::None => {
                arrow_array::RecordBatch::new_empty(self.kind().schema())
            }
            Selection::Rows(list) => {
                take_record_batch(self.records(), &UInt32Array::from(list.clone()))
                    .map_err(arrow)?
            }
            Selection::Mask(mask) => {
                let bits = BooleanBuffer::new(Buffer::from_slice_ref(mask), 0, rows);
                filter_record_batch(self.records(), &BooleanArray::new(bits, None))
                    .map_err(arrow)?
            }
        };
        let first_sequence = first_sequence(&records).unwrap_or(self.header().first_sequence);
        let header = BatchHeader {
            first_sequence,
            ..self.header().clone()
        };
        Ok(Self::of_records(header, records))
    }
}

/// Where every kind has its sequence column: after timestamp and source.
const SEQUENCE_COLUMN: usize = 2;

fn first_sequence(records: &arrow_array::RecordBatch) -> Option<u64> {
    use arrow_array::cast::AsArray as _;
    let column = records.columns().get(SEQUENCE_COLUMN)?;
    let sequence = column.as_primitive_opt::<arrow_array::types::UInt64Type>()?;
    sequence.values().first().copied()
}
