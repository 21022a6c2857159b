//! How a connection ends, and the last that its peer hears of it.

use std::sync::atomic::Ordering;

use super::super::super::{NAME_BYTES_MAX, bounded};
use super::shared::Shared;
use crate::wire::{ErrorFrame, FrameError, FrameType, Goodbye, PublishError, VERSION};

/// Why a connection ends that its peer didn't end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("protocol version {asked}; this broker speaks {VERSION}")]
    Version { asked: u16 },
    #[error("a {found} frame {when}")]
    Order {
        found: &'static str,
        when: &'static str,
    },
    #[error("`{0}` is no name for a connection: 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ . -")]
    Name(String),
    #[error("no access rule is for {0}; ask for one in `bus.access`")]
    Nobody(String),
    #[error("{0} connections are open, no more are allowed (`bus.connections_max`)")]
    Full(usize),
    #[error("no hello within {} s", super::HELLO_TIMEOUT.as_secs())]
    NoHello,
    #[error("the stream ended within a frame")]
    Truncated,
}

impl Fault {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Version { .. } => "version",
            Self::Order { .. } | Self::NoHello => "order",
            Self::Name(_) | Self::Truncated => "malformed",
            Self::Nobody(_) => "denied",
            Self::Full(_) => "limit",
        }
    }
}

/// How reading ended.
pub(super) enum End {
    /// The peer ended it, and said so.
    Goodbye,
    /// The peer is gone without a word.
    Gone,
    /// It sent what it may not.
    Fault(Fault),
    /// This side ends it.
    Ours,
}

impl End {
    /// Whether the peer may come back and go on.
    pub(super) fn is_loss(&self, shared: &Shared) -> bool {
        match self {
            Self::Gone | Self::Fault(Fault::Truncated) => true,
            Self::Ours => !shared.leaving.load(Ordering::Relaxed),
            Self::Goodbye | Self::Fault(_) => false,
        }
    }
}

/// The error or the goodbye that a connection ends with.
pub(super) fn last_words(shared: &Shared, end: &End) {
    match end {
        End::Gone | End::Goodbye => {}
        End::Ours => {
            let reason = if shared.leaving.load(Ordering::Relaxed) {
                "the broker ends"
            } else if shared.is_superseded() {
                "the client has come back on another connection"
            } else {
                "nothing was heard of the client, or it doesn't read its answers"
            };
            let reason = reason.to_owned();
            shared.answer(FrameType::Goodbye, &Goodbye { reason });
        }
        End::Fault(fault) => shared.answer(
            FrameType::Error,
            &ErrorFrame {
                code: fault.code().to_owned(),
                message: bounded(&fault.to_string()),
                fatal: true,
                topic: None,
                rule: matches!(fault, Fault::Nobody(_)).then(|| "none".to_owned()),
                id: None,
                rows: 0,
            },
        ),
    }
    if shared.leaving.load(Ordering::Relaxed) {
        shared.outgoing.end_when_drained();
    } else {
        shared.outgoing.end();
    }
}
