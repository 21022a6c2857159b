//! Works, and works.

use std::hint::black_box;

/// Arithmetic, `amount` million turns of it: it has an end, but dear.
pub(crate) fn fuel(amount: u64) {
    let mut value = 1_u64;
    for turn in 0..amount.saturating_mul(1_000_000) {
        value = black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(turn),
        );
    }
}

/// How much is copied with one instruction.
const COPY_BYTES: usize = 16 << 20;

/// `amount` copies of 16 MiB, each a single instruction: little fuel, much time.
pub(crate) fn cpu(amount: u64) {
    let from = black_box(vec![1_u8; COPY_BYTES]);
    let mut to = black_box(vec![0_u8; COPY_BYTES]);
    for _ in 0..amount {
        to.copy_from_slice(&from);
        black_box(&mut to);
    }
}
