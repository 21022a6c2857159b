//! What a bus takes for the time, where time decides: when a subscriber that was cut off is let in again, and
//! when a slow one is told of anew.
//!
//! The system's, or one that a test moves. The deadlines of [`super::QueuePolicy::Block`] are no part of it: a
//! thread that is parked wakes by the system's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<Manual>>);

#[derive(Debug)]
struct Manual {
    began: Instant,
    moved_ns: AtomicU64,
}

impl Clock {
    /// The system's monotonic clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands, and is moved by [`Clock::advance`] alone. Clones are the same clock.
    #[must_use]
    pub fn manual() -> Self {
        Self(Some(Arc::new(Manual {
            began: Instant::now(),
            moved_ns: AtomicU64::new(0),
        })))
    }

    /// Moves a manual clock. The system's goes as it goes.
    pub fn advance(&self, by: Duration) {
        if let Some(manual) = &self.0 {
            let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            manual.moved_ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(manual) => {
                let moved = Duration::from_nanos(manual.moved_ns.load(Ordering::Relaxed));
                manual.began.checked_add(moved).unwrap_or(manual.began)
            }
        }
    }
}
