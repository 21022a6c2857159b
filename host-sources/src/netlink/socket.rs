//! A netlink socket: one protocol, perhaps with groups of what the kernel tells unasked.
//!
//! It never blocks. The invariant: only what the kernel itself sent is handed on, and each time that it
//! had to leave something out is a loss, counted.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, send,
    socket_with, sockopt,
};

use super::NetlinkError;

/// Bytes of a receive buffer: the kernel's dumps fill at most 32 KiB of what they are offered.
const RECEIVE_BYTES: usize = 64 * 1024;
/// The kernel's port.
const KERNEL_PORT: u32 = 0;

/// Room for one datagram; it serves any number of sockets, one after another.
pub(crate) struct ReceiveBuffer(Vec<u8>);

impl ReceiveBuffer {
    /// A buffer that takes whatever the kernel sends at once.
    pub(crate) fn new() -> Self {
        Self(vec![0; RECEIVE_BYTES])
    }

    /// A buffer of so many bytes, for tests of what doesn't fit.
    #[cfg(test)]
    pub(super) fn of(bytes: usize) -> Self {
        Self(vec![0; bytes])
    }
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received<'b> {
    /// A datagram of messages.
    Datagram(&'b [u8]),
    /// Nothing waits.
    Nothing,
    /// The kernel had no room (`ENOBUFS`), or the datagram was longer than the buffer: an unknown number
    /// of messages is gone. More may wait.
    Lost,
}

/// A socket. It belongs to the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct NetlinkSocket {
    fd: OwnedFd,
    protocol: &'static str,
    losses: u64,
}

impl NetlinkSocket {
    /// Opens a socket that doesn't block. `groups` is a mask: bit `n - 1` is the group `n`, so that groups
    /// above 32 can't be had. `name` is the protocol's name in errors.
    ///
    /// # Errors
    /// [`NetlinkError::Call`], with `EPERM` where a group needs a privilege, and `EPROTONOSUPPORT` where the
    /// kernel was built without the protocol.
    pub(crate) fn open(
        protocol: Protocol,
        name: &'static str,
        groups: u32,
    ) -> Result<Self, NetlinkError> {
        let failed = |what| {
            move |errno| NetlinkError::Call {
                protocol: name,
                what,
                errno,
            }
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            Some(protocol),
        )
        .map_err(failed("opening a socket"))?;
        // The port 0 lets the kernel choose.
        bind(&fd, &SocketAddrNetlink::new(0, groups)).map_err(failed("binding a socket"))?;
        Ok(Self {
            fd,
            protocol: name,
            losses: 0,
        })
    }

    /// Asks for room for `bytes` of messages that wait, and returns what was given: less without
    /// `CAP_NET_ADMIN`, where `net.core.rmem_max` is the most.
    pub(crate) fn set_receive_buffer(&self, bytes: usize) -> usize {
        if sockopt::set_socket_recv_buffer_size_force(&self.fd, bytes).is_err() {
            // What is given is read back.
            let _ = sockopt::set_socket_recv_buffer_size(&self.fd, bytes);
        }
        sockopt::socket_recv_buffer_size(&self.fd).unwrap_or_default()
    }

    /// Sends a datagram of requests to the kernel.
    ///
    /// # Errors
    /// [`NetlinkError::Call`].
    pub(crate) fn send(&self, requests: &[u8]) -> Result<(), NetlinkError> {
        loop {
            match send(&self.fd, requests, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed("sending a request", errno)),
            }
        }
    }

    /// The next datagram that waits.
    ///
    /// # Errors
    /// [`NetlinkError::Call`].
    pub(crate) fn receive<'b>(
        &mut self,
        buffer: &'b mut ReceiveBuffer,
    ) -> Result<Received<'b>, NetlinkError> {
        let bytes = loop {
            // With TRUNC the call says how long the datagram was, not how much of it there was room for.
            match recvfrom(&self.fd, buffer.0.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((_, _, from)) if !from.as_ref().is_some_and(is_kernel) => {}
                Ok((fitted, bytes, _)) if fitted == bytes => break bytes,
                Ok(_) | Err(Errno::NOBUFS) => {
                    self.losses += 1;
                    return Ok(Received::Lost);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(errno) => return Err(self.failed("receiving", errno)),
            }
        };
        Ok(Received::Datagram(
            buffer.0.get(..bytes).unwrap_or_default(),
        ))
    }

    /// How often [`Received::Lost`] was answered.
    pub(crate) const fn losses(&self) -> u64 {
        self.losses
    }

    /// The protocol's name.
    pub(crate) const fn protocol(&self) -> &'static str {
        self.protocol
    }

    fn failed(&self, what: &'static str, errno: Errno) -> NetlinkError {
        NetlinkError::Call {
            protocol: self.protocol,
            what,
            errno,
        }
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_kernel(address: &rustix::net::SocketAddrAny) -> bool {
    SocketAddrNetlink::try_from(address.clone()).is_ok_and(|address| address.pid() == KERNEL_PORT)
}
