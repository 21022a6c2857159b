//! One connection: from the first byte to the last.
//!
//! The invariant: whatever the peer sends, only this connection ends, with an error that says why; and
//! nothing is published, subscribed or asked that its rights don't allow.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use interprocess::local_socket::tokio::Stream as Socket;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::Notify;

use super::super::access::{Denied, Rights};
use super::super::reader::{FrameReader, Piece};
use super::super::{NAME_BYTES_MAX, Peer, bounded};
use super::ingress::Entrance;
use super::outgoing::{self, Outgoing};
use super::{ConnectionStatus, House, Refusal};
use crate::count::DropReason;
use crate::pubsub::PublisherId;
use crate::topic::Topic;
use crate::wire::{
    CheckedTable, ErrorFrame, FRAME_BYTES_MAX, FrameError, FrameType, Goodbye, Hello,
    LARGE_FRAME_BYTES, PUBLISH_BYTES_MAX, Ping, Pong, PublishError, PublishFrame, Reply, Request,
    RunBuilder, Subscribe, Unsubscribe, VERSION, Welcome, WireBatch, control_frame, decode_header,
    frame_with_payload,
};

mod subscription;

/// How long a peer may take for its first word: who connects and says nothing holds a place.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last answers may take to go out.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// Questions of one connection that may be open.
const REQUESTS_MAX: u32 = 16;

/// What is read of one connection before the others have their turn.
const TURN_BYTES: usize = 64 << 10;

/// A question waits at most so long, whatever it says.
const REQUEST_DEADLINE_MAX: Duration = Duration::from_secs(60);

/// What others may know of a connection.
#[derive(Debug)]
pub(super) struct Shared {
    outgoing: Outgoing,
    source: Arc<str>,
    rights: Rights,
    since: Instant,
    name: OnceLock<String>,
    entrance: OnceLock<EntranceBox>,
    refused_rows: AtomicU64,
    /// Counts what was read, so that silence is seen.
    reads: AtomicU64,
    reads_at_beat: AtomicU64,
    silent_beats: AtomicU32,
    pings: AtomicU64,
    requests: AtomicU32,
    leaving: AtomicBool,
    end: Notify,
}

struct EntranceBox(Arc<dyn Entrance>);

impl std::fmt::Debug for EntranceBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entrance")
    }
}

impl Shared {
    pub(super) fn status(&self) -> ConnectionStatus {
        let entrance = self.entrance.get();
        ConnectionStatus {
            name: self.name.get().cloned().unwrap_or_default(),
            source: self.source.as_ref().to_owned(),
            rules: self.rights.rules().to_vec(),
            subscriptions: self.outgoing.names(),
            seconds: self.since.elapsed().as_secs_f64(),
            published: entrance
                .map(|entrance| entrance.0.counts())
                .unwrap_or_default(),
            refused_rows: self.refused_rows.load(Ordering::Relaxed),
        }
    }

    /// What is queued goes out, then the connection ends.
    pub(super) fn say_goodbye(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.end.notify_one();
    }

    /// A heartbeat: a ping, or the end where nothing has been heard for too long.
    pub(super) fn beat(&self, silent_beats_max: u32) {
        // Nothing comes before the welcome; who says no hello has a limit of its own.
        if self.name.get().is_none() {
            return;
        }
        let reads = self.reads.load(Ordering::Relaxed);
        if self.reads_at_beat.swap(reads, Ordering::Relaxed) == reads {
            if self.silent_beats.fetch_add(1, Ordering::Relaxed) >= silent_beats_max {
                tracing::info!(source = %self.source, "a connection is silent, and ended");
                self.end.notify_one();
                return;
            }
        } else {
            self.silent_beats.store(0, Ordering::Relaxed);
        }
        let id = self.pings.fetch_add(1, Ordering::Relaxed);
        self.answer(FrameType::Ping, &Ping { id });
    }

