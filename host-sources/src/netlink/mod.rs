//! Netlink: how the kernel is asked, and what it answers, over any of its protocols.
//!
//! It knows the envelope — sockets, messages, attributes, dumps — and nothing of what lies in it. The
//! invariant: bytes become views only after their lengths were checked, and what the kernel couldn't
//! deliver is counted, never passed over.
//!
//! - [`socket`]: a socket of one protocol, its groups and its losses;
//! - [`message`], [`attribute`]: bytes as messages and attributes, checked;
//! - [`fields`]: numbers at places in bytes;
//! - [`request`]: messages to the kernel;
//! - [`dump`]: a question with many answers, to its end.

mod attribute;
mod dump;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod message;
mod request;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use attribute::Attributes;
pub(crate) use dump::{DumpEnd, dump};
pub(crate) use fields::{array_at, u8_at, u16_at, u16_be_at, u32_at, u64_at};
pub(crate) use message::{Message, Messages};
pub(crate) use request::Requests;
pub(crate) use socket::{NetlinkSocket, ReceiveBuffer, Received};

/// What kept the kernel's answer from being read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetlinkError {
    /// A system call failed.
    #[error("netlink {protocol}: {what} failed: {errno}")]
    Call {
        /// The protocol's name, as in `sock_diag`.
        protocol: &'static str,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        errno: rustix::io::Errno,
    },
    /// The kernel refused a request.
    #[error("netlink {protocol}: the kernel refused a request: {errno}")]
    Refused {
        /// The protocol's name.
        protocol: &'static str,
        /// What the kernel said.
        errno: rustix::io::Errno,
    },
    /// An answer didn't come, or not whole.
    #[error("netlink {protocol}: an answer ended early: {how}")]
    Incomplete {
        /// The protocol's name.
        protocol: &'static str,
        /// What was wrong.
        how: &'static str,
    },
}

impl NetlinkError {
    /// What the kernel said, if it said anything.
    pub(crate) const fn errno(&self) -> Option<rustix::io::Errno> {
        match self {
            Self::Call { errno, .. } | Self::Refused { errno, .. } => Some(*errno),
            Self::Incomplete { .. } => None,
        }
    }
}
