//! What goes to one connection: answers first, then what its subscriptions matched, coalesced.
//!
//! One writer a connection. While the kernel takes nothing, nothing is taken from the queues, whose
//! policies then decide. What was taken is confirmed by the answers to pings, for they come in order: who
//! answers a ping has read all that was written before it. The invariant: of a subscription that ends with
//! its connection, what was taken and not handed to the kernel is counted again as
//! dropped\[disconnected\]; of one that waits for its client, the log knows.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use bytes::{BufMut as _, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::count::{Count, DropReason};
use crate::pubsub::{Delivery, Gap, Parcel, Recv, Resumable, Weigh as _};
use crate::topic::TopicPattern;
use crate::wire::{
    Deliver, DeliverMore, FrameType, GapFrame, GapMore, LARGE_FRAME_BYTES, Ping, Subscribe,
    control_frame, put_deliver,
};

/// Answers that may wait for a connection; a client that asks and doesn't read is cut off.
const ANSWERS_MAX: usize = 1_024;

/// The bytes of them.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// What is gathered for one write at most, before the last batch.
const WRITE_BYTES: usize = 256 << 10;

/// Batches that are taken from one queue at a time.
const TAKEN_MAX: usize = 32;

/// Pieces of one write: the kernel takes up to 1,024.
const SLICES_MAX: usize = 256;

/// After so many batches a client is asked how far it has read, whatever the heartbeat: what isn't
/// confirmed is kept in mind.
const CONFIRM_BATCHES: usize = 1_024;

/// Pings that wait for their answers. While there are so many, only heartbeats add more.
const MARKS_MAX: usize = 8;

/// A subscription of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    /// The client's number for it.
    pub(super) id: u32,
    pub(super) subscriber: Arc<Resumable>,
    /// What was asked for.
    pub(super) asked: Subscribe,
    /// What of the patterns the rules allow.
    pub(super) patterns: Vec<TopicPattern>,
    /// It waits for another connection.
    detached: AtomicBool,
}

impl Stream {
    pub(super) const fn new(
        subscriber: Arc<Resumable>,
        asked: Subscribe,
        patterns: Vec<TopicPattern>,
    ) -> Self {
        Self {
            id: asked.id,
            subscriber,
            asked,
            patterns,
            detached: AtomicBool::new(false),
        }
    }
}

/// A frame that waits, and the ping that it is.
#[derive(Debug)]
struct Answer {
    frame: Bytes,
    ping: Option<u64>,
}

/// How far each subscription had been handed out when a ping was written.
#[derive(Debug)]
struct Mark {
    ping: u64,
    streams: Vec<(Weak<Stream>, u64)>,
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    answer_bytes: usize,
    marks: VecDeque<Mark>,
    streams: Vec<Arc<Stream>>,
    /// Where the next gathering begins: every subscription has its turn.
    turn: usize,
    ending: bool,
    drains: bool,
    writer: Option<Waker>,
}

impl State {
    fn put_answers(&mut self, load: &mut Load) {
        if self.answers.is_empty() {
            return;
        }
        self.answer_bytes = 0;
        while let Some(answer) = self.answers.pop_front() {
            load.put(&answer.frame);
            if let Some(ping) = answer.ping {
                self.mark(ping);
            }
        }
    }

    /// Notes what comes before a ping.
    fn mark(&mut self, ping: u64) {
        if self.marks.len() >= MARKS_MAX {
            // Not the oldest: its answer comes first.
            self.marks.pop_back();
        }
        let marks = self.streams.iter();
        let streams = marks.map(|stream| (Arc::downgrade(stream), stream.subscriber.mark()));
        let streams = streams.collect();
        self.marks.push_back(Mark { ping, streams });
    }
}

/// What waits for one connection's writer.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    state: Mutex<State>,
    pings: AtomicU64,
}

