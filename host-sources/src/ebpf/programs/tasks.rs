//! The iterator over all tasks: one read for all processes and their threads.
//!
//! A thread that leads no group gives a short record, for only its CPU time is wanted; a process a long
//! one, unless it is known to have had that much CPU time before: what hasn't run has changed nothing of itself, and
//! a long record has to be fetched from a dozen places of the kernel's memory. Pids are the host's own, those of the
//! first pid namespace.

use super::super::assembler::{AssembleError, Assembler, Helper, If, Label, Register, Width};
use super::super::btf::Btf;
use super::event::look_up;
use super::{NAME_BYTES, name_of};
use crate::netlink::{array_at, u32_at, u64_at};

/// The function that the program is attached to.
pub(crate) const TARGET: &str = "bpf_iter_task";

const TASK: &str = "task_struct";
/// The state of what runs, or waits for its turn to.
const TASK_RUNNING: i32 = 0;

/// Where things stand in a record. Numbers are the machine's, in its byte order.
mod layout {
    pub(super) const PID: i32 = 0;
    pub(super) const PROCESS: i32 = 4;
    pub(super) const RUN_NS: i32 = 8;
    /// A thread's record ends here, and that of a process that rests.
    pub(super) const THREAD_BYTES: i32 = 16;
    pub(super) const START_NS: i32 = 16;
    pub(super) const RUN_NS_OF_ENDED: i32 = 24;
    pub(super) const EXECS: i32 = 32;
    pub(super) const RESIDENT_PAGES: i32 = 40;
    pub(super) const GROUPS: i32 = 48;
    pub(super) const PARENT: i32 = 56;
    pub(super) const USER: i32 = 60;
    pub(super) const FLAGS: i32 = 64;
    pub(super) const STATE: i32 = 68;
    pub(super) const EXIT_STATE: i32 = 72;
    pub(super) const FILE_NAME_HASH: i32 = 76;
    pub(super) const FILE_IS_HASHED: i32 = 80;
    pub(super) const HAS_MEMORY: i32 = 84;
    pub(super) const NAME: i32 = 88;
    pub(super) const PROCESS_BYTES: i32 = 104;
}

/// Why the program has the pages of a process in three counters: pages of files, its own, shared ones.
/// The place that is left out counts what is swapped.
const RESIDENT_COUNTERS: [[&str; 2]; 3] = [
    ["rss_stat[0].count", "rss_stat.count[0].counter"],
    ["rss_stat[1].count", "rss_stat.count[1].counter"],
    ["rss_stat[3].count", "rss_stat.count[3].counter"],
];

/// Processes that may be said to rest: by the lowest bits of their pids, of which two may have the same. Several times
/// as many as a busy host has.
const RESTING: u32 = 8 * 1024;
const RESTING_MASK: u32 = RESTING - 1;
const _: () = assert!(RESTING.is_power_of_two());
/// A process takes up a number: its CPU time, with the pid over what that has in an hour.
const PID_SHIFT: i32 = 42;
const NUMBER_SHIFT: i32 = 3;

/// Processes of which no more than that they rest is wanted, if they do: with the CPU time that they have had.
///
/// Two that have the same number are told apart by nobody: it takes two pids, one 8,192 times some number above the
/// other, of CPU times that are the same to the nanosecond but for hours.
#[derive(Debug)]
pub(crate) struct Resting(Box<[u64]>);

impl Resting {
    /// Bytes of the numbers.
    pub(crate) const BYTES: u32 = RESTING << NUMBER_SHIFT;

    /// None of them.
    pub(crate) fn none() -> Self {
        Self(vec![0; RESTING as usize].into())
    }

    /// Takes in a process, whose thread has had so much CPU time, in the place of whoever has it.
    pub(crate) fn insert(&mut self, pid: u32, run_ns: u64) {
        *self.slot(pid) = run_ns ^ u64::from(pid) << PID_SHIFT;
    }

