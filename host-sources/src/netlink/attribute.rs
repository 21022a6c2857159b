//! The attributes of a message: `struct nlattr`, from linux/netlink.h.
//!
//! The invariant is that of [`super::message`]: each lies within the bytes, and the first that doesn't
//! ends them.

use super::fields::u16_at;
use super::message::after;

/// Bytes of `struct nlattr`.
pub(super) const HEADER_BYTES: usize = 4;
/// The bits of a type that are one: above them are `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const TYPE_MASK: u16 = 0x3fff;

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    /// `nla_type`, without its flags.
    pub(crate) kind: u16,
    /// Its value; attributes again where it is nested: [`Attributes::new`] reads them.
    pub(crate) value: &'a [u8],
}

/// Attributes in order. What isn't one any more ends them: what the kernel appends is optional.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The attributes that follow the first `header_bytes` of a payload, which are the protocol's.
    pub(crate) fn after(payload: &'a [u8], header_bytes: usize) -> Self {
        Self::new(after(payload, header_bytes))
    }

    /// The attributes in bytes.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The value of the first of a kind.
    pub(crate) fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        let found = self.by_ref().find(|attribute| attribute.kind == kind);
        found.map(|attribute| attribute.value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = read(self.rest);
        self.rest = read.map_or(&[], |(_, rest)| rest);
        read.map(|(attribute, _)| attribute)
    }
}

fn read(bytes: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let length = usize::from(u16_at(bytes, 0)?);
    let attribute = Attribute {
        kind: u16_at(bytes, 2)? & TYPE_MASK,
        value: bytes.get(HEADER_BYTES..length)?,
    };
    Some((attribute, after(bytes, length)))
}
