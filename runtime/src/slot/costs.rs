//! What a guest's rows cost in fuel: quantiles over its answered calls, within a bounded memory.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The dearest row that is told apart from dearer ones: more than any call has.
const FUEL_MAX: u64 = 1_000_000_000_000;
/// Decimal digits that are kept: a hundredth, in 70 KB a slot.
const DIGITS: u8 = 2;

/// Fuel a row, by call.
#[derive(Debug)]
pub(super) struct Costs {
    /// None where the bounds above made none, which a test would have told.
    fuel: Option<Histogram<u64>>,
}

/// Quantiles of the fuel a row, over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FuelOfRow {
    /// Half of all calls took no more.
    pub p50: u64,
    /// 99 of 100 calls took no more.
    pub p99: u64,
}

impl Costs {
    pub(super) fn new() -> Self {
        Self {
            fuel: Histogram::new_with_max(FUEL_MAX, DIGITS).ok(),
        }
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, fuel: u64, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX).max(1);
        if let Some(histogram) = &mut self.fuel {
            histogram.saturating_record(fuel / rows);
        }
    }

    pub(super) fn fuel_of_row(&self) -> FuelOfRow {
        let Some(histogram) = &self.fuel else {
            return FuelOfRow::default();
        };
        FuelOfRow {
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_hundredth_and_no_call_is_too_dear() {
        let mut costs = Costs::new();
        assert_eq!(costs.fuel_of_row(), FuelOfRow::default());
        for _ in 0..98 {
            costs.answered(100_000, 1_000);
        }
        costs.answered(u64::MAX, 1);
        costs.answered(7_000, 0);
        let fuel = costs.fuel_of_row();
        assert_eq!(fuel.p50, 100);
        assert!((6_930..=7_070).contains(&fuel.p99), "{fuel:?}");
    }
}
