//! Durations as whole milliseconds, for serde: what is told of intervals and ages.

use std::time::Duration;

use serde::Serializer;

/// A duration.
///
/// # Errors
/// The serializer's.
pub fn one<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(ms(*duration))
}

/// A duration, or null.
///
/// # Errors
/// The serializer's.
pub fn or_null<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => to.serialize_some(&ms(*duration)),
        None => to.serialize_none(),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
