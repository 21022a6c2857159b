//! A process runs another program: the tracepoint `sched_process_exec`.
//!
//! The record carries the arguments as they lie in the process's memory, which the kernel has just
//! written, so that a process that lives a millisecond is told with them.

use super::super::assembler::{Assembler, Helper, If, Register, Width};
use super::super::btf::Btf;
use super::event::{Assembled, Maps, TASK, What, copy_head, hand_over, layout, look_up};
use crate::netlink::{u32_at, u64_at};

/// The tracepoint that the program is attached to.
pub(crate) const TRACEPOINT: &str = "sched_process_exec";
/// Bytes of the path that are kept: what Linux has at most.
const PATH_BYTES_MAX: i32 = 4 * 1024;
/// Bytes of arguments that are kept in a record; of a process that has more, `/proc` tells the rest.
pub(crate) const ARGUMENT_BYTES_MAX: i32 = 16 * 1024;

const EXECS: i32 = layout::REST;
const FILE_NUMBER: i32 = layout::REST + 8;
const FILE_DEVICE: i32 = layout::REST + 16;
const ARGUMENT_BYTES: i32 = layout::REST + 20;
const PATH_KEPT: i32 = layout::REST + 24;
const ARGUMENTS_KEPT: i32 = layout::REST + 28;
/// The path, and after it the arguments.
const TEXTS: i32 = layout::REST + 32;
/// Bytes of a record at most; the kernel gives a CPU's own map at most 32 KiB a value.
pub(crate) const RECORD_BYTES_MAX: u32 =
    TEXTS.unsigned_abs() + PATH_BYTES_MAX.unsigned_abs() + ARGUMENT_BYTES_MAX.unsigned_abs();

/// The program for a kernel with these types.
pub(crate) fn assemble(btf: &Btf<'_>, maps: Maps) -> Assembled {
    const THREAD: Register = Register::R6;
    const BINARY: Register = Register::R7;
    const RECORD: Register = Register::R8;
    const BYTES: Register = Register::R9;
    let mut program = Assembler::new(btf);
    let end = program.label();
    // The arguments: thread, the pid that it had, what is run.
    program.load(Width::Double, THREAD, Register::R1, 0);
    program.load(Width::Double, BINARY, Register::R1, 16);
    look_up(&mut program, maps.scratch, end);
    program.set(RECORD, Register::R0);
    copy_head(&mut program, btf, What::Exec, THREAD, (RECORD, 0))?;
    copy_file(&mut program, THREAD, BINARY, RECORD);
    copy_path(&mut program, BINARY, RECORD, BYTES);
    copy_arguments(&mut program, THREAD, RECORD, BYTES);
    program.add(BYTES, TEXTS);
    hand_over(
        &mut program,
        maps.outlet,
        What::Exec.index(),
        (RECORD, BYTES),
        end,
    );
    program.bind(end);
    program.end();
    program.finish()
}

fn copy_file(program: &mut Assembler<'_>, thread: Register, binary: Register, record: Register) {
    program.load_field(Register::R1, thread, TASK, "self_exec_id");
    program.store(Width::Double, record, EXECS, Register::R1);
    program.load_field(Register::R1, binary, "linux_binprm", "file");
    program.load_field(Register::R1, Register::R1, "file", "f_inode");
    program.load_field(Register::R2, Register::R1, "inode", "i_ino");
    program.store(Width::Double, record, FILE_NUMBER, Register::R2);
    program.load_field(Register::R1, Register::R1, "inode", "i_sb");
    program.load_field(Register::R1, Register::R1, "super_block", "s_dev");
    program.store(Width::Word, record, FILE_DEVICE, Register::R1);
}

/// `bytes` = the bytes of the path that were written. Of a script it is the interpreter's, which is what
/// runs; the script stands in the arguments.
fn copy_path(program: &mut Assembler<'_>, binary: Register, record: Register, bytes: Register) {
    program.set_to_place(Register::R1, record, TEXTS);
    program.set(Register::R2, PATH_BYTES_MAX);
    program.load_field(Register::R3, binary, "linux_binprm", "interp");
    program.call(Helper::ProbeReadKernelText);
    program.set(bytes, Register::R0);
    let is_read = program.label();
    // An error is below zero, which without a sign is more than any length.
    program.jump_if(If::Less, bytes, PATH_BYTES_MAX + 1, is_read);
    program.set(bytes, 0);
    program.bind(is_read);
    program.store(Width::Word, record, PATH_KEPT, bytes);
}

/// Adds to `bytes` those of the arguments that were written. `thread` is lost.
fn copy_arguments(
    program: &mut Assembler<'_>,
    thread: Register,
    record: Register,
    bytes: Register,
) {
    // The thread isn't needed any more, and a call keeps its register.
    let kept = thread;
    program.load_field(Register::R1, thread, TASK, "mm");
    program.load_field(Register::R3, Register::R1, "mm_struct", "arg_start");
    program.load_field(Register::R2, Register::R1, "mm_struct", "arg_end");
    program.subtract(Register::R2, Register::R3);
    program.store(Width::Word, record, ARGUMENT_BYTES, Register::R2);
    let fits = program.label();
    program.jump_if(If::Less, Register::R2, ARGUMENT_BYTES_MAX + 1, fits);
    program.set(Register::R2, ARGUMENT_BYTES_MAX);
    program.bind(fits);
    program.set(kept, Register::R2);
    program.set_to_place(Register::R1, record, TEXTS);
    program.add(Register::R1, bytes);
    program.call(Helper::ProbeReadUser);
    let is_read = program.label();
    program.jump_if(If::Equal, Register::R0, 0, is_read);
    program.set(kept, 0);
    program.bind(is_read);
    program.store(Width::Word, record, ARGUMENTS_KEPT, kept);
    program.add(bytes, kept);
}

/// What a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exec<'a> {
    /// Changes when the process execs.
    pub(crate) execs: u64,
    /// The number of the executable's file.
    pub(crate) file_number: u64,
    /// The device of the file, as the kernel has it.
    pub(crate) file_device: u32,
    /// The path, as whoever asked for it wrote it.
    pub(crate) path: &'a [u8],
    /// The arguments, each ended by a zero byte; the first of them if there are many.
    pub(crate) arguments: &'a [u8],
    /// Whether those are all.
    pub(crate) has_all_arguments: bool,
}

impl<'a> Exec<'a> {
    /// From what follows the head of a record.
    pub(super) fn read(rest: &'a [u8]) -> Option<Self> {
        let place = |at: i32| usize::try_from(at - layout::REST).ok();
        let count = |at: i32| usize::try_from(u32_at(rest, place(at)?)?).ok();
        let path_bytes = count(PATH_KEPT)?;
        let arguments_bytes = count(ARGUMENTS_KEPT)?;
        let texts = rest.get(place(TEXTS)?..)?;
        let (path, texts) = texts.split_at_checked(path_bytes)?;
        let arguments = texts.get(..arguments_bytes)?;
        Some(Self {
            execs: u64_at(rest, place(EXECS)?)?,
            file_number: u64_at(rest, place(FILE_NUMBER)?)?,
            file_device: u32_at(rest, place(FILE_DEVICE)?)?,
            path: path.strip_suffix(&[0]).unwrap_or(path),
            arguments,
            has_all_arguments: count(ARGUMENT_BYTES)? == arguments_bytes,
        })
    }
}
