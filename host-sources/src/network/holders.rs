//! Who had which TCP socket in hand, as programs in the kernel tell it, until somebody asks.
//!
//! A look finds out whose sockets are that live long enough; this is for those that don't, and for those whose
//! descriptors are closed by then. The invariant: a process that is answered held that very socket, for sockets are
//! named by the kernel's cookies, which are never used again; and what is forgotten unasked is counted.

use std::os::fd::{AsFd, BorrowedFd};

use rustc_hash::FxHashMap;
use weir_bus::Timestamp;

use super::SOCKETS_MAX;
use super::table::Key;
use crate::ebpf::SocketRing;
use crate::ebpf::programs::sockets::{self, Held, What};
use crate::process::details::stat;

/// Sockets whose holders are kept until a look or a notice asks for them: some 8 MiB.
const HOLDERS_MAX: usize = SOCKETS_MAX;

/// A process that had a socket in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) start_time: Timestamp,
    /// Whose the socket is, as a user.
    pub(super) user_id: u32,
    /// What it did.
    pub(super) what: What,
}

impl Holder {
    /// It shut the socket down or closed it: whoever else has held it, this one did so last.
    pub(super) fn has_let_go(&self) -> bool {
        self.what != What::TakenUp
    }

    /// Who it is, knowing who it was `before`: a socket that was let go may be destroyed by anybody.
    pub(super) fn after(self, before: Option<Self>) -> Self {
        let closed = before.filter(Self::has_let_go);
        match closed {
            Some(closed) if self.what == What::Destroyed => closed,
            _ => self,
        }
    }
}

/// The holders, by their sockets; of each the last that was told.
///
/// In two halves: when the newer is full it becomes the older one, and what that still had is forgotten.
#[derive(Debug)]
pub(super) struct Holders {
    half_max: usize,
    newer: FxHashMap<Key, Holder>,
    older: FxHashMap<Key, Holder>,
    forgotten: u64,
}

impl Holders {
    /// No holders yet, and room for at most so many.
    pub(super) fn new(holders_max: usize) -> Self {
        Self {
            half_max: holders_max.div_ceil(2),
            newer: FxHashMap::default(),
            older: FxHashMap::default(),
            forgotten: 0,
        }
    }

    /// Notes who has the socket now.
    pub(super) fn note(&mut self, key: Key, holder: Holder) {
        let before = self.take(key);
        self.newer.insert(key, holder.after(before));
        if self.newer.len() >= self.half_max {
            let newer = std::mem::take(&mut self.newer);
            let forgotten = std::mem::replace(&mut self.older, newer);
            let count = u64::try_from(forgotten.len()).unwrap_or(u64::MAX);
            self.forgotten = self.forgotten.saturating_add(count);
        }
    }

    /// Who had the socket last, once.
    pub(super) fn take(&mut self, key: Key) -> Option<Holder> {
        let newer = self.newer.remove(&key);
        newer.or_else(|| self.older.remove(&key))
    }

    /// How many were forgotten that nobody had asked for.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

/// What came of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whether all that was there was read; else the rest can be in a moment.
    pub(super) is_whole: bool,
    /// Holders that weren't told since the last reading, or were forgotten.
    pub(super) missed: u64,
}

/// The programs' ring, and what was read of it.
#[derive(Debug)]
pub(super) struct HolderFeed {
    ring: SocketRing,
    holders: Holders,
    missed: u64,
}

impl AsFd for HolderFeed {
    /// Can be read when much waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl HolderFeed {
    /// Loads the programs, with a ring of `ring_bytes`; the error says why they can't be had.
    pub(super) fn open(ring_bytes: u32) -> Result<Self, String> {
        Ok(Self {
            ring: SocketRing::open(ring_bytes).map_err(|error| error.to_string())?,
            holders: Holders::new(HOLDERS_MAX),
            missed: 0,
        })
    }

    /// Takes in all that waits.
    ///
    /// # Errors
    /// If the ring isn't one any more, in words for a person.
    pub(super) fn read(&mut self) -> Result<Reading, String> {
        let failed = |error| format!("the ring of sockets can't be read: {error}");
        let (holders, tick_ns) = (&mut self.holders, stat::tick_ns().max(1));
        let mut records = 0_u64;
        let is_whole = self.ring.read(|record| {
            records += 1;
            if let Some(held) = sockets::read(record) {
                let (key, holder) = holder(&held, tick_ns);
                holders.note(key, holder);
            }
        });
        let is_whole = is_whole.map_err(failed)?;
        // A ring that was empty has lost nothing.
        let missed = match records {
            0 => self.missed,
            _ => self
                .ring
                .losses()
                .map_err(failed)?
                .saturating_add(self.holders.forgotten()),
        };
        let before = std::mem::replace(&mut self.missed, missed);
        Ok(Reading {
            is_whole,
            missed: missed.saturating_sub(before),
        })
    }

    /// Who had the socket last, once.
    pub(super) fn take(&mut self, key: Key) -> Option<Holder> {
        self.holders.take(key)
    }
}

fn holder(held: &Held, tick_ns: u64) -> (Key, Holder) {
    let key = (u64::from(held.namespace), held.cookie);
    let holder = Holder {
        pid: held.pid,
        // As coarse as everywhere else, for it is half of a process's name.
        start_time: stat::start_time(held.start_ns / tick_ns),
        user_id: held.user_id,
        what: held.what,
    };
    (key, holder)
}
