//! A question with many answers, read to its end.
//!
//! The kernel makes a dump's datagrams as they are read, so that nothing has to be waited for. The
//! invariant: a dump that is answered as complete had its end message.

use rustix::io::Errno;

use super::message::{FLAG_DUMP_INTERRUPTED, TYPE_DONE, TYPE_ERROR, TYPE_NOOP, TYPE_OVERRUN};
use super::{Message, Messages, NetlinkError, NetlinkSocket, ReceiveBuffer, Received};

/// Messages of one dump, so that no kernel keeps its reader for ever: eight times the sockets, threads or
/// routes of a very large host.
const MESSAGES_MAX: usize = 8 << 20;

/// How a dump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DumpEnd {
    /// All of it was read.
    Complete,
    /// All of it was read, and it changed meanwhile: some may be missing or doubled.
    Interrupted,
}

/// Sends `request`, which was made with `sequence` and asks for a dump, and hands each answer to `each`.
///
/// # Errors
/// [`NetlinkError::Refused`] with what the kernel said, [`NetlinkError::Incomplete`] where the end of the
/// dump didn't come. Answers that came before were handed on.
pub(crate) fn dump(
    socket: &mut NetlinkSocket,
    request: &[u8],
    sequence: u32,
    buffer: &mut ReceiveBuffer,
    mut each: impl FnMut(&Message<'_>),
) -> Result<DumpEnd, NetlinkError> {
    let protocol = socket.protocol();
    let incomplete = |how| NetlinkError::Incomplete { protocol, how };
    socket.send(request)?;
    let mut end = DumpEnd::Complete;
    let mut messages_left = MESSAGES_MAX;
    loop {
        let datagram = match socket.receive(buffer)? {
            Received::Datagram(datagram) => datagram,
            Received::Nothing => return Err(incomplete("there is no more of it, and no end")),
            Received::Lost => return Err(incomplete("a part of it didn't fit")),
        };
        for message in Messages::new(datagram) {
            let message = message.map_err(|_| incomplete("a message has a wrong length"))?;
            messages_left = messages_left
                .checked_sub(1)
                .ok_or_else(|| incomplete("it has more messages than any dump"))?;
            if message.sequence != sequence {
                // Of a dump before, that was given up.
                continue;
            }
            if message.flags & FLAG_DUMP_INTERRUPTED != 0 {
                end = DumpEnd::Interrupted;
            }
            match message.kind {
                TYPE_NOOP => {}
                TYPE_OVERRUN => return Err(incomplete("the kernel lost a part of it")),
                TYPE_DONE | TYPE_ERROR => return ended(&message, end, protocol),
                _ => each(&message),
            }
        }
    }
}

fn ended(
    message: &Message<'_>,
    end: DumpEnd,
    protocol: &'static str,
) -> Result<DumpEnd, NetlinkError> {
    match message.error_number() {
        // Some dumps end without a number.
        Some(0) => Ok(end),
        None if message.kind == TYPE_DONE => Ok(end),
        Some(number) if (1..4096).contains(&number) => Err(NetlinkError::Refused {
            protocol,
            errno: Errno::from_raw_os_error(number),
        }),
        _ => Err(NetlinkError::Incomplete {
            protocol,
            how: "its end says nothing",
        }),
    }
}
