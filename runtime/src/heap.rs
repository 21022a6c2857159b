//! How much of the heap this process's threads keep apart from each other, and keeping none of what is free.
//!
//! glibc gives threads that allocate at once arenas of their own, up to eight for each core, and what is free in one is
//! of no use to another. The daemon has a thread for each source, slot and sink, most of which wait: with an arena for
//! each core it was 10 MB smaller with 2,000 processes, and no slower. What a burst needed and is free again it gives
//! back only from an arena's end, and something always lies there: 14 MB stayed after an hour of builds and tests.
//! Other allocators have nothing of the kind.

use std::time::{Duration, Instant};

/// How often the free pages are given back. What is in use every second stays free for less than that, and is asked
/// for again once a minute, which costs milliseconds.
const TRIMMED_EVERY: Duration = Duration::from_mins(1);

/// Bounds the arenas to one for each core. Before the first thread is made: those that are there stay.
pub(crate) fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::bound_arenas_to(std::thread::available_parallelism().map_or(1, usize::from));
}

/// Gives back what is free: at its first look, when all has started and been compiled, and once in a while.
#[derive(Default)]
pub(crate) struct Trimmer {
    last: Option<Instant>,
}

impl Trimmer {
    /// Looks whether it is time, within a runtime. The work is done aside: it keeps an arena locked for as long as it
    /// walks through it.
    pub(crate) fn look(&mut self, now: Instant) {
        let is_due = |last| now.saturating_duration_since(last) >= TRIMMED_EVERY;
        if self.last.is_none_or(is_due) {
            self.last = Some(now);
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            tokio::task::spawn_blocking(glibc::trim);
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    #[expect(unsafe_code, reason = "one call that no safe wrapper offers")]
    pub(super) fn trim() {
        let began = std::time::Instant::now();
        // SAFETY: it takes a number, and may be called at any time by any thread (malloc_trim(3)).
        let given_back = unsafe { libc::malloc_trim(0) } == 1;
        let took = began.elapsed();
        tracing::debug!(
            given_back,
            ?took,
            "looked for pages of the heap that are free"
        );
    }

    #[expect(unsafe_code, reason = "one call that no safe wrapper offers")]
    pub(super) fn bound_arenas_to(arenas: usize) {
        let arenas = libc::c_int::try_from(arenas).unwrap_or(libc::c_int::MAX);
        // SAFETY: it takes two numbers, may be called at any time (mallopt(3)), and refuses what it doesn't know.
        let taken = unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
        if taken == 0 {
            tracing::debug!(arenas, "arenas as many as usual");
        }
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Of this process, in bytes.
    fn resident() -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
        let pages: u64 = statm
            .split(' ')
            .nth(1)
            .expect("resident")
            .parse()
            .expect("pages");
        pages * rustix::param::page_size() as u64
    }

    #[tokio::test]
    async fn what_a_burst_leaves_free_between_what_stays_is_given_back() {
        const BLOCK: usize = 1 << 10;
        const BLOCKS: usize = 128 << 10;
        let burst: Vec<Box<[u8]>> = (0..BLOCKS).map(|_| vec![1; BLOCK].into()).collect();
        let stays: Vec<_> = burst.into_iter().step_by(64).collect();
        let before = resident();
        let mut trimmer = Trimmer::default();
        trimmer.look(Instant::now());
        // What other tests ask for meanwhile is far less.
        let until = Instant::now() + Duration::from_secs(60);
        while resident() + (BLOCK * BLOCKS / 2) as u64 > before {
            assert!(
                Instant::now() < until,
                "{before} bytes, then {}",
                resident()
            );
            tokio::task::yield_now().await;
        }
        drop(stays);
    }
}
