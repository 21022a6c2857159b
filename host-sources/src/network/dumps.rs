//! Dumps: all sockets of a namespace that are of a transport and a family, asked for until they are whole.
//!
//! What a socket is and what becomes of it others know. The invariant: a dump that wasn't whole is an error.

use rustix::net::netlink::SOCK_DIAG;

use super::diag::{self, DUMPS, Family, TCP_DUMPS, Transport};
use super::namespaces::{self, Namespace};
use super::table::Table;
use crate::netlink::{
    DumpEnd, Message, NetlinkError, NetlinkSocket, ReceiveBuffer, Requests, dump,
};

/// How often a dump is made that was interrupted by changes, or cut short.
const DUMP_TRIES_MAX: u32 = 3;
/// All states but `TIME_WAIT` and requests that are half open: those are no sockets.
const STATES: u32 = !(1 << 6 | 1 << 12);
/// The state `LISTEN`: for a question that costs nothing.
const LISTEN_STATES: u32 = 1 << 10;

/// What a dump needs in hand.
pub(super) struct Dumper<'a> {
    pub(super) table: &'a mut Table,
    pub(super) buffer: &'a mut ReceiveBuffer,
    pub(super) requests: &'a mut Requests,
    pub(super) sequence: &'a mut u32,
}

impl Dumper<'_> {
    /// As [`Self::dump`], each family by itself if the kernel doesn't know both at once.
    pub(super) fn dump_or_parts(
        &mut self,
        namespace: &mut Namespace,
        what: (Transport, Family),
    ) -> Result<(), NetlinkError> {
        let dumped = self.dump(namespace, what);
        if what.1 != Family::Any || !matches!(dumped, Err(NetlinkError::Refused { .. })) {
            return dumped;
        }
        let parts = TCP_DUMPS.map(|part| self.dump(namespace, part));
        parts.into_iter().collect()
    }

    /// All sockets of a namespace that are of a transport and family.
    fn dump(
        &mut self,
        namespace: &mut Namespace,
        what: (Transport, Family),
    ) -> Result<(), NetlinkError> {
        let mut tries_left = DUMP_TRIES_MAX;
        loop {
            tries_left -= 1;
            *self.sequence = self.sequence.wrapping_add(1);
            self.requests.clear();
            diag::ask(self.requests, *self.sequence, what, STATES);
            let table = &mut *self.table;
            let each = |message: &Message<'_>| {
                if let Some(seen) = diag::of_dump(message, what.0) {
                    table.see(namespace.inode, &seen);
                }
            };
            let request = self.requests.as_bytes();
            let ended = dump(
                &mut namespace.dumps,
                request,
                *self.sequence,
                self.buffer,
                each,
            );
            match ended {
                Ok(DumpEnd::Complete) => return Ok(()),
                Ok(DumpEnd::Interrupted) if tries_left == 0 => {
                    return Err(NetlinkError::Incomplete {
                        protocol: namespace.dumps.protocol(),
                        how: "it was interrupted by changes each time",
                    });
                }
                // The kernel has no room, or is asked to come again.
                Err(NetlinkError::Incomplete { .. }) if tries_left > 0 => {}
                Err(error) => return Err(error),
                Ok(DumpEnd::Interrupted) => {}
            }
        }
    }
}

/// Why the kernel lists no sockets; none if it lists some.
pub(super) fn probe() -> Option<String> {
    let ask = |what| -> Result<DumpEnd, NetlinkError> {
        let mut socket = NetlinkSocket::open(SOCK_DIAG, namespaces::PROTOCOL, 0)?;
        let mut requests = Requests::default();
        diag::ask(&mut requests, 1, what, LISTEN_STATES);
        let mut buffer = ReceiveBuffer::new();
        dump(&mut socket, requests.as_bytes(), 1, &mut buffer, |_| {})
    };
    let mut refused = None;
    for what in DUMPS.into_iter().chain(TCP_DUMPS) {
        match ask(what) {
            Ok(_) => return None,
            Err(error) => refused = Some(error),
        }
    }
    let error = refused?;
    Some(format!(
        "{error}: the kernel needs CONFIG_INET_DIAG, and the modules tcp_diag and udp_diag where they are not \
         built in"
    ))
}
