//! Threads whose guests take long run at a low priority: beside them, others get their turn at once.
//!
//! Only the slots' own threads: one that isn't theirs would stay so for whoever it serves next, as raising a
//! priority needs a privilege.

use std::cell::Cell;

/// The nice value of a thread whose guest takes long.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

thread_local! {
    static IS_A_SLOTS: Cell<bool> = const { Cell::new(false) };
}

/// This thread is a slot's.
pub(super) fn of_a_slot() {
    IS_A_SLOTS.set(true);
}

/// Lowers this thread's priority, if it is a slot's; whether it is.
pub(crate) fn lower() -> bool {
    if !IS_A_SLOTS.get() {
        return false;
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the thread keeps its priority");
    }
    true
}
