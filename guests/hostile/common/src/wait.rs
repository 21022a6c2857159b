//! Waits in the host, where neither fuel nor epochs are looked at.

use std::time::Duration;

/// How long, where the settings don't say: past every deadline.
const AN_HOUR_SECONDS: u64 = 3_600;

/// Sleeps `amount` seconds, or an hour.
pub(crate) fn sleep(amount: u64) {
    let seconds = if amount == 0 { AN_HOUR_SECONDS } else { amount };
    std::thread::sleep(Duration::from_secs(seconds));
}
