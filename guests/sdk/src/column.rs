//! Typed slices over a column's bytes: fixed-width values and booleans.
//!
//! Invariant: a column that was made has a value or a null for every row; `get` past its end is
//! `None`, and nothing here indexes.

use std::fmt;

/// A column as it crossed: its type's name, and the Arrow buffers (see `wit/batches.wit`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawColumn {
    /// `utf8`, `u32`, …
    pub type_name: String,
    /// Fixed-width values, a bitmap, or the bytes of all texts.
    pub values: Vec<u8>,
    /// Offsets of texts into `values`.
    pub offsets: Vec<u8>,
    /// Offsets of lists into the texts.
    pub list_offsets: Vec<u8>,
    /// One bit a row where there is a value; empty where every row has one.
    pub validity: Vec<u8>,
}

/// Why bytes are not the column that they were taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnError {
    /// The column has another type.
    Type {
        /// What was asked for.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// A buffer is too short.
    Short {
        /// Which buffer.
        buffer: &'static str,
        /// The bytes that the rows need.
        needed: usize,
        /// The bytes that are there.
        found: usize,
    },
    /// Offsets fall, or point past what they point into.
    Offsets {
        /// Which buffer.
        buffer: &'static str,
    },
}

impl fmt::Display for ColumnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { wanted, found } => {
                write!(
                    f,
                    "the column's type is {found}, and the guest reads {wanted}"
                )
            }
            Self::Short {
                buffer,
                needed,
                found,
            } => {
                write!(
                    f,
                    "the column's {buffer} have {found} bytes, and its rows need {needed}"
                )
            }
            Self::Offsets { buffer } => {
                write!(
                    f,
                    "the column's {buffer} fall, or point outside of what they point into"
                )
            }
        }
    }
}

impl std::error::Error for ColumnError {}

/// A typed column: made from bytes, read by row.
pub trait Column: Sized {
    /// The type's name in the contract.
    const TYPE: &'static str;
    /// What `get` gives.
    type Value<'a>
    where
        Self: 'a;

    /// Takes the buffers of a column of `rows` rows.
    ///
    /// # Errors
    /// The type is another one, or a buffer doesn't hold what `rows` rows need.
    fn from_raw(raw: RawColumn, rows: usize) -> Result<Self, ColumnError>;

    /// The value of a row; `None` where it is null, or where there is no such row.
    fn get(&self, row: usize) -> Option<Self::Value<'_>>;
}

/// Fails unless the column says that it is what is wanted.
pub(crate) fn check_type(raw: &RawColumn, wanted: &'static str) -> Result<(), ColumnError> {
    if raw.type_name == wanted {
        return Ok(());
    }
    Err(ColumnError::Type {
        wanted,
        found: raw.type_name.clone(),
    })
}

/// Fails unless a buffer has the bytes that are needed.
pub(crate) fn check_length(
    buffer: &'static str,
    found: &[u8],
    needed: usize,
) -> Result<(), ColumnError> {
    if found.len() >= needed {
        return Ok(());
    }
    Err(ColumnError::Short {
        buffer,
        needed,
        found: found.len(),
    })
}

/// Which rows have a value: a bitmap, or all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Validity(Vec<u8>);

impl Validity {
    /// Takes the bitmap for `rows` rows; an empty one means that all are valid.
    pub(crate) fn new(bits: Vec<u8>, rows: usize) -> Result<Self, ColumnError> {
        if !bits.is_empty() {
            check_length("validity bits", &bits, rows.div_ceil(8))?;
        }
        Ok(Self(bits))
    }

    /// The bitmap of the values that are there.
    pub(crate) fn of<T>(values: &[Option<T>]) -> Self {
        if values.iter().all(Option::is_some) {
            return Self::default();
        }
        Self(pack(values.iter().map(Option::is_some)))
    }

    /// Whether the row has a value.
    #[inline]
    pub(crate) fn is_valid(&self, row: usize) -> bool {
        self.0.is_empty() || bit(&self.0, row)
    }

    /// The bitmap; `None` where all rows are valid.
    pub(crate) fn bits(&self) -> Option<&[u8]> {
        (!self.0.is_empty()).then_some(self.0.as_slice())
    }
}

/// One bit of a bitmap; false past its end.
#[inline]
pub(crate) fn bit(bits: &[u8], row: usize) -> bool {
    bits.get(row / 8)
        .is_some_and(|byte| byte >> (row % 8) & 1 == 1)
}

/// A bitmap of booleans.
pub(crate) fn pack(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bits.size_hint().0.div_ceil(8));
    for (row, set) in bits.enumerate() {
        if row % 8 == 0 {
            packed.push(0);
        }
        if let Some(byte) = packed.last_mut() {
            *byte |= u8::from(set) << (row % 8);
        }
    }
    packed
}

/// A number that stands in a column as little-endian bytes.
pub trait FixedWidth: Copy + Default {
    /// The type's name in the contract.
    const TYPE: &'static str;
    /// Its bytes.
    type Bytes: Copy + AsRef<[u8]>;

    /// The column's bytes as values, and nothing of a last incomplete one.
    fn chunks(bytes: &[u8]) -> &[Self::Bytes];
    /// The value of its bytes.
    fn read(bytes: Self::Bytes) -> Self;
    /// The bytes of a value.
    fn write(self) -> Self::Bytes;
}

