//! How much of the heap this process's threads keep apart from each other.
//!
//! glibc gives threads that allocate at once arenas of their own, up to eight for each core, and what is free in one is
//! of no use to another. The daemon has a thread for each source, slot and sink, most of which wait: with an arena for
//! each core it was 10 MB smaller with 2,000 processes, and no slower. Other allocators have nothing of the kind.

/// Bounds the arenas to one for each core. Before the first thread is made: those that are there stay.
pub(crate) fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::bound_arenas_to(std::thread::available_parallelism().map_or(1, usize::from));
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
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
