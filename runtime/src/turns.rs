//! How soon this process's threads get their turn, beside guests that use all of theirs.
//!
//! Linux's scheduler gives a thread that wakes its turn at once if it asks for a shorter one than the thread that
//! runs (EEVDF; from 6.12 on a thread may ask). Usually all ask for the same, some milliseconds, and an event is
//! on four threads on its way from source to sink: beside four guests that burnt a core each for their first
//! 250 ms, before their priority is lowered, each of the four waited for a tick or more. No privilege is needed, and a
//! thread gets no more than its share: it only gets it in smaller parts.

/// The shortest turn that the kernel grants, in nanoseconds.
#[cfg(target_os = "linux")]
const TURN_NS: u64 = 100_000;

/// Has this thread, and every thread that it or one of these makes from now on, take short turns. What the kernel
/// doesn't know or refuses stays as it was.
pub fn take_short_turns() {
    #[cfg(target_os = "linux")]
    if let Err(error) = linux::ask_for_turns_of(TURN_NS) {
        tracing::debug!(%error, "turns of the usual length");
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;

    /// `struct sched_attr` in its first form (`include/uapi/linux/sched/types.h`).
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }

    /// `SCHED_FLAG_KEEP_POLICY`: who started this process with another had a reason.
    const KEEP_POLICY: u64 = 0x08;

    #[expect(unsafe_code, reason = "one system call that no safe wrapper offers")]
    pub(super) fn ask_for_turns_of(nanoseconds: u64) -> io::Result<()> {
        let attributes = Attributes {
            size: u32::try_from(size_of::<Attributes>()).unwrap_or(0),
            policy: 0,
            flags: KEEP_POLICY,
            // It is set with the rest: to what it is.
            nice: rustix::process::getpriority_process(None)?,
            priority: 0,
            runtime: nanoseconds,
            deadline: 0,
            period: 0,
        };
        let (this_thread, no_flags): (libc::pid_t, libc::c_uint) = (0, 0);
        // SAFETY: `attributes` lives longer than the call, and `size` says how long it is; the kernel only
        // reads it, and concerns the calling thread only.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_sched_setattr,
                this_thread,
                &raw const attributes,
                no_flags,
            )
        };
        if answer == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn threads_made_from_then_on_take_short_turns() {
        let turn = || {
            let text = std::fs::read_to_string("/proc/thread-self/sched").unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("se.slice"))?;
            line.rsplit_once(':')?.1.trim().parse::<u64>().ok()
        };
        let ours = std::thread::spawn(move || {
            take_short_turns();
            std::thread::spawn(turn).join()
        });
        let ours = ours.join().and_then(|turn| turn).expect("no panic");
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release
            .split(['.', '-'])
            .map(|number| number.trim().parse().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        // An older kernel has none to ask for; one that shows none may have been built without.
        let can_be_asked = version >= (6, 12) && turn().is_some();
        assert!(
            !can_be_asked || ours == Some(TURN_NS),
            "{ours:?}, {release}"
        );
    }
}
