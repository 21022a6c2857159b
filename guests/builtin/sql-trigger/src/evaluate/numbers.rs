//! Numbers: ranges of a column in vectors, and comparisons and arithmetic row by row.
//!
//! Whole numbers are exact: they are compared with floats without being made floats, and calculated
//! in 128 bits. What leaves those is a fault, never a wrong number.

use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::rc::Rc;

use weir_guest::{Column as _, FixedColumn, FixedWidth};

use super::{Evaluated, Evaluation, Value};
use crate::bits::{Bits, Truth};
use crate::columns::ColumnData;
use crate::faults::{Faults, Reason};
use crate::plan::{Arithmetic, Comparison, NodeId, Number, Shape};

/// Runs something with a column of whole numbers, of whatever width.
macro_rules! with_integers {
    ($data:expr, $column:ident => $do:expr, else $otherwise:expr) => {
        match $data {
            Some(ColumnData::U16($column)) => $do,
            Some(ColumnData::U32($column)) => $do,
            Some(ColumnData::U64($column)) => $do,
            Some(ColumnData::I32($column)) => $do,
            Some(ColumnData::Time($column)) => $do,
            _ => $otherwise,
        }
    };
}

impl Evaluation<'_> {
    pub(super) fn integers_within(&self, column: usize, low: i128, high: i128) -> Truth {
        let rows = self.columns.rows();
        with_integers!(self.columns.get(column), numbers => within(numbers, rows, low, high),
            else Truth::constant(None, rows))
    }

    pub(super) fn integers_among(&self, column: usize, values: &[i128]) -> Truth {
        let rows = self.columns.rows();
        with_integers!(self.columns.get(column), numbers => among(numbers, rows, values),
            else Truth::constant(None, rows))
    }

    pub(super) fn floats_within(&self, column: usize, range: &RangeInclusive<f64>) -> Truth {
        let rows = self.columns.rows();
        let Some(ColumnData::F64(numbers)) = self.columns.get(column) else {
            return Truth::constant(None, rows);
        };
        let (low, high) = (*range.start(), *range.end());
        let yes = Bits::of_bools(
            rows,
            numbers
                .values()
                .map(|value| (value >= low) & (value <= high)),
        );
        let mut valid = Bits::of_validity(numbers.validity(), rows);
        // What is no number is null, as in SQLite.
        valid.and(&Bits::of_bools(
            rows,
            numbers.values().map(|value| !value.is_nan()),
        ));
        Truth::of(yes, &valid)
    }

    pub(super) fn numbers(&self, column: usize) -> Rc<[Number]> {
        let rows = self.columns.rows();
        let data = self.columns.get(column);
        if let Some(ColumnData::F64(numbers)) = data {
            let number = |row| numbers.get(row).filter(|value| !value.is_nan());
            return (0..rows)
                .map(|row| number(row).map_or(Number::Null, Number::Float))
                .collect();
        }
        with_integers!(data, numbers => {
            (0..rows).map(|row| numbers.get(row).map_or(Number::Null, |value| Number::Integer(value.into()))).collect()
        }, else (0..rows).map(|_| Number::Null).collect())
    }

    pub(super) fn list_lengths(&self, column: usize) -> Rc<[Number]> {
        let lists = self.columns.texts(column);
        let length = |row| {
            let lists = lists.filter(|lists| lists.is_valid(row))?;
            let (from, to) = lists.range(row)?;
            Some(Number::Integer(to.saturating_sub(from).try_into().ok()?))
        };
        (0..self.columns.rows())
            .map(|row| length(row).unwrap_or(Number::Null))
            .collect()
    }

    pub(super) fn compare(&self, comparison: Comparison, left: NodeId, right: NodeId) -> Evaluated {
        let parts = [left, right];
        let rows = self.rows_of(&parts);
        let order = |row: usize| match self.plan.shape(left) {
            Shape::Number => order(self.number(left, row), self.number(right, row)),
            Shape::Text => Some(self.text(left, row)?.cmp(self.text(right, row)?)),
            Shape::Truth => {
                let truth = |node| match self.cell(node, row) {
                    super::Cell::Truth(truth) => Some(truth),
                    _ => None,
                };
                Some(truth(left)?.cmp(&truth(right)?))
            }
        };
        let mut truth = Truth::constant(None, rows);
        for row in 0..rows {
            truth.set(
                row,
                order(row).map(|order| match comparison {
                    Comparison::Equal => order.is_eq(),
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                }),
            );
        }
        (Value::Truth(truth), self.inherited(&parts))
    }

    pub(super) fn calculate(&self, operator: Arithmetic, left: NodeId, right: NodeId) -> Evaluated {
        let parts = [left, right];
        let rows = self.rows_of(&parts);
        let mut own = Faults::none(rows);
        let numbers: Rc<[Number]> = (0..rows)
            .map(|row| {
                let (left, right) = (self.number(left, row), self.number(right, row));
                let result = calculated(operator, left, right);
                if result == Number::Fault && left != Number::Fault && right != Number::Fault {
                    own.add(row, Reason::Overflow);
                }
                result
            })
            .collect();
        let faults = match (self.inherited(&parts), own.some()) {
            (Some(mut all), Some(own)) => {
                Rc::make_mut(&mut all).merge(&own);
                Some(all)
            }
            (all, own) => all.or(own),
        };
        (Value::Numbers(numbers), faults)
    }
}

