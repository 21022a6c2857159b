//! Looks where there is nothing to see; what it sees goes to the log.

use std::hash::{BuildHasher, RandomState};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use weir_guest::host;

/// Where a guest might look for files.
const PATHS: [&str; 3] = ["/", ".", "/etc/hostname"];

/// Environment, arguments, files, stdin: each line says how much of it there is.
pub(crate) fn peek(_: u64) {
    host::info(format_args!("environment {}", std::env::vars_os().count()));
    host::info(format_args!("arguments {}", std::env::args_os().count()));
    for path in PATHS {
        let seen = std::fs::metadata(path).map_or("nothing", |_| "something");
        host::info(format_args!("path {path} {seen}"));
    }
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).unwrap_or_default();
    host::info(format_args!("stdin {read}"));
}

/// Random numbers and clocks: the same in a replay, and the clocks stand still within a call.
pub(crate) fn random_and_clocks(_: u64) {
    let wall = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos())
    };
    let (start, first) = (Instant::now(), wall());
    super::burn::fuel(1);
    host::info(format_args!("random {}", RandomState::new().hash_one(0)));
    host::info(format_args!("wall {first}"));
    host::info(format_args!(
        "passed {} {}",
        start.elapsed().as_nanos(),
        wall() - first
    ));
}
