//! Looks through its memory for what another guest, or it itself before its fault, has left there.

use std::cell::RefCell;
use std::hint::black_box;

use weir_guest::host;

/// What is left; it lies in no data segment, for its bytes are turned around first.
const TURNED: &[u8] = b"terces s'riew";

thread_local! {
    static LEFT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// How often it lies in the memory from its beginning to its end.
#[cfg(target_arch = "wasm32")]
fn times() -> usize {
    let secret: Vec<u8> = black_box(TURNED.iter().rev().copied().collect());
    let bytes = core::arch::wasm32::memory_size(0) << 16;
    let at = |place: usize| {
        // SAFETY: the place lies within the memory, whose every byte can be read; volatile, as others
        // write to it.
        unsafe { core::ptr::read_volatile(core::ptr::without_provenance::<u8>(place)) }
    };
    let is_there = |place: usize| (0..secret.len()).all(|byte| at(place + byte) == secret[byte]);
    // Address 0 is no place that Rust may look at, and the one that it has just made is its own.
    let places = (1..bytes - secret.len()).filter(|place| *place != secret.as_ptr().addr());
    places.filter(|place| is_there(*place)).count()
}

#[cfg(not(target_arch = "wasm32"))]
fn times() -> usize {
    0
}

/// Says how often it has found the secret, and leaves one.
pub(crate) fn look_and_leave(_: u64) {
    host::info(format_args!("secrets {}", times()));
    let secret = black_box(TURNED.iter().rev().copied().collect());
    LEFT.with_borrow_mut(|left| left.push(secret));
}

/// The same, and traps: what it left is in the memory that it leaves behind.
pub(crate) fn look_leave_and_trap(amount: u64) {
    look_and_leave(amount);
    super::leave::trap(0);
}
