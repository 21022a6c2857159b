//! What goes to one connection: answers first, then what its subscriptions matched, coalesced.
//!
//! One writer a connection. While the kernel takes nothing, nothing is taken from the queues, whose
//! policies then decide. What was taken is confirmed by the answers to pings, for they come in order: who
//! answers a ping has read all that was written before it. The invariant: of a subscription that ends with
//! its connection, what was taken and not handed to the kernel is counted again as
//! dropped\[disconnected\]; of one that waits for its client, the log knows.

mod load;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::pubsub::Resumable;
use crate::topic::TopicPattern;
use crate::wire::{FrameType, Ping, Subscribe, control_frame};
use load::Load;

/// Answers that may wait for a connection; a client that asks and doesn't read is cut off.
const ANSWERS_MAX: usize = 1_024;

/// The bytes of them.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// What is gathered for one write at most, before the last batch.
const WRITE_BYTES: usize = 256 << 10;

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
