//! A process ends: the tracepoint `sched_process_exit`, which every thread passes; only the last tells.

use super::super::assembler::{Assembler, If, Register, Width};
use super::super::btf::Btf;
use super::event::{Assembled, Maps, TASK, What, copy_head, hand_over, layout};
use crate::netlink::u32_at;

/// The tracepoint that the program is attached to.
pub(crate) const TRACEPOINT: &str = "sched_process_exit";
/// Arguments of the tracepoint where it says itself whether this is the last thread: since 6.17.
const ARGUMENTS_WITH_LAST: usize = 2;
/// `SIGNAL_GROUP_EXIT`: all threads end with the code of the group.
const GROUP_EXIT: u32 = 4;

const SIGNAL_FLAGS: i32 = layout::REST;
const GROUP_CODE: i32 = layout::REST + 4;
const LEADER_CODE: i32 = layout::REST + 8;
/// Four bytes more, so that all is a multiple of eight.
const RECORD_BYTES: i32 = layout::REST + 16;
/// The record is on the stack, below a map's key.
const RECORD_AT: i32 = -(RECORD_BYTES + 8);

/// The program for a kernel with these types.
pub(crate) fn assemble(btf: &Btf<'_>, maps: Maps) -> Assembled {
    const THREAD: Register = Register::R6;
    const SIGNAL: Register = Register::R7;
    let (_, arguments) = btf.tracepoint(TRACEPOINT)?;
    let mut program = Assembler::new(btf);
    let end = program.label();
    program.load(Width::Double, THREAD, Register::R1, 0);
    program.load_field(SIGNAL, THREAD, TASK, "signal");
    if arguments >= ARGUMENTS_WITH_LAST {
        program.load(Width::Double, Register::R2, Register::R1, 8);
        program.jump_if(If::Equal, Register::R2, 0, end);
    } else {
        // Two threads that end at the same time may both find none alive: who reads knows the process.
        program.load_field(Register::R2, SIGNAL, "signal_struct", "live.counter");
        program.jump_if(If::NotEqual, Register::R2, 0, end);
    }
    for (path, to) in [("flags", SIGNAL_FLAGS), ("group_exit_code", GROUP_CODE)] {
        program.load_field(Register::R1, SIGNAL, "signal_struct", path);
        program.store(Width::Word, Register::Frame, RECORD_AT + to, Register::R1);
    }
    program.load_field(Register::R1, THREAD, TASK, "group_leader");
    program.load_field(Register::R1, Register::R1, TASK, "exit_code");
    let to = RECORD_AT + LEADER_CODE;
    program.store(Width::Word, Register::Frame, to, Register::R1);
    program.store(Width::Word, Register::Frame, to + 4, 0);
    copy_head(
        &mut program,
        btf,
        What::Exit,
        THREAD,
        (Register::Frame, RECORD_AT),
    )?;
    program.set_to_place(Register::R8, Register::Frame, RECORD_AT);
    program.set(Register::R9, RECORD_BYTES);
    hand_over(
        &mut program,
        maps.outlet,
        What::Exit.index(),
        (Register::R8, Register::R9),
        end,
    );
    program.bind(end);
    program.end();
    program.finish()
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// What its parent gets from wait(2).
    pub(crate) wait_status: u32,
}

impl Exit {
    /// From what follows the head of a record.
    pub(super) fn read(rest: &[u8]) -> Option<Self> {
        let number = |at: i32| u32_at(rest, usize::try_from(at - layout::REST).ok()?);
        let (flags, group) = (number(SIGNAL_FLAGS)?, number(GROUP_CODE)?);
        let leader = number(LEADER_CODE)?;
        let is_of_group = flags & GROUP_EXIT != 0;
        Some(Self {
            wait_status: if is_of_group { group } else { leader },
        })
    }
}
