//! `/proc` as a tier: `stat` of each process that has run since the look before.
//!
//! Who has run is said by taskstats, or by `schedstat` of what has one thread only, which costs a quarter of
//! `stat`. Files are held open where there are descriptors enough: one belongs to its process and not to its pid,
//! so that who has the pid afterwards can't be taken for it. The invariant: descriptors are bounded by a share of
//! what the process may have, and a process has one at most.

use std::os::fd::OwnedFd;

use rustc_hash::FxHashMap;
use rustix::process::{Resource, getrlimit};

use super::taskstats::{Counters, Taskstats};
use super::{FLAG_KERNEL_THREAD, IDLE_LOOKS, Seen, TierError, Turns, state_of};
use crate::process::details::stat::{self, Stat, TurnsTaken};
use crate::process::proc_root::{ProcReader, ProcRoot};

/// What a thread's turns are told by.
const TURNS_FILE: &str = "schedstat";
/// Descriptors that are held at most: reading one takes half the time of opening, reading and closing it.
const HELD_MAX: usize = 8_192;
/// The share of all descriptors that is held: a half is for everybody else.
const HELD_SHARE: u64 = 2;
/// Looks of a young process at which its user is read, for daemons change theirs when they begin.
const YOUNG_LOOKS: u64 = 10;

/// The file of a process that is held open.
enum Opened {
    /// `stat`: of what has several threads, or where others say whether it has run.
    Stat(OwnedFd),
    /// `schedstat`, and what it said last: of what has one thread, which says nothing of others.
    Turns(OwnedFd, Option<TurnsTaken>),
}

/// What is kept of a process from look to look.
struct Held {
    opened: Option<Opened>,
    seen: Seen,
    counters: Option<Counters>,
    looks: u64,
    /// The number of the look that saw it last.
    number: u64,
}

/// The list of processes.
pub(in crate::process) struct Listed {
    proc: ProcReader,
    taskstats: Option<Taskstats>,
    pids: Vec<u32>,
    counters: Vec<Option<Counters>>,
    seen: Vec<Seen>,
    held: FxHashMap<u32, Held>,
    descriptors: usize,
    descriptors_max: usize,
    /// Whether this kernel counts the turns of its threads.
    counts_turns: bool,
    number: u64,
}

impl Listed {
    pub(super) fn open(root: &ProcRoot, taskstats: Option<Taskstats>) -> Result<Self, TierError> {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let share = usize::try_from(limit / HELD_SHARE).unwrap_or(usize::MAX);
        let mut proc = root.reader().map_err(TierError::Proc)?;
        let own = proc.line(std::process::id(), TURNS_FILE);
        let counts_turns = own.is_ok_and(|line| stat::turns_taken(line).is_some());
        Ok(Self {
            proc,
            taskstats,
            pids: Vec::new(),
            counters: Vec::new(),
            seen: Vec::new(),
            held: FxHashMap::default(),
            descriptors: 0,
            // Files of a tree that isn't the kernel's say what they said when they were opened.
            descriptors_max: if root.is_kernel() {
                share.min(HELD_MAX)
            } else {
                0
            },
            counts_turns,
            number: 0,
        })
    }

    pub(super) const fn has_taskstats(&self) -> bool {
        self.taskstats.is_some()
    }

    pub(super) fn look(&mut self, seen_max: usize) -> Result<usize, TierError> {
        self.number += 1;
        self.seen.clear();
        let over = self.proc.pids(&mut self.pids, seen_max);
        let over = over.map_err(TierError::Proc)?;
        self.pids.sort_unstable();
        self.counters.clear();
        if let Some(taskstats) = &mut self.taskstats {
            taskstats.ask(&self.pids, &mut self.counters)?;
        }
        let pids = std::mem::take(&mut self.pids);
        for (index, pid) in pids.iter().enumerate() {
            let counters = self.counters.get(index).copied().flatten();
            let seen = self.see(*pid, counters, &pids);
            self.seen.extend(seen);
        }
        self.pids = pids;
        let number = self.number;
        let closed = self.held.extract_if(|_, held| held.number != number);
        self.descriptors -= closed.filter(|(_, held)| held.opened.is_some()).count();
        Ok(over)
    }