macro_rules! fixed_width {
    ($($type:ty: $name:literal),+) => { $(
        impl FixedWidth for $type {
            const TYPE: &'static str = $name;
            type Bytes = [u8; size_of::<$type>()];
            #[inline]
            fn chunks(bytes: &[u8]) -> &[Self::Bytes] {
                bytes.as_chunks().0
            }
            #[inline]
            fn read(bytes: Self::Bytes) -> Self {
                <$type>::from_le_bytes(bytes)
            }
            #[inline]
            fn write(self) -> Self::Bytes {
                self.to_le_bytes()
            }
        }
    )+ };
}

// `i64` is in no column but as a time: ns since the epoch.
fixed_width!(u16: "u16", u32: "u32", u64: "u64", i32: "i32", f64: "f64", i64: "timestamp-ns");

/// A column of numbers, or of times (`i64`, ns since the epoch).
#[derive(Clone, Debug)]
pub struct FixedColumn<T> {
    values: Vec<u8>,
    validity: Validity,
    rows: usize,
    of: std::marker::PhantomData<T>,
}

impl<T: FixedWidth> FixedColumn<T> {
    /// A made-up column, for tests and self-tests.
    #[must_use]
    pub fn of(values: &[Option<T>]) -> Self {
        let mut bytes = Vec::new();
        for value in values {
            bytes.extend_from_slice(value.unwrap_or_default().write().as_ref());
        }
        Self {
            values: bytes,
            validity: Validity::of(values),
            rows: values.len(),
            of: std::marker::PhantomData,
        }
    }

    /// The values of all rows in order, whatever stands where a row is null.
    #[inline]
    pub fn values(&self) -> impl ExactSizeIterator<Item = T> + '_ {
        T::chunks(&self.values).iter().map(|bytes| T::read(*bytes))
    }

    /// One bit a row, least significant first, where there is a value; `None`: every row has one.
    #[must_use]
    pub fn validity(&self) -> Option<&[u8]> {
        self.validity.bits()
    }
}

impl<T: FixedWidth> Column for FixedColumn<T> {
    const TYPE: &'static str = T::TYPE;
    type Value<'a>
        = T
    where
        T: 'a;

    fn from_raw(raw: RawColumn, rows: usize) -> Result<Self, ColumnError> {
        check_type(&raw, T::TYPE)?;
        check_length("values", &raw.values, rows.saturating_mul(size_of::<T>()))?;
        let validity = Validity::new(raw.validity, rows)?;
        Ok(Self {
            values: raw.values,
            validity,
            rows,
            of: std::marker::PhantomData,
        })
    }

    #[inline]
    fn get(&self, row: usize) -> Option<T> {
        if row >= self.rows || !self.validity.is_valid(row) {
            return None;
        }
        T::chunks(&self.values)
            .get(row)
            .map(|bytes| T::read(*bytes))
    }
}

/// A column of booleans.
#[derive(Clone, Debug)]
pub struct BoolColumn {
    values: Vec<u8>,
    validity: Validity,
    rows: usize,
}

impl BoolColumn {
    /// A made-up column, for tests and self-tests.
    #[must_use]
    pub fn of(values: &[Option<bool>]) -> Self {
        Self {
            values: pack(values.iter().map(|value| value.unwrap_or_default())),
            validity: Validity::of(values),
            rows: values.len(),
        }
    }
}

impl Column for BoolColumn {
    const TYPE: &'static str = "bool";
    type Value<'a> = bool;

    fn from_raw(raw: RawColumn, rows: usize) -> Result<Self, ColumnError> {
        check_type(&raw, Self::TYPE)?;
        check_length("values", &raw.values, rows.div_ceil(8))?;
        let validity = Validity::new(raw.validity, rows)?;
        Ok(Self {
            values: raw.values,
            validity,
            rows,
        })
    }

    #[inline]
    fn get(&self, row: usize) -> Option<bool> {
        (row < self.rows && self.validity.is_valid(row)).then(|| bit(&self.values, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(type_name: &str, values: &[u8], validity: &[u8]) -> RawColumn {
        RawColumn {
            type_name: type_name.to_owned(),
            values: values.to_vec(),
            validity: validity.to_vec(),
            ..RawColumn::default()
        }
    }

    #[test]
    fn a_column_gives_each_row_its_value_or_null() {
        let column =
            FixedColumn::<u32>::from_raw(raw("u32", &[1, 0, 0, 0, 0, 1, 0, 0], &[0b01]), 2)
                .unwrap();
        assert_eq!(
            (column.get(0), column.get(1), column.get(2)),
            (Some(1), None, None)
        );
        assert_eq!(column.values().collect::<Vec<_>>(), [1, 256]);
        let column = BoolColumn::of(&[Some(true), None, Some(false)]);
        assert_eq!(
            (column.get(0), column.get(1), column.get(2)),
            (Some(true), None, Some(false))
        );
    }

    #[test]
    fn bytes_that_are_no_such_column_are_an_error() {
        let check = |result: Result<(), ColumnError>, expected: &str| {
            assert_eq!(result.unwrap_err().to_string(), expected);
        };
        check(
            FixedColumn::<u32>::from_raw(raw("u64", &[0; 8], &[]), 1).map(drop),
            "the column's type is u64, and the guest reads u32",
        );
        check(
            FixedColumn::<f64>::from_raw(raw("f64", &[0; 15], &[]), 2).map(drop),
            "the column's values have 15 bytes, and its rows need 16",
        );
        check(
            BoolColumn::from_raw(raw("bool", &[0; 2], &[0]), 9).map(drop),
            "the column's validity bits have 1 bytes, and its rows need 2",
        );
    }
}
