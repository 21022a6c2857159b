//! Tiers: the ways to look at all processes, and the best that a host allows.
//!
//! A tier tells what changes all the time, in one form; what a process has for long is read by others.
//! The invariant: a tier that can't be had says why, in words that a person can act on, and the last one
//! always can.

mod ebpf;
mod proc;
mod taskstats;

use std::hash::Hasher as _;

use rustix::io::Errno;

use super::PROCESSES_MAX;
use super::proc_root::ProcRoot;
use crate::ebpf::EbpfError;
use ebpf::Iterated;
use proc::Listed;
use taskstats::Taskstats;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use taskstats::fuzz as fuzz_taskstats;

/// Bytes of a name: a task's has 16, but those of kernel threads say more.
pub(super) const NAME_BYTES_MAX: usize = 48;
/// `PF_KTHREAD`: a thread of the kernel.
const FLAG_KERNEL_THREAD: u32 = 0x0020_0000;

/// A way to look at all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierName {
    /// An eBPF iterator over all tasks.
    Ebpf,
    /// Netlink taskstats for what runs, and `/proc` for the rest.
    Taskstats,
    /// `/proc` alone.
    Proc,
}

impl TierName {
    /// All, the best first.
    pub const ALL: [Self; 3] = [Self::Ebpf, Self::Taskstats, Self::Proc];

    /// The name, for a person.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ebpf => "eBPF task iterator",
            Self::Taskstats => "taskstats and /proc",
            Self::Proc => "/proc",
        }
    }
}

/// Why a tier can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum TierError {
    /// A program can't be loaded or read.
    #[error(transparent)]
    Ebpf(#[from] EbpfError),
    /// Taskstats can't be asked.
    #[error("taskstats: {0}")]
    Taskstats(String),
    /// The list of processes can't be read.
    #[error("the list of processes can't be read: {0}")]
    Proc(Errno),
    /// The list is another than the kernel's.
    #[error("only for the kernel's own /proc")]
    NotKernel,
}

/// What a tier tells of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: u32,
    pub(super) parent: Option<u32>,
    pub(super) start_ticks: u64,
    name: [u8; NAME_BYTES_MAX],
    name_bytes: u8,
    pub(super) state: Option<&'static str>,
    /// None where it isn't known.
    pub(super) user_id: Option<u32>,
    /// CPU time of all its threads, ns.
    pub(super) cpu_ns: u64,
    /// Pages in memory as a counter that is behind; none: it has no memory.
    pub(super) resident_pages: Option<i64>,
    pub(super) is_kernel_thread: bool,
    /// Another number: it has execed.
    pub(super) exec_mark: u64,
    /// Another number: its executable was renamed or deleted. None where the tier can't tell.
    pub(super) file_mark: Option<u64>,
    /// Another number: it is in another control group. None where the tier can't tell.
    pub(super) group_mark: Option<u64>,
}

impl Seen {
    pub(super) fn name(&self) -> &[u8] {
        self.name
            .get(..usize::from(self.name_bytes))
            .unwrap_or_default()
    }

    /// A number that another name hardly ever has: names that are known aren't compared.
    pub(super) fn name_mark(&self) -> u64 {
        let mut hasher = rustc_hash::FxHasher::default();
        hasher.write(self.name());
        hasher.finish()
    }

    fn set_name(&mut self, name: &[u8]) {
        let kept = name.len().min(NAME_BYTES_MAX);
        if let (Some(place), Some(name)) = (self.name.get_mut(..kept), name.get(..kept)) {
            place.copy_from_slice(name);
        }
        self.name_bytes = u8::try_from(kept).unwrap_or_default();
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            pid: 0,
            parent: None,
            start_ticks: 0,
            name: [0; NAME_BYTES_MAX],
            name_bytes: 0,
            state: None,
            user_id: None,
            cpu_ns: 0,
            resident_pages: None,
            is_kernel_thread: false,
            exec_mark: 0,
            file_mark: None,
            group_mark: None,
        }
    }
}

/// What a process does, by the letter that `/proc` has for it.
pub(super) const fn state_of(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'R' => "running",
        b'S' => "sleeping",
        b'D' => "disk-sleep",
        b'I' => "idle",
        b'T' => "stopped",
        b't' => "traced",
        b'Z' => "zombie",
        b'X' | b'x' => "dead",
        b'P' => "parked",
        _ => return None,
    })
}

