//! What was added behind the last fields of headers, for resuming: `docs/protocol.md` marks these fields.
//!
//! The invariant: a peer that doesn't know them leaves them out, and is understood; what it reads of a
//! frame that has them is what it always read.

use serde::{Deserialize, Serialize};

use super::FrameType;
use super::frame::FrameError;

/// Decodes a header and what was added behind it; a header that ends before that says nothing there.
///
/// # Errors
/// If the bytes are no such header, or what stands behind it isn't what was added.
pub fn decode_with_more<'a, H, M>(
    frame_type: FrameType,
    header: &'a [u8],
) -> Result<(H, M), FrameError>
where
    H: Deserialize<'a>,
    M: Deserialize<'a> + Default,
{
    let wrong = |error: postcard::Error| FrameError::Header {
        name: frame_type.as_str(),
        problem: error.to_string(),
    };
    let (header, rest) = postcard::take_from_bytes(header).map_err(wrong)?;
    if rest.is_empty() {
        return Ok((header, M::default()));
    }
    let (more, _) = postcard::take_from_bytes(rest).map_err(wrong)?;
    Ok((header, more))
}

/// One client's subscriptions and publishes over all its connections to one life of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionName {
    /// The life of the broker that named it.
    pub incarnation: u128,
    /// The name that it gave.
    pub session: u128,
}

/// How far a client has read a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePoint {
    /// The life of the broker in which that was.
    pub incarnation: u128,
    /// The position of the last delivery that it read whole, or the `to` of the last gap; 0 for none.
    pub position: u64,
    /// The rows that it read of the delivery after that, if it was cut in between.
    pub rows: u64,
}

/// Behind a hello.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloMore {
    /// The session that goes on.
    pub resume: Option<SessionName>,
}

/// Behind a welcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WelcomeMore {
    /// The session's name: known to nobody but this client. None: it can't go on.
    pub session: Option<u128>,
    /// Publish frames that the broker took in this session.
    pub frames: u64,
}

/// Behind a subscribe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeMore {
    /// How far it was read on an earlier connection.
    pub resume: Option<ResumePoint>,
}

/// Behind a deliver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverMore {
    /// The next delivery of the subscription is of the same batch.
    pub more: bool,
}

/// Behind a gap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapMore {
    /// The life of the broker that ended, and the one in which the stream goes on.
    pub incarnations: Option<(u128, u128)>,
}

/// Behind a pong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PongMore {
    /// Publish frames that the broker took in this session (a client says 0).
    pub frames: u64,
}
