//! What the host does for a guest: a log, a small store, counters, a look at processes.
//!
//! Filters have the log only; triggers have `state`, too; stages have everything. A guest that
//! calls what its world doesn't have is refused when it is loaded. Away from wasm the log is
//! silent, so that logic that logs can be tested; the rest is not there.

use crate::{Level, Row, Value};
use std::fmt::Display;

/// Writes a line for the operator; the host limits their rate and their length.
pub fn log(level: Level, message: impl Display) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::imports::weir::collector::log::log(level, &message.to_string());
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (level, message.to_string());
}

/// A line for the operator that says what is wrong, and is not fatal.
pub fn warn(message: impl Display) {
    log(Level::Warn, message);
}

/// A line for the operator.
pub fn info(message: impl Display) {
    log(Level::Info, message);
}

/// The guest's store: it outlives the instance. Writes take effect only if the call that made them
/// ends in an answer.
pub mod state {
    use crate::bindings::imports::weir::collector::state as wit;

    /// The value of a key.
    #[must_use]
    pub fn get(key: &str) -> Option<Vec<u8>> {
        wit::get(key)
    }

    /// Puts a value.
    ///
    /// # Errors
    /// The quota: what would be stored, and what may be.
    pub fn set(key: &str, value: &[u8]) -> Result<(), String> {
        wit::set(key, value).map_err(|wit::StateError::Quota(reason)| reason)
    }

    /// Takes a key away; nothing happens where there is none.
    pub fn delete(key: &str) {
        wit::delete(key);
    }

    /// The keys that start so.
    #[must_use]
    pub fn keys(prefix: &str) -> Vec<String> {
        wit::keys(prefix)
    }
}

/// Adds to a counter, named by its place among the counters that `Wants` has.
pub fn count(counter: u32, amount: u64) {
    crate::bindings::imports::weir::collector::metrics::add(counter, amount);
}

/// The process of that pid and start time (ns since the epoch), out of the latest table.
#[must_use]
pub fn process(pid: u32, start_time: i64) -> Option<Row> {
    crate::bindings::imports::weir::collector::inspect::process(pid, start_time)
}

/// What that process has open and mapped, and what it may do: keys and texts, in the order in which a
/// person reads them.
///
/// The host looks when asked, which takes a millisecond or more.
///
/// # Errors
/// Why there is nothing, in one of few sentences: the process is gone, the config has no source for it.
pub fn details(pid: u32, start_time: i64) -> Result<Vec<(String, String)>, String> {
    crate::bindings::imports::weir::collector::inspect::details(pid, start_time)
}

/// The SHA-256 of a file, in 64 hexadecimal digits.
///
/// The host reads the file when asked, which takes as long as it is large.
///
/// # Errors
/// Why there is none, in one of few sentences: no such file, not under a root that may be read.
pub fn file_hash(path: &str) -> Result<String, String> {
    crate::bindings::imports::weir::collector::inspect::file_hash(path)
}

/// The value of a row's field; `None` where there is no such field, too.
#[must_use]
pub fn field<'a>(row: &'a Row, name: &str) -> Option<&'a Value> {
    row.iter()
        .find(|(field, _)| field == name)
        .map(|(_, value)| value)
}

/// A text of a row; `None` where it is null, or no text.
#[must_use]
pub fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    match field(row, name) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// A number of a row that is not below zero; `None` where it is null, or no such number.
#[must_use]
pub fn unsigned(row: &Row, name: &str) -> Option<u64> {
    match field(row, name) {
        Some(Value::Unsigned(value)) => Some(*value),
        Some(Value::Signed(value)) => u64::try_from(*value).ok(),
        _ => None,
    }
}

/// A whole number of a row, or a time (ns since the epoch); `None` where it is null, or neither.
#[must_use]
pub fn signed(row: &Row, name: &str) -> Option<i64> {
    match field(row, name) {
        Some(Value::Signed(value)) => Some(*value),
        Some(Value::Unsigned(value)) => i64::try_from(*value).ok(),
        _ => None,
    }
}
