//! Whose a TCP socket is, at the moments at which the kernel can say it: the tracepoints `inet_sock_set_state`, and
//! `tcp_destroy_sock` for what a peer has reset before it is closed, which changes no state any more.
//!
//! Most changes of state are made by a packet that has arrived, on behalf of whatever process happened to run. So only
//! those are told that a process makes that has the socket's lock, which is who connects, listens, shuts down or
//! closes. Two things are made under the lock and don't count: a change to `CLOSE` of a socket that isn't being closed,
//! for any process may ask the kernel to kill a socket (`ss -K`); and what threads of the kernel do. The invariant: a
//! process in a record held the socket, and its start is of that very process.

use super::super::assembler::{Assembler, Helper, If, Label, Register, Width};
use super::super::btf::{Btf, BtfError};
use super::event::{Assembled, Outlet, TASK, hand_over};
use crate::netlink::{u32_at, u64_at};

/// The tracepoint of the first program.
pub(crate) const TRACEPOINT: &str = "inet_sock_set_state";
/// The tracepoint of the second.
pub(crate) const DESTROY_TRACEPOINT: &str = "tcp_destroy_sock";
/// Bytes of the map of losses, for each CPU: one number.
pub(crate) const LOSSES_BYTES: u32 = 8;

const SOCKET: &str = "sock";
/// `IPPROTO_TCP`.
const TCP: i32 = 6;
/// `PF_KTHREAD`: a thread of the kernel.
const KERNEL_THREAD: i32 = 0x0020_0000;
/// `SHUTDOWN_MASK`: both directions, which is set first when a socket is closed.
const SHUT: i32 = 3;

/// States of TCP, from net/tcp_states.h.
mod state {
    pub(super) const ESTABLISHED: i32 = 1;
    pub(super) const SYN_SENT: i32 = 2;
    pub(super) const FIN_WAIT_1: i32 = 4;
    pub(super) const CLOSE: i32 = 7;
    pub(super) const CLOSE_WAIT: i32 = 8;
    pub(super) const LAST_ACK: i32 = 9;
    pub(super) const LISTEN: i32 = 10;
}
/// States from which a close leads to `CLOSE` at once: with data that nobody has read, without lingering, or because
/// nothing was there yet. From any other an answer of the peer's leads there too.
const CLOSED_FROM: [i32; 4] = [
    state::ESTABLISHED,
    state::SYN_SENT,
    state::CLOSE_WAIT,
    state::LISTEN,
];

/// Where things stand in a record.
mod layout {
    pub(super) const COOKIE: i32 = 0;
    pub(super) const START_NS: i32 = 8;
    pub(super) const NAMESPACE: i32 = 16;
    pub(super) const PID: i32 = 20;
    pub(super) const USER: i32 = 24;
    pub(super) const WHAT: i32 = 28;
    pub(super) const BYTES: i32 = 32;
}
/// The record is on the stack, below a map's key.
const RECORD_AT: i32 = -(layout::BYTES + 8);

/// Bytes of a record, in the ring with the kernel's own eight.
pub(crate) const RECORD_BYTES: u32 = layout::BYTES.unsigned_abs();

/// What a process did with a socket; the number stands in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It connects, or listens.
    TakenUp = 1,
    /// It shuts down or closes: nobody has more to say than who did that last.
    LetGo = 2,
    /// It is there when the socket is destroyed: it closed it, if nobody did before.
    Destroyed = 3,
}

const SOCK: Register = Register::R6;
const WHAT: Register = Register::R7;
const THREAD: Register = Register::R8;

/// The program on [`TRACEPOINT`], for a kernel with these types.
pub(crate) fn assemble(btf: &Btf<'_>, outlet: Outlet) -> Assembled {
    let mut program = Assembler::new(btf);
    let (end, tell) = (program.label(), program.label());
    // The arguments: the socket, the state that it had, the one that it gets.
    program.load(Width::Double, SOCK, Register::R1, 0);
    program.load(Width::Double, Register::R2, Register::R1, 8);
    program.load(Width::Double, Register::R3, Register::R1, 16);
    let (closes, closed) = (program.label(), program.label());
    program.set(WHAT, What::TakenUp as i32);
    for to in [state::SYN_SENT, state::LISTEN] {
        program.jump_if(If::Equal, Register::R3, to, tell);
    }
    for to in [state::FIN_WAIT_1, state::LAST_ACK] {
        program.jump_if(If::Equal, Register::R3, to, closes);
    }
    program.jump_if(If::NotEqual, Register::R3, state::CLOSE, end);
    program.load_field(Register::R1, SOCK, SOCKET, "sk_shutdown");
    program.jump_if(If::NotEqual, Register::R1, SHUT, end);
    for from in CLOSED_FROM {
        program.jump_if(If::Equal, Register::R2, from, closed);
    }
    program.jump(end);
    program.bind(closed);
    program.bind(closes);
    program.set(WHAT, What::LetGo as i32);
    program.bind(tell);
    copy(&mut program, btf, outlet, end)?;
    program.bind(end);
    program.end();
    program.finish()
}

