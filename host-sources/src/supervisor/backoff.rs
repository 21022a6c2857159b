//! When a source that failed is started again.
//!
//! Arithmetic without a clock of its own. The invariant: a pause lies between half of what its
//! failure count says and that, never above `delay_max`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// How a failed source is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartLimits {
    /// The pause after the first failure; each further failure doubles it.
    pub delay_min: Duration,
    /// The longest pause.
    pub delay_max: Duration,
    /// How long a source has to be healthy for its failures to be forgotten.
    pub healthy_after: Duration,
}

/// The pause after a first failure: long enough for what was busy to be free again.
const DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest pause: a source whose reason went away is back within half a minute.
const DELAY_MAX: Duration = Duration::from_secs(30);
/// A healthy minute clears the count.
const HEALTHY_AFTER: Duration = Duration::from_mins(1);

impl Default for RestartLimits {
    fn default() -> Self {
        Self {
            delay_min: DELAY_MIN,
            delay_max: DELAY_MAX,
            healthy_after: HEALTHY_AFTER,
        }
    }
}

impl RestartLimits {
    /// The pause after `failures` failures in a row; `jitter` is any number, and takes up to half of
    /// it, so that sources which failed together don't come back together.
    pub(super) fn delay(&self, failures: u32, jitter: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
        let full = self
            .delay_min
            .saturating_mul(1 << doublings)
            .min(self.delay_max);
        let half_ns = u64::try_from((full / 2).as_nanos()).unwrap_or(u64::MAX);
        let off_ns = jitter.checked_rem(half_ns.saturating_add(1)).unwrap_or(0);
        full - Duration::from_nanos(off_ns)
    }
}

/// A number that differs from call to call; nobody needs it to be secret.
pub(super) fn jitter() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_keep_at_least_half() {
        let limits = RestartLimits::default();
        let check = |failures, full_ms| {
            let full = Duration::from_millis(full_ms);
            assert_eq!(limits.delay(failures, 0), full);
            for jitter in [1, 12_345, u64::MAX / 2, u64::MAX, jitter()] {
                let delay = limits.delay(failures, jitter);
                assert!((full / 2..=full).contains(&delay), "{failures}: {delay:?}");
            }
        };
        check(0, 100);
        check(1, 100);
        check(2, 200);
        check(5, 1_600);
        check(9, 25_600);
        check(10, 30_000);
        check(u32::MAX, 30_000);
    }
}
