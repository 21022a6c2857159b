//! Calls the host too often.

use std::mem::ManuallyDrop;
use weir_guest::host;

/// Written by wit-bindgen: of WASI only what hands out handles. The version is wasi-libc's, and
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
