//! The iterator over all open files: one read for whose sockets are, instead of a walk over all descriptors.
//!
//! Only sockets of IPv4 and IPv6 give a record. Threads that share their process's descriptors aren't asked twice, for
//! the kernel passes them over. Pids are the host's own, those of the first pid namespace.

use super::super::assembler::{AssembleError, Assembler, Helper, If, Register, Width};
use super::super::btf::Btf;
use crate::netlink::{u32_at, u64_at};

/// The function that the program is attached to.
pub(crate) const TARGET: &str = "bpf_iter_task_file";

const CONTEXT: &str = "bpf_iter__task_file";
const TASK: &str = "task_struct";
/// `AF_INET` and `AF_INET6`.
const FAMILIES: [i32; 2] = [2, 10];

/// Where things stand in a record.
mod layout {
    pub(super) const INODE: i32 = 0;
    pub(super) const START_NS: i32 = 8;
    pub(super) const PID: i32 = 16;
    pub(super) const DESCRIPTOR: i32 = 20;
    pub(super) const BYTES: i32 = 24;
}

/// The program for a kernel with these types.
pub(crate) fn assemble(btf: &Btf<'_>) -> Result<Vec<u64>, AssembleError> {
    const SEQUENCE: Register = Register::R6;
    const THREAD: Register = Register::R7;
    const FILE: Register = Register::R8;
    const DESCRIPTOR: Register = Register::R9;
    // Called otherwise before 5.5.
    let (start, _) = btf.first_field(TASK, &["start_boottime", "real_start_time"])?;
    let mut program = Assembler::new(btf);
    let (end, is_internet) = (program.label(), program.label());
    program.load_field(THREAD, Register::R1, CONTEXT, "task");
    program.jump_if(If::Equal, THREAD, 0, end);
    program.load_field(FILE, Register::R1, CONTEXT, "file");
    program.jump_if(If::Equal, FILE, 0, end);
    program.load_field(DESCRIPTOR, Register::R1, CONTEXT, "fd");
    program.load_field(SEQUENCE, Register::R1, CONTEXT, "meta");
    program.load_field(SEQUENCE, SEQUENCE, "bpf_iter_meta", "seq");
    program.set(Register::R1, FILE);
    program.call(Helper::SocketOfFile);
    program.jump_if(If::Equal, Register::R0, 0, end);
    program.load_field(Register::R1, Register::R0, "socket", "sk");
    program.jump_if(If::Equal, Register::R1, 0, end);
    program.load_field(Register::R1, Register::R1, "sock", "__sk_common.skc_family");
    for family in FAMILIES {
        program.jump_if(If::Equal, Register::R1, family, is_internet);
    }
    program.jump(end);
    program.bind(is_internet);
    let put = |program: &mut Assembler<'_>, width, to: i32, from| {
        program.store(width, Register::Frame, to - layout::BYTES, from);
    };
    put(&mut program, Width::Word, layout::DESCRIPTOR, DESCRIPTOR);
    program.load_field(Register::R1, THREAD, TASK, "tgid");
    put(&mut program, Width::Word, layout::PID, Register::R1);
    program.load_field(Register::R1, THREAD, TASK, "group_leader");
    program.load_field(Register::R1, Register::R1, TASK, start);
    put(&mut program, Width::Double, layout::START_NS, Register::R1);
    program.load_field(Register::R1, FILE, "file", "f_inode");
    program.load_field(Register::R1, Register::R1, "inode", "i_ino");
    put(&mut program, Width::Double, layout::INODE, Register::R1);
    program.set(Register::R1, SEQUENCE);
    program.set_to_place(Register::R2, Register::Frame, -layout::BYTES);
    program.set(Register::R3, layout::BYTES);
    program.call(Helper::SequenceWrite);
    program.bind(end);
    program.end();
    program.finish()
}

/// A descriptor that leads to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// The inode of the socket's file.
    pub(crate) inode: u64,
    /// The process that has it.
    pub(crate) pid: u32,
    /// When that began, ns since boot, with what was slept.
    pub(crate) start_ns: u64,
    /// Its number.
    pub(crate) number: u32,
}

/// The first record of bytes, and what follows it; none if they end before.
pub(crate) fn read(bytes: &[u8]) -> Option<(Descriptor, &[u8])> {
    let number = |at: i32| u32_at(bytes, usize::try_from(at).ok()?);
    let double = |at: i32| u64_at(bytes, usize::try_from(at).ok()?);
    let descriptor = Descriptor {
        inode: double(layout::INODE)?,
        pid: number(layout::PID)?,
        start_ns: double(layout::START_NS)?,
        number: number(layout::DESCRIPTOR)?,
    };
    let rest = bytes.get(usize::try_from(layout::BYTES).ok()?..)?;
    Some((descriptor, rest))
}
