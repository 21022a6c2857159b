//! The CPU time of the calling thread.

use std::time::Duration;

/// CPU time that this thread has used.
#[cfg(unix)]
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Where threads have no CPU clock, the wall clock stands in for it: stricter on a busy machine.
#[cfg(not(unix))]
pub(crate) fn thread_cpu() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
