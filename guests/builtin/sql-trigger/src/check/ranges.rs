//! A comparison of a column with a constant, as the range of values for which it is true.
//!
//! Nothing is rounded for it: a range of whole numbers is made of a float's floor and ceiling, a range
//! of floats of a whole number's neighbours.

use std::cmp::Ordering;

use super::comparisons::Operator;
use crate::evaluate::{order_exact, rounded, truncated};
use crate::plan::Number;

/// Of no whole number.
const NONE: (i128, i128) = (1, 0);

/// Which whole numbers compare so with a number.
pub(super) fn integer_range(operator: Operator, number: Number) -> (i128, i128) {
    // Beyond all columns, and far from the ends of 128 bits.
    const FAR: f64 = 1e30;
    let (floor, ceiling) = match number {
        Number::Integer(value) => (value, value),
        Number::Float(value) => {
            let value = value.clamp(-FAR, FAR);
            (truncated(value.floor()), truncated(value.ceil()))
        }
        Number::Null | Number::Fault => return NONE,
    };
    let range = match operator {
        Operator::Less => ceiling.checked_sub(1).map(|high| (i128::MIN, high)),
        Operator::LessOrEqual => Some((i128::MIN, floor)),
        Operator::Greater => floor.checked_add(1).map(|low| (low, i128::MAX)),
        Operator::GreaterOrEqual => Some((ceiling, i128::MAX)),
        Operator::Equal | Operator::NotEqual => (floor == ceiling).then_some((floor, floor)),
    };
    range.unwrap_or(NONE)
}

/// Which floats compare so with a number, which is not rounded for it.
pub(super) fn float_range(operator: Operator, number: Number) -> (f64, f64) {
    const NONE: (f64, f64) = (1.0, 0.0);
    let (near, order) = match number {
        Number::Float(value) => (value, Some(Ordering::Equal)),
        Number::Integer(value) => (rounded(value), order_exact(value, rounded(value))),
        Number::Null | Number::Fault => return NONE,
    };
    // A zero has two signs, which are equal.
    let near = near + 0.0;
    // The largest float that is not above the number, and the smallest that is not below it.
    let (floor, ceiling) = match order {
        Some(Ordering::Less) => (near.next_down(), near),
        Some(Ordering::Greater) => (near, near.next_up()),
        _ => (near, near),
    };
    let (below, above) = match order {
        Some(Ordering::Equal) => (near.next_down(), near.next_up()),
        _ => (floor, ceiling),
    };
    match operator {
        Operator::Less if near == f64::NEG_INFINITY => NONE,
        Operator::Greater if near == f64::INFINITY => NONE,
        Operator::Less => (f64::NEG_INFINITY, below),
        Operator::LessOrEqual => (f64::NEG_INFINITY, floor),
        Operator::Greater => (above, f64::INFINITY),
        Operator::GreaterOrEqual => (ceiling, f64::INFINITY),
        Operator::Equal | Operator::NotEqual if floor == ceiling => (near, near),
        Operator::Equal | Operator::NotEqual => NONE,
    }
}
