//! The messages of a datagram: `struct nlmsghdr` and what follows it, from linux/netlink.h.
//!
//! Views of bytes that were checked; nothing is copied. The invariant: each message lies within the
//! datagram, and the first that doesn't ends it.

use super::fields::{u16_at, u32_at};

/// Messages and attributes begin at multiples of this: `NLMSG_ALIGNTO`, `NLA_ALIGNTO`.
pub(super) const ALIGNMENT: usize = 4;
/// Bytes of `struct nlmsghdr`.
pub(super) const HEADER_BYTES: usize = 16;

/// `NLMSG_NOOP`: to be passed over.
pub(super) const TYPE_NOOP: u16 = 1;
/// `NLMSG_ERROR`: a refusal, or with the number 0 a confirmation.
pub(super) const TYPE_ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub(super) const TYPE_DONE: u16 = 3;
/// `NLMSG_OVERRUN`: data was lost.
pub(super) const TYPE_OVERRUN: u16 = 4;
/// `NLM_F_DUMP_INTR`: what is dumped changed meanwhile, so that some of it may be missing or doubled.
pub(super) const FLAG_DUMP_INTERRUPTED: u16 = 0x10;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// `nlmsg_type`: the protocol's, below 16 netlink's own.
    pub(crate) kind: u16,
    /// `nlmsg_flags`.
    pub(crate) flags: u16,
    /// `nlmsg_seq`: of the request that it answers; 0 for what nobody asked for.
    pub(crate) sequence: u32,
    /// What follows the header.
    pub(crate) payload: &'a [u8],
}

impl Message<'_> {
    /// What a message of the kind `error` or `done` says went wrong: an error number, 0 for nothing. None
    /// for messages of another kind, and for those that end before it.
    pub(crate) fn error_number(&self) -> Option<i32> {
        if self.kind != TYPE_ERROR && self.kind != TYPE_DONE {
            return None;
        }
        let negated = i32::from_ne_bytes(super::array_at(self.payload, 0)?);
        Some(negated.saturating_neg())
    }
}

/// The messages of a datagram, in order; the last may be an error.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Of a datagram.
    pub(crate) const fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

/// A datagram ends within a message, or in something that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedMessage;

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, MalformedMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = read(self.rest);
        // After a lie about a length nothing is where it seems to be.
        self.rest = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(message, _)| message).ok_or(MalformedMessage))
    }
}

fn read(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let message = Message {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        sequence: u32_at(bytes, 8)?,
        payload: bytes.get(HEADER_BYTES..length)?,
    };
    Some((message, after(bytes, length)))
}

/// What follows an item of that length, which lies within the bytes: the padding after the last may be
/// left out.
pub(super) fn after(bytes: &[u8], length: usize) -> &[u8] {
    let next = length.checked_next_multiple_of(ALIGNMENT);
    next.and_then(|next| bytes.get(next..)).unwrap_or_default()
}