/// The program on [`DESTROY_TRACEPOINT`], for a kernel with these types.
pub(crate) fn assemble_destroy(btf: &Btf<'_>, outlet: Outlet) -> Assembled {
    let mut program = Assembler::new(btf);
    let end = program.label();
    program.load(Width::Double, SOCK, Register::R1, 0);
    program.load_field(Register::R1, SOCK, SOCKET, "sk_shutdown");
    program.jump_if(If::NotEqual, Register::R1, SHUT, end);
    program.set(WHAT, What::Destroyed as i32);
    copy(&mut program, btf, outlet, end)?;
    program.bind(end);
    program.end();
    program.finish()
}

/// Writes the record of what the running process does with a TCP socket whose lock it has, and hands it over.
fn copy(
    program: &mut Assembler<'_>,
    btf: &Btf<'_>,
    outlet: Outlet,
    end: Label,
) -> Result<(), BtfError> {
    // Called otherwise before 5.5.
    let (start, _) = btf.first_field(TASK, &["start_boottime", "real_start_time"])?;
    program.load_field(Register::R1, SOCK, SOCKET, "sk_protocol");
    program.jump_if(If::NotEqual, Register::R1, TCP, end);
    // Set while a process has the lock; a packet that comes meanwhile waits for it.
    program.load_field(Register::R1, SOCK, SOCKET, "sk_lock.owned");
    program.jump_if(If::Equal, Register::R1, 0, end);
    program.call(Helper::CurrentThread);
    program.set(THREAD, Register::R0);
    program.load_field(Register::R1, THREAD, TASK, "flags");
    program.jump_if(If::HasBits, Register::R1, KERNEL_THREAD, end);
    let put = |program: &mut Assembler<'_>, width, to: i32, from| {
        program.store(width, Register::Frame, RECORD_AT + to, from);
    };
    put(program, Width::Word, layout::WHAT, WHAT);
    program.load_field(Register::R1, THREAD, TASK, "tgid");
    put(program, Width::Word, layout::PID, Register::R1);
    program.load_field(Register::R1, THREAD, TASK, "group_leader");
    program.load_field(Register::R1, Register::R1, TASK, start);
    put(program, Width::Double, layout::START_NS, Register::R1);
    program.load_field(Register::R1, SOCK, SOCKET, "sk_uid.val");
    put(program, Width::Word, layout::USER, Register::R1);
    program.load_field(Register::R1, SOCK, SOCKET, "__sk_common.skc_net.net");
    program.load_field(Register::R1, Register::R1, "net", "ns.inum");
    put(program, Width::Word, layout::NAMESPACE, Register::R1);
    program.set(Register::R1, SOCK);
    program.call(Helper::SocketCookie);
    put(program, Width::Double, layout::COOKIE, Register::R0);
    program.set_to_place(Register::R8, Register::Frame, RECORD_AT);
    program.set(Register::R9, layout::BYTES);
    hand_over(program, outlet, 0, (Register::R8, Register::R9), end);
    Ok(())
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The kernel's name of the socket.
    pub(crate) cookie: u64,
    /// The number of its network namespace, which is the inode that `/proc` has for it.
    pub(crate) namespace: u32,
    /// The process.
    pub(crate) pid: u32,
    /// When the process began, ns since boot, with what was slept.
    pub(crate) start_ns: u64,
    /// Whose the socket is, as a user.
    pub(crate) user_id: u32,
    /// What the process did.
    pub(crate) what: What,
}

/// The record in bytes; none if it isn't one.
pub(crate) fn read(bytes: &[u8]) -> Option<Held> {
    let number = |at: i32| u32_at(bytes, usize::try_from(at).ok()?);
    let double = |at: i32| u64_at(bytes, usize::try_from(at).ok()?);
    let what = number(layout::WHAT)?;
    let what = [What::TakenUp, What::LetGo, What::Destroyed]
        .into_iter()
        .find(|known| *known as u32 == what)?;
    Some(Held {
        cookie: double(layout::COOKIE)?,
        namespace: number(layout::NAMESPACE)?,
        pid: number(layout::PID)?,
        start_ns: double(layout::START_NS)?,
        user_id: number(layout::USER)?,
        what,
    })
}