impl Outgoing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an answer in the line; `false` where too many wait, and then the connection should end.
    pub(super) fn answer(&self, frame: Bytes) -> bool {
        self.put(Answer { frame, ping: None })
    }

    /// As [`Outgoing::answer`], a ping.
    pub(super) fn ping(&self) -> bool {
        let Some((ping, frame)) = self.next_ping() else {
            return true;
        };
        let ping = Some(ping);
        self.put(Answer { frame, ping })
    }

    fn next_ping(&self) -> Option<(u64, Bytes)> {
        let id = self.pings.fetch_add(1, Ordering::Relaxed) + 1;
        let frame = control_frame(FrameType::Ping, &Ping { id });
        Some((id, frame.ok()?))
    }

    /// A ping was answered: what was written before it has been read.
    pub(super) fn ponged(&self, ping: u64) {
        let mut state = self.state();
        let Some(index) = state.marks.iter().position(|mark| mark.ping == ping) else {
            return;
        };
        let mark = state.marks.drain(..=index).next_back();
        drop(state);
        for (stream, mark) in mark.into_iter().flat_map(|mark| mark.streams) {
            if let Some(stream) = stream.upgrade() {
                stream.subscriber.confirm(mark);
            }
        }
    }

    fn put(&self, answer: Answer) -> bool {
        let mut state = self.state();
        let bytes = state.answer_bytes.saturating_add(answer.frame.len());
        if state.answers.len() >= ANSWERS_MAX || bytes > ANSWER_BYTES_MAX {
            return false;
        }
        state.answer_bytes = bytes;
        state.answers.push_back(answer);
        wake(state);
        true
    }

    pub(super) fn subscribe(&self, stream: Stream) {
        let mut state = self.state();
        state.streams.push(Arc::new(stream));
        wake(state);
    }

    /// Ends a subscription; `false` where there is none of that number.
    pub(super) fn unsubscribe(&self, id: u32) -> bool {
        let mut state = self.state();
        let Some(index) = state.streams.iter().position(|stream| stream.id == id) else {
            return false;
        };
        let stream = state.streams.remove(index);
        drop(state);
        drop(stream);
        true
    }

    /// Whether there is a subscription of that number, and how many patterns there are in all.
    pub(super) fn holds(&self, id: u32) -> (bool, usize) {
        let state = self.state();
        let patterns = state.streams.iter().map(|one| one.patterns.len()).sum();
        (state.streams.iter().any(|stream| stream.id == id), patterns)
    }

    /// The names of the subscriptions.
    pub(super) fn names(&self) -> Vec<String> {
        let state = self.state();
        let names = state.streams.iter().map(|stream| stream.subscriber.name());
        names.map(str::to_owned).collect()
    }

    /// Hands over the subscriptions, for another connection: nothing more of them is written here.
    pub(super) fn detach(&self) -> Vec<Arc<Stream>> {
        let mut state = self.state();
        state.marks.clear();
        let streams = std::mem::take(&mut state.streams);
        drop(state);
        for stream in &streams {
            stream.detached.store(true, Ordering::Relaxed);
            stream.subscriber.go_away();
        }
        streams
    }

    /// Nothing more comes: the writer ends when the answers are written.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ending = true;
        state.streams.clear();
        wake(state);
    }

    /// Nothing more comes: the writer ends when the answers are written, and what the closed queues of
    /// the subscriptions still hold.
    pub(super) fn end_when_drained(&self) {
        let mut state = self.state();
        state.drains = true;
        wake(state);
    }

    /// Gathers what is there for one write.
    fn poll_gather(&self, context: &Context<'_>, load: &mut Load) -> Poll<Gathered> {
        let mut state = self.state();
        // A goodbye comes after what is still queued.
        if !state.drains {
            state.put_answers(load);
        }
        let (count, turn) = (state.streams.len(), state.turn);
        state.turn = state.turn.wrapping_add(1);
        let mut closed = 0;
        for step in 0..count {
            let Some(stream) = state.streams.get(turn.wrapping_add(step) % count).cloned() else {
                continue;
            };
            if load.bytes >= WRITE_BYTES {
                break;
            }
            closed += usize::from(load.take(&stream, context));
        }
        if load.unconfirmed >= CONFIRM_BATCHES
            && state.marks.len() < MARKS_MAX
            && let Some((ping, frame)) = self.next_ping()
        {
            load.unconfirmed = 0;
            load.put(&frame);
            state.mark(ping);
        }
        if state.drains && load.bytes == 0 && closed == count {
            state.put_answers(load);
        }
        if load.bytes > 0 {
            return Poll::Ready(Gathered::Load);
        }
        if state.ending || (state.drains && closed == count) {
            return Poll::Ready(Gathered::End);
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let writer = state.writer.take();
    drop(state);
    if let Some(writer) = writer {
        writer.wake();
    }
}

enum Gathered {
    Load,
    End,
}

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
struct Load {
    /// Small pieces, one behind the other; used again for each write.
    staging: Vec<u8>,
    /// Where the last staged piece ends.
    staged: usize,
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// Where a batch ends among the bytes, and what it is.
    batches: VecDeque<(usize, Arc<Stream>, Count)>,
    /// Batches since the last ping that confirms them.
    unconfirmed: usize,
    taken: Vec<Delivery<Parcel>>,
}

impl Load {
    /// Small pieces are copied together, large ones go as they are: a piece of its own costs the kernel
    /// more than copying 4 KiB.
    fn put(&mut self, piece: &Bytes) {
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
    fn take(&mut self, stream: &Arc<Stream>, context: &Context<'_>) -> bool {
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
    async fn write(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
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

/// Writes until the connection ends: by an error, or because nothing more comes.
pub(super) async fn write(
    outgoing: &Outgoing,
    stream: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut load = Load::default();
    loop {
        let gathered =
            std::future::poll_fn(|context| outgoing.poll_gather(context, &mut load)).await;
        match gathered {
            Gathered::Load => load.write(stream).await?,
            Gathered::End => return stream.shutdown().await,
        }
    }
}
