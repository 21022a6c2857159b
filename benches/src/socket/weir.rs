//! Ours: `weir bus` over its Unix socket, spoken with as `docs/protocol.md` has it.
//!
//! It knows of the protocol what a publisher and a subscriber need, and looks into a frame only as
//! far as a count needs it.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use super::line::Line;
use super::load::{PAYLOAD_BYTES, TOPIC};
use super::process::Program;
use super::side::{Address, Heard, Role, Side};

const VERSION: u64 = 1;
const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 4;
const SUBSCRIBED: u8 = 5;
const DELIVER: u8 = 7;
const GAP: u8 = 8;
const PING: u8 = 11;
const PONG: u8 = 12;
const ERROR: u8 = 13;

/// Length, type, a zero and the header's bytes.
const FRAME_START_BYTES: usize = 8;
/// The length counts what stands behind it.
const LENGTH_BYTES: usize = 4;
const TYPE_AT: usize = 4;
const HEADER_BYTES_AT: usize = 6;
const ALIGNMENT: usize = 8;
/// The alignment of frames from [`LARGE_FRAME_BYTES`] on.
const ALIGNMENT_LARGE: usize = 64;
const LARGE_FRAME_BYTES: usize = 4_096;

/// The kind `inventory` by its number.
const INVENTORY: u64 = 4;
/// The bytes of the buffers of one row: validity and values of time and sequence, validity,
/// offsets and text of the others; the publisher's name is left to the broker.
const BUFFERS_BYTES: [u64; 19] = [0, 8, 0, 0, 0, 0, 8, 0, 8, 8, 0, 8, 16, 0, 8, 32, 0, 8, 96];
/// When the batch was opened and closed: some moment in 2023, in nanoseconds since 1970.
const OPENED_NS: i64 = 1_700_000_000_000_000_000;

/// A full queue makes the publisher wait; other than for ever, since the credits don't let it get
/// that far.
const POLICY_BLOCK: u64 = 2;
const BLOCK_DEADLINE_MS: u64 = 60_000;
/// The subscription's number.
const SUBSCRIPTION: u64 = 1;

/// The broker, and where it will listen.
pub(super) fn program(folder: &Path) -> anyhow::Result<(Program, Address)> {
    let socket = folder.join("weir.sock");
    let path = socket
        .to_str()
        .context("a temporary folder's path is no text")?;
    let program = Program::daemon(&["bus", "--socket", path])?;
    Ok((program, Address::Path(socket)))
}

/// A client of `weir bus`.
#[derive(Default)]
pub(super) struct Weir {
    /// Bytes of the deliver frame that is under way: its publish frames.
    deliver_bytes_left: usize,
    /// Of the frame that is next in it.
    position: u64,
}

impl Side for Weir {
    fn greet(&mut self, line: &mut Line, role: Role) -> anyhow::Result<()> {
        let mut hello = Header::default();
        hello.number(VERSION).text("weir-bench");
        line.say(&hello.frame(HELLO, &[]))?;
        line.until_ready(self)?;
        if role == Role::Subscriber {
            line.say(&subscribe())?;
            line.until_ready(self)?;
        }
        Ok(())
    }

    fn message(payload: &[u8], into: &mut Vec<u8>) {
        into.extend(publish(payload));
    }

    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>> {
        let Some(frame) = FrameStart::of(bytes)? else {
            return Ok(None);
        };
        if self.deliver_bytes_left == 0 && frame.kind == DELIVER {
            // What it holds is taken as it comes: the whole may be longer than any buffer.
            let Some(mut header) = bytes.get(FRAME_START_BYTES..frame.payload_at) else {
                return Ok(None);
            };
            let _subscription = number(&mut header)?;
            self.position = number(&mut header)?;
            self.deliver_bytes_left = frame.bytes - frame.payload_at;
            return Ok(Some((frame.payload_at, Heard::Nothing)));
        }
        let Some(whole) = bytes.get(..frame.bytes) else {
            return Ok(None);
        };
        let (Some(header), Some(payload)) = (
            whole.get(FRAME_START_BYTES..frame.header_end),
            whole.get(frame.payload_at..),
        ) else {
            bail!("a frame without its header");
        };
        let heard = if self.deliver_bytes_left > 0 {
            ensure!(frame.kind == PUBLISH, "frame {} in a deliver", frame.kind);
            let left = self.deliver_bytes_left.checked_sub(frame.bytes);
            self.deliver_bytes_left = left.context("a frame beyond its deliver")?;
            self.position += 1;
            let rows = rows(header)?;
            Heard::Message { payload, rows }
        } else {
            self.other(frame.kind, header)?
        };
        Ok(Some((frame.bytes, heard)))
    }
}

