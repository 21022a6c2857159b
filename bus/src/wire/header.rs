//! The headers of all frames but publish: plain values, in the order of `docs/protocol.md`.
//!
//! Nothing here is trusted; who takes a header checks what it says. Texts are owned: these frames are few.

use serde::{Deserialize, Deserializer, Serialize};

use super::FrameType;
use super::frame::FrameError;
use crate::pubsub::{Comparison, Literal};

/// Decodes a header. What follows its last field is of a later version, and ignored.
///
/// # Errors
/// If the bytes are no such header.
pub fn decode_header<'a, H: Deserialize<'a>>(
    frame_type: FrameType,
    header: &'a [u8],
) -> Result<H, FrameError> {
    postcard::take_from_bytes(header)
        .map(|(header, _)| header)
        .map_err(|error| FrameError::Header {
            name: frame_type.as_str(),
            problem: error.to_string(),
        })
}

/// The client's first word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version that it speaks.
    pub version: u16,
    /// How it is shown.
    pub name: String,
}

/// The broker's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that it speaks.
    pub version: u16,
    /// What the broker's process is called.
    pub component: String,
    /// What the connection's batches are said to come from.
    pub source: String,
    /// This life of the broker.
    pub incarnation: u128,
    /// How often it pings, in ms.
    pub heartbeat_ms: u32,
    /// The bytes of a frame at most.
    pub frame_bytes_max: u32,
    /// What can be asked of it.
    pub capabilities: Vec<String>,
}

/// A subscription's queue policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WirePolicy {
    /// The oldest make room.
    DropOldest,
    /// The new one is dropped.
    DropNewest,
    /// Publishers wait, at most so many ms.
    Block {
        /// In ms.
        deadline_ms: u32,
    },
    /// The subscriber is cut off for a while after it was full so often.
    Disconnect {
        /// Pushes that find the queue full, in a row.
        times: u32,
        /// In ms, at first.
        pause_ms: u32,
    },
    /// Only the newest of each topic and publisher, and of each publisher's snapshots.
    Latest,
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WireLiteral {
    /// A whole number.
    Integer(i128),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// True or false.
    Bool(bool),
}

/// A comparison of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WireComparison {
    /// The column.
    pub column: String,
    /// The operator, as it is written.
    pub operator: String,
    /// With what.
    pub literal: WireLiteral,
}

impl WireComparison {
    /// As a frame says it.
    pub(crate) fn of(comparison: &Comparison) -> Self {
        Self {
            column: comparison.column.clone(),
            operator: comparison.operator.as_str().to_owned(),
            literal: match &comparison.literal {
                Literal::Bool(value) => WireLiteral::Bool(*value),
                Literal::Integer(value) => WireLiteral::Integer(*value),
                Literal::Float(value) => WireLiteral::Number(*value),
                Literal::Text(value) => WireLiteral::Text(value.clone()),
            },
        }
    }
}

/// A field that came later, at the end of a header: who doesn't write it means its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Later<T>(pub T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Later<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // What can't be read isn't there: a header that ends before it is an older one.
        Ok(Self(T::deserialize(from).unwrap_or_default()))
    }
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscribe {
    /// The client's number for it.
    pub id: u32,
    /// How it is shown.
    pub name: String,
    /// Its patterns.
    pub patterns: Vec<String>,
    /// Whether what the connection publishes comes back.
    pub own_events: bool,
    /// What the queue does when it is full.
    pub policy: WirePolicy,
    /// Batches that may wait; 0 for the broker's default.
    pub queue_batches_max: u32,
    /// Bytes that may wait; 0 for the broker's default.
    pub queue_bytes_max: u64,
    /// Only these kinds.
    pub kinds: Vec<u8>,
    /// Only what this source published.
    pub source: Option<String>,
    /// Only events about these processes.
    pub pids: Vec<u32>,
    /// Only trigger requests so urgent.
    pub priority_min: Option<String>,
    /// Only rows for which this holds.
    pub comparison: Option<WireComparison>,
    /// Only this cascade.
    pub correlation_id: Option<String>,
    /// Only cascades like this.
    pub correlation_glob: Option<String>,
    /// Only cascades that began here.
    pub correlation_root: Option<String>,
    /// Whole tables, so often, in ms; 0 for the stream.
    pub every_ms: Later<u32>,
}

/// A subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The client's number for it.
    pub id: u32,
}

/// A subscription's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// The client's number for it.
    pub id: u32,
}

/// What stands before the publish frames of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliver<'a> {
    /// The client's number of the subscription.
    pub id: u32,
    /// The batch's position on the bus.
    pub position: u64,
    /// Who published, by the kernel's word.
    pub source: &'a str,
}

/// Rows that a subscription doesn't get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapFrame {
    /// The client's number of the subscription.
    pub id: u32,
    /// How many rows; none where nobody can know.
    pub missed: Option<u64>,
    /// Why.
    pub reason: String,
    /// The lowest position that is missing.
    pub from: u64,
    /// The highest.
    pub to: u64,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The client's number for it.
    pub id: u32,
    /// What is asked.
    pub topic: String,
    /// How long the client waits, in ms.
    pub deadline_ms: u32,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The client's number of the question.
    pub id: u32,
    /// `ok`, or what went wrong.
    pub code: String,
}

/// Is anybody there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Comes back with the pong.
    pub id: u64,
}

/// Yes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// Of the ping.
    pub id: u64,
    /// Rows that the broker has taken of this connection.
    pub published_rows: u64,
    /// Batches, the same.
    pub published_batches: u64,
    /// Rows that it has refused.
    pub refused_rows: u64,
    /// The position of what the client read last.
    pub position: u64,
}

/// Something was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFrame {
    /// What kind of thing, for programs.
    pub code: String,
    /// What it is, and what would be right, for people.
    pub message: String,
    /// Whether the connection ends with it.
    pub fatal: bool,
    /// The topic that it is about.
    pub topic: Option<String>,
    /// The access rule that decided.
    pub rule: Option<String>,
    /// The subscription that it is about.
    pub id: Option<u32>,
    /// Rows that were refused for it.
    pub rows: u64,
}

/// Nothing more comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why.
    pub reason: String,
}
