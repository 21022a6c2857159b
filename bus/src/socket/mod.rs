//! The bus over a local socket: the broker that serves it, and the client that uses it.
//!
//! Alone knows sockets. It speaks `wire`'s frames and hands on to `pubsub`; it knows no source, guest or
//! config file. The invariants: what a peer sends is hostile until checked, and costs at most its own
//! connection; who a peer is, is the kernel's word.

mod access;
mod address;
mod broker;
mod client;
mod peer;
mod reader;

pub use access::{Access, AccessError, Denied, Rights, Rule, Who};
#[cfg(unix)]
pub use access::{group_id, user_id};
pub use address::{AddressError, SOCKET_PATH_BYTES_MAX};
pub use broker::{
    AwayStatus, BindError, BoundBroker, Broker, BrokerOptions, BrokerStatus, BrokerView,
    ConnectionStatus, Direct, EnterError, Entered, Entrance, Ingress, Refusal, Responder,
};
pub use client::{BrokerClient, ClientError, ClientOptions, ClientStatus, Flushed, Refused};
pub use peer::Peer;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use reader::FrameReader;

use std::time::Duration;

/// Connections of a broker by default.
pub const CONNECTIONS_MAX: usize = 100;

/// Patterns of one connection.
pub const CONNECTION_PATTERNS_MAX: usize = 256;

/// How often a broker pings by default.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// So many heartbeats without a word, and the other side is taken for gone.
pub(crate) const SILENT_BEATS_MAX: u32 = 3;

/// The bytes of a message or a reason in a frame; what is longer is cut.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1_024;

/// The bytes of a connection's name.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// Cuts a text for a frame, at a character's border.
pub(crate) fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

/// A number that nobody else has: the standard library's hash keys come from the system's randomness.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests;
