//! The ceiling: a Unix socket from the publisher to the subscriber, messages with their length
//! before them, and no broker. What the kernel alone costs.

use super::line::Line;
use super::load::Message;
use super::side::{Address, Heard, Role, Side};

/// Before each message: its bytes, little-endian.
const LENGTH_BYTES: usize = size_of::<u32>();

/// An end of the socket.
#[derive(Default)]
pub(super) struct Raw;

impl Side for Raw {
    fn open(address: &Address, role: Role) -> anyhow::Result<Line> {
        match role {
            Role::Subscriber => Line::listen(address),
            Role::Publisher | Role::Stalled => Line::connect(address),
        }
    }

    fn greet(&mut self, _: &mut Line, _: Role) -> anyhow::Result<()> {
        Ok(())
    }

    fn message(message: &Message, into: &mut Vec<u8>) -> anyhow::Result<()> {
        let payload = message.payload();
        let length = u32::try_from(payload.len())?;
        into.extend(length.to_le_bytes());
        into.extend(payload);
        Ok(())
    }

    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>> {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length))?;
        let payload = rest.get(..length);
        Ok(payload.map(|payload| (LENGTH_BYTES + length, Heard::Message { payload, rows: 1 })))
    }
}
