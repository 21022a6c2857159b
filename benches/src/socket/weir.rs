//! Ours: `weir bus` over its Unix socket, spoken with as `docs/protocol.md` has it.
//!
//! Frames are made by the house's own encoder. They are read as a count needs it: where each ends,
//! and how many rows it says it has.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use weir_bus::batch::Batch;
use weir_bus::topic;
use weir_bus::wire::{
    Deliver, ErrorFrame, FrameType, Hello, Later, PREFIX_BYTES, Ping, Pong, Prefix, Stamp,
    Subscribe, VERSION, WirePolicy, control_frame, decode_header, encode,
};

use super::line::Line;
use super::load::{Message, TOPIC};
use super::process::Program;
use super::side::{Address, Heard, Role, Side};

/// How the clients are shown.
const NAME: &str = "weir-bench";
/// The client's number for its subscription.
const SUBSCRIPTION: u32 = 1;
/// How those are shown that never read.
pub(super) const STALLED_NAME: &str = "weir-bench-stalled";
/// A full queue makes the publisher wait; the credits keep it from coming near this.
const BLOCK_DEADLINE: Duration = Duration::from_secs(60);

/// The broker, and where it will listen.
pub(super) fn program(folder: &Path) -> anyhow::Result<(Program, Address)> {
    let socket = folder.join("weir.sock");
    let path = socket.to_str();
    let path = path.context("a temporary folder's path is no text")?;
    let program = Program::daemon(&["bus", "--socket", path])?;
    Ok((program, Address::Path(socket)))
}

/// A client of `weir bus`.
#[derive(Default)]
pub(super) struct Weir {
    /// Bytes of the deliver frame that is under way: its publish frames.
    deliver_bytes_left: usize,
    /// Of the batch that was delivered last.
    position: u64,
}

impl Side for Weir {
    fn greet(&mut self, line: &mut Line, role: Role) -> anyhow::Result<()> {
        self.greet_for(line, role, TOPIC)
    }

    fn message(message: &Message, into: &mut Vec<u8>) -> anyhow::Result<()> {
        // Without a source: it is the broker that says who published.
        let topic = topic::Topic::parse(TOPIC)?;
        let batch = Batch::of_events(topic, "", message.number(), &[message.row().into()])?;
        into.extend(encode(&batch, Stamp::Broker)?);
        Ok(())
    }

    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>> {
        let Some(prefix) = Prefix::read(bytes)? else {
            return Ok(None);
        };
        let header_end = PREFIX_BYTES + prefix.header_bytes;
        let payload_at = prefix.payload_offset();
        if prefix.frame_type == FrameType::Deliver && self.deliver_bytes_left == 0 {
            // What it holds is taken as it comes: the whole may be longer than any buffer.
            let (Some(header), Some(_)) =
                (bytes.get(PREFIX_BYTES..header_end), bytes.get(..payload_at))
            else {
                return Ok(None);
            };
            let deliver: Deliver<'_> = decode_header(FrameType::Deliver, header)?;
            self.position = deliver.position;
            self.deliver_bytes_left = prefix.bytes - payload_at;
            return Ok(Some((payload_at, Heard::Nothing)));
        }
        let Some(frame) = bytes.get(..prefix.bytes) else {
            return Ok(None);
        };
        let (Some(header), Some(payload)) =
            (frame.get(PREFIX_BYTES..header_end), frame.get(payload_at..))
        else {
            bail!("a frame without its header");
        };
        let heard = if self.deliver_bytes_left > 0 {
            let name = prefix.frame_type.as_str();
            ensure!(
                prefix.frame_type == FrameType::Publish,
                "a {name} frame within a deliver frame"
            );
            let left = self.deliver_bytes_left.checked_sub(prefix.bytes);
            self.deliver_bytes_left = left.context("a frame beyond its deliver frame")?;
            let rows = rows(header)?;
            Heard::Message { payload, rows }
        } else {
            self.other(prefix.frame_type, header)?
        };
        Ok(Some((prefix.bytes, heard)))
    }
}

impl Weir {
    /// Says hello; subscribes to that topic if it is to receive.
    pub(super) fn greet_for(
        &mut self,
        line: &mut Line,
        role: Role,
        topic: &str,
    ) -> anyhow::Result<()> {
        let hello = Hello {
            version: VERSION,
            name: NAME.to_owned(),
        };
        line.say(&control_frame(FrameType::Hello, &hello)?)?;
        line.until_ready(self)?;
        if role != Role::Publisher {
            let subscribe = subscription(topic, role)?;
            line.say(&control_frame(FrameType::Subscribe, &subscribe)?)?;
            line.until_ready(self)?;
        }
        Ok(())
    }

