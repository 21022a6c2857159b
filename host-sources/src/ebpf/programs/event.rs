//! What the records of fork, exec and exit have in common, and how a program hands one over.
//!
//! A record that finds no room in the ring is counted in the map of losses, by its kind. The invariant:
//! what is counted there and what is in the ring are together all that happened.

use super::super::assembler::{AssembleError, Assembler, Helper, If, Label, Register, Width};
use super::super::btf::{Btf, BtfError};
use super::exec::Exec;
use super::exit::Exit;
use super::{NAME_BYTES, name_of};
use crate::netlink::{u32_at, u64_at};

pub(super) const TASK: &str = "task_struct";

/// Bytes that wait in the ring before a reader is woken that nothing else wakes.
const WAKE_BYTES: i32 = 64 * 1024;
/// No flag: the reader is woken if it has read all that was before.
const WAKE_WHO_HAS_ALL: i32 = 0;
/// `BPF_RB_NO_WAKEUP`.
const DONT_WAKE: i32 = 1;
/// `BPF_RB_FORCE_WAKEUP`.
const WAKE: i32 = 2;
/// `BPF_RB_AVAIL_DATA`: how much waits.
const HOW_MUCH_WAITS: i32 = 0;
/// Where programs keep a map's key on the stack: four bytes above all else.
const KEY_AT: i32 = -4;

/// What happened; the number stands in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A process was made.
    Fork = 1,
    /// A process runs another program.
    Exec = 2,
    /// The last thread of a process has ended.
    Exit = 3,
}

impl What {
    /// Its place in the map of losses.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Fork => 0,
            Self::Exec => 1,
            Self::Exit => 2,
        }
    }
}

/// Kinds of what can happen.
pub(crate) const WHATS: usize = 3;
/// Bytes of the map of losses, for each CPU: a number for each kind.
pub(crate) const LOSSES_BYTES: u32 = 24;
const _: () = assert!(LOSSES_BYTES as usize == 8 * WHATS);

/// Where things stand at the beginning of every record.
pub(super) mod layout {
    pub(in super::super) const WHAT: i32 = 0;
    pub(in super::super) const PID: i32 = 4;
    pub(in super::super) const PARENT: i32 = 8;
    pub(in super::super) const USER: i32 = 12;
    pub(in super::super) const START_NS: i32 = 16;
    pub(in super::super) const NOW_NS: i32 = 24;
    pub(in super::super) const GROUPS: i32 = 32;
    pub(in super::super) const NAME: i32 = 40;
    /// What the kind adds begins here.
    pub(in super::super) const REST: i32 = 56;
}

/// Where programs hand their records over: maps, by their descriptors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlet {
    /// The ring.
    pub(crate) ring: i32,
    /// What found no room in it: for each CPU a number for each kind.
    pub(crate) losses: i32,
    /// When the ring's reader is woken.
    pub(crate) wake: Wake,
}

/// When a reader is woken. A wake-up for each record would cost ten times as much as the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// By the first record after it has read all; it lets others gather before it reads.
    First,
    /// When much waits: else something of its own brings it.
    Much,
}

/// The maps that the programs of events write to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maps {
    /// Where records go.
    pub(crate) outlet: Outlet,
    /// Room for a record that is too large for the stack, by its descriptor.
    pub(crate) scratch: i32,
}

/// Writes the beginning of a record about the process that `thread` belongs to, at `base + at`.
pub(super) fn copy_head(
    program: &mut Assembler<'_>,
    btf: &Btf<'_>,
    what: What,
    thread: Register,
    (base, at): (Register, i32),
) -> Result<(), BtfError> {
    let (start, _) = btf.first_field(TASK, &["start_boottime", "real_start_time"])?;
    program.store(Width::Word, base, at + layout::WHAT, what as i32);
    program.load_field(Register::R1, thread, TASK, "tgid");
    program.store(Width::Word, base, at + layout::PID, Register::R1);
    program.load_field(Register::R1, thread, TASK, "cgroups");
    program.store(Width::Double, base, at + layout::GROUPS, Register::R1);
    for (pointer, structure, path, to) in [
        ("real_parent", TASK, "tgid", layout::PARENT),
        ("real_cred", "cred", "euid.val", layout::USER),
    ] {
        program.load_field(Register::R1, thread, TASK, pointer);
        program.load_field(Register::R1, Register::R1, structure, path);
        program.store(Width::Word, base, at + to, Register::R1);
    }
    program.load_field(Register::R2, thread, TASK, "group_leader");
    program.load_field(Register::R1, Register::R2, TASK, start);
    program.store(Width::Double, base, at + layout::START_NS, Register::R1);
    for from in [0, 8] {
        program.load_double_of(Register::R1, Register::R2, (TASK, "comm"), from);
        let to = at + layout::NAME + from;
        program.store(Width::Double, base, to, Register::R1);
    }
    program.call(Helper::BootNs);
    program.store(Width::Double, base, at + layout::NOW_NS, Register::R0);
    Ok(())
}