    pub(super) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// What is to be seen of a process; none if it is gone. `pids` are all, in order.
    fn see(&mut self, pid: u32, counters: Option<Counters>, pids: &[u32]) -> Option<Seen> {
        let number = self.number;
        let is_due = Turns::is_due(IDLE_LOOKS, pid, number);
        if let Some(held) = self.held.get_mut(&pid) {
            held.looks += 1;
            let has_parent = held
                .seen
                .parent
                .is_none_or(|parent| pids.binary_search(&parent).is_ok());
            // What hasn't run has changed nothing of itself, and its parent is still there.
            if has_parent && !is_due && held.is_idle(&mut self.proc, counters) {
                held.counters = counters;
                held.number = number;
                return Some(held.seen);
            }
            if let Some((seen, threads)) = held.read(&mut self.proc, is_due) {
                held.counters = counters;
                held.number = number;
                self.hold(pid, threads);
                return Some(seen);
            }
            let held = self.held.remove(&pid);
            self.descriptors -= usize::from(held.is_some_and(|held| held.opened.is_some()));
        }
        let stat = Stat::parse(self.proc.line(pid, "stat").ok()?)?;
        let threads = stat.threads;
        let mut seen = seen_of(pid, &stat);
        seen.user_id = self.proc.owner(pid).ok();
        let held = Held {
            opened: None,
            seen,
            counters,
            looks: 0,
            number,
        };
        self.held.insert(pid, held);
        self.hold(pid, threads);
        Some(seen)
    }

    /// Holds the right file of a process that has so many threads, if there is a descriptor left for it.
    fn hold(&mut self, pid: u32, threads: u64) {
        let Some(held) = self.held.get_mut(&pid) else {
            return;
        };
        let wants_turns = threads == 1 && self.counts_turns && self.taskstats.is_none();
        let file = match (&held.opened, wants_turns) {
            (Some(Opened::Turns(..)), true) | (Some(Opened::Stat(_)), false) => return,
            (None, _) if self.descriptors >= self.descriptors_max => return,
            (_, true) => TURNS_FILE,
            (_, false) => "stat",
        };
        let Ok(opened) = self.proc.open(pid, file) else {
            return;
        };
        // What it says is asked for before `stat` is read, or a turn between the two would go unseen.
        let opened = match wants_turns {
            true => Opened::Turns(opened, None),
            false => Opened::Stat(opened),
        };
        self.descriptors += usize::from(held.opened.replace(opened).is_none());
    }
}

impl Held {
    /// Whether it surely hasn't run since the look before.
    fn is_idle(&mut self, proc: &mut ProcReader, counters: Option<Counters>) -> bool {
        if let (Some(now), Some(before)) = (counters, self.counters) {
            return now.is_idle_since(&before);
        }
        let Some(Opened::Turns(opened, taken)) = &mut self.opened else {
            return false;
        };
        let now = proc.line_of(opened).ok().and_then(stat::turns_taken);
        let before = std::mem::replace(taken, now);
        now.is_some() && now == before
    }

    /// Reads the process again, and how many threads it has; none if it is another now, or gone.
    fn read(&mut self, proc: &mut ProcReader, is_due: bool) -> Option<(Seen, u64)> {
        let pid = self.seen.pid;
        let line = match &self.opened {
            Some(Opened::Stat(opened)) => proc.line_of(opened),
            _ => proc.line(pid, "stat"),
        };
        let stat = Stat::parse(line.ok()?)?;
        let threads = stat.threads;
        let mut seen = seen_of(pid, &stat);
        if seen.start_ticks != self.seen.start_ticks {
            return None;
        }
        // Nobody changes his user without running.
        let may_have_changed =
            seen.cpu_ns != self.seen.cpu_ns || self.looks < YOUNG_LOOKS || is_due;
        seen.user_id = match may_have_changed {
            true => proc.owner(pid).ok(),
            false => self.seen.user_id,
        };
        self.seen = seen;
        Some((seen, threads))
    }
}

fn seen_of(pid: u32, stat: &Stat<'_>) -> Seen {
    let is_kernel_thread = stat.flags & FLAG_KERNEL_THREAD != 0;
    let mut seen = Seen {
        pid,
        parent: Some(stat.parent).filter(|parent| *parent != 0),
        start_ticks: stat.start_ticks,
        state: state_of(stat.state),
        cpu_ns: stat.cpu_ticks.saturating_mul(stat::tick_ns()),
        resident_pages: (stat.virtual_bytes > 0).then_some(stat.resident_pages),
        is_kernel_thread,
        exec_mark: exec_mark(stat),
        ..Seen::default()
    };
    seen.set_name(stat.name);
    seen
}

/// Places that an exec draws anew; where they may not be seen, as good a sign as there is: the size of it all.
/// Something that has no memory any more keeps what it was.
fn exec_mark(stat: &Stat<'_>) -> u64 {
    let [code, stack, arguments] = stat.layout;
    match code {
        // The kernel says 1 where it doesn't tell.
        0 | 1 => stat.virtual_bytes,
        _ => code ^ stack.rotate_left(21) ^ arguments.rotate_left(42),
    }
}