    /// Everything of that process is wanted, and of who is in its place.
    pub(crate) fn remove(&mut self, pid: u32) {
        *self.slot(pid) = 0;
    }

    /// Everything of all is wanted.
    pub(crate) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// As the program reads them.
    pub(crate) const fn numbers(&self) -> &[u64] {
        &self.0
    }

    fn slot(&mut self, pid: u32) -> &mut u64 {
        &mut self.0[(pid & RESTING_MASK) as usize]
    }
}

/// The program for a kernel with these types; the map of this descriptor has a [`Resting`].
pub(crate) fn assemble(btf: &Btf<'_>, resting: i32) -> Result<Vec<u64>, AssembleError> {
    const FILE: Register = Register::R6;
    const THREAD: Register = Register::R7;
    let mut program = Assembler::new(btf);
    let end = program.label();
    program.load_field(THREAD, Register::R1, "bpf_iter__task", "task");
    program.jump_if(If::Equal, THREAD, 0, end);
    program.load_field(FILE, Register::R1, "bpf_iter__task", "meta");
    program.load_field(FILE, FILE, "bpf_iter_meta", "seq");
    copy(&mut program, THREAD, "pid", Width::Word, layout::PID);
    copy(&mut program, THREAD, "tgid", Width::Word, layout::PROCESS);
    copy(
        &mut program,
        THREAD,
        "se.sum_exec_runtime",
        Width::Double,
        layout::RUN_NS,
    );
    program.set(Register::R3, layout::THREAD_BYTES);
    let write = program.label();
    program.load_field(Register::R1, THREAD, TASK, "pid");
    program.load_field(Register::R2, THREAD, TASK, "tgid");
    program.jump_if(If::NotEqual, Register::R1, Register::R2, write);
    let has_run = program.label();
    check_rest(&mut program, btf, (THREAD, resting), has_run)?;
    program.store(Width::Word, Register::Frame, on_stack(layout::PROCESS), 0);
    program.set(Register::R3, layout::THREAD_BYTES);
    program.jump(write);
    program.bind(has_run);
    copy_process(&mut program, btf, THREAD)?;
    copy_memory(&mut program, btf, THREAD)?;
    program.set(Register::R3, layout::PROCESS_BYTES);
    program.bind(write);
    program.set(Register::R1, FILE);
    program.set_to_place(Register::R2, Register::Frame, on_stack(0));
    program.call(Helper::SequenceWrite);
    program.bind(end);
    program.end();
    program.finish()
}

/// Goes on at `has_run` if the process isn't known to have had that much CPU time before, or runs now: what it has had
/// since it began to isn't counted before the clock's next tick.
fn check_rest(
    program: &mut Assembler<'_>,
    btf: &Btf<'_>,
    (thread, resting): (Register, i32),
    has_run: Label,
) -> Result<(), AssembleError> {
    program.load_field(Register::R1, thread, TASK, state_of(btf)?);
    program.jump_if(If::Equal, Register::R1, TASK_RUNNING, has_run);
    look_up(program, resting, has_run);
    let slot = Register::R0;
    let (pid, run_ns) = (on_stack(layout::PID), on_stack(layout::RUN_NS));
    program.load(Width::Word, Register::R1, Register::Frame, pid);
    program.set(Register::R2, Register::R1);
    program.and(Register::R2, RESTING_MASK.cast_signed());
    program.shift_left(Register::R2, NUMBER_SHIFT);
    program.add(slot, Register::R2);
    program.shift_left(Register::R1, PID_SHIFT);
    program.load(Width::Double, Register::R2, Register::Frame, run_ns);
    program.xor(Register::R1, Register::R2);
    program.load(Width::Double, Register::R2, slot, 0);
    program.jump_if(If::NotEqual, Register::R1, Register::R2, has_run);
    Ok(())
}