impl Weir {
    /// A frame that brings no messages.
    #[cold]
    fn other(&self, kind: u8, mut header: &[u8]) -> anyhow::Result<Heard<'static>> {
        match kind {
            WELCOME | SUBSCRIBED => Ok(Heard::Ready),
            PONG => Ok(Heard::Nothing),
            PING => {
                let mut pong = Header::default();
                pong.number(number(&mut header)?);
                // What a broker says of itself: published rows and batches, refused rows.
                pong.number(0).number(0).number(0).number(self.position);
                Ok(Heard::Answer(pong.frame(PONG, &[])))
            }
            GAP => bail!("a gap: {}", header.escape_ascii()),
            ERROR => bail!("the broker says {}", header.escape_ascii()),
            _ => bail!("a frame of type {kind}: {}", header.escape_ascii()),
        }
    }
}

/// Where the parts of a frame are.
struct FrameStart {
    kind: u8,
    bytes: usize,
    header_end: usize,
    payload_at: usize,
}

impl FrameStart {
    /// Reads a frame's first bytes; none if they aren't there yet.
    #[inline]
    fn of(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(start) = bytes.first_chunk::<FRAME_START_BYTES>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, kind, _, h0, h1] = *start;
        let bytes = LENGTH_BYTES + usize::try_from(u32::from_le_bytes([l0, l1, l2, l3]))?;
        let header_end = FRAME_START_BYTES + usize::from(u16::from_le_bytes([h0, h1]));
        let payload_at = header_end.next_multiple_of(alignment(bytes)).min(bytes);
        ensure!(
            header_end <= bytes && bytes.is_multiple_of(ALIGNMENT),
            "a frame of {bytes} bytes whose header ends at {header_end}"
        );
        Ok(Some(Self {
            kind,
            bytes,
            header_end,
            payload_at,
        }))
    }
}

const fn alignment(frame_bytes: usize) -> usize {
    if frame_bytes < LARGE_FRAME_BYTES {
        ALIGNMENT
    } else {
        ALIGNMENT_LARGE
    }
}

/// The rows of a publish frame.
#[inline]
fn rows(mut header: &[u8]) -> anyhow::Result<u64> {
    let _kind = number(&mut header)?;
    let topic_bytes = usize::try_from(number(&mut header)?)?;
    header = header
        .get(topic_bytes..)
        .context("a topic beyond its header")?;
    let is_snapshot = number(&mut header)? != 0;
    if is_snapshot {
        let _id = number(&mut header)?;
        let _is_last = number(&mut header)?;
    }
    let _first_sequence = number(&mut header)?;
    let _opened = number(&mut header)?;
    let _closed = number(&mut header)?;
    number(&mut header)
}

/// Takes a number of any width off a header.
#[inline]
fn number(header: &mut &[u8]) -> anyhow::Result<u64> {
    let mut number = 0;
    for (place, byte) in header.iter().take(VARINT_BYTES_MAX).enumerate() {
        number |= u64::from(byte & !VARINT_MORE) << (place * VARINT_BITS);
        if byte & VARINT_MORE == 0 {
            *header = header.get(place + 1..).unwrap_or_default();
            return Ok(number);
        }
    }
    bail!("a number without an end")
}

/// Bits of a number in each of its bytes; the top bit says that there are more.
const VARINT_BITS: usize = 7;
const VARINT_MORE: u8 = 0x80;
/// Bytes of the largest u64.
const VARINT_BYTES_MAX: usize = 10;

/// Collects a header.
#[derive(Default)]
struct Header(Vec<u8>);

