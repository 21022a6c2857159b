//! `/proc` as a tier: `stat` of each process, its descriptor held open where there are enough; with
//! taskstats, only of those that have run since.
//!
//! A descriptor of `stat` belongs to its process and not to its pid: who has the pid afterwards can't be
//! taken for it. The invariant: descriptors are bounded by a share of what the process may have.

use std::os::fd::OwnedFd;

use rustc_hash::FxHashMap;
use rustix::process::{Resource, getrlimit};

use super::taskstats::{Counters, Taskstats};
use super::{EXECUTABLE_LOOKS, FLAG_KERNEL_THREAD, Seen, TierError, Turns, state_of};
use crate::process::details::stat::{self, Stat};
use crate::process::proc_root::{ProcReader, ProcRoot};

/// Descriptors that are held at most: reading one takes half the time of opening, reading and closing it.
const HELD_MAX: usize = 8_192;
/// The share of all descriptors that is held: a half is for everybody else.
const HELD_SHARE: u64 = 2;
/// Looks of a young process at which its user is read, for daemons change theirs when they begin.
const YOUNG_LOOKS: u64 = 10;

/// What is kept of a process from look to look.
struct Held {
    stat: Option<OwnedFd>,
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
    held: FxHashMap<u32, Held>,
    descriptors: usize,
    descriptors_max: usize,
    number: u64,
}

impl Listed {
    pub(super) fn open(root: &ProcRoot, taskstats: Option<Taskstats>) -> Result<Self, TierError> {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let share = usize::try_from(limit / HELD_SHARE).unwrap_or(usize::MAX);
        Ok(Self {
            proc: root.reader().map_err(TierError::Proc)?,
            taskstats,
            pids: Vec::new(),
            counters: Vec::new(),
            held: FxHashMap::default(),
            descriptors: 0,
            // Files of a tree that isn't the kernel's say what they said when they were opened.
            descriptors_max: if root.is_kernel() {
                share.min(HELD_MAX)
            } else {
                0
            },
            number: 0,
        })
    }

    pub(super) const fn has_taskstats(&self) -> bool {
        self.taskstats.is_some()
    }

    pub(super) fn look(
        &mut self,
        seen: &mut Vec<Seen>,
        seen_max: usize,
    ) -> Result<usize, TierError> {
        self.number += 1;
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
            seen.extend(self.see(*pid, counters, &pids));
        }
        self.pids = pids;
        let number = self.number;
        let closed = self.held.extract_if(|_, held| held.number != number);
        self.descriptors -= closed.filter(|(_, held)| held.stat.is_some()).count();
        Ok(over)
    }

    /// What is to be seen of a process; none if it is gone. `pids` are all, in order.
    fn see(&mut self, pid: u32, counters: Option<Counters>, pids: &[u32]) -> Option<Seen> {
        let number = self.number;
        // Memory that the kernel takes away changes without the process.
        let is_due = Turns::is_due(EXECUTABLE_LOOKS, pid, number);
        if let Some(held) = self.held.get_mut(&pid) {
            held.looks += 1;
            let has_parent = held
                .seen
                .parent
                .is_none_or(|parent| pids.binary_search(&parent).is_ok());
            // What hasn't run has changed nothing of itself, and its parent is still there.
            if counters.is_some_and(|now| {
                held.counters
                    .is_some_and(|before| now.is_idle_since(&before))
            }) && has_parent
                && !is_due
            {
                held.counters = counters;
                held.number = number;
                return Some(held.seen);
            }
            if let Some(seen) = read_held(&mut self.proc, held, is_due) {
                held.counters = counters;
                held.number = number;
                return Some(seen);
            }
            if self
                .held
                .remove(&pid)
                .is_some_and(|held| held.stat.is_some())
            {
                self.descriptors -= 1;
            }
        }
        let (opened, line) = self.proc.open_line(pid, "stat").ok()?;
        let mut seen = seen_of(pid, &Stat::parse(line)?);
        seen.user_id = self.proc.owner(pid).ok();
        let stat = (self.descriptors < self.descriptors_max).then_some(opened);
        self.descriptors += usize::from(stat.is_some());
        let held = Held {
            stat,
            seen,
            counters,
            looks: 0,
            number,
        };
        self.held.insert(pid, held);
        Some(seen)
    }
}

/// Reads the process again; none if it is another now, or gone.
fn read_held(proc: &mut ProcReader, held: &mut Held, is_due: bool) -> Option<Seen> {
    let pid = held.seen.pid;
    let line = match &held.stat {
        Some(opened) => proc.line_of(opened),
        None => proc.line(pid, "stat"),
    };
    let mut seen = seen_of(pid, &Stat::parse(line.ok()?)?);
    if seen.start_ticks != held.seen.start_ticks {
        return None;
    }
    // Nobody changes his user without running.
    let may_have_changed = seen.cpu_ns != held.seen.cpu_ns || held.looks < YOUNG_LOOKS || is_due;
    seen.user_id = match may_have_changed {
        true => proc.owner(pid).ok(),
        false => held.seen.user_id,
    };
    held.seen = seen;
    Some(seen)
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
