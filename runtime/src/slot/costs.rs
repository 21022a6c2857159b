//! What a guest's rows cost: quantiles over its answered calls, within a bounded memory.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The dearest row that is told apart from dearer ones: more fuel than any call has.
const FUEL_MAX: u64 = 1_000_000_000_000;
/// The slowest, in nanoseconds: longer than any call may take.
const NS_MAX: u64 = 100_000_000_000;
/// Decimal digits that are kept: a hundredth, in 140 KB a slot.
const DIGITS: u8 = 2;

/// What a row cost, by call.
#[derive(Debug)]
pub(super) struct Costs {
    /// None where the bounds above made none, which a test would have told.
    fuel: Option<Histogram<u64>>,
    time_ns: Option<Histogram<u64>>,
}

/// Quantiles of what a row cost, over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Half of all calls took no more.
    pub p50: u64,
    /// 99 of 100 calls took no more.
    pub p99: u64,
}

impl Quantiles {
    fn of(histogram: Option<&Histogram<u64>>) -> Self {
        let Some(histogram) = histogram else {
            return Self::default();
        };
        Self {
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
        }
    }
}

impl Costs {
    pub(super) fn new() -> Self {
        Self {
            fuel: Histogram::new_with_max(FUEL_MAX, DIGITS).ok(),
            time_ns: Histogram::new_with_max(NS_MAX, DIGITS).ok(),
        }
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, fuel: u64, time: Duration, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX).max(1);
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        for (histogram, cost) in [(&mut self.fuel, fuel), (&mut self.time_ns, ns)] {
            if let Some(histogram) = histogram {
                histogram.saturating_record(cost / rows);
            }
        }
    }

    pub(super) fn fuel_of_row(&self) -> Quantiles {
        Quantiles::of(self.fuel.as_ref())
    }

    pub(super) fn ns_of_row(&self) -> Quantiles {
        Quantiles::of(self.time_ns.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_hundredth_and_no_call_is_too_dear() {
        let mut costs = Costs::new();
        assert_eq!(costs.fuel_of_row(), Quantiles::default());
        for _ in 0..98 {
            costs.answered(100_000, Duration::from_micros(50), 1_000);
        }
        costs.answered(u64::MAX, Duration::MAX, 1);
        costs.answered(7_000, Duration::from_micros(3), 0);
        let (fuel, ns) = (costs.fuel_of_row(), costs.ns_of_row());
        assert_eq!((fuel.p50, ns.p50), (100, 50));
        assert!((6_930..=7_070).contains(&fuel.p99), "{fuel:?}");
        assert!((2_970..=3_030).contains(&ns.p99), "{ns:?}");
    }
}
