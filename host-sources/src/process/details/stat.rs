//! `stat` and `statm`: a process's numbers as the kernel writes them on one line.
//!
//! Bytes in, numbers out. The invariant: whatever stands in the process's name, each number is that of the
//! right field, or none.

use std::sync::OnceLock;

use sysinfo::System;
use weir_bus::Timestamp;

/// Places among the fields after the name, from proc_pid_stat(5), which counts from field 3.
const STATE: usize = 0;
const PARENT: usize = 1;
const FLAGS: usize = 6;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS: usize = 17;
const START_TICKS: usize = 19;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;
const CODE_START: usize = 23;
const STACK_START: usize = 25;
const ARGUMENTS_START: usize = 45;
/// The last field that is read, and one.
const FIELDS: usize = 46;
/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// What a process's `stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat<'a> {
    /// The name, any bytes but zero.
    pub(crate) name: &'a [u8],
    /// The state's letter.
    pub(crate) state: u8,
    /// The parent's pid; 0: none.
    pub(crate) parent: u32,
    /// `PF_` flags.
    pub(crate) flags: u32,
    /// CPU time of all threads, in ticks.
    pub(crate) cpu_ticks: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// When it began, in ticks since boot.
    pub(crate) start_ticks: u64,
    /// Bytes of address space; none for a kernel thread, and what has ended.
    pub(crate) virtual_bytes: u64,
    /// Pages in memory; behind by some for each CPU.
    pub(crate) resident_pages: i64,
    /// Changes with an exec: where code, stack and arguments begin, which the kernel draws anew; and the size
    /// of it all, where those may not be seen.
    pub(crate) layout: [u64; 3],
}

impl<'a> Stat<'a> {
    /// Reads the line. The name stands in parentheses, and may hold any byte but zero: it ends at the last
    /// closing one.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let name_start = line.iter().position(|byte| *byte == b'(')?.checked_add(1)?;
        let name_end = line.iter().rposition(|byte| *byte == b')')?;
        let name = line.get(name_start..name_end)?;
        let rest = line.get(name_end.checked_add(1)?..)?;
        let mut fields: [&[u8]; FIELDS] = [&[]; FIELDS];
        let words = rest
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        for (field, word) in fields.iter_mut().zip(words) {
            *field = word;
        }
        let number = |at: usize| unsigned(fields.get(at)?);
        // Newer fields may be missing.
        let place = |at| number(at).unwrap_or_default();
        Some(Self {
            name,
            state: *fields.get(STATE)?.first()?,
            parent: u32::try_from(number(PARENT)?).ok()?,
            flags: u32::try_from(number(FLAGS)?).ok()?,
            cpu_ticks: number(USER_TICKS)?.checked_add(number(SYSTEM_TICKS)?)?,
            threads: number(THREADS)?,
            start_ticks: number(START_TICKS)?,
            virtual_bytes: number(VIRTUAL_BYTES)?,
            resident_pages: signed(fields.get(RESIDENT_PAGES)?)?,
            layout: [CODE_START, STACK_START, ARGUMENTS_START].map(place),
        })
    }
}

/// The start, in ticks since boot.
pub(crate) fn start_ticks(line: &[u8]) -> Option<u64> {
    Stat::parse(line).map(|stat| stat.start_ticks)
}

/// Pages in memory, of a process's `statm`.
pub(crate) fn resident_pages(line: &[u8]) -> Option<u64> {
    let mut words = line.split(u8::is_ascii_whitespace);
    unsigned(words.nth(1)?)
}

/// Digits and nothing else, as a number.
fn unsigned(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn signed(digits: &[u8]) -> Option<i64> {
    match digits.strip_prefix(b"-") {
        Some(digits) => i64::try_from(unsigned(digits)?).ok()?.checked_neg(),
        None => i64::try_from(unsigned(digits)?).ok(),
    }
}

/// Nanoseconds of a tick.
pub(crate) fn tick_ns() -> u64 {
    SECOND_NS / rustix::param::clock_ticks_per_second().max(1)
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
    let ns = boot_ns.saturating_add(ticks.saturating_mul(tick_ns()));
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
