//! The CPU time of the calling thread, and of what others did for it.

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static PUT_ON_IT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Puts CPU time on this thread that another has used for it.
pub(super) fn put_on_this_thread(cpu: Duration) {
    PUT_ON_IT.set(PUT_ON_IT.get().saturating_add(cpu));
}

/// CPU time that this thread has used, and that was put on it: what a slot's share is measured by. A call's
/// own deadline isn't: what the host takes to look is not the guest's code at work.
pub(crate) fn cpu_with_others() -> Duration {
    thread_cpu().saturating_add(PUT_ON_IT.get())
}

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
