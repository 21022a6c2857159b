//! A process is made: the tracepoint `sched_process_fork`. Threads are passed over.

use super::super::assembler::{Assembler, If, Register};
use super::super::btf::Btf;
use super::event::{Assembled, Maps, TASK, What, copy_head, hand_over, layout};

/// The tracepoint that the program is attached to.
pub(crate) const TRACEPOINT: &str = "sched_process_fork";
/// The record is on the stack, below a map's key.
const RECORD_AT: i32 = -(layout::REST + 8);

/// The program for a kernel with these types.
pub(crate) fn assemble(btf: &Btf<'_>, maps: Maps) -> Assembled {
    const CHILD: Register = Register::R6;
    let mut program = Assembler::new(btf);
    let end = program.label();
    // The arguments: parent, child.
    program.load(
        super::super::assembler::Width::Double,
        CHILD,
        Register::R1,
        8,
    );
    program.load_field(Register::R1, CHILD, TASK, "pid");
    program.load_field(Register::R2, CHILD, TASK, "tgid");
    program.jump_if(If::NotEqual, Register::R1, Register::R2, end);
    copy_head(
        &mut program,
        btf,
        What::Fork,
        CHILD,
        (Register::Frame, RECORD_AT),
    )?;
    program.set_to_place(Register::R8, Register::Frame, RECORD_AT);
    program.set(Register::R9, layout::REST);
    hand_over(
        &mut program,
        maps.outlet,
        What::Fork.index(),
        (Register::R8, Register::R9),
        end,
    );
    program.bind(end);
    program.end();
    program.finish()
}