impl Header {
    fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= u64::from(VARINT_MORE) {
            let [low, ..] = number.to_le_bytes();
            self.0.push(low | VARINT_MORE);
            number >>= VARINT_BITS;
        }
        let [low, ..] = number.to_le_bytes();
        self.0.push(low);
        self
    }

    fn signed(&mut self, number: i64) -> &mut Self {
        self.number(((number << 1) ^ (number >> (i64::BITS - 1))).cast_unsigned())
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
        self
    }

    /// The frame with this header and that payload.
    fn frame(&self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let header_end = FRAME_START_BYTES + self.0.len();
        // All that is sent here is small.
        let payload_at = header_end.next_multiple_of(ALIGNMENT);
        let mut frame = vec![0; payload_at];
        frame.extend(payload);
        frame.resize(frame.len().next_multiple_of(ALIGNMENT), 0);
        let length = u32::try_from(frame.len() - LENGTH_BYTES).unwrap_or(u32::MAX);
        let header_bytes = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = frame.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, &length.to_le_bytes());
        put(TYPE_AT, &[kind]);
        put(HEADER_BYTES_AT, &header_bytes.to_le_bytes());
        put(FRAME_START_BYTES, &self.0);
        frame
    }
}

fn subscribe() -> Vec<u8> {
    let mut header = Header::default();
    header.number(SUBSCRIPTION).text("bench");
    // One pattern; not what this connection publishes.
    header.number(1).text(TOPIC).number(0);
    header.number(POLICY_BLOCK).number(BLOCK_DEADLINE_MS);
    // The broker's bounds of the queue.
    header.number(0).number(0);
    // No kinds, source, pids, priority, comparison, nor any of three kinds of correlation.
    for _ in 0..8 {
        header.number(0);
    }
    header.frame(SUBSCRIBE, &[])
}

fn publish(payload: &[u8]) -> Vec<u8> {
    debug_assert_eq!(payload.len(), PAYLOAD_BYTES);
    let mut header = Header::default();
    // No snapshot, and the first row of this publisher.
    header.number(INVENTORY).text(TOPIC).number(0).number(0);
    header.signed(OPENED_NS).signed(OPENED_NS).number(1);
    header.number(BUFFERS_BYTES.len() as u64);
    for bytes in BUFFERS_BYTES {
        header.number(bytes);
    }
    header.frame(PUBLISH, payload)
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    #[test]
    fn numbers_are_written_and_read_as_the_page_says() {
        for (value, expected) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
        ] {
            let mut header = Header::default();
            header.number(value);
            assert_eq!(header.0, expected);
            assert_eq!(number(&mut &header.0[..]).ok(), Some(value));
        }
        let mut header = Header::default();
        header.signed(-1).signed(1).number(u64::MAX);
        assert_eq!(header.0[..2], [1, 2]);
        assert_eq!(number(&mut &header.0[2..]).ok(), Some(u64::MAX));
        assert!(number(&mut &[0x80][..]).is_err());
    }

    #[test]
    fn the_buffers_are_the_payload() {
        assert_eq!(BUFFERS_BYTES.iter().sum::<u64>(), PAYLOAD_BYTES as u64);
    }

    #[test]
    fn a_deliver_is_taken_frame_by_frame() {
        let payload = load::payload(2, 7);
        let one = publish(&payload);
        let many = one.repeat(20);
        let mut header = Header::default();
        header.number(SUBSCRIPTION).number(40).text("someone");
        let mut bytes = header.frame(DELIVER, &many);
        // 20 frames are large, and what is large begins at multiples of 64.
        let start = bytes.len() - many.len();
        let shift = start.next_multiple_of(ALIGNMENT_LARGE) - start;
        bytes.splice(start..start, vec![0; shift]);
        let length = u32::try_from(bytes.len() - LENGTH_BYTES).unwrap_or(0);
        bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        bytes.extend(Header::default().number(9).frame(PING, &[]));

        let mut side = Weir::default();
        let (mut at, mut rows) = (0, 0);
        let mut answers = 0;
        while at < bytes.len() {
            let (taken, heard) = side.next(&bytes[at..]).expect("a frame").expect("whole");
            match heard {
                Heard::Message {
                    payload: got,
                    rows: more,
                } => {
                    assert_eq!(got, payload);
                    rows += more;
                }
                Heard::Answer(_) => answers += 1,
                Heard::Nothing => {}
                Heard::Ready => panic!("nothing was asked for"),
            }
            at += taken;
        }
        assert_eq!((rows, answers, side.position), (20, 1, 60));
        assert!(matches!(Weir::default().next(&bytes[..7]), Ok(None)));
        assert!(
            Weir::default()
                .next(&Header::default().frame(GAP, &[]))
                .is_err()
        );
    }
}