/// A bound in the column's own type; how it is none tells whether it is below or above all values.
fn bound<T: TryFrom<i128>>(value: i128) -> Result<T, bool> {
    T::try_from(value).map_err(|_| value > 0)
}

fn within<T>(numbers: &FixedColumn<T>, rows: usize, low: i128, high: i128) -> Truth
where
    T: FixedWidth + TryFrom<i128> + PartialOrd,
{
    let valid = Bits::of_validity(numbers.validity(), rows);
    let yes = match (bound::<T>(low), bound::<T>(high)) {
        (Ok(low), Ok(high)) => Bits::of_bools(
            rows,
            numbers
                .values()
                .map(|value| (value >= low) & (value <= high)),
        ),
        (Ok(low), Err(true)) => Bits::of_bools(rows, numbers.values().map(|value| value >= low)),
        (Err(false), Ok(high)) => Bits::of_bools(rows, numbers.values().map(|value| value <= high)),
        (Err(false), Err(true)) => Bits::all(rows),
        _ => Bits::none(rows),
    };
    Truth::of(yes, &valid)
}

/// Up to so many values are compared one after the other, in vectors.
const COMPARED_MAX: usize = 8;

fn among<T>(numbers: &FixedColumn<T>, rows: usize, values: &[i128]) -> Truth
where
    T: FixedWidth + TryFrom<i128> + Ord,
{
    let valid = Bits::of_validity(numbers.validity(), rows);
    let own: Vec<T> = values
        .iter()
        .filter_map(|value| T::try_from(*value).ok())
        .collect();
    let yes = if own.len() <= COMPARED_MAX {
        own.iter().fold(Bits::none(rows), |mut yes, wanted| {
            yes.or(&Bits::of_bools(
                rows,
                numbers.values().map(|value| value == *wanted),
            ));
            yes
        })
    } else {
        Bits::of_bools(
            rows,
            numbers
                .values()
                .map(|value| own.binary_search(&value).is_ok()),
        )
    };
    Truth::of(yes, &valid)
}

/// How two numbers stand to each other; none where one is null or a fault.
fn order(left: Number, right: Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Integer(left), Number::Integer(right)) => Some(left.cmp(&right)),
        (Number::Float(left), Number::Float(right)) => left.partial_cmp(&right),
        (Number::Integer(left), Number::Float(right)) => order_exact(left, right),
        (Number::Float(left), Number::Integer(right)) => {
            order_exact(right, left).map(Ordering::reverse)
        }
        _ => None,
    }
}

/// A whole number and a float, neither of which is rounded.
pub(crate) fn order_exact(integer: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // 2^127: from here on floats are beyond all whole numbers.
    const BEYOND: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
    if float >= BEYOND {
        return Some(Ordering::Less);
    }
    if float < -BEYOND {
        return Some(Ordering::Greater);
    }
    let whole = float.trunc();
    Some(integer.cmp(&truncated(whole)).then_with(|| {
        0.0_f64
            .partial_cmp(&(float - whole))
            .unwrap_or(Ordering::Equal)
    }))
}

/// A whole float as a whole number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the caller has seen that it is within the bounds"
)]
pub(crate) const fn truncated(whole: f64) -> i128 {
    whole as i128
}

/// The float nearest to a whole number.
#[expect(clippy::cast_precision_loss, reason = "that is what it is for")]
pub(crate) const fn rounded(integer: i128) -> f64 {
    integer as f64
}

/// Division by zero and what is no number are null, as in SQLite.
pub(crate) fn calculated(operator: Arithmetic, left: Number, right: Number) -> Number {
    let (left, right) = match (left, right) {
        (Number::Fault, _) | (_, Number::Fault) => return Number::Fault,
        (Number::Null, _) | (_, Number::Null) => return Number::Null,
        (Number::Integer(left), Number::Integer(right)) => {
            let result = match operator {
                Arithmetic::Add => left.checked_add(right),
                Arithmetic::Subtract => left.checked_sub(right),
                Arithmetic::Multiply => left.checked_mul(right),
                Arithmetic::Divide | Arithmetic::Remainder if right == 0 => return Number::Null,
                Arithmetic::Divide => left.checked_div(right),
                Arithmetic::Remainder => Some(left.wrapping_rem(right)),
            };
            return result.map_or(Number::Fault, Number::Integer);
        }
        (left, right) => (as_float(left), as_float(right)),
    };
    let result = match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide | Arithmetic::Remainder if right == 0.0 => return Number::Null,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => left % right,
    };
    if result.is_nan() {
        Number::Null
    } else {
        Number::Float(result)
    }
}

fn as_float(number: Number) -> f64 {
    match number {
        Number::Integer(integer) => rounded(integer),
        Number::Float(float) => float,
        Number::Null | Number::Fault => f64::NAN,
    }
}
