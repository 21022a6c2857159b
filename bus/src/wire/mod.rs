//! The wire: frames, their headers, and batches as bytes.
//!
//! Alone knows what `docs/protocol.md` says, and no socket. The invariant: whatever the bytes, decoding
//! ends in a value or an error, never in a panic; and what was allocated for it is bounded by what
//! arrived.

mod columns;
mod frame;
mod header;
mod lengths;
mod more;
mod publish;
mod run;

pub use columns::ColumnError;
pub(crate) use frame::put_deliver;
pub use frame::{
    ALIGNMENT_LARGE, ALIGNMENT_SMALL, FRAME_BYTES_MAX, Frame, FrameError, FrameType,
    LARGE_FRAME_BYTES, PREFIX_BYTES, Prefix, control_frame, frame_with_payload,
};
pub use header::{
    Deliver, ErrorFrame, GapFrame, Goodbye, Hello, Later, Ping, Pong, Reply, Request, Subscribe,
    Subscribed, Unsubscribe, Welcome, WireComparison, WireLiteral, WirePolicy, decode_header,
};
pub(crate) use lengths::buffers_of;
pub use more::{
    DeliverMore, GapMore, HelloMore, PongMore, ResumePoint, SessionName, SubscribeMore,
    WelcomeMore, decode_with_more,
};
pub use publish::{
    CheckedTable, DecodeError, EncodeError, PUBLISH_BYTES_MAX, PublishError, PublishFrame, Stamp,
    encode,
};
pub use run::{RUN_BYTES_MAX, RunBuilder, WireBatch};

/// The version of the protocol.
pub const VERSION: u16 = 1;

#[cfg(test)]
mod protocol;
#[cfg(test)]
mod tests;
