//! The one number of a process's `stat` that sysinfo rounds away: its start in clock ticks.
//!
//! Bytes in, numbers out. The invariant: whatever stands in the process's name, the number is that of
//! the right field, or none.

use std::sync::OnceLock;

use sysinfo::System;
use weir_bus::Timestamp;

/// The place of the start time among the fields after the name: field 22, counted from field 3.
const START_TIME_FIELD: usize = 19;
/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// The start, in ticks since boot. The name stands in parentheses, and may hold any byte but zero: it
/// ends at the last closing one.
pub(crate) fn start_ticks(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let field = fields.split_ascii_whitespace().nth(START_TIME_FIELD)?;
    field.parse().ok()
}

/// When a process that started so many ticks after boot did so.
///
/// The boot time is the kernel's in whole seconds, read once: a process must be called the same at
/// every look and in every run of the daemon, which matters more than the fraction of a second by
/// which all of a boot's processes are early.
pub(crate) fn start_time(ticks: u64) -> Timestamp {
    static BOOT_NS: OnceLock<u64> = OnceLock::new();
    let boot_ns = *BOOT_NS.get_or_init(|| {
        System::boot_time()
            .unwrap_or_default()
            .saturating_mul(SECOND_NS)
    });
    let tick_ns = SECOND_NS / rustix::param::clock_ticks_per_second().max(1);
    let ns = boot_ns.saturating_add(ticks.saturating_mul(tick_ns));
    Timestamp(i64::try_from(ns).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_found_whatever_the_process_is_called() {
        let tail = "S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 66 77 18446744073709551615";
        let check = |stat: &[u8], expected| assert_eq!(start_ticks(stat), expected);
        for name in ["sleep", ") R 1", "a b", "((", "x) S 1 2 3", "\n"] {
            check(format!("42 ({name}) {tail}").as_bytes(), Some(4711));
        }
        let mut odd = b"42 (\xff\xfe) ".to_vec();
        odd.extend_from_slice(tail.as_bytes());
        check(&odd, Some(4711));
        check(b"", None);
        check(b"42 (sleep", None);
        check(b"42 (sleep)", None);
        check(b"42 (sleep) S 1 7", None);
        let text = format!("42 (sleep) {tail}");
        check(text.replace("4711", "-1").as_bytes(), None);
    }
}
