//! One write to a connection: its pieces, and what of it belongs to which subscription.
//!
//! It decides nothing of what is written. The invariant: what was taken and not handed to the kernel is told to its
//! subscription when this is dropped.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::Stream;
use crate::count::{Count, DropReason};
use crate::pubsub::{Delivery, Gap, Parcel, Recv, Weigh as _};
use crate::wire::{
    Deliver, DeliverMore, FrameType, GapFrame, GapMore, LARGE_FRAME_BYTES, control_frame,
    put_deliver,
};

/// Batches that are taken from one queue at a time.
const TAKEN_MAX: usize = 32;

/// Pieces of one write: the kernel takes up to 1,024.
const SLICES_MAX: usize = 256;

/// A piece of a write.
#[derive(Debug)]
enum Piece {
    /// Bytes of the staging, up to here.
    Staged(usize),
    /// Bytes that are shared with others.
    Shared(Bytes),
}

/// One write: its pieces, and what of it belongs to which subscription.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Small pieces, one behind the other; used again for each write.
    staging: Vec<u8>,
    /// Where the last staged piece ends.
    staged: usize,
    pieces: VecDeque<Piece>,
    pub(super) bytes: usize,
    /// Where a batch ends among the bytes, and what it is.
    batches: VecDeque<(usize, Arc<Stream>, Count)>,
    /// Batches since the last ping that confirms them.
    pub(super) unconfirmed: usize,
    taken: Vec<Delivery<Parcel>>,
}

impl Load {
    /// Small pieces are copied together, large ones go as they are: a piece of its own costs the kernel
    /// more than copying 4 KiB.
    pub(super) fn put(&mut self, piece: &Bytes) {
        self.bytes += piece.len();
        if piece.len() < LARGE_FRAME_BYTES {
            self.staging.put_slice(piece);
        } else {
            self.close_staging();
            self.pieces.push_back(Piece::Shared(piece.clone()));
        }
    }

    fn close_staging(&mut self) {
        if self.staging.len() > self.staged {
            self.staged = self.staging.len();
            self.pieces.push_back(Piece::Staged(self.staged));
        }
    }

    /// Takes from a subscription's queue; true where it is closed and empty.
    pub(super) fn take(&mut self, stream: &Arc<Stream>, context: &Context<'_>) -> bool {
        let mut taken = std::mem::take(&mut self.taken);
        let polled = stream.subscriber.poll_take(context, &mut taken, TAKEN_MAX);
        self.unconfirmed += taken.len();
        for delivery in taken.drain(..) {
            match delivery {
                Delivery::Batch { position, item } => self.deliver(stream, position, &item),
                Delivery::Gap(gap) => self.gap(stream, &gap),
            }
        }
        self.taken = taken;
        matches!(polled, Poll::Ready(Recv::Closed))
    }

    fn deliver(&mut self, stream: &Arc<Stream>, position: u64, parcel: &Parcel) {
        let count = Count::batch(parcel.rows());
        let header = Deliver {
            id: stream.id,
            position,
            source: &parcel.header().source,
        };
        let encoded = match parcel {
            Parcel::Wire(wire) => Ok(std::slice::from_ref(wire.frames())),
            Parcel::Batch(batch) => batch.frames().map_err(|error| error.to_string()),
        };
        let put = encoded.and_then(|pieces| {
            for (piece, left) in pieces.iter().zip((0..pieces.len()).rev()) {
                let before = self.staging.len();
                let more = DeliverMore { more: left > 0 };
                if !put_deliver(&mut self.staging, &header, more, piece.len()) {
                    return Err(format!("its source has {} bytes", header.source.len()));
                }
                self.bytes += self.staging.len() - before;
                self.put(piece);
            }
            Ok(())
        });
        match put {
            Ok(()) => self
                .batches
                .push_back((self.bytes, Arc::clone(stream), count)),
            Err(problem) => {
                tracing::warn!(
                    subscriber = stream.subscriber.name(),
                    problem,
                    "a batch can't be sent"
                );
                let gap = Gap::of(position, count.rows, DropReason::TooLarge);
                stream.subscriber.unsend(count.rows, gap);
                self.gap(stream, &gap);
            }
        }
    }

    fn gap(&mut self, stream: &Stream, gap: &Gap) {
        let header = GapFrame {
            id: stream.id,
            missed: gap.missed,
            reason: gap.reason.as_str().to_owned(),
            from: gap.from,
            to: gap.to,
        };
        let lives = gap.incarnations.map(|lives| (lives.old.0, lives.new.0));
        let more = GapMore {
            incarnations: lives,
        };
        if let Ok(frame) = control_frame(FrameType::Gap, &(header, more)) {
            self.put(&frame);
        }
    }

    /// Writes all of it. What isn't handed to the kernel when that fails is counted as lost.
    pub(super) async fn write(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        self.close_staging();
        let (mut written, mut from) = (0, 0);
        let result = loop {
            let wrote = {
                let mut left = self.left(from);
                let Some(first) = left.next() else {
                    break Ok(());
                };
                match left.next() {
                    // Most writes are small frames alone.
                    None => stream.write(first).await,
                    Some(second) => {
                        let slices = [first, second].into_iter().chain(left);
                        let slices: Vec<_> = slices.map(IoSlice::new).take(SLICES_MAX).collect();
                        stream.write_vectored(&slices).await
                    }
                }
            };
            let count = match wrote {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) => break Err(error),
            };
            written += count;
            from = self.advance(from, count);
            self.handed_over(written);
        };
        self.staging.clear();
        (self.bytes, self.staged) = (0, 0);
        result
    }

    /// What is not yet written, where the staging is written up to `from`.
    fn left(&self, mut from: usize) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(move |piece| match piece {
            Piece::Staged(to) => {
                let bytes = self.staging.get(from..*to).unwrap_or_default();
                from = *to;
                bytes
            }
            Piece::Shared(bytes) => bytes,
        })
    }

    /// Takes off what was written; gives up to where the staging is.
    fn advance(&mut self, mut from: usize, mut count: usize) -> usize {
        while let Some(piece) = self.pieces.front_mut() {
            let bytes = match piece {
                Piece::Staged(to) => to.saturating_sub(from),
                Piece::Shared(bytes) => bytes.len(),
            };
            let whole = count >= bytes;
            let taken = count.min(bytes);
            match piece {
                Piece::Staged(_) => from += taken,
                Piece::Shared(bytes) => drop(bytes.split_to(taken)),
            }
            if !whole {
                break;
            }
            count -= taken;
            self.pieces.pop_front();
        }
        from
    }

    fn handed_over(&mut self, written: usize) {
        while self
            .batches
            .front()
            .is_some_and(|(end, _, _)| *end <= written)
        {
            self.batches.pop_front();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for (_, stream, count) in self.batches.drain(..) {
            if !stream.detached.load(Ordering::Relaxed) {
                stream.subscriber.lose(count);
            }
        }
    }
}
