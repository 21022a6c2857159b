//! Never comes back.

use std::hint::black_box;

/// A loop without an end, and without a host call.
pub(crate) fn endless(_: u64) {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns).wrapping_add(1);
    }
}
