//! Messages to the kernel, several in a datagram where they shall cost one system call.
//!
//! The invariant: lengths and padding are always those of what was written.

use super::{attribute, message};

/// `NLM_F_REQUEST`: on every message to the kernel.
const FLAG_REQUEST: u16 = 0x01;

/// A datagram of requests. It is used again: [`Requests::clear`].
#[derive(Debug, Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    /// Where the last message begins.
    last: usize,
}

impl Requests {
    /// `NLM_F_ACK`: the kernel confirms it.
    #[cfg(test)]
    pub(crate) const ACKNOWLEDGE: u16 = 0x04;
    /// `NLM_F_DUMP`: all there are.
    pub(crate) const DUMP: u16 = 0x300;

    /// Forgets all messages and keeps their memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.last = 0;
    }

    /// Begins a message, which `body` — the protocol's own header — follows. Answers carry `sequence`.
    pub(crate) fn begin(&mut self, kind: u16, flags: u16, sequence: u32, body: &[u8]) {
        self.last = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        let flags = flags | FLAG_REQUEST;
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        // The sender's port: 0, for the kernel fills it in.
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(body);
        self.end();
    }

    /// Appends an attribute to the message that was begun last. `value` is at most 65,531 bytes; what is
    /// longer is left out, and false.
    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) -> bool {
        let Ok(length) = u16::try_from(value.len() + attribute::HEADER_BYTES) else {
            return false;
        };
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.end();
        true
    }

    /// The datagram.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Pads what was written, and sets the last message's length.
    fn end(&mut self) {
        let padded = self.bytes.len().next_multiple_of(message::ALIGNMENT);
        self.bytes.resize(padded, 0);
        let length = u32::try_from(padded - self.last).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(self.last..self.last + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }
}
