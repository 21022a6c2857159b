//! The time of schedules, which tests advance, and the CPU time of a thread.
//!
//! It schedules nothing. The invariant: a clock never goes back, and whoever sleeps on it wakes once its time
//! has come, on whatever thread.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A clock: times are durations since its beginning.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// None: the machine's.
    manual: Option<Arc<watch::Sender<Duration>>>,
}

/// Two are equal if they are the same clock.
impl PartialEq for Clock {
    fn eq(&self, other: &Self) -> bool {
        match (&self.manual, &other.manual) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Clock {
    /// The machine's clock. All of a process's have the same beginning.
    #[must_use]
    pub fn monotonic() -> Self {
        Self::default()
    }

    /// A clock that stands at zero until somebody advances it; clones are the same clock.
    #[must_use]
    pub fn manual() -> Self {
        Self {
            manual: Some(Arc::new(watch::Sender::new(Duration::ZERO))),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.manual {
            Some(now) => *now.borrow(),
            None => beginning().elapsed(),
        }
    }

    /// Advances a manual clock, and wakes who sleeps until then; the machine's goes on by itself.
    pub fn advance(&self, by: Duration) {
        if let Some(now) = &self.manual {
            now.send_modify(|now| *now = now.saturating_add(by));
        }
    }

    /// Returns when that time has come. Cancel safe.
    pub async fn sleep_until(&self, at: Duration) {
        match &self.manual {
            // The sender is ours, so that it can't be gone.
            Some(now) => drop(now.subscribe().wait_for(|now| *now >= at).await),
            None => tokio::time::sleep(at.saturating_sub(self.now())).await,
        }
    }
}

fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(Instant::now)
}

/// The CPU time that this thread has used; none where the system doesn't tell.
#[cfg(target_os = "linux")]
pub(super) fn thread_cpu() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let ns = u32::try_from(time.tv_nsec).ok()?;
    Some(Duration::new(seconds, ns))
}

/// The CPU time that this thread has used; none where the system doesn't tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn thread_cpu() -> Option<Duration> {
    None
}