/// Hands over the record at `data`, of `bytes` bytes, and goes on at `end`. Both must be kept across calls.
/// `kind_index`: where a record of this kind is counted that finds no room.
pub(super) fn hand_over(
    program: &mut Assembler<'_>,
    outlet: Outlet,
    kind_index: usize,
    (data, bytes): (Register, Register),
    end: Label,
) {
    match outlet.wake {
        Wake::First => program.set(Register::R4, WAKE_WHO_HAS_ALL),
        Wake::Much => {
            program.set_to_map(Register::R1, outlet.ring);
            program.set(Register::R2, HOW_MUCH_WAITS);
            program.call(Helper::RingQuery);
            program.set(Register::R4, DONT_WAKE);
            let quietly = program.label();
            program.jump_if(If::Less, Register::R0, WAKE_BYTES, quietly);
            program.set(Register::R4, WAKE);
            program.bind(quietly);
        }
    }
    program.set_to_map(Register::R1, outlet.ring);
    program.set(Register::R2, data);
    program.set(Register::R3, bytes);
    program.call(Helper::RingOutput);
    program.jump_if(If::Equal, Register::R0, 0, end);
    // The map is each CPU's own, and a program isn't interrupted by itself: no record counts twice.
    look_up(program, outlet.losses, end);
    let at = 8 * i32::try_from(kind_index).unwrap_or(0);
    program.load(Width::Double, Register::R1, Register::R0, at);
    program.add(Register::R1, 1);
    program.store(Width::Double, Register::R0, at, Register::R1);
    program.jump(end);
}

/// `R0` = the only value of a map; goes on at `missing` if there is none.
pub(super) fn look_up(program: &mut Assembler<'_>, map: i32, missing: Label) {
    program.store(Width::Word, Register::Frame, KEY_AT, 0);
    program.set_to_map(Register::R1, map);
    program.set_to_place(Register::R2, Register::Frame, KEY_AT);
    program.call(Helper::MapLookup);
    program.jump_if(If::Equal, Register::R0, 0, missing);
}

/// What every record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// The pid.
    pub(crate) pid: u32,
    /// The parent's pid.
    pub(crate) parent: u32,
    /// The effective user id.
    pub(crate) user_id: u32,
    /// When the process began, ns since boot.
    pub(crate) start_ns: u64,
    /// When this happened, ns since boot.
    pub(crate) now_ns: u64,
    /// Names its control groups; another number, another group.
    pub(crate) groups: u64,
    /// The name.
    pub(crate) name: &'a [u8],
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A process was made.
    Fork(Head<'a>),
    /// A process runs another program.
    Exec(Head<'a>, Exec<'a>),
    /// The last thread of a process has ended.
    Exit(Head<'a>, Exit),
}

/// The record in bytes; none if it isn't one.
pub(crate) fn read(bytes: &[u8]) -> Option<Event<'_>> {
    let number = |at: i32| u32_at(bytes, usize::try_from(at).ok()?);
    let double = |at: i32| u64_at(bytes, usize::try_from(at).ok()?);
    let name_at = usize::try_from(layout::NAME).ok()?;
    let name = bytes.get(name_at..)?.first_chunk::<NAME_BYTES>()?;
    let head = Head {
        pid: number(layout::PID)?,
        parent: number(layout::PARENT)?,
        user_id: number(layout::USER)?,
        start_ns: double(layout::START_NS)?,
        now_ns: double(layout::NOW_NS)?,
        groups: double(layout::GROUPS)?,
        name: name_of(name),
    };
    let rest = bytes.get(usize::try_from(layout::REST).ok()?..)?;
    let what = number(layout::WHAT)?;
    let is = |other: What| what == other as u32;
    Some(if is(What::Fork) {
        Event::Fork(head)
    } else if is(What::Exec) {
        Event::Exec(head, Exec::read(rest)?)
    } else if is(What::Exit) {
        Event::Exit(head, Exit::read(rest)?)
    } else {
        return None;
    })
}

/// Reads where the program's own errors are told as one.
pub(super) type Assembled = Result<Vec<u64>, AssembleError>;
