//! What is known of a process, on every platform: what a row is made of.
//!
//! It reads nothing. Who found it out, and what else it takes to find it out again, is the looks' own.

use super::details::Details;

/// A process as it was when it was seen last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    pub(super) pid: u32,
    pub(super) ppid: Option<u32>,
    pub(super) user_id: Option<u32>,
    /// None: it hasn't been looked at, or the platform doesn't tell.
    pub(super) memory_bytes: Option<u64>,
    /// In % of one core since the look before; none at the first.
    pub(super) cpu_usage: Option<f64>,
    /// What it does, in a word; none where the platform doesn't tell.
    pub(super) state: Option<&'static str>,
    pub(super) details: Details,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds between two looks are far below 2^52"
)]
pub(super) fn percent_of_core(cpu_ns: u64, elapsed_ns: f64) -> f64 {
    cpu_ns as f64 / elapsed_ns * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_use_is_in_percent_of_one_core() {
        let check = |cpu_ns, elapsed_ns, percent: f64| {
            assert!((percent_of_core(cpu_ns, elapsed_ns) - percent).abs() < 1e-9);
        };
        check(0, 1e9, 0.0);
        check(10_000_000, 1e9, 1.0);
        check(2_000_000_000, 1e9, 200.0);
        check(5, 20.0, 25.0);
    }
}
