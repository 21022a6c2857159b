//! A bench guest: the filter of `text`, over a list of typed records.
//!
//! It says how a call would cost if events crossed one by one; it is no guest of the daemon.

use bindings::exports::weir::bench::records::{Event, Guest};
use memchr::memmem::Finder;
use std::cell::RefCell;

/// Written by wit-bindgen.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "not written by hand"
)]
mod bindings {
    wit_bindgen::generate!({ path: "../wit-records" });
}

/// What is looked for.
#[derive(Debug)]
struct Wanted {
    name_contains: Finder<'static>,
    executable_starts: String,
}

impl Wanted {
    fn has(&self, event: &Event) -> bool {
        self.name_contains.find(event.name.as_bytes()).is_some()
            || event
                .executable
                .as_ref()
                .is_some_and(|path| path.starts_with(&self.executable_starts))
    }
}

thread_local! {
    static WANTED: RefCell<Option<Wanted>> = const { RefCell::new(None) };
}

struct Records;

impl Guest for Records {
    fn init(name_contains: String, executable_starts: String) {
        let name_contains = Finder::new(&name_contains).into_owned();
        WANTED.set(Some(Wanted {
            name_contains,
            executable_starts,
        }));
    }

    fn keep(events: Vec<Event>) -> Vec<u32> {
        WANTED.with_borrow(|wanted| {
            let Some(wanted) = wanted else {
                return Vec::new();
            };
            let kept = events
                .iter()
                .zip(0_u32..)
                .filter(|(event, _)| wanted.has(event));
            kept.map(|(_, place)| place).collect()
        })
    }
}

// Away from wasm nothing is exported; it is in use all the same.
const _: fn(Vec<Event>) -> Vec<u32> = Records::keep;

#[cfg(target_arch = "wasm32")]
bindings::export!(Records with_types_in bindings);
