//! One connection: from the first byte to the last.
//!
//! The invariant: whatever the peer sends, only this connection ends, with an error that says why; and
//! nothing is published, subscribed or asked that its rights don't allow.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream as Socket;
use tokio::io::{ReadHalf, WriteHalf};

use super::super::access::Denied;
use super::super::reader::{FrameReader, Piece};
use super::super::{Peer, bounded};
use super::House;
use super::ingress::{Entered, Entrance};
use super::outgoing::{self, Stream};
use super::turn::{Writing, in_turns};
use crate::count::DropReason;
use crate::pubsub::PublisherId;
use crate::topic::Topic;
use crate::wire::{
    CheckedTable, ErrorFrame, FrameType, LARGE_FRAME_BYTES, PUBLISH_BYTES_MAX, Ping, Pong,
    PongMore, PublishError, PublishFrame, Request, RunBuilder, Subscribe, SubscribeMore,
    Unsubscribe, WireBatch, decode_header, decode_with_more,
};

mod fault;
mod greeting;
mod request;
mod shared;
mod subscription;

pub(super) use shared::Shared;

use fault::{End, Fault, last_words};
use greeting::greet;
use shared::EntranceBox;

/// How long a peer may take for its first word: who connects and says nothing holds a place.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last answers may take to go out.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// What is read of one connection before the others have their turn.
const TURN_BYTES: usize = 64 << 10;

pub(super) struct Connection {
    house: Arc<House>,
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    publisher: PublisherId,
    /// What goes on after this connection; none where it can't.
    session: Option<u128>,
    /// Publish frames that were taken in the session.
    frames: u64,
    entrance: Arc<dyn Entrance>,
    runs: RunBuilder,
    table: CheckedTable,
    /// The topic that was asked last, and whether it may be published on.
    topic: Option<(Topic, Result<(), Denied>)>,
    /// Rows that were refused of one topic, one after the other: told once for all of them.
    refused: Option<(Denied, Topic, u64)>,
}