    /// Sends a frame without a payload. Who doesn't read the answers to what it sends is cut off: the
    /// alternative would be memory without a bound.
    fn answer<H: serde::Serialize>(&self, frame_type: FrameType, header: &H) {
        if let Ok(frame) = control_frame(frame_type, header)
            && !self.outgoing.answer(frame)
        {
            self.end.notify_one();
        }
    }
}

/// Why a connection ends that its peer didn't end.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("protocol version {asked}; this broker speaks {VERSION}")]
    Version { asked: u16 },
    #[error("a {found} frame {when}")]
    Order {
        found: &'static str,
        when: &'static str,
    },
    #[error("`{0}` is no name for a connection: 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ . -")]
    Name(String),
    #[error("no access rule is for {0}; ask for one in `bus.access`")]
    Nobody(String),
    #[error("{0} connections are open, no more are allowed (`bus.connections_max`)")]
    Full(usize),
    #[error("no hello within {} s", HELLO_TIMEOUT.as_secs())]
    NoHello,
    #[error("the stream ended within a frame")]
    Truncated,
}

impl Fault {
    const fn code(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Version { .. } => "version",
            Self::Order { .. } | Self::NoHello => "order",
            Self::Name(_) | Self::Truncated => "malformed",
            Self::Nobody(_) => "denied",
            Self::Full(_) => "limit",
        }
    }
}

/// How reading ended.
enum End {
    /// The peer ended it.
    Gone,
    /// It sent what it may not.
    Fault(Fault),
    /// This side ends it.
    Ours,
}

