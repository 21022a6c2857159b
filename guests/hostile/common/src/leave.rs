//! Leaves without an answer.

use std::io::Write;

/// The trap itself.
pub(crate) fn trap(_: u64) {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
}

/// A panic: a message to stderr, and a trap.
pub(crate) fn panic(_: u64) {
    panic!("a guest that panics says so");
}

/// `amount` bytes to stderr, and a trap: the last of them are what the dead letter holds.
pub(crate) fn stderr_then_trap(amount: u64) {
    let mut stderr = std::io::stderr().lock();
    for line in 0..amount.div_ceil(16) {
        let _ = writeln!(stderr, "{line:015}");
    }
    let _ = writeln!(stderr, "the last words");
    trap(0);
}

/// `exit` with a code.
pub(crate) fn exit(_: u64) {
    std::process::exit(7);
}

/// `exit` as if all were well.
pub(crate) fn exit_with_success(_: u64) {
    std::process::exit(0);
}
