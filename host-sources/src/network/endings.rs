//! Waiting for the kernel's word that sockets have ended, over all namespaces at once.
//!
//! One look every [`INTERVAL`] at one poll over all their sockets, so that a source waits for one thing, and notices
//! gather meanwhile: a wake-up for each costs ten times as much. It reads none of them.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::netlink::NetlinkSocket;

/// How often it is looked whether there are notices: one system call.
const INTERVAL: Duration = Duration::from_millis(50);

/// A poll over sockets. A socket that is closed leaves it by itself.
pub(super) struct Endings {
    poll: OwnedFd,
}

impl Endings {
    /// A poll over nothing.
    pub(super) fn new() -> std::io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { poll })
    }

    /// Takes a socket in; one that is in it already stays so.
    pub(super) fn watch(&self, socket: &NetlinkSocket) -> std::io::Result<()> {
        let data = epoll::EventData::new_u64(0);
        match epoll::add(&self.poll, socket, data, epoll::EventFlags::IN) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns when there is something to be read. Cancel safe.
    pub(super) async fn wait(&self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if self.is_any_ready() {
                return;
            }
        }
    }

    fn is_any_ready(&self) -> bool {
        let mut events = [MaybeUninit::uninit(); 1];
        let now = Timespec::default();
        let ready = epoll::wait(&self.poll, events.as_mut_slice(), Some(&now));
        // An error shows itself where the sockets are read.
        !matches!(ready, Ok((events, _)) if events.is_empty())
    }
}
