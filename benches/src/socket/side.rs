//! What a system is to its clients: how they are greeted, what a message looks like on the wire.
//!
//! It knows no system; each has a file of its own. The invariant: all systems are used through
//! these same few functions, so that all clients are equally lean.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::line::Line;
use super::load::Message;

/// The systems, ours first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum System {
    /// `weir bus` over its Unix socket.
    Weir,
    /// nats-server over TCP on 127.0.0.1.
    Nats,
    /// redis-server over a Unix socket.
    Redis,
    /// A Unix socket from the publisher to the subscriber, and nobody between.
    Raw,
}

impl System {
    /// The name in a case's line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Nats => "nats-server",
            Self::Redis => "redis",
            Self::Raw => "raw-socket",
        }
    }
}

/// Where a system listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Address {
    /// A port of 127.0.0.1.
    Port(u16),
    /// A Unix socket.
    Path(PathBuf),
}

/// Which end of the way a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Publisher,
    Subscriber,
    /// Subscribes as somebody does who sets nothing, and never reads again.
    Stalled,
}

/// One thing that a system said.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// A message with its payload, of that many rows.
    Message { payload: &'a [u8], rows: u64 },
    /// What was asked for in greeting is so.
    Ready,
    /// It wants these bytes back.
    Answer(Vec<u8>),
    /// Nothing that a client does anything about.
    Nothing,
}

/// How a system is spoken with. A value is the reading end's state.
pub(super) trait Side: Default {
    /// Opens the way to the system.
    fn open(address: &Address, role: Role) -> anyhow::Result<Line> {
        let _ = role;
        Line::connect(address)
    }

    /// Introduces the client; returns when the system has taken it, and the subscription is in force.
    fn greet(&mut self, line: &mut Line, role: Role) -> anyhow::Result<()>;

    /// Appends a message as a publisher writes it.
    fn message(message: &Message, into: &mut Vec<u8>) -> anyhow::Result<()>;

    /// The first thing in `bytes`, and how many of them it takes; none if it isn't whole yet.
    ///
    /// # Errors
    /// If it is not of this system's language, or says that something went wrong.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>>;
}
