//! A frame: eight bytes of prefix, a header, a payload. It knows where these are, not what they mean.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

/// The bytes of a whole frame at most.
pub const FRAME_BYTES_MAX: usize = 8 << 20;

/// Length, type, a zero, and the header's length.
pub const PREFIX_BYTES: usize = 8;

/// From this size on a frame's parts are aligned for vector instructions.
pub const LARGE_FRAME_BYTES: usize = 4096;

/// The alignment in frames below [`LARGE_FRAME_BYTES`], and of every frame's length.
pub const ALIGNMENT_SMALL: usize = 8;

/// The alignment in the others.
pub const ALIGNMENT_LARGE: usize = 64;

/// What stands where the length is counted from.
const LENGTH_BYTES: usize = 4;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// The client's first word.
    Hello = 1,
    /// The broker's answer to it.
    Welcome = 2,
    /// A batch.
    Publish = 3,
    /// A subscription.
    Subscribe = 4,
    /// It stands.
    Subscribed = 5,
    /// Its end.
    Unsubscribe = 6,
    /// Batches that a subscription matched.
    Deliver = 7,
    /// Rows that it doesn't get.
    Gap = 8,
    /// A question to the broker's process.
    Request = 9,
    /// Its answer.
    Reply = 10,
    /// Is anybody there?
    Ping = 11,
    /// Yes.
    Pong = 12,
    /// Something was wrong.
    Error = 13,
    /// Nothing more comes.
    Goodbye = 14,
}

impl FrameType {
    /// Every type, in the order of its numbers, which begin with 1.
    pub const ALL: [Self; 14] = [
        Self::Hello,
        Self::Welcome,
        Self::Publish,
        Self::Subscribe,
        Self::Subscribed,
        Self::Unsubscribe,
        Self::Deliver,
        Self::Gap,
        Self::Request,
        Self::Reply,
        Self::Ping,
        Self::Pong,
        Self::Error,
        Self::Goodbye,
    ];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The name in `docs/protocol.md`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Welcome => "welcome",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Subscribed => "subscribed",
            Self::Unsubscribe => "unsubscribe",
            Self::Deliver => "deliver",
            Self::Gap => "gap",
            Self::Request => "request",
            Self::Reply => "reply",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Error => "error",
            Self::Goodbye => "goodbye",
        }
    }
}

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than any frame.
    #[error("a frame of {bytes} bytes; at most {FRAME_BYTES_MAX} are allowed")]
    TooLarge {
        /// The bytes that it claims to have.
        bytes: u64,
    },
    /// Its length fits no frame.
    #[error("a frame of {bytes} bytes; it must be a multiple of 8, and at least 8")]
    Length {
        /// The bytes that it claims to have.
        bytes: u64,
    },
    /// Its type is none.
    #[error("a frame of type {number}; the types are 1 (hello) to 14 (goodbye)")]
    Type {
        /// The type's number.
        number: u8,
    },
    /// A byte that must be zero isn't.
    #[error("a frame with {found} in its sixth byte, which must be 0")]
    Reserved {
        /// What stands there.
        found: u8,
    },
    /// Its header is longer than itself.
    #[error("a {name} frame of {bytes} bytes says that its header has {header_bytes}")]
    HeaderLength {
        /// The frame's type.
        name: &'static str,
        /// The frame's bytes.
        bytes: usize,
        /// What it says of its header.
        header_bytes: usize,
    },
    /// The header isn't one.
    #[error("the header of a {name} frame: {problem}")]
    Header {
        /// The frame's type.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl FrameError {
    /// The code that a peer is told.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            _ => "malformed",
        }
    }
}

/// What the first bytes of a frame say, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// What it is for.
    pub frame_type: FrameType,
    /// The bytes of the whole frame, this prefix included.
    pub bytes: usize,
    /// The bytes of its header.
    pub header_bytes: usize,
}

impl Prefix {
    /// Reads the beginning of a frame; `None` where there aren't enough bytes to tell.
    ///
    /// # Errors
    /// If no frame begins so. A length that is too large is told from the first four bytes alone: a
    /// claim of 4 GiB costs nobody memory.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u64::from(u32::from_le_bytes(*length)) + LENGTH_BYTES as u64;
        if length > FRAME_BYTES_MAX as u64 {
            return Err(FrameError::TooLarge { bytes: length });
        }
        if length < PREFIX_BYTES as u64 || !length.is_multiple_of(ALIGNMENT_SMALL as u64) {
            return Err(FrameError::Length { bytes: length });
        }
        let Some(&[number, reserved, low, high]) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let frame_type = FrameType::of(number).ok_or(FrameError::Type { number })?;
        if reserved != 0 {
            return Err(FrameError::Reserved { found: reserved });
        }
        // Within `FRAME_BYTES_MAX`, checked above.
        let bytes = usize::try_from(length).unwrap_or(FRAME_BYTES_MAX);
        let header_bytes = usize::from(u16::from_le_bytes([low, high]));
        if PREFIX_BYTES + header_bytes > bytes {
            return Err(FrameError::HeaderLength {
                name: frame_type.as_str(),
                bytes,
                header_bytes,
            });
        }
        Ok(Some(Self {
            frame_type,
            bytes,
            header_bytes,
        }))
    }

    /// How the parts of the frame are aligned.
    #[must_use]
    pub const fn alignment(&self) -> usize {
        alignment_of(self.bytes)
    }

    /// Where the payload begins, at most the frame's end.
    #[must_use]
    #[inline]
    pub fn payload_offset(&self) -> usize {
        (PREFIX_BYTES + self.header_bytes)
            .next_multiple_of(self.alignment())
            .min(self.bytes)
    }
}

