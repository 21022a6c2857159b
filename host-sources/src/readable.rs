//! Waiting until one of several descriptors can be read, without a wake-up before.
//!
//! It reads none of them. The invariant: while nothing can be read nobody is woken, however long that takes.

#![expect(
    unsafe_code,
    reason = "tokio takes a descriptor only from who vouches for it"
)]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How often is looked where the runtime can't wait for it.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A poll over descriptors. One that is closed leaves it by itself.
pub(crate) struct Readable {
    poll: OwnedFd,
}

impl Readable {
    /// A poll over nothing.
    pub(crate) fn new() -> std::io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { poll })
    }

    /// Takes a descriptor in; one that is in it already stays so.
    pub(crate) fn watch(&self, descriptor: impl AsFd) -> std::io::Result<()> {
        let data = epoll::EventData::new_u64(0);
        match epoll::add(&self.poll, descriptor, data, epoll::EventFlags::IN) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns when there is something to be read, then or a little before. Cancel safe.
    ///
    /// # Panics
    /// In a runtime without its I/O.
    pub(crate) async fn wait(&self) {
        if self.is_any_ready() {
            return;
        }
        // Told of what is there already as well: nothing is missed between the two.
        match self.registered() {
            Ok(poll) => drop(poll.readable().await),
            Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
        }
    }

    fn registered(&self) -> std::io::Result<AsyncFd<OwnedFd>> {
        let poll = self.poll.try_clone()?;
        // SAFETY: the `OwnedFd` is open until it is dropped, and the `AsyncFd` owns it: nobody closes or replaces it
        // before, even if the answer is never dropped.
        let registered = unsafe { AsyncFd::register_with_interest(poll, Interest::READABLE) };
        Ok(registered?)
    }

    fn is_any_ready(&self) -> bool {
        let mut events = [MaybeUninit::uninit(); 1];
        let now = Timespec::default();
        let ready = epoll::wait(&self.poll, events.as_mut_slice(), Some(&now));
        // An error shows itself where the descriptors are read.
        !matches!(ready, Ok((events, _)) if events.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_by_what_can_be_read_and_by_nothing_else() {
        let (mut end, mut begin) = std::io::pipe().expect("a pipe");
        let readable = Readable::new().expect("a poll");
        readable.watch(&end).expect("a descriptor");
        readable.watch(&end).expect("the same again");
        for _ in 0..3 {
            let mut wait = pin!(readable.wait());
            let is_early = tokio::select! {
                biased;
                () = &mut wait => true,
                () = std::future::ready(()) => false,
            };
            assert!(!is_early);
            begin.write_all(b"x").expect("a byte");
            wait.await;
            // What isn't read is still there.
            readable.wait().await;
            end.read_exact(&mut [0]).expect("the byte");
        }
    }
}
