//! Says too much.

use std::io::Write;
use weir_guest::host;

/// `amount` lines to the log.
pub(crate) fn log(amount: u64) {
    for line in 0..amount {
        host::info(format_args!("flood {line}"));
    }
}

/// One line of `amount` bytes to the log: the host must hold all of it, if it lets it in.
pub(crate) fn one_huge_line(amount: u64) {
    host::info("x".repeat(usize::try_from(amount).unwrap_or(usize::MAX)));
}

/// What a terminal would obey.
pub(crate) fn control_characters(_: u64) {
    host::warn("\u{1b}[2Jcleared\r\nweir: forged line\u{7}\u{9b}31m\u{202e}");
}

/// `amount` lines to stdout.
pub(crate) fn stdout(amount: u64) {
    let mut stdout = std::io::stdout().lock();
    for line in 0..amount {
        // What is refused is refused.
        let _ = writeln!(stdout, "flood {line}");
    }
    let _ = stdout.flush();
}

/// `amount` lines to stderr.
pub(crate) fn stderr(amount: u64) {
    let mut stderr = std::io::stderr().lock();
    for line in 0..amount {
        let _ = writeln!(stderr, "flood {line}");
    }
}