const fn alignment_of(bytes: usize) -> usize {
    if bytes < LARGE_FRAME_BYTES {
        ALIGNMENT_SMALL
    } else {
        ALIGNMENT_LARGE
    }
}

/// A whole frame.
#[derive(Debug, Clone)]
pub struct Frame {
    prefix: Prefix,
    bytes: Bytes,
}

impl Frame {
    /// The frame that `bytes` begins with; `None` where it isn't whole.
    ///
    /// # Errors
    /// If no frame begins so.
    pub fn read(bytes: &Bytes) -> Result<Option<Self>, FrameError> {
        let Some(prefix) = Prefix::read(bytes)? else {
            return Ok(None);
        };
        Ok((bytes.len() >= prefix.bytes).then(|| Self {
            prefix,
            bytes: bytes.slice(..prefix.bytes),
        }))
    }

    /// What it is for.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        self.prefix.frame_type
    }

    /// Its length and parts.
    #[must_use]
    pub const fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// All of it.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.bytes
            .get(PREFIX_BYTES..PREFIX_BYTES + self.prefix.header_bytes)
            .unwrap_or_default()
    }

    /// Its payload.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(self.prefix.payload_offset()..)
    }
}

/// How a frame with this header and payload is laid out.
pub(super) struct Layout {
    pub(super) payload_offset: usize,
    pub(super) bytes: usize,
}

impl Layout {
    /// Of a payload whose own length already fits the alignment; `payload_bytes` gives it for one.
    pub(super) fn of(header_bytes: usize, payload_bytes: impl Fn(usize) -> usize) -> Self {
        let with = |alignment: usize| {
            let payload_bytes = payload_bytes(alignment);
            let head = PREFIX_BYTES + header_bytes;
            let payload_offset = if payload_bytes == 0 {
                head.next_multiple_of(ALIGNMENT_SMALL)
            } else {
                head.next_multiple_of(alignment)
            };
            Self {
                payload_offset,
                bytes: (payload_offset + payload_bytes).next_multiple_of(ALIGNMENT_SMALL),
            }
        };
        let small = with(ALIGNMENT_SMALL);
        if small.bytes < LARGE_FRAME_BYTES {
            small
        } else {
            with(ALIGNMENT_LARGE)
        }
    }

    pub(super) fn alignment(&self) -> usize {
        alignment_of(self.bytes)
    }
}

/// Writes prefix, header and the zeros up to the payload.
///
/// The header must be below 64 KiB and the frame within `FRAME_BYTES_MAX`: who calls has checked.
pub(super) fn put_head(
    out: &mut impl BufMut,
    frame_type: FrameType,
    header: &[u8],
    layout: &Layout,
) {
    let length = u32::try_from(layout.bytes.saturating_sub(LENGTH_BYTES)).unwrap_or(u32::MAX);
    out.put_u32_le(length);
    out.put_u8(frame_type as u8);
    out.put_u8(0);
    out.put_u16_le(u16::try_from(header.len()).unwrap_or(u16::MAX));
    out.put_slice(header);
    let filled = PREFIX_BYTES + header.len();
    out.put_bytes(0, layout.payload_offset.saturating_sub(filled));
}

/// A frame without a payload.
///
/// # Errors
/// If the header doesn't fit a frame.
pub fn control_frame<H: Serialize>(frame_type: FrameType, header: &H) -> Result<Bytes, FrameError> {
    frame_with_payload(frame_type, header, &[])
}

/// A frame with a payload of bytes.
///
/// # Errors
/// If the header or the whole doesn't fit a frame.
pub fn frame_with_payload<H: Serialize>(
    frame_type: FrameType,
    header: &H,
    payload: &[u8],
) -> Result<Bytes, FrameError> {
    let header = header_bytes(frame_type, header)?;
    let layout = Layout::of(header.len(), |_| payload.len());
    if layout.bytes > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge {
            bytes: layout.bytes as u64,
        });
    }
    let mut out = BytesMut::with_capacity(layout.bytes);
    put_head(&mut out, frame_type, &header, &layout);
    out.put_slice(payload);
    out.put_bytes(0, layout.bytes.saturating_sub(out.len()));
    Ok(out.freeze())
}

pub(super) fn header_bytes<H: Serialize>(
    frame_type: FrameType,
    header: &H,
) -> Result<Vec<u8>, FrameError> {
    let wrong = |problem: String| FrameError::Header {
        name: frame_type.as_str(),
        problem,
    };
    let bytes = postcard::to_allocvec(header).map_err(|error| wrong(error.to_string()))?;
    if bytes.len() > usize::from(u16::MAX) {
        return Err(wrong(format!(
            "{} bytes, at most {} are allowed",
            bytes.len(),
            u16::MAX
        )));
    }
    Ok(bytes)
}

/// Bytes of a deliver frame's header at most: two numbers and a source's name, which is bounded by the
/// config or made by the broker.
const DELIVER_HEADER_BYTES_MAX: usize = 512;

/// Appends the head of a deliver frame whose payload of `payload_bytes`, whole publish frames, follows;
/// false, and nothing, where the source's name is too long for one.
#[must_use]
pub(crate) fn put_deliver(
    out: &mut impl BufMut,
    header: &super::Deliver<'_>,
    more: super::DeliverMore,
    payload_bytes: usize,
) -> bool {
    // On the stack: one is made for every batch that goes out.
    let mut room = [0; DELIVER_HEADER_BYTES_MAX];
    let Ok(header) = postcard::to_slice(&(header, more), &mut room) else {
        return false;
    };
    let layout = Layout::of(header.len(), |_| payload_bytes);
    put_head(out, FrameType::Deliver, header, &layout);
    true
}
