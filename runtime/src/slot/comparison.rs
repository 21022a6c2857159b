//! Two guests beside each other, on the same batches: how far they say the same, and what they cost.

use std::hash::{Hash, Hasher as _};
use std::time::Duration;

use rustc_hash::FxHasher;
use serde::Serialize;

use super::statistics::as_ns;

/// What came of showing the same batches to two guests: the one in force, and the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Batches that both had a verdict on, or both had none.
    pub batches: u64,
    /// Their rows.
    pub rows: u64,
    /// Rows about which both said the same.
    pub rows_alike: u64,
    /// What these batches cost the other, in fuel.
    pub fuel: u64,
    /// What they cost the one in force.
    pub fuel_in_force: u64,
    /// How long the other took; written as nanoseconds.
    #[serde(rename = "time_ns", serialize_with = "as_ns")]
    pub time: Duration,
    /// How long the one in force took; written as nanoseconds.
    #[serde(rename = "time_in_force_ns", serialize_with = "as_ns")]
    pub time_in_force: Duration,
}

impl Comparison {
    pub(super) fn add(&mut self, in_force: &Said, other: &Said) {
        let pairs = in_force.rows.iter().zip(&other.rows);
        let alike = pairs.filter(|(one, other)| one == other).count();
        self.batches += 1;
        self.rows += in_force.rows.len() as u64;
        self.rows_alike += alike as u64;
        self.fuel = self.fuel.saturating_add(other.fuel);
        self.fuel_in_force = self.fuel_in_force.saturating_add(in_force.fuel);
        self.time += other.time;
        self.time_in_force += in_force.time;
    }

    /// The share of rows about which they didn't say the same, in 0..=1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
    pub fn difference(&self) -> f64 {
        self.rows.saturating_sub(self.rows_alike) as f64 / self.rows.max(1) as f64
    }
}

/// What a guest said of a batch, and what that took.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    /// Of each row; none where it has no verdict.
    pub(super) rows: Vec<Option<u64>>,
    pub(super) fuel: u64,
    pub(super) time: Duration,
}

/// The same number for the same thing.
pub(super) fn fingerprint(said: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    said.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_verdict_are_alike_only_where_both_have_none() {
        let said = |rows: &[Option<u64>], fuel| Said {
            rows: rows.to_vec(),
            fuel,
            time: Duration::ZERO,
        };
        let mut comparison = Comparison::default();
        assert!(comparison.difference().abs() < f64::EPSILON);
        comparison.add(
            &said(&[Some(0), Some(1), None, None], 10),
            &said(&[Some(0), Some(2), Some(0), None], 30),
        );
        assert_eq!((comparison.rows, comparison.rows_alike), (4, 2));
        assert!((comparison.difference() - 0.5).abs() < f64::EPSILON);
        assert_eq!((comparison.fuel_in_force, comparison.fuel), (10, 30));
    }
}
