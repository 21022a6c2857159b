//! What a client is told when it is started, and what it says when it is done.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::process::Core;
use super::side::{Address, System};

use crate::cost::Cost;
pub(super) use crate::measure::now_ns;
use crate::pace::Pace;

/// What is said to publishers when all clients are ready.
pub(super) const GO: &str = "go";
/// What a client says when it could begin.
pub(super) const READY: &str = "ready";

/// What a client is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Errand {
    pub(super) system: System,
    pub(super) address: Address,
    pub(super) core: Option<Core>,
    pub(super) task: Task,
    pub(super) load: Load,
    /// Messages that this one sends or receives; rows where frames have several.
    pub(super) messages: u64,
    /// What a credit is worth.
    pub(super) messages_a_credit: u64,
    /// What is wanted besides the count.
    pub(super) wanted: Wanted,
    /// When a publisher sends; none: as fast as it can.
    pub(super) pace: Option<Pace>,
    /// How long a subscriber takes part at most; none: until it has all.
    pub(super) limit: Option<Duration>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Load {
    /// Messages of 200 bytes that are ready before the run.
    Prebuilt,
    /// Rows of processes, built and encoded in the run.
    /// Frame by frame they go to so many topics in turn; each subscriber wants one of them.
    ProcessRows { rows_a_frame: u64, topics: u64 },
}

/// Which end of the way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Task {
    Publish {
        /// Which of the publishers, from 0.
        publisher: u64,
        /// Bytes of one write, but for the last; at least one message.
        write_bytes: usize,
        /// The pipes of all subscribers.
        credits: Vec<PathBuf>,
    },
    Subscribe {
        /// Which of the subscribers, from 0.
        subscriber: u64,
        /// The subscriber's own pipe.
        credits: PathBuf,
    },
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Wanted {
    /// That every payload is what was sent, in its publisher's order, and none comes twice.
    Proof,
    /// How long all of it took.
    Span,
    /// When each message was written, and when it was there. Of rows that are built in the run: how
    /// long each frame took from the begin of its turn until it was decoded.
    Moments,
}

/// What a client did. Times are nanoseconds of the kernel's monotonic clock, which all processes of
/// a machine share.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) rows: u64,
    pub(super) started_ns: u64,
    pub(super) ended_ns: u64,
    /// Of what a subscriber read of the rows, where they are built in the run; else 0.
    pub(super) digest: u64,
    /// Of what a publisher built, topic by topic.
    pub(super) digests: Vec<u64>,
    /// Of each message, if they were wanted.
    pub(super) moments_ns: Vec<u64>,
    /// What the process cost: memory since its start; CPU time since then, too, or since it was ready
    /// where rows are built in the run.
    pub(super) cost: Cost,
}
