//! What is common to all measurements: how much work, how often, and the median of it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How much work a run does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// How often ours and its peers take turns.
    pub(crate) pairs: usize,
    /// A tenth of the work in each turn.
    pub(crate) is_quick: bool,
    /// Only cases with this in their name; none: all of them.
    pub(crate) only: Option<&'static str>,
}

/// What `--quick` divides the work by.
const QUICK_PART: usize = 10;

impl Effort {
    /// As much of the work as this run does; at least one.
    pub(crate) fn of(self, work: usize) -> usize {
        if self.is_quick {
            (work / QUICK_PART).max(1)
        } else {
            work
        }
    }

    /// Whether a case of that name is asked for.
    pub(crate) fn wants(self, case: &str) -> bool {
        self.only.is_none_or(|only| case.contains(only))
    }

    /// Whether one of these is: what is measured together is measured for the sake of any.
    pub(crate) fn wants_any(self, cases: &[impl AsRef<str>]) -> bool {
        cases.iter().any(|case| self.wants(case.as_ref()))
    }
}

/// Counts this thread's CPU time: what work costs, however many others want the same core. On a quiet
/// machine it is the wall clock's time; on a busy one it keeps a ratio honest.
pub(crate) struct CpuWatch {
    started: Duration,
}

impl CpuWatch {
    pub(crate) fn start() -> Self {
        Self {
            started: cpu_time(ClockId::ThreadCPUTime),
        }
    }

    /// Nanoseconds since the start.
    pub(crate) fn nanoseconds(&self) -> f64 {
        let used = cpu_time(ClockId::ThreadCPUTime).saturating_sub(self.started);
        used.as_secs_f64() * 1e9
    }
}

/// What a clock shows.
pub(crate) fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// What the kernel's monotonic clock shows, which all processes of a machine share.
pub(crate) fn now_ns() -> u64 {
    u64::try_from(cpu_time(ClockId::Monotonic).as_nanos()).unwrap_or(u64::MAX)
}

/// The middle one; the mean of the two middle ones where there are as many on both sides.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    let lower = sorted.len().saturating_sub(1) / 2;
    match (sorted.get(lower), sorted.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => f64::NAN,
    }
}

/// The value below which that share of the sorted values lies.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a part of a count, clamped to it"
    )]
    let place = (sorted.len() as f64 * share) as usize;
    let last = sorted.len().saturating_sub(1);
    sorted.get(place.min(last)).copied().unwrap_or(f64::NAN)
}

/// A count as a figure. Exact below 2^53, which no bench comes near.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) const fn figure(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_a_quantile_lies_within() {
        for (values, expected) in [
            (&[3.0, 1.0, 2.0][..], 2.0),
            (&[4.0, 1.0, 2.0, 3.0], 2.5),
            (&[7.0], 7.0),
        ] {
            assert!((median(values) - expected).abs() < 1e-9, "{values:?}");
        }
        assert!(median(&[]).is_nan());
        let hundred: Vec<f64> = (0..100).map(f64::from).collect();
        assert!((quantile(&hundred, 0.99) - 99.0).abs() < 1e-9);
        assert!((quantile(&hundred, 1.0) - 99.0).abs() < 1e-9);
        assert!((quantile(&hundred, 0.5) - 50.0).abs() < 1e-9);
    }
}
