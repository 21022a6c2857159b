//! The task iterator as a tier: one read for all.
//!
//! What hasn't run since the look before is told in a word, and is what it was. The invariant: it has one thread, for
//! others would run unseen; its parent is still there; and everything of it is asked for after [`IDLE_LOOKS`], for
//! memory, files and control groups change without it.

use rustc_hash::FxHashMap;

use super::{FLAG_KERNEL_THREAD, IDLE_LOOKS, Seen, TierError, Turns, state_of};
use crate::ebpf::TaskIterator;
use crate::ebpf::programs::tasks::{self, Process, Resting, Task};
use crate::process::details::stat;

/// `TASK_REPORT`: the states that are told, lowest first, and the letters of `/proc` for them.
const STATES: &[u8; 7] = b"SDTtXZP";
/// `TASK_IDLE`: asleep, can't be woken by a signal, and no sign of load.
const IDLE: u32 = 0x402;

/// The iterator, and the memory of looks before.
pub(in crate::process) struct Iterated {
    iterator: TaskIterator,
    records: Vec<u8>,
    /// How long the threads of a process have run, but for the one that leads.
    threads_ns: FxHashMap<u32, u64>,
    resting: Resting,
    /// What this look saw, by pid, and the one before.
    seen: Vec<Seen>,
    before: Vec<Seen>,
    /// Of whom everything was told in this look: the pid, and how long the leading thread has run.
    told: Vec<(u32, u64)>,
    /// Parents of those that rest; one of several in a row.
    parents: Vec<u32>,
    number: u64,
}

impl Iterated {
    pub(super) fn open() -> Result<Self, TierError> {
        Ok(Self {
            iterator: TaskIterator::open()?,
            records: Vec::new(),
            threads_ns: FxHashMap::default(),
            resting: Resting::none(),
            seen: Vec::new(),
            before: Vec::new(),
            told: Vec::new(),
            parents: Vec::new(),
            number: 0,
        })
    }

    pub(super) fn look(&mut self, seen_max: usize) -> Result<usize, TierError> {
        std::mem::swap(&mut self.seen, &mut self.before);
        let over = match self.read(seen_max)? {
            Some(over) => over,
            // Somebody rests of whom not all is known any more: everything is told of everybody.
            None => {
                self.resting.clear();
                self.read(seen_max)?.unwrap_or_default()
            }
        };
        self.note_rest();
        Ok(over)
    }

    pub(super) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Reads all records, and answers how many processes were too many; none if something rests that isn't what it
    /// was.
    fn read(&mut self, seen_max: usize) -> Result<Option<usize>, TierError> {
        let seen = &mut self.seen;
        seen.clear();
        self.told.clear();
        self.parents.clear();
        self.threads_ns.clear();
        self.iterator.read(&self.resting, &mut self.records)?;
        let tick_ns = stat::tick_ns();
        let (mut rest, mut over) = (self.records.as_slice(), 0);
        let mut before = self.before.iter();
        while let Some((task, next)) = tasks::read(rest) {
            rest = next;
            match task {
                Task::Thread { process, run_ns } => {
                    let sum = self.threads_ns.entry(process).or_default();
                    *sum = sum.saturating_add(run_ns);
                }
                Task::Process(_) | Task::Resting { .. } if seen.len() >= seen_max => over += 1,
                Task::Process(process) => {
                    self.told.push((process.pid, process.run_ns));
                    seen.push(seen_of(&process, tick_ns));
                }
                // The kernel goes by the pid, as those before are ordered.
                Task::Resting { pid } => match before.find(|before| before.pid >= pid) {
                    Some(known) if known.pid == pid => {
                        let parent = known.parent.filter(|it| self.parents.last() != Some(it));
                        self.parents.extend(parent);
                        seen.push(*known);
                    }
                    _ => return Ok(None),
                },
            }
        }
        seen.sort_unstable_by_key(|seen| seen.pid);
        let is_there = |pid: &u32| seen.binary_search_by_key(pid, |seen| seen.pid).is_ok();
        // Of too many not all parents are among those that are kept.
        if over == 0 && !self.parents.iter().all(is_there) {
            return Ok(None);
        }
        if !self.threads_ns.is_empty() {
            for seen in seen {
                let threads_ns = self.threads_ns.get(&seen.pid).copied();
                seen.cpu_ns = seen.cpu_ns.saturating_add(threads_ns.unwrap_or_default());
            }
        }
        Ok(Some(over))
    }

    /// Notes who may be told in a word at the next look.
    fn note_rest(&mut self) {
        for (pid, run_ns) in self.told.drain(..) {
            match self.threads_ns.contains_key(&pid) {
                true => self.resting.remove(pid),
                false => self.resting.insert(pid, run_ns),
            }
        }
        self.number += 1;
        for seen in &self.seen {
            if Turns::is_due(IDLE_LOOKS, seen.pid, self.number) {
                self.resting.remove(seen.pid);
            }
        }
    }
}

fn seen_of(process: &Process<'_>, tick_ns: u64) -> Seen {
    let mut seen = Seen {
        pid: process.pid,
        parent: Some(process.parent).filter(|parent| *parent != 0),
        start_ticks: process.start_ns / tick_ns.max(1),
        state: state(process.state, process.exit_state),
        user_id: Some(process.user_id),
        cpu_ns: process.run_ns.saturating_add(process.run_ns_of_ended),
        resident_pages: process.has_memory.then_some(process.resident_pages),
        is_kernel_thread: process.flags & FLAG_KERNEL_THREAD != 0,
        exec_mark: process.execs,
        file_mark: process.has_memory.then_some(process.file_mark),
        group_mark: Some(process.groups),
        ..Seen::default()
    };
    seen.set_name(process.name);
    seen
}

/// The state, as the kernel itself puts it together for `/proc`.
pub(super) fn state(state: u32, exit_state: u32) -> Option<&'static str> {
    let told = (state | exit_state) & 0x7f;
    if state & IDLE == IDLE && exit_state == 0 {
        return state_of(b'I');
    }
    let highest = usize::try_from(told.checked_ilog2().map_or(0, |bit| bit + 1)).ok()?;
    match highest.checked_sub(1) {
        None => state_of(b'R'),
        Some(index) => state_of(*STATES.get(index)?),
    }
}
