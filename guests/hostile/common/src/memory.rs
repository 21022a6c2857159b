//! Takes memory.

use std::cell::RefCell;
use std::hint::black_box;

/// What is taken at once.
const PIECE_BYTES: usize = 1 << 20;

/// Takes memory through the allocator until it is refused: an abort.
pub(crate) fn take(_: u64) {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(black_box(vec![1; PIECE_BYTES]));
    }
}

/// Asks for memory until it is refused, and lives with the refusal.
pub(crate) fn grow(_: u64) {
    #[cfg(target_arch = "wasm32")]
    while core::arch::wasm32::memory_grow(0, PIECE_BYTES / (64 << 10)) != usize::MAX {}
}

/// Asks for `amount` bytes of memory at once, and lives with the answer.
pub(crate) fn grow_at_once(amount: u64) {
    let pages = usize::try_from(amount).unwrap_or(usize::MAX) / (64 << 10);
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::memory_grow(0, pages);
    #[cfg(not(target_arch = "wasm32"))]
    black_box(pages);
}

thread_local! {
    static HELD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Takes `amount` bytes at each call, and keeps them.
pub(crate) fn hold(amount: u64) {
    let bytes = usize::try_from(amount).unwrap_or(usize::MAX);
    HELD.with_borrow_mut(|held| held.push(black_box(vec![1; bytes])));
}
