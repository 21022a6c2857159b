//! All processes that are known, by pid: what looks see and what events tell, put together.
//!
//! Looks and events come from two threads, and each process is told to have started once, and to have
//! exited once, by whichever was first to know. It has no clock and sends nothing. The invariant: where
//! events are told, a look tells of a start or an end only what events have missed, which it knows when
//! the look after shows the same.

mod events;
mod looks;
mod paths;
mod standing;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::known::Known;

pub(super) use events::{Binary, Happened, Happening, Who};
pub(super) use looks::Looks;

/// Processes that have ended and whose parents haven't taken note, or that no look has missed yet: they are
/// still parents of others.
const ENDED_MAX: usize = 4_096;

/// What others were told of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Nothing: a look saw it, and the event of its start may be on the way.
    Nothing,
    /// Nothing: it was forked, and may exec in a moment.
    Forked {
        /// When, by the clock of whoever calls.
        at: std::time::Instant,
        /// When, for its row.
        timestamp: weir_bus::Timestamp,
    },
    /// That it is there.
    Started,
    /// That it has ended.
    Exited,
}

/// A process, and what it takes to notice what becomes of it.
#[derive(Clone, Debug)]
struct Entry {
    known: Known,
    told: Told,
    start_ticks: u64,
    /// The start by the clock of events, ns since boot, where one told it.
    start_ns: Option<u64>,
    is_kernel_thread: bool,
    /// CPU time at the look before; none before the first.
    cpu_ns: Option<u64>,
    /// CPU time when everything of it was read; none: that was before any was known.
    cpu_ns_read: Option<u64>,
    /// Pages by which the counter is behind.
    pages_behind: i64,
    /// What the look before showed; none: what is known is newer than that.
    name_mark: Option<u64>,
    exec_mark: Option<u64>,
    file_mark: Option<u64>,
    group_mark: Option<u64>,
    /// The number of the look that saw it last; 0: none has.
    seen: u64,
    /// How many looks have seen it since the first.
    looks: u64,
    /// The look before didn't see it.
    is_missed: bool,
}

/// The processes.
#[derive(Default)]
struct Processes {
    entries: FxHashMap<u32, Entry>,
    /// Who has ended, oldest first, by pid and start.
    ended: VecDeque<(u32, u64)>,
    /// Pids of who was forked, and may exec in a moment.
    forked: Vec<u32>,
    /// How many looks there were.
    looks: u64,
    /// How many events there were.
    events: u64,
}

impl Processes {
    /// The parent; none if unknown. One that started after its child only has the parent's pid.
    fn parent_of(&self, child: &Entry) -> Option<&Known> {
        let parent = self.entries.get(&child.known.ppid?)?;
        (parent.start_ticks <= child.start_ticks).then_some(&parent.known)
    }

    /// When a process began, and the edition of what is known of it; none if it is unknown.
    fn edition_of(&self, pid: Option<u32>) -> Option<(u64, u64)> {
        let entry = self.entries.get(&pid?)?;
        Some((entry.start_ticks, entry.known.edition()))
    }

    /// Keeps what has ended for a while.
    fn note_end(&mut self, pid: u32, start_ticks: u64) {
        self.ended.push_back((pid, start_ticks));
        if self.ended.len() <= ENDED_MAX {
            return;
        }
        if let Some((pid, start_ticks)) = self.ended.pop_front() {
            let is_it =
                |entry: &Entry| entry.start_ticks == start_ticks && entry.told == Told::Exited;
            if self.entries.get(&pid).is_some_and(is_it) {
                self.entries.remove(&pid);
            }
        }
    }
}

/// The processes, shared by the source of looks and the source of events.
#[derive(Clone, Default)]
pub(super) struct Table(Arc<Shared>);

#[derive(Default)]
struct Shared {
    processes: Mutex<Processes>,
    has_events: AtomicBool,
    /// Why events aren't told, if that was asked for.
    no_events: Mutex<Option<String>>,
    look_wanted: Notify,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Processes> {
        let processes = self.0.processes.lock();
        processes.unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether starts and ends are told by events from now on.
    pub(super) fn set_events(&self, are_told: bool) {
        self.0.has_events.store(are_told, Ordering::Release);
    }

    /// Whether starts and ends are told by events.
    pub(super) fn has_events(&self) -> bool {
        self.0.has_events.load(Ordering::Acquire)
    }

    /// Notes why events can't be told here.
    pub(super) fn refuse_events(&self, reason: &str) {
        let mut place = self
            .0
            .no_events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *place = Some(reason.to_owned());
    }

    /// Why events can't be told here, if somebody has asked for them.
    pub(super) fn no_events(&self) -> Option<String> {
        let reason = self
            .0
            .no_events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reason.clone()
    }

    /// Asks for a look now: events were lost.
    pub(super) fn want_look(&self) {
        self.0.look_wanted.notify_one();
    }

    /// Returns when a look is asked for. Cancel safe.
    pub(super) async fn look_wanted(&self) {
        self.0.look_wanted.notified().await;
    }
}

#[cfg(test)]
mod tests;
