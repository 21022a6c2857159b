//! One comparison of a column with a literal.
//!
//! Not an expression language: anything more is a guest. The invariant: a comparison that was checked
//! against a kind gives one bit for each row of any batch of it, and a null is never selected.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int32Type, TimestampNanosecondType, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;

use super::FilterError;
use crate::event::{FieldType, Kind};

/// How a column's value is to stand to the literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];

    const fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no operator; they are =, !=, <, <=, >, >=")]
pub struct UnknownOperator(pub String);

impl FromStr for Operator {
    type Err = UnknownOperator;

    fn from_str(text: &str) -> Result<Self, UnknownOperator> {
        Self::ALL
            .into_iter()
            .find(|operator| operator.as_str() == text)
            .ok_or_else(|| UnknownOperator(text.to_owned()))
    }
}

/// What a column is compared with. A time is a whole number of nanoseconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// True or false.
    Bool(bool),
    /// A whole number, for any column of numbers.
    Integer(i128),
    /// A number, for a column of floating point numbers.
    Float(f64),
    /// A text; texts are ordered by their bytes.
    Text(String),
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => write!(f, "'{value}'"),
        }
    }
}

macro_rules! literal_from {
    ($($from:ty => $make:expr),* $(,)?) => {
        $(impl From<$from> for Literal {
            fn from(value: $from) -> Self {
                $make(value)
            }
        })*
    };
}

literal_from! {
    bool => Literal::Bool,
    i32 => |value| Literal::Integer(i128::from(value)),
    u32 => |value| Literal::Integer(i128::from(value)),
    i64 => |value| Literal::Integer(i128::from(value)),
    u64 => |value| Literal::Integer(i128::from(value)),
    f64 => Literal::Float,
    &str => |value: &str| Literal::Text(value.to_owned()),
    String => Literal::Text,
}

/// `column operator literal`. Rows where the column is null, or not a number, are never selected.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The column's name.
    pub column: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub literal: Literal,
}

impl Comparison {
    /// A comparison, not yet checked against anything.
    pub fn new(column: impl Into<String>, operator: Operator, literal: impl Into<Literal>) -> Self {
        Self {
            column: column.into(),
            operator,
            literal: literal.into(),
        }
    }

    /// Whether the literal's type suits the column of a kind that has it.
    pub(super) fn check_type(&self, kind: Kind, found: FieldType) -> Result<(), FilterError> {
        let needed = match (found, &self.literal) {
            (FieldType::Bool, Literal::Bool(_)) => {
                return match self.operator {
                    Operator::Equal | Operator::NotEqual => Ok(()),
                    _ => Err(FilterError::Unordered {
                        kind,
                        column: self.column.clone(),
                        operator: self.operator,
                    }),
                };
            }
            (FieldType::Utf8, Literal::Text(_)) | (FieldType::F64, Literal::Integer(_)) => {
                return Ok(());
            }
            (FieldType::F64, Literal::Float(value)) if !value.is_nan() => return Ok(()),
            (
                FieldType::U16
                | FieldType::U32
                | FieldType::U64
                | FieldType::I32
                | FieldType::TimestampNs,
                Literal::Integer(_),
            ) => return Ok(()),
            (FieldType::ListUtf8, _) => {
                return Err(FilterError::NotComparable {
                    kind,
                    column: self.column.clone(),
                });
            }
            (FieldType::Bool, _) => "`true` or `false`",
            (FieldType::Utf8, _) => "a text",
            (FieldType::F64, _) => "a number",
            (FieldType::TimestampNs, _) => "a whole number of nanoseconds",
            _ => "a whole number",
        };
        Err(FilterError::LiteralType {
            kind,
            column: self.column.clone(),
            column_type: found.as_str(),
            literal: self.literal.to_string(),
            needed,
        })
    }

    /// One bit a row.
    pub(super) fn mask(&self, column: &ArrayRef) -> BooleanBuffer {
        let valid = column.logical_nulls();
        let bits = match &self.literal {
            Literal::Bool(literal) => self.booleans(column, *literal),
            Literal::Text(literal) => self.texts(column, literal),
            Literal::Float(literal) => self.floats(column, *literal),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a literal past 2^53 beside a floating point column is compared as the nearest"
            )]
            Literal::Integer(literal) => self
                .integers(column, *literal)
                .or_else(|| self.floats(column, *literal as f64)),
        };
        let bits = bits.unwrap_or_else(|| BooleanBuffer::new_unset(column.len()));
        match valid {
            Some(valid) => &bits & valid.inner(),
            None => bits,
        }
    }

    fn booleans(&self, column: &ArrayRef, literal: bool) -> Option<BooleanBuffer> {
        let array = column.as_boolean_opt()?;
        let wanted = literal == (self.operator == Operator::Equal);
        Some(if wanted {
            array.values().clone()
        } else {
            !array.values()
        })
    }

    fn texts(&self, column: &ArrayRef, literal: &str) -> Option<BooleanBuffer> {
        let array = column.as_string_opt::<i32>()?;
        // Equality is by far the usual question, and lengths mostly answer it.
        Some(match self.operator {
            Operator::Equal => each(array.len(), |row| array.value(row) == literal),
            Operator::NotEqual => each(array.len(), |row| array.value(row) != literal),
            operator => each(array.len(), |row| {
                operator.holds(array.value(row).cmp(literal))
            }),
        })
    }

    fn floats(&self, column: &ArrayRef, literal: f64) -> Option<BooleanBuffer> {
        let values = column.as_primitive_opt::<Float64Type>()?.values();
        Some(BooleanBuffer::from_iter(values.iter().map(|value| {
            value
                .partial_cmp(&literal)
                .is_some_and(|ordering| self.operator.holds(ordering))
        })))
    }

    fn integers(&self, column: &ArrayRef, literal: i128) -> Option<BooleanBuffer> {
        self.primitives::<UInt32Type>(column, literal)
            .or_else(|| self.primitives::<UInt64Type>(column, literal))
            .or_else(|| self.primitives::<UInt16Type>(column, literal))
            .or_else(|| self.primitives::<Int32Type>(column, literal))
            .or_else(|| self.primitives::<TimestampNanosecondType>(column, literal))
    }

    fn primitives<T>(&self, column: &ArrayRef, literal: i128) -> Option<BooleanBuffer>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i128>,
    {
        let values = column.as_primitive_opt::<T>()?.values();
        let operator = self.operator;
        Some(BooleanBuffer::from_iter(values.iter().map(|value| {
            let value: i128 = (*value).into();
            operator.holds(value.cmp(&literal))
        })))
    }
}

/// One bit for each row below `rows`, which must be rows of the array that `bit` reads.
pub(super) fn each(rows: usize, bit: impl FnMut(usize) -> bool) -> BooleanBuffer {
    BooleanBuffer::collect_bool(rows, bit)
}