impl Connection {
    /// Serves a connection to its end.
    pub(super) async fn run(house: Arc<House>, socket: Socket) {
        let peer = match Peer::of(&socket) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!(%error, "the kernel doesn't say who connected: not taken");
                return;
            }
        };
        let source: Arc<str> = peer.source().into();
        let rights = house.options.access.rights(&peer);
        let shared = Arc::new(Shared::new(Arc::clone(&source), rights));
        let (mut read, write) = tokio::io::split(socket);
        let refusal = {
            let mut list = house.connections.list();
            if list.len() >= house.options.connections_max {
                Some(Fault::Full(house.options.connections_max))
            } else if shared.rights.is_any() {
                list.push(Arc::clone(&shared));
                None
            } else {
                Some(Fault::Nobody(source.as_ref().to_owned()))
            }
        };
        let writer = tokio::spawn(Writing::new(write_all(Arc::clone(&shared), write)));
        if let Some(fault) = refusal {
            house
                .connections
                .turned_away
                .fetch_add(1, Ordering::Relaxed);
            last_words(&shared, &End::Fault(fault));
            drop(house.clock.timeout(LAST_WORDS_TIMEOUT, writer).await);
            return;
        }
        let peer = Arc::new(peer);
        let ended = in_turns(Self::serve(&house, &shared, &peer, &mut read)).await;
        finish(&house, &shared, ended, writer).await;
    }

    /// Greets, and then reads to the end. Gives who is to be finished, and how it ended.
    async fn serve(
        house: &Arc<House>,
        shared: &Arc<Shared>,
        peer: &Arc<Peer>,
        socket: &mut ReadHalf<Socket>,
    ) -> (Option<Self>, End) {
        let mut reader = FrameReader::new();
        let greeting = greet(house, shared, peer, &mut reader, socket);
        let greeted = match house.clock.timeout(HELLO_TIMEOUT, greeting).await {
            Some(Ok(Some(greeted))) => greeted,
            Some(Ok(None)) => return (None, End::Gone),
            Some(Err(fault)) => return (None, End::Fault(fault)),
            None => return (None, End::Fault(Fault::NoHello)),
        };
        let entrance = house.ingress.open(&shared.source, greeted.publisher);
        drop(shared.entrance.set(EntranceBox(Arc::clone(&entrance))));
        let mut connection = Self {
            runs: RunBuilder::new(Arc::clone(&shared.source)),
            table: CheckedTable::default(),
            house: Arc::clone(house),
            shared: Arc::clone(shared),
            peer: Arc::clone(peer),
            publisher: greeted.publisher,
            session: greeted.session,
            frames: shared.frames(),
            entrance,
            topic: None,
            refused: None,
        };
        let end = connection.read(&mut reader, socket).await;
        (Some(connection), end)
    }

    async fn read(&mut self, reader: &mut FrameReader, socket: &mut ReadHalf<Socket>) -> End {
        let shared = Arc::clone(&self.shared);
        let mut ended = std::pin::pin!(shared.end.notified());
        let mut unyielded = 0;
        loop {
            match self.take_all(reader).await {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(fault) => return End::Fault(fault),
            }
            // Who sends without a pause must not keep the others from their turn; who sends little ends
            // up waiting by itself, a system call sooner.
            if unyielded >= TURN_BYTES {
                unyielded = 0;
                tokio::task::yield_now().await;
                if shared.is_ending() {
                    return End::Ours;
                }
            }
            // What is there is read first: to ask for the end each time costs a small message 2 %.
            let filled = tokio::select! {
                biased;
                filled = reader.fill(socket) => filled,
                () = &mut ended => return End::Ours,
            };
            match filled {
                Ok(0) if reader.is_within_a_frame() => return End::Fault(Fault::Truncated),
                Ok(0) | Err(_) => return End::Gone,
                Ok(count) => {
                    unyielded += count;
                    shared.reads.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Handles every whole frame that has been read; tells where that is the end.
    async fn take_all(&mut self, reader: &mut FrameReader) -> Result<Option<End>, Fault> {
        while let Some(piece) = reader.next()? {
            // What it sends from here on, it sends again.
            if self.shared.is_superseded() {
                self.enter_open().await;
                return Ok(Some(End::Ours));
            }
            if piece.prefix().frame_type == FrameType::Publish {
                let (before, alone) = self.publish(&piece)?;
                for batch in [before, alone].into_iter().flatten() {
                    self.enter(batch).await;
                }
                continue;
            }
            // Whatever else is said is said after what was published before.
            self.enter_open().await;
            if !self.control(&piece)? {
                return Ok(Some(End::Goodbye));
            }
        }
        self.enter_open().await;
        Ok(None)
    }

    async fn enter_open(&mut self) {
        if let Some(batch) = self.runs.finish() {
            self.enter(batch).await;
        }
        self.tell_refused();
    }

    async fn enter(&mut self, batch: WireBatch) {
        let topic = batch.header().topic.clone();
        let entered = match self.entrance.enter(batch) {
            Entered::Now(entered) => entered,
            Entered::Later(waiting) => waiting.await,
        };
        if let Err(error) = entered {
            let code = if error.reason == DropReason::Invalid {
                "invalid"
            } else {
                "closed"
            };
            self.shared.answer(
                FrameType::Error,
                &ErrorFrame {
                    code: code.to_owned(),
                    message: bounded(&error.message),
                    fatal: false,
                    topic: Some(topic.as_str().to_owned()),
                    rule: None,
                    id: None,
                    rows: error.rows,
                },
            );
        }
    }

    /// A publish frame: checked, allowed, joined to those before it. Gives what is finished by it.
    fn publish(
        &mut self,
        piece: &Piece<'_>,
    ) -> Result<(Option<WireBatch>, Option<WireBatch>), Fault> {
        let prefix = piece.prefix();
        if prefix.bytes > PUBLISH_BYTES_MAX {
            return Err(PublishError::TooLarge {
                bytes: prefix.bytes,
            }
            .into());
        }
        let payload_bytes = prefix.bytes - prefix.payload_offset();
        let (table, alignment) = (&mut self.table, prefix.alignment());
        let frame = PublishFrame::read_like(table, piece.header(), payload_bytes, alignment)?;
        // What observed the rows is this connection: nobody publishes in another's name.
        if frame.says_source {
            return Err(PublishError::ForeignSource.into());
        }
        self.frames += 1;
        self.shared.frames.store(self.frames, Ordering::Relaxed);
        if !self.may_publish(&frame)? {
            return Ok((None, None));
        }
        match piece {
            Piece::Shared(_, bytes) if prefix.bytes < LARGE_FRAME_BYTES => {
                Ok((self.runs.push(&frame, bytes)?, None))
            }
            Piece::Shared(_, bytes) => {
                let own = bytes::Bytes::copy_from_slice(bytes);
                let (before, alone) = self.runs.push_alone(&frame, own)?;
                Ok((before, Some(alone)))
            }
            Piece::Alone(_, bytes) => {
                let (before, alone) = self.runs.push_alone(&frame, bytes.clone())?;
                Ok((before, Some(alone)))
            }
        }
    }

    #[inline]
    fn may_publish(&mut self, frame: &PublishFrame<'_>) -> Result<bool, Fault> {
        let known = self
            .topic
            .as_ref()
            .is_some_and(|(topic, _)| topic.as_str() == frame.topic);
        if !known {
            let topic = Topic::parse(frame.topic).map_err(PublishError::from)?;
            let allowed = self.shared.rights.check_publish(&topic);
            self.topic = Some((topic, allowed));
        }
        match &self.topic {
            Some((topic, Err(denied))) => {
                let rows = frame.rows as u64;
                let (denied, topic) = (denied.clone(), topic.clone());
                self.refuse(denied, topic, rows);
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    #[cold]
    fn refuse(&mut self, denied: Denied, topic: Topic, rows: u64) {
        self.shared.refused_rows.fetch_add(rows, Ordering::Relaxed);
        match &mut self.refused {
            Some((_, same, count)) if *same == topic => *count = count.saturating_add(rows),
            _ => {
                self.tell_refused();
                self.refused = Some((denied, topic, rows));
            }
        }
    }

    fn tell_refused(&mut self) {
        let Some((denied, topic, rows)) = self.refused.take() else {
            return;
        };
        self.shared.answer(
            FrameType::Error,
            &ErrorFrame {
                code: "denied".to_owned(),
                message: bounded(&denied.to_string()),
                fatal: false,
                topic: Some(topic.as_str().to_owned()),
                rule: Some(denied.rule),
                id: None,
                rows,
            },
        );
    }

    /// Any other frame; false where it is the last.
    fn control(&mut self, piece: &Piece<'_>) -> Result<bool, Fault> {
        let frame_type = piece.prefix().frame_type;
        let header = piece.header();
        match frame_type {
            FrameType::Subscribe => {
                let (asked, more): (Subscribe, SubscribeMore) =
                    decode_with_more(frame_type, header)?;
                subscription::subscribe(self, asked, more.resume);
            }
            FrameType::Unsubscribe => {
                let Unsubscribe { id } = decode_header(frame_type, header)?;
                // One that isn't there may have been refused a moment ago: nothing to complain about.
                let _was_there = self.shared.outgoing.unsubscribe(id);
                drop(self.waiting(id));
            }
            FrameType::Request => {
                let request: Request = decode_header(frame_type, header)?;
                request::request(self, &request, piece.payload());
            }
            FrameType::Ping => {
                let Ping { id } = decode_header(frame_type, header)?;
                self.pong(id);
            }
            FrameType::Pong => {
                let Pong { id, .. } = decode_header(frame_type, header)?;
                self.shared.outgoing.ponged(id);
            }
            FrameType::Goodbye => return Ok(false),
            FrameType::Publish
            | FrameType::Hello
            | FrameType::Welcome
            | FrameType::Subscribed
            | FrameType::Deliver
            | FrameType::Gap
            | FrameType::Reply
            | FrameType::Error => {
                return Err(Fault::Order {
                    found: frame_type.as_str(),
                    when: "from a client that has been welcomed",
                });
            }
        }
        Ok(true)
    }

    fn pong(&self, id: u64) {
        let counts = self.entrance.counts();
        let pong = Pong {
            id,
            published_rows: counts.produced,
            published_batches: counts.batches,
            refused_rows: self.shared.refused_rows.load(Ordering::Relaxed),
            position: 0,
        };
        let more = PongMore {
            frames: self.frames,
        };
        self.shared.answer(FrameType::Pong, &(pong, more));
    }

    /// A subscription that waits for this client, which takes it or gives it up.
    fn waiting(&self, id: u32) -> Option<Arc<Stream>> {
        self.house.connections.sessions.take(self.session?, id)
    }

    /// What goes on without this connection, or doesn't.
    fn leave(&self, end: &End) {
        let Some(session) = self.session else {
            return;
        };
        let sessions = &self.house.connections.sessions;
        if end.is_loss(&self.shared) {
            sessions.park(session, &self.shared);
        } else {
            sessions.end(session, &self.shared);
        }
    }
}

/// The last words of a connection, and its end.
async fn finish(
    house: &House,
    shared: &Arc<Shared>,
    (connection, end): (Option<Connection>, End),
    writer: tokio::task::JoinHandle<io::Result<()>>,
) {
    if let Some(connection) = &connection {
        connection.entrance.close();
        connection.leave(&end);
    }
    if let End::Fault(fault) = &end {
        house.connections.faulted.fetch_add(1, Ordering::Relaxed);
        let name = shared.name.get().map_or("", String::as_str);
        tracing::warn!(name, source = %shared.source, error = %fault, "a connection is ended");
    }
    last_words(shared, &end);
    let abort = writer.abort_handle();
    let clock = &house.clock;
    if clock.timeout(LAST_WORDS_TIMEOUT, writer).await.is_none() {
        abort.abort();
    }
    house.connections.remove(shared);
}

async fn write_all(shared: Arc<Shared>, mut socket: WriteHalf<Socket>) -> io::Result<()> {
    let result = outgoing::write(&shared.outgoing, &mut socket).await;
    // Nobody reads any more: what comes in is of no use either.
    shared.end_now();
    result
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("source", &self.shared.source)
            .finish_non_exhaustive()
    }
}
