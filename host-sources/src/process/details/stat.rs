//! `stat`, `statm` and `schedstat`: a process's numbers as the kernel writes them on one line.
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
/// Places in `schedstat`: how long it ran, how long it waited to, how often it did.
const RUN_NS: usize = 0;
const TURNS: usize = 2;
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
        let mut words = Words { rest, next: 0 };
        let state = *words.field(STATE)?.first()?;
        let parent = u32::try_from(words.number(PARENT)?).ok()?;
        let flags = u32::try_from(words.number(FLAGS)?).ok()?;
        let cpu_ticks = [USER_TICKS, SYSTEM_TICKS].map(|field| words.number(field));
        let [Some(user_ticks), Some(system_ticks)] = cpu_ticks else {
            return None;
        };
        Some(Self {
            name,
            state,
            parent,
            flags,
            cpu_ticks: user_ticks.checked_add(system_ticks)?,
            threads: words.number(THREADS)?,
            start_ticks: words.number(START_TICKS)?,
            virtual_bytes: words.number(VIRTUAL_BYTES)?,
            resident_pages: signed(words.field(RESIDENT_PAGES)?)?,
            // Newer fields may be missing.
            layout: [CODE_START, STACK_START, ARGUMENTS_START]
                .map(|field| words.number(field).unwrap_or_default()),
        })
    }
}

/// The fields after the name, asked for in their order: what lies between is passed over byte by byte, and nothing
/// is kept of it.
struct Words<'a> {
    rest: &'a [u8],
    /// The place of the field that `rest` begins with.
    next: usize,
}

impl<'a> Words<'a> {
    fn field(&mut self, field: usize) -> Option<&'a [u8]> {
        loop {
            let begin = self.rest.iter().position(|byte| !is_blank(*byte))?;
            let from = self.rest.get(begin..)?;
            let end = from.iter().position(|byte| is_blank(*byte));
            let (word, rest) = from.split_at_checked(end.unwrap_or(from.len()))?;
            self.rest = rest;
            self.next += 1;
            if self.next > field {
                return Some(word);
            }
        }
    }

    fn number(&mut self, field: usize) -> Option<u64> {
        unsigned(self.field(field)?)
    }
}

const fn is_blank(byte: u8) -> bool {
    byte <= b' '
}

/// What a thread has had of the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TurnsTaken {
    run_ns: u64,
    turns: u64,
}

/// What `schedstat` says of a thread; none if it has never run, or the kernel doesn't count.
pub(crate) fn turns_taken(line: &[u8]) -> Option<TurnsTaken> {
    let mut words = Words {
        rest: line,
        next: 0,
    };
    let [run_ns, turns] = [RUN_NS, TURNS].map(|field| words.number(field));
    let taken = TurnsTaken {
        run_ns: run_ns?,
        turns: turns?,
    };
    (taken.turns > 0).then_some(taken)
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
    /// Digits that make no number over 2^64.
    const DIGITS_SAFE: usize = 19;
    if digits.is_empty() {
        return None;
    }
    let digit_of = |byte: u8| byte.wrapping_sub(b'0');
    let are_digits = digits
        .iter()
        .fold(true, |all, byte| all & (digit_of(*byte) <= 9));
    let (safe, rest) = digits.split_at(digits.len().min(DIGITS_SAFE));
    let number = safe.iter().fold(0_u64, |number, byte| {
        number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit_of(*byte)))
    });
    let number = rest.iter().try_fold(number, |number, byte| {
        let number = number.checked_mul(10)?;
        number.checked_add(u64::from(digit_of(*byte)))
    });
    number.filter(|_| are_digits)
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

    #[test]
    fn turns_are_told_where_the_kernel_counts_them() {
        let check = |line: &[u8], expected: Option<(u64, u64)>| {
            let taken = turns_taken(line).map(|taken| (taken.run_ns, taken.turns));
            assert_eq!(taken, expected);
        };
        check(b"4711 66 7\n", Some((4711, 7)));
        check(b"0 0 1\n", Some((0, 1)));
        // It doesn't count, or the thread has never run.
        check(b"0 0 0\n", None);
        check(b"4711 66", None);
        check(b"4711 66 -7\n", None);
        check(b"", None);
    }
}
