//! What a queue does when it is full: the choices, not how they are carried out.

use std::time::Duration;

use serde::Serialize;

#[cfg(doc)]
use super::CUT_OFF_PAUSE_MAX;

/// What a queue does when it is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueuePolicy {
    /// The oldest items make room for the new one. Once as much as the queue may hold has made room with nothing
    /// received in between, it keeps 1/64 of its bytes, until something is received: what nobody reads costs
    /// those who read their caches.
    #[default]
    DropOldest,
    /// The new item is dropped.
    DropNewest,
    /// Whoever pushes waits for room, and the item is dropped when the deadline has passed.
    ///
    /// The deadline runs from the push, or from when the queue became full if nothing was received
    /// since: a receiver that has stopped costs one deadline in all, not one for each item.
    Block {
        /// How long to wait at most.
        deadline: Duration,
    },
    /// A circuit breaker. A push that finds the queue full is dropped\[queue-full\]; after `times` of them, with nothing
    /// received in between, the subscriber is cut off: what is queued stays for it to receive, what comes is
    /// dropped\[cut-off\].
    ///
    /// After the pause it is let in half-open: the next item is a trial. If the queue is found full before the trial is
    /// received — it is, if nothing was received in the pause — the subscriber is cut off anew, for twice as long, up to
    /// [`CUT_OFF_PAUSE_MAX`]; when the trial is received the subscriber is let in, and the next pause is the first again.
    Disconnect {
        /// Pushes that find the queue full, in a row; 0 counts as 1.
        times: u32,
        /// How long it is cut off at first.
        pause: Duration,
    },
    /// Only what is newest of its key, for who wants the state and not the stream: what is overtaken before it was
    /// received is dropped\[superseded\], with its gap where it stood, and the new item stands at the end.
    ///
    /// The key of a batch is its topic and who published it. A batch of a snapshot belongs to its snapshot: a newer snapshot of
    /// the same publisher overtakes all batches of an older one that still wait, on whatever topics, never one of its own; and
    /// a batch outside of snapshots and one of a snapshot don't overtake each other. There are no keys by column: rows
    /// of one batch aren't taken apart, and a filter already narrows which rows it has. Where all keys together don't fit
    /// the queue, the oldest make room, as [`QueuePolicy::DropOldest`] does.
    Latest,
}

impl QueuePolicy {
    /// Its name, as configs and command lines write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropOldest => "drop-oldest",
            Self::DropNewest => "drop-newest",
            Self::Block { .. } => "block",
            Self::Disconnect { .. } => "disconnect",
            Self::Latest => "latest",
        }
    }
}
