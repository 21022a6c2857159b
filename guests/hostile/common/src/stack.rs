//! Goes too deep.

use std::hint::black_box;

/// Calls itself without an end.
pub(crate) fn overflow(_: u64) {
    black_box(deeper(black_box(1)));
}

#[allow(unconditional_recursion, reason = "it is what this guest does")]
fn deeper(depth: u64) -> u64 {
    // What is done after the call keeps it from being a loop.
    black_box(deeper(black_box(depth + 1))) + depth
}
