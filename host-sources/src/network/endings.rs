//! Waiting for the kernel's word that sockets have ended, over all namespaces at once.
//!
//! A source waits for one thing, a poll over all their sockets and the ring of those who have sockets in hand, and what
//! the kernel tells gathers for [`GATHER_TIME`]: a wake-up for each costs ten times as much. It reads none of it.

use std::os::fd::AsFd;
use std::time::Duration;

use crate::readable::Readable;

/// How long notices gather after the first.
const GATHER_TIME: Duration = Duration::from_millis(50);

/// A poll over what tells of ends. What is closed leaves it by itself.
pub(super) struct Endings {
    readable: Readable,
}

impl Endings {
    /// A poll over nothing.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            readable: Readable::new()?,
        })
    }

    /// Takes a descriptor in; one that is in it already stays so.
    pub(super) fn watch(&self, descriptor: impl AsFd) -> std::io::Result<()> {
        self.readable.watch(descriptor)
    }

    /// Returns when there is something to be read, or `is_soon` and some of it may have gathered. Cancel safe.
    pub(super) async fn wait(&self, is_soon: bool) {
        if !is_soon {
            self.readable.wait().await;
        }
        tokio::time::sleep(GATHER_TIME).await;
    }
}