pub(super) struct Connection {
    house: Arc<House>,
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    publisher: PublisherId,
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
        let shared = Arc::new(Shared {
            outgoing: Outgoing::default(),
            source: Arc::clone(&source),
            rights: house.options.access.rights(&peer),
            since: Instant::now(),
            name: OnceLock::new(),
            entrance: OnceLock::new(),
            refused_rows: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            reads_at_beat: AtomicU64::new(0),
            silent_beats: AtomicU32::new(0),
            pings: AtomicU64::new(1),
            requests: AtomicU32::new(0),
            leaving: AtomicBool::new(false),
            end: Notify::new(),
        });
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
        let writer = tokio::spawn(write_all(Arc::clone(&shared), write));
        if let Some(fault) = refusal {
            house
                .connections
                .turned_away
                .fetch_add(1, Ordering::Relaxed);
            last_words(&shared, &End::Fault(fault));
            drop(tokio::time::timeout(LAST_WORDS_TIMEOUT, writer).await);
            return;
        }
        let publisher = PublisherId::unique();
        let entrance = house.ingress.open(&source, publisher);
        drop(shared.entrance.set(EntranceBox(Arc::clone(&entrance))));
        let mut connection = Self {
            runs: RunBuilder::new(source),
            table: CheckedTable::default(),
            house,
            shared,
            peer: Arc::new(peer),
            publisher,
            entrance,
            topic: None,
            refused: None,
        };
        let end = connection.read(&mut read).await;
        connection.finish(end, writer).await;
    }

    async fn finish(self, end: End, writer: tokio::task::JoinHandle<io::Result<()>>) {
        self.entrance.close();
        if let End::Fault(fault) = &end {
            self.house
                .connections
                .faulted
                .fetch_add(1, Ordering::Relaxed);
            let name = self.shared.name.get().map_or("", String::as_str);
            tracing::warn!(name, source = %self.shared.source, error = %fault, "a connection is ended");
        }
        last_words(&self.shared, &end);
        let abort = writer.abort_handle();
        if tokio::time::timeout(LAST_WORDS_TIMEOUT, writer)
            .await
            .is_err()
        {
            abort.abort();
        }
        self.house.connections.remove(&self.shared);
    }

    async fn read(&mut self, socket: &mut ReadHalf<Socket>) -> End {
        let mut reader = FrameReader::new();
        let hello = tokio::time::timeout(HELLO_TIMEOUT, self.greet(&mut reader, socket));
        match hello.await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return End::Gone,
            Ok(Err(fault)) => return End::Fault(fault),
            Err(_) => return End::Fault(Fault::NoHello),
        }
        let shared = Arc::clone(&self.shared);
        let mut ended = std::pin::pin!(shared.end.notified());
        let mut unyielded = 0;
        loop {
            match self.take_all(&mut reader).await {
                Ok(true) => {}
                Ok(false) => return End::Gone,
                Err(fault) => return End::Fault(fault),
            }
            // Who sends without a pause must not keep the others from their turn; who sends little ends
            // up waiting by itself, a system call sooner.
            if unyielded >= TURN_BYTES {
                unyielded = 0;
                tokio::task::yield_now().await;
            }
            let filled = tokio::select! {
                biased;
                () = &mut ended => return End::Ours,
                filled = reader.fill(socket) => filled,
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

    /// The first frame; false where the peer left without one.
    async fn greet(
        &mut self,
        reader: &mut FrameReader,
        socket: &mut ReadHalf<Socket>,
    ) -> Result<bool, Fault> {
        let hello: Hello = loop {
            if let Some(piece) = reader.next()? {
                let frame_type = piece.prefix().frame_type;
                if frame_type != FrameType::Hello {
                    return Err(Fault::Order {
                        found: frame_type.as_str(),
                        when: "before hello",
                    });
                }
                break decode_header(frame_type, piece.header())?;
            }
            match reader.fill(socket).await {
                Ok(0) | Err(_) if reader.is_within_a_frame() => return Err(Fault::Truncated),
                Ok(0) | Err(_) => return Ok(false),
                Ok(_) => {}
            }
        };
        if hello.version != VERSION {
            return Err(Fault::Version {
                asked: hello.version,
            });
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !(1..=NAME_BYTES_MAX).contains(&hello.name.len()) || !hello.name.bytes().all(is_name) {
            return Err(Fault::Name(bounded(&hello.name.escape_debug().to_string())));
        }
        drop(self.shared.name.set(hello.name));
        let options = &self.house.options;
        let welcome = Welcome {
            version: VERSION,
            component: options.component.clone(),
            source: self.shared.source.as_ref().to_owned(),
            incarnation: self.house.incarnation,
            heartbeat_ms: u32::try_from(options.heartbeat.as_millis()).unwrap_or(u32::MAX),
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
            capabilities: self.house.responder.capabilities(),
        };
        self.shared.answer(FrameType::Welcome, &welcome);
        Ok(true)
    }

    /// Handles every whole frame that has been read; false where the peer says goodbye.
    async fn take_all(&mut self, reader: &mut FrameReader) -> Result<bool, Fault> {
        while let Some(piece) = reader.next()? {
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
                return Ok(false);
            }
        }
        self.enter_open().await;
        Ok(true)
    }

    async fn enter_open(&mut self) {
        if let Some(batch) = self.runs.finish() {
            self.enter(batch).await;
        }
        self.tell_refused();
    }

    async fn enter(&mut self, batch: WireBatch) {
        let topic = batch.header().topic.clone();
        if let Err(error) = self.entrance.enter(batch).await {
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
                let asked: Subscribe = decode_header(frame_type, header)?;
                subscription::subscribe(self, &asked);
            }
            FrameType::Unsubscribe => {
                let Unsubscribe { id } = decode_header(frame_type, header)?;
                // One that isn't there may have been refused a moment ago: nothing to complain about.
                let _was_there = self.shared.outgoing.unsubscribe(id);
            }
            FrameType::Request => {
                let request: Request = decode_header(frame_type, header)?;
                self.request(&request, piece.payload());
            }
            FrameType::Ping => {
                let Ping { id } = decode_header(frame_type, header)?;
                self.pong(id);
            }
            // That something came is all that it says, until there is resuming.
            FrameType::Pong => {}
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
        self.shared.answer(
            FrameType::Pong,
            &Pong {
                id,
                published_rows: counts.produced,
                published_batches: counts.batches,
                refused_rows: self.shared.refused_rows.load(Ordering::Relaxed),
                position: 0,
            },
        );
    }

    fn request(&self, request: &Request, body: &[u8]) {
        let shared = Arc::clone(&self.shared);
        let id = request.id;
        let topic = match self.may_ask(&request.topic) {
            Ok(topic) => topic,
            Err(refusal) => return reply(&shared, id, Err(refusal)),
        };
        if shared.requests.fetch_add(1, Ordering::Relaxed) >= REQUESTS_MAX {
            shared.requests.fetch_sub(1, Ordering::Relaxed);
            let message =
                format!("{REQUESTS_MAX} requests are open on this connection; wait for one");
            let code = "limit";
            return reply(&shared, id, Err(Refusal { code, message }));
        }
        let asked = Duration::from_millis(request.deadline_ms.into());
        let deadline = asked.min(REQUEST_DEADLINE_MAX);
        let body = trimmed(body).to_vec();
        let responder = Arc::clone(&self.house.responder);
        let peer = Arc::clone(&self.peer);
        tokio::spawn(async move {
            let answer = responder.respond(&topic, &body, &peer);
            let answer = tokio::time::timeout(deadline, answer)
                .await
                .unwrap_or_else(|_| {
                    let message = format!("no answer within {} ms", deadline.as_millis());
                    let code = "deadline";
                    Err(Refusal { code, message })
                });
            shared.requests.fetch_sub(1, Ordering::Relaxed);
            reply(&shared, id, answer);
        });
    }

    fn may_ask(&self, topic: &str) -> Result<Topic, Refusal> {
        let topic = Topic::parse(topic).map_err(|error| Refusal {
            code: "invalid",
            message: error.to_string(),
        })?;
        self.shared
            .rights
            .check_publish(&topic)
            .map_err(|denied| Refusal {
                code: "denied",
                message: denied.to_string(),
            })?;
        Ok(topic)
    }
}

/// A body without the zeros that fill up its frame: no JSON text ends with one.
fn trimmed(body: &[u8]) -> &[u8] {
    let end = body
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    body.get(..end).unwrap_or_default()
}

fn reply(shared: &Shared, id: u32, answer: Result<Vec<u8>, Refusal>) {
    let (code, body) = match answer {
        Ok(body) => ("ok", body),
        Err(refusal) => {
            let text = serde_json::Value::from(bounded(&refusal.message));
            (refusal.code, text.to_string().into_bytes())
        }
    };
    let header = |code: &str| Reply {
        id,
        code: code.to_owned(),
    };
    let frame = frame_with_payload(FrameType::Reply, &header(code), &body);
    let frame = frame.or_else(|error| {
        let text = serde_json::Value::from(format!("the answer is {error}"));
        frame_with_payload(
            FrameType::Reply,
            &header("failed"),
            text.to_string().as_bytes(),
        )
    });
    if let Ok(frame) = frame
        && !shared.outgoing.answer(frame)
    {
        shared.end.notify_one();
    }
}

/// The error or the goodbye that a connection ends with.
fn last_words(shared: &Shared, end: &End) {
    match end {
        End::Gone => {}
        End::Ours => {
            let reason = if shared.leaving.load(Ordering::Relaxed) {
                "the broker ends"
            } else {
                "nothing was heard of the client, or it doesn't read its answers"
            };
            let reason = reason.to_owned();
            shared.answer(FrameType::Goodbye, &Goodbye { reason });
        }
        End::Fault(fault) => shared.answer(
            FrameType::Error,
            &ErrorFrame {
                code: fault.code().to_owned(),
                message: bounded(&fault.to_string()),
                fatal: true,
                topic: None,
                rule: matches!(fault, Fault::Nobody(_)).then(|| "none".to_owned()),
                id: None,
                rows: 0,
            },
        ),
    }
    if shared.leaving.load(Ordering::Relaxed) {
        shared.outgoing.end_when_drained();
    } else {
        shared.outgoing.end();
    }
}

async fn write_all(shared: Arc<Shared>, mut socket: WriteHalf<Socket>) -> io::Result<()> {
    let result = outgoing::write(&shared.outgoing, &mut socket).await;
    // Nobody reads any more: what comes in is of no use either.
    shared.end.notify_one();
    result
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("source", &self.shared.source)
            .finish_non_exhaustive()
    }
}