    /// Of the batch that was delivered last.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// A frame that brings no messages.
    #[cold]
    fn other(&self, frame_type: FrameType, header: &[u8]) -> anyhow::Result<Heard<'static>> {
        match frame_type {
            FrameType::Welcome | FrameType::Subscribed => Ok(Heard::Ready),
            FrameType::Pong => Ok(Heard::Nothing),
            FrameType::Ping => {
                let pong = Pong {
                    id: decode_header::<Ping>(frame_type, header)?.id,
                    position: self.position,
                    ..Pong::default()
                };
                let frame = control_frame(FrameType::Pong, &pong)?;
                Ok(Heard::Answer(frame.to_vec()))
            }
            FrameType::Error => {
                let error: ErrorFrame = decode_header(frame_type, header)?;
                bail!("the broker says `{}`: {}", error.code, error.message)
            }
            // A gap: the case fails, for rows were lost.
            _ => bail!("a {} frame: {}", frame_type.as_str(), header.escape_ascii()),
        }
    }
}

fn subscription(topic: &str, role: Role) -> anyhow::Result<Subscribe> {
    let is_stalled = role == Role::Stalled;
    Ok(Subscribe {
        id: SUBSCRIPTION,
        name: if is_stalled { STALLED_NAME } else { NAME }.to_owned(),
        patterns: vec![topic.to_owned()],
        own_events: false,
        policy: if is_stalled {
            WirePolicy::DropOldest
        } else {
            WirePolicy::Block {
                deadline_ms: u32::try_from(BLOCK_DEADLINE.as_millis())?,
            }
        },
        // The broker's own bounds.
        queue_batches_max: 0,
        queue_bytes_max: 0,
        kinds: Vec::new(),
        source: None,
        pids: Vec::new(),
        priority_min: None,
        comparison: None,
        correlation_id: None,
        correlation_glob: None,
        correlation_root: None,
        every_ms: Later(0),
    })
}

/// The rows that a publish frame's header says it has.
#[inline]
fn rows(mut header: &[u8]) -> anyhow::Result<u64> {
    let _kind = number(&mut header)?;
    let topic_bytes = usize::try_from(number(&mut header)?)?;
    header = header
        .get(topic_bytes..)
        .context("a topic without its end")?;
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

/// Bits of a number in each of its bytes.
const VARINT_BITS: usize = 7;
/// The bit that says that there are more.
const VARINT_MORE: u8 = 0x80;
/// Bytes of the largest u64.
const VARINT_BYTES_MAX: usize = 10;

/// Takes a number of any width off a header. Its sign is nobody's business here.
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

#[cfg(test)]
mod tests {
    use weir_bus::wire::{GapFrame, frame_with_payload};

    use super::*;

    #[test]
    fn numbers_are_read_as_the_page_says() {
        for (bytes, expected) in [
            (&[0][..], Some(0)),
            (&[0x7f], Some(127)),
            (&[0xac, 2], Some(300)),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                Some(u64::MAX),
            ),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(number(&mut &bytes[..]).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_delivery_is_taken_frame_by_frame_and_its_payloads_are_what_was_sent() {
        for count in [1, 20] {
            let mut many = Vec::new();
            for place in 0..count {
                Weir::message(&Message::new(2, place), &mut many).expect("a frame");
            }
            let deliver = Deliver {
                id: SUBSCRIPTION,
                position: 40,
                source: "someone",
            };
            let bytes = frame_with_payload(FrameType::Deliver, &deliver, &many).expect("a frame");
            let mut bytes = bytes.to_vec();
            bytes.extend(control_frame(FrameType::Ping, &Ping { id: 9 }).expect("a frame"));

            let mut side = Weir::default();
            let (mut at, mut place, mut answers) = (0, 0, 0);
            while at < bytes.len() {
                let (taken, heard) = side.next(&bytes[at..]).expect("a frame").expect("whole");
                match heard {
                    Heard::Message { payload, rows: 1 } => {
                        assert_eq!(Message::of(payload), Some(Message::new(2, place)));
                        place += 1;
                    }
                    Heard::Answer(_) => answers += 1,
                    Heard::Nothing => {}
                    other => panic!("{other:?}"),
                }
                at += taken;
            }
            assert_eq!((place, answers, side.position), (count, 1, 40));
        }
    }

    #[test]
    fn a_gap_is_an_error_and_a_part_is_nothing_yet() {
        let gap = GapFrame {
            id: SUBSCRIPTION,
            missed: Some(1),
            reason: "full".to_owned(),
            from: 1,
            to: 1,
        };
        let gap = control_frame(FrameType::Gap, &gap).expect("a frame");
        assert!(Weir::default().next(&gap).is_err());
        assert!(matches!(Weir::default().next(&gap[..7]), Ok(None)));
    }
}
