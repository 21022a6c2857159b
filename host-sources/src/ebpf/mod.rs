//! eBPF without a compiler: programs that are assembled when the daemon starts, for the kernel that it
//! starts on.
//!
//! No object file and no array of bytes: a program is a function that calls the [`assembler`] with the
//! names of the kernel's structures and fields, and [`btf`] says where this kernel has them. What the
//! records mean is their source's business. The invariant: only [`kernel`] and [`ring`] have
//! `unsafe` code, a program that can't be had fails alone and says why, and a record that found no room
//! is counted by the kernel.
//!
//! - [`btf`]: the kernel's own description of its types, parsed and searched;
//! - [`assembler`]: instructions with registers, labels and fields by name;
//! - [`programs`]: what runs in the kernel, and the records that it writes;
//! - [`kernel`]: the calls of bpf(2);
//! - [`ring`]: the reader of a ring buffer.

pub(crate) mod assembler;
pub(crate) mod btf;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub(crate) mod kernel;
mod load;
pub(crate) mod programs;
pub(crate) mod ring;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use load::{EventRing, FileIterator, SOCKET_RING_BYTES, SocketRing, TaskIterator};

use assembler::AssembleError;
use btf::BtfError;
use rustix::io::Errno;

/// Why a program can't be had here, in words that a person can act on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EbpfError {
    /// The kernel doesn't describe its types.
    #[error("this kernel doesn't tell its types: {path} can't be read: {errno}")]
    NoBtf {
        /// The file that should say.
        path: &'static str,
        /// What the system said.
        errno: std::io::Error,
    },
    /// The kernel's types aren't what they should be.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The program can't be put together for this kernel.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A privilege is missing.
    #[error(
        "needs CAP_BPF and CAP_PERFMON: run as root, or add them to the unit ({what}: {errno})"
    )]
    Privilege {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// The kernel's pids aren't this process's.
    #[error(
        "this process has a pid namespace of its own, and eBPF tells the host's pids: run it in the host's"
    )]
    Namespace,
    /// A system call failed.
    #[error("{what} failed: {errno}")]
    Call {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// The kernel's verifier refuses a program.
    #[error("this kernel's verifier refuses the program `{program}`: {log}")]
    Refused {
        /// The program's name.
        program: &'static str,
        /// The end of what the verifier said.
        log: String,
    },
}

impl EbpfError {
    /// What a failed call means.
    pub(crate) const fn of_call(what: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::PERM | Errno::ACCESS => Self::Privilege { what, errno },
            _ => Self::Call { what, errno },
        }
    }
}