/// What a thread's state is called: another name before 5.14.
fn state_of(btf: &Btf<'_>) -> Result<&'static str, AssembleError> {
    Ok(btf.first_field(TASK, &["__state", "state"])?.0)
}

/// Where a part of the record lies on the stack.
const fn on_stack(at: i32) -> i32 {
    at - layout::PROCESS_BYTES
}

/// Copies a field of the task.
fn copy(program: &mut Assembler<'_>, thread: Register, path: &'static str, width: Width, to: i32) {
    program.load_field(Register::R1, thread, TASK, path);
    program.store(width, Register::Frame, on_stack(to), Register::R1);
}

fn copy_process(
    program: &mut Assembler<'_>,
    btf: &Btf<'_>,
    thread: Register,
) -> Result<(), AssembleError> {
    // Called otherwise before 5.5.
    let (start, _) = btf.first_field(TASK, &["start_boottime", "real_start_time"])?;
    let state = state_of(btf)?;
    copy(program, thread, start, Width::Double, layout::START_NS);
    copy(
        program,
        thread,
        "self_exec_id",
        Width::Double,
        layout::EXECS,
    );
    copy(program, thread, "cgroups", Width::Double, layout::GROUPS);
    copy(program, thread, "flags", Width::Word, layout::FLAGS);
    copy(program, thread, state, Width::Word, layout::STATE);
    copy(
        program,
        thread,
        "exit_state",
        Width::Word,
        layout::EXIT_STATE,
    );
    let indirect = [
        (
            "signal",
            "signal_struct",
            "sum_sched_runtime",
            Width::Double,
            layout::RUN_NS_OF_ENDED,
        ),
        ("real_parent", TASK, "tgid", Width::Word, layout::PARENT),
        ("real_cred", "cred", "euid.val", Width::Word, layout::USER),
    ];
    for (pointer, structure, path, width, to) in indirect {
        program.load_field(Register::R1, thread, TASK, pointer);
        program.load_field(Register::R1, Register::R1, structure, path);
        program.store(width, Register::Frame, on_stack(to), Register::R1);
    }
    for from in [0, 8] {
        program.load_double_of(Register::R1, thread, (TASK, "comm"), from);
        let to = on_stack(layout::NAME + from);
        program.store(Width::Double, Register::Frame, to, Register::R1);
    }
    Ok(())
}

/// What kernel threads and the dead don't have stays zero.
fn copy_memory(
    program: &mut Assembler<'_>,
    btf: &Btf<'_>,
    thread: Register,
) -> Result<(), AssembleError> {
    const MEMORY: Register = Register::R8;
    const SUM: Register = Register::R2;
    let done = program.label();
    for (width, to) in [
        (Width::Double, layout::RESIDENT_PAGES),
        (Width::Word, layout::FILE_NAME_HASH),
        (Width::Double, layout::FILE_IS_HASHED),
    ] {
        program.store(width, Register::Frame, on_stack(to), 0);
    }
    program.load_field(MEMORY, thread, TASK, "mm");
    program.jump_if(If::Equal, MEMORY, 0, done);
    let has_memory = on_stack(layout::HAS_MEMORY);
    program.store(Width::Word, Register::Frame, has_memory, 1);
    program.set(SUM, 0);
    for paths in &RESIDENT_COUNTERS {
        // Counters of their own for each CPU since 6.2.
        let (path, _) = btf.first_field("mm_struct", paths)?;
        program.load_field(Register::R1, MEMORY, "mm_struct", path);
        program.add(SUM, Register::R1);
    }
    program.store(
        Width::Double,
        Register::Frame,
        on_stack(layout::RESIDENT_PAGES),
        SUM,
    );
    program.load_field(Register::R1, MEMORY, "mm_struct", "exe_file");
    program.jump_if(If::Equal, Register::R1, 0, done);
    program.load_field(Register::R1, Register::R1, "file", "f_path.dentry");
    program.jump_if(If::Equal, Register::R1, 0, done);
    program.load_field(Register::R2, Register::R1, "dentry", "d_name.hash");
    program.store(
        Width::Word,
        Register::Frame,
        on_stack(layout::FILE_NAME_HASH),
        Register::R2,
    );
    program.load_field(Register::R1, Register::R1, "dentry", "d_hash.pprev");
    program.jump_if(If::Equal, Register::R1, 0, done);
    program.store(
        Width::Word,
        Register::Frame,
        on_stack(layout::FILE_IS_HASHED),
        1,
    );
    program.bind(done);
    Ok(())
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task<'a> {
    /// A thread that leads no group.
    Thread {
        /// Its process.
        process: u32,
        /// How long it has run, ns.
        run_ns: u64,
    },
    /// A process that has had no more CPU time than it was known to have.
    Resting {
        /// Its pid.
        pid: u32,
    },
    /// A process: the thread that leads the group, and what the group has in common.
    Process(Process<'a>),
}

/// What the kernel has of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process<'a> {
    /// The pid.
    pub(crate) pid: u32,
    /// The parent's pid.
    pub(crate) parent: u32,
    /// When it began, ns since boot, with what was slept.
    pub(crate) start_ns: u64,
    /// How long the leading thread has run, ns.
    pub(crate) run_ns: u64,
    /// How long threads have run that are no more, ns.
    pub(crate) run_ns_of_ended: u64,
    /// Changes when it execs.
    pub(crate) execs: u64,
    /// Pages in memory; the kernel's own estimate may be below zero.
    pub(crate) resident_pages: i64,
    /// Changes when it is moved to another control group.
    pub(crate) groups: u64,
    /// The effective user id.
    pub(crate) user_id: u32,
    /// `PF_` flags.
    pub(crate) flags: u32,
    /// `TASK_` state.
    pub(crate) state: u32,
    /// `EXIT_` state.
    pub(crate) exit_state: u32,
    /// Whether it has memory at all: kernel threads have none, nor has what has ended.
    pub(crate) has_memory: bool,
    /// Changes when its executable's file is renamed or deleted.
    pub(crate) file_mark: u64,
    /// The name.
    pub(crate) name: &'a [u8],
}

/// The first record of bytes, and what follows it; none if they end before.
pub(crate) fn read(bytes: &[u8]) -> Option<(Task<'_>, &[u8])> {
    let number = |at: i32| u32_at(bytes, usize::try_from(at).ok()?);
    let double = |at: i32| u64_at(bytes, usize::try_from(at).ok()?);
    let (pid, process) = (number(layout::PID)?, number(layout::PROCESS)?);
    let run_ns = double(layout::RUN_NS)?;
    if pid != process {
        let task = match process {
            0 => Task::Resting { pid },
            _ => Task::Thread { process, run_ns },
        };
        return Some((task, after(bytes, layout::THREAD_BYTES)?));
    }
    let rest = after(bytes, layout::PROCESS_BYTES)?;
    let name_at = usize::try_from(layout::NAME).ok()?;
    let name = bytes.get(name_at..)?.first_chunk::<NAME_BYTES>()?;
    let hash = u64::from(number(layout::FILE_NAME_HASH)?);
    let task = Process {
        pid,
        parent: number(layout::PARENT)?,
        start_ns: double(layout::START_NS)?,
        run_ns,
        run_ns_of_ended: double(layout::RUN_NS_OF_ENDED)?,
        execs: double(layout::EXECS)?,
        resident_pages: i64::from_ne_bytes(array_at(
            bytes,
            usize::try_from(layout::RESIDENT_PAGES).ok()?,
        )?),
        groups: double(layout::GROUPS)?,
        user_id: number(layout::USER)?,
        flags: number(layout::FLAGS)?,
        state: number(layout::STATE)?,
        exit_state: number(layout::EXIT_STATE)?,
        has_memory: number(layout::HAS_MEMORY)? != 0,
        file_mark: hash << 1 | u64::from(number(layout::FILE_IS_HASHED)?),
        name: name_of(name),
    };
    Some((Task::Process(task), rest))
}

fn after(bytes: &[u8], record_bytes: i32) -> Option<&[u8]> {
    bytes.get(usize::try_from(record_bytes).ok()?..)
}
