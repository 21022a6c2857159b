//! The gate between a guest's lines and the operator's log: rate, length, control characters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::printable::one_line;
use crate::sandbox::limits::{Armed, Limit};

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Loudness {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Lets a slot's lines through at its rate, whichever way they come: `log`, stdout, stderr.
#[derive(Debug)]
pub(in crate::sandbox) struct LogGate {
    slot: String,
    bucket: Mutex<Bucket>,
    burst: f64,
    lines_per_second: f64,
    line_bytes_max: usize,
    limited: bool,
    passed: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    /// Lines dropped since the last one that passed; told with it.
    dropped: u64,
}

impl LogGate {
    pub(in crate::sandbox) fn new(slot: &str, limits: &Armed) -> Self {
        let burst = f64::from(limits.log_burst);
        Self {
            slot: slot.to_owned(),
            bucket: Mutex::new(Bucket {
                tokens: burst,
                filled: Instant::now(),
                dropped: 0,
            }),
            burst,
            lines_per_second: f64::from(limits.log_lines_per_second),
            line_bytes_max: limits.log_line_bytes_max,
            limited: limits.holds(Limit::LogRate),
            passed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// A gate that no line passes.
    pub(in crate::sandbox) fn closed() -> Self {
        Self {
            slot: String::new(),
            bucket: Mutex::new(Bucket {
                tokens: 0.0,
                filled: Instant::now(),
                dropped: 0,
            }),
            burst: 0.0,
            lines_per_second: 0.0,
            line_bytes_max: 0,
            limited: true,
            passed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Lines that passed, and lines that were dropped.
    pub(in crate::sandbox) fn counts(&self) -> (u64, u64) {
        (
            self.passed.load(Ordering::Relaxed),
            self.dropped.load(Ordering::Relaxed),
        )
    }

    /// Takes a token; the lines dropped before, or none if this one is dropped too.
    fn admit(&self) -> Option<u64> {
        if !self.limited {
            return Some(0);
        }
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = since
            .mul_add(self.lines_per_second, bucket.tokens)
            .min(self.burst);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            bucket.dropped = bucket.dropped.saturating_add(1);
            return None;
        }
        bucket.tokens -= 1.0;
        Some(std::mem::take(&mut bucket.dropped))
    }

    /// One line of the guest's, escaped and cut to its length.
    pub(in crate::sandbox) fn line(&self, loudness: Loudness, text: &str) {
        let Some(dropped) = self.admit() else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.passed.fetch_add(1, Ordering::Relaxed);
        let slot = self.slot.as_str();
        if dropped > 0 {
            tracing::warn!(target: "weir::guest", slot, dropped, "lines dropped: over limits.log_lines_per_second");
        }
        // Named attack: escape sequences and line breaks that make a terminal or a log show what nobody
        // wrote.
        let text = one_line(text, self.line_bytes_max);
        match loudness {
            Loudness::Trace => tracing::trace!(target: "weir::guest", slot, "{text}"),
            Loudness::Debug => tracing::debug!(target: "weir::guest", slot, "{text}"),
            Loudness::Info => tracing::info!(target: "weir::guest", slot, "{text}"),
            Loudness::Warn => tracing::warn!(target: "weir::guest", slot, "{text}"),
            Loudness::Error => tracing::error!(target: "weir::guest", slot, "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    #[test]
    fn a_flood_passes_its_burst_and_the_rest_is_counted() {
        let limits = Limits {
            log_burst: 5,
            log_lines_per_second: 0,
            ..Limits::default()
        };
        let gate = LogGate::new("flood", &Armed::new(limits));
        for _ in 0..100 {
            gate.line(Loudness::Trace, "x");
        }
        assert_eq!(gate.counts(), (5, 95));
    }
}
