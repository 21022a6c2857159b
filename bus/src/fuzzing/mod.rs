//! What holds for any bytes that come from outside: the bodies of the fuzz targets in `bus/fuzz`.
//!
//! Here rather than there, so that the tests run them on their seeds, and so that what only the crate
//! knows stays in it. No part of the product: only tests and the feature `fuzzing` have it.

#[cfg(test)]
mod seeds;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

use crate::batch::Batch;
use crate::socket::FrameReader;
use crate::wire::{
    ALIGNMENT_LARGE, ALIGNMENT_SMALL, Deliver, DeliverMore, ErrorFrame, Frame, FrameError,
    FrameType, GapFrame, GapMore, Goodbye, Hello, HelloMore, Ping, Pong, PongMore, PublishFrame,
    Reply, Request, RunBuilder, Stamp, Subscribe, SubscribeMore, Subscribed, Unsubscribe, Welcome,
    WelcomeMore, WireBatch, decode_with_more, encode,
};

/// Who is said to have published.
const SOURCE: &str = "there";

/// A stream that comes in pieces of the same size, and never waits.
struct Pieces<'a> {
    left: &'a [u8],
    bytes: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.bytes.min(out.remaining()).min(self.left.len());
        let (now, later) = self.left.split_at(count);
        out.put_slice(now);
        self.left = later;
        Poll::Ready(Ok(()))
    }
}

/// The frames that bytes begin with, and how that ends.
type Frames = (Vec<Bytes>, Result<(), FrameError>);

fn frames_at_once(bytes: &Bytes) -> Frames {
    let (mut rest, mut frames) = (bytes.clone(), Vec::new());
    loop {
        match Frame::read(&rest) {
            Ok(Some(frame)) => {
                assert!(frame.header().len() + frame.payload().len() <= frame.bytes().len());
                rest = rest.slice(frame.bytes().len()..);
                frames.push(frame.bytes().clone());
            }
            Ok(None) => return (frames, Ok(())),
            Err(error) => return (frames, Err(error)),
        }
    }
}

fn frames_in_pieces(bytes: &[u8], piece_bytes: usize) -> Frames {
    let (mut reader, mut frames) = (FrameReader::new(), Vec::new());
    let mut stream = Pieces {
        left: bytes,
        bytes: piece_bytes,
    };
    loop {
        match reader.next() {
            Ok(Some(piece)) => {
                frames.push(Bytes::copy_from_slice(piece.bytes()));
                continue;
            }
            Ok(None) => {}
            Err(error) => return (frames, Err(error)),
        }
        let fill = std::pin::pin!(reader.fill(&mut stream));
        match fill.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(0)) => return (frames, Ok(())),
            Poll::Ready(Ok(_)) => {}
            other => panic!("a stream that never waits nor fails: {other:?}"),
        }
    }
}

/// A stream of bytes is the same frames, and the same error, however it is split. The first byte says
/// how.
///
/// # Panics
/// If that doesn't hold.
pub fn frame(data: &[u8]) {
    let Some((&split, stream)) = data.split_first() else {
        return;
    };
    let at_once = frames_at_once(&Bytes::copy_from_slice(stream));
    let in_pieces = frames_in_pieces(stream, usize::from(split) + 1);
    assert_eq!(in_pieces, at_once);
}

/// A header is an error, or a value that stays the same when it is sent on. The first byte says which
/// type it is of; of a publish frame two more say how long its payload is.
///
/// # Panics
/// If that doesn't hold.
pub fn header(data: &[u8]) {
    let Some((&number, header)) = data.split_first() else {
        return;
    };
    let Some(&frame_type) = FrameType::ALL.get(usize::from(number).wrapping_sub(1)) else {
        return;
    };
    macro_rules! stays {
        ($header:ty) => {
            stays!($header, ())
        };
        ($header:ty, $more:ty) => {
            if let Ok(value) = decode_with_more::<$header, $more>(frame_type, header) {
                let sent = postcard::to_allocvec(&value).expect("what was read can be written");
                let again = decode_with_more::<$header, $more>(frame_type, &sent);
                let again = again.expect("and read again");
                let again = postcard::to_allocvec(&again).expect("and written again");
                assert_eq!(again, sent);
            }
        };
    }
    match frame_type {
        FrameType::Hello => stays!(Hello, HelloMore),
        FrameType::Welcome => stays!(Welcome, WelcomeMore),
        FrameType::Publish => publish_header(header),
        FrameType::Subscribe => stays!(Subscribe, SubscribeMore),
        FrameType::Subscribed => stays!(Subscribed),
        FrameType::Unsubscribe => stays!(Unsubscribe),
        FrameType::Deliver => stays!(Deliver<'_>, DeliverMore),
        FrameType::Gap => stays!(GapFrame, GapMore),
        FrameType::Request => stays!(Request),
        FrameType::Reply => stays!(Reply),
        FrameType::Ping => stays!(Ping),
        FrameType::Pong => stays!(Pong, PongMore),
        FrameType::Error => stays!(ErrorFrame),
        FrameType::Goodbye => stays!(Goodbye),
    }
}

fn publish_header(data: &[u8]) {
    let Some((&payload_bytes, header)) = data.split_first_chunk::<2>() else {
        return;
    };
    let payload_bytes = usize::from(u16::from_le_bytes(payload_bytes));
    for alignment in [ALIGNMENT_SMALL, ALIGNMENT_LARGE] {
        if let Ok(frame) = PublishFrame::read(header, payload_bytes, alignment) {
            // Eight bytes a row at least: a timestamp.
            assert!(frame.rows <= payload_bytes / 8);
        }
    }
}

/// Publish frames are an error, or rows that stay the same when they are sent on, and that don't
/// depend on what they were joined with.
///
/// # Panics
/// If that doesn't hold.
pub fn batch(data: &[u8]) {
    let frames = Bytes::copy_from_slice(data);
    joined(&frames);
    let Some(batch) = decoded(&frames) else {
        return;
    };
    let Ok(sent) = encode(&batch, Stamp::Deliver(SOURCE)) else {
        return;
    };
    let again = decoded(&sent).expect("what was read and sent on can be read");
    assert_eq!(again.header(), batch.header());
    assert_eq!(again.records(), batch.records());
    let sent_again = encode(&again, Stamp::Deliver(SOURCE)).expect("and sent on");
    assert_eq!(sent_again, sent);
}

fn decoded(frames: &Bytes) -> Option<Batch> {
    let wire = WireBatch::of_frames(&Arc::from(SOURCE), frames).ok()?;
    let batch = wire.decode().ok()?;
    assert_eq!(batch.rows(), wire.rows());
    for row in 0..batch.rows() {
        assert!(batch.row(row).is_some());
    }
    Some(batch)
}

/// What a connection joins is what its receiver reads.
fn joined(frames: &Bytes) {
    let mut runs = RunBuilder::new(Arc::from(SOURCE));
    let mut finished = Vec::new();
    let mut rest = frames.clone();
    while let Ok(Some(frame)) = Frame::read(&rest) {
        let Ok(publish) = PublishFrame::of(&frame) else {
            break;
        };
        let Ok(done) = runs.push(&publish, frame.bytes()) else {
            break;
        };
        finished.extend(done);
        rest = rest.slice(frame.bytes().len()..);
    }
    finished.extend(runs.finish());
    for batch in finished {
        let read = WireBatch::of_frames(&Arc::from(SOURCE), batch.frames());
        let read = read.expect("what was joined can be read");
        assert_eq!(read.header(), batch.header());
        assert_eq!(read.rows(), batch.rows());
    }
}
