//! The task iterator as a tier: one read for all.

use rustc_hash::FxHashMap;

use super::{FLAG_KERNEL_THREAD, Seen, TierError, state_of};
use crate::ebpf::TaskIterator;
use crate::ebpf::programs::tasks::{self, Process, Task};
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
}

impl Iterated {
    pub(super) fn open() -> Result<Self, TierError> {
        Ok(Self {
            iterator: TaskIterator::open()?,
            records: Vec::new(),
            threads_ns: FxHashMap::default(),
        })
    }

    pub(super) fn look(
        &mut self,
        seen: &mut Vec<Seen>,
        seen_max: usize,
    ) -> Result<usize, TierError> {
        self.iterator.read(&mut self.records)?;
        self.threads_ns.clear();
        let tick_ns = stat::tick_ns();
        let (mut rest, mut over) = (self.records.as_slice(), 0);
        while let Some((task, next)) = tasks::read(rest) {
            rest = next;
            match task {
                Task::Thread { process, run_ns } => {
                    let sum = self.threads_ns.entry(process).or_default();
                    *sum = sum.saturating_add(run_ns);
                }
                Task::Process(_) if seen.len() >= seen_max => over += 1,
                Task::Process(process) => seen.push(seen_of(&process, tick_ns)),
            }
        }
        if !self.threads_ns.is_empty() {
            for seen in seen {
                let threads_ns = self.threads_ns.get(&seen.pid).copied();
                seen.cpu_ns = seen.cpu_ns.saturating_add(threads_ns.unwrap_or_default());
            }
        }
        Ok(over)
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
