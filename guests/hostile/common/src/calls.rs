//! Calls the host too often, or for too much.

use std::mem::ManuallyDrop;
use weir_guest::host;

/// Written by wit-bindgen: of WASI only what hands out handles, and random numbers. The version is wasi-libc's, and
/// the interfaces are whole, because the linker merges both into one.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "not written by hand"
)]
mod wasi {
    wit_bindgen::generate!({
        inline: "
            package weir:handles;

            world handles {
                import wasi:clocks/monotonic-clock@0.2.0;
                import wasi:random/random@0.2.0;
            }

            package wasi:random@0.2.0 {
                interface random {
                    get-random-bytes: func(len: u64) -> list<u8>;
                    get-random-u64: func() -> u64;
                }
            }

            package wasi:io@0.2.0 {
                interface poll {
                    resource pollable {
                        ready: func() -> bool;
                        block: func();
                    }
                    poll: func(in: list<borrow<pollable>>) -> list<u32>;
                }
            }

            package wasi:clocks@0.2.0 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.0.{pollable};
                    type instant = u64;
                    type duration = u64;
                    now: func() -> instant;
                    resolution: func() -> duration;
                    subscribe-instant: func(when: instant) -> pollable;
                    subscribe-duration: func(when: duration) -> pollable;
                }
            }
        ",
        generate_all,
    });
}

/// `amount` lines to the log below the level that anybody reads: host calls, no more.
pub(crate) fn log_often(amount: u64) {
    for _ in 0..amount {
        host::log(weir_guest::Level::Trace, "");
    }
}

/// Takes `amount` handles, and gives none back.
pub(crate) fn hold_handles(amount: u64) {
    for _ in 0..amount {
        let _ = ManuallyDrop::new(wasi::wasi::clocks::monotonic_clock::subscribe_duration(0));
    }
}

/// Asks `amount` times for a random number.
pub(crate) fn random_often(amount: u64) {
    let sum = (0..amount).fold(0, |sum: u64, _| {
        sum.wrapping_add(wasi::wasi::random::random::get_random_u64())
    });
    std::hint::black_box(sum);
}

/// Asks for `amount` random bytes at once.
pub(crate) fn random_huge(amount: u64) {
    std::hint::black_box(wasi::wasi::random::random::get_random_bytes(amount));
}

/// Asks `amount` times whether what is ready is ready.
pub(crate) fn poll_often(amount: u64) {
    let now = wasi::wasi::clocks::monotonic_clock::subscribe_duration(0);
    let ready = (0..amount).filter(|_| now.ready()).count();
    std::hint::black_box(ready);
}

/// Asks about the same handle `amount` times at once.
pub(crate) fn poll_many(amount: u64) {
    let now = wasi::wasi::clocks::monotonic_clock::subscribe_duration(0);
    let all: Vec<_> = (0..amount).map(|_| &now).collect();
    std::hint::black_box(wasi::wasi::io::poll::poll(&all));
}