/// One look, whichever way.
pub(super) enum Tier {
    Ebpf(Iterated),
    Proc(Box<Listed>),
}

impl Tier {
    /// The best tier that this host allows, at least as good as `from`; and what was said of better ones.
    pub(super) fn best(
        root: &ProcRoot,
        mut refused: impl FnMut(TierName, &TierError),
    ) -> Result<Self, TierError> {
        for name in [TierName::Ebpf, TierName::Taskstats] {
            match Self::open(name, root) {
                Ok(tier) => return Ok(tier),
                Err(error) => refused(name, &error),
            }
        }
        Self::open(TierName::Proc, root)
    }

    /// That tier.
    pub(super) fn open(name: TierName, root: &ProcRoot) -> Result<Self, TierError> {
        if name != TierName::Proc && !root.is_kernel() {
            return Err(TierError::NotKernel);
        }
        Ok(match name {
            TierName::Ebpf => Self::Ebpf(Iterated::open()?),
            TierName::Taskstats => {
                Self::Proc(Box::new(Listed::open(root, Some(Taskstats::open()?))?))
            }
            TierName::Proc => Self::Proc(Box::new(Listed::open(root, None)?)),
        })
    }

    /// Which it is.
    pub(super) const fn name(&self) -> TierName {
        match self {
            Self::Ebpf(_) => TierName::Ebpf,
            Self::Proc(listed) if listed.has_taskstats() => TierName::Taskstats,
            Self::Proc(_) => TierName::Proc,
        }
    }

    /// Looks at all processes, which [`Self::seen`] has then, and answers how many there were besides those
    /// [`PROCESSES_MAX`].
    pub(super) fn look(&mut self) -> Result<usize, TierError> {
        match self {
            Self::Ebpf(iterated) => iterated.look(PROCESSES_MAX),
            Self::Proc(listed) => listed.look(PROCESSES_MAX),
        }
    }

    /// What the last look saw, by pid.
    pub(super) fn seen(&self) -> &[Seen] {
        match self {
            Self::Ebpf(iterated) => iterated.seen(),
            Self::Proc(listed) => listed.seen(),
        }
    }

    /// After how many looks details are read again without a sign.
    pub(super) const fn turns(&self) -> Turns {
        match self {
            Self::Ebpf(_) => Turns {
                all_looks: ALL_LOOKS,
                executable_looks: FOLDER_LOOKS,
                cpu_is_exact: true,
            },
            Self::Proc(_) => Turns {
                all_looks: ALL_LOOKS,
                executable_looks: EXECUTABLE_LOOKS,
                cpu_is_exact: false,
            },
        }
    }
}

/// Looks after which everything of a process is read again: five minutes, with the usual interval. All tiers notice an
/// exec, so that this is for what none does: titles that processes write over their own arguments later than at
/// their begin.
const ALL_LOOKS: u64 = 300;
/// Looks after which a process's executable is looked for, where a deletion isn't told: it costs as much as a look.
const EXECUTABLE_LOOKS: u64 = 30;
/// Looks after which everything of an idle process is looked at: memory that the kernel takes away changes without it.
const IDLE_LOOKS: u64 = 20;
/// The same where it is: then only the renaming of a folder above it isn't.
const FOLDER_LOOKS: u64 = 300;

/// After how many looks details are read again without a sign that they have changed; a part of the processes
/// at each look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turns {
    /// All of them.
    pub(super) all_looks: u64,
    /// The executable: deleted or renamed.
    pub(super) executable_looks: u64,
    /// Whether a process of which the CPU time is what it was hasn't run: it isn't counted in ticks.
    pub(super) cpu_is_exact: bool,
}

impl Turns {
    /// Whether it is a process's turn, of that many looks, at the look of this number.
    pub(super) const fn is_due(looks: u64, pid: u32, number: u64) -> bool {
        let turn = number.wrapping_add(pid as u64);
        match looks {
            0 => true,
            looks => turn.is_multiple_of(looks),
        }
    }
}

#[cfg(test)]
mod tests;
