//! The connection of a client: opened, kept, opened again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use interprocess::local_socket::tokio::Stream as Socket;
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ToFsName as _};
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::super::reader::{FrameReader, Piece};
use super::super::{SILENT_BEATS_MAX, random};
use super::ClientError;
use super::Refused;
use super::state::{Part, Shared};
use crate::count::DropReason;
use crate::pubsub::{Gap, Incarnation, Incarnations, Offered};
use crate::wire::{
    Deliver, DeliverMore, ErrorFrame, FrameError, FrameType, GapFrame, GapMore, Goodbye, Hello,
    HelloMore, Ping, Pong, PublishError, Reply, Subscribed, VERSION, Welcome, WelcomeMore,
    WireBatch, control_frame, decode_header, decode_with_more,
};

/// How long a broker may take for its welcome.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);

/// What is gathered for one write.
const WRITE_BYTES: usize = 256 << 10;

/// Keeps a client connected until it is closed.
pub(super) async fn run(shared: &Arc<Shared>) {
    let mut backoff = shared.options.backoff_min;
    while !shared.has_ended() {
        let problem = match connect(shared).await {
            Ok((reader, read, write, welcome)) => {
                backoff = shared.options.backoff_min;
                let problem = converse(shared, reader, read, write, welcome).await;
                match problem {
                    None => break,
                    Some(problem) => problem,
                }
            }
            Err(problem) => problem,
        };
        shared.down(&problem);
        let pause = jittered(backoff);
        backoff = backoff.saturating_mul(2).min(shared.options.backoff_max);
        let woken = async {
            while !shared.has_ended() {
                shared.work.notified().await;
            }
        };
        drop(tokio::time::timeout(pause, woken).await);
    }
    shared.over();
}

/// Half of it to all of it: clients that lost one broker together don't come back together.
fn jittered(pause: Duration) -> Duration {
    let part = (random() % 1_000) as u32;
    pause / 2 + pause / 2 * part / 1_000
}

type Greeted = (Welcome, WelcomeMore);

type Halves = (FrameReader, ReadHalf<Socket>, WriteHalf<Socket>, Greeted);

async fn connect(shared: &Shared) -> Result<Halves, ClientError> {
    let socket = &shared.options.socket;
    let failed = |problem: String| ClientError::Disconnected {
        socket: socket.display().to_string(),
        problem,
    };
    let name = socket
        .as_path()
        .to_fs_name::<GenericFilePath>()
        .map_err(|error| failed(error.to_string()))?;
    let stream = Socket::connect(name)
        .await
        .map_err(|error| failed(no_broker(&error)))?;
    let (mut read, mut write) = tokio::io::split(stream);
    let hello = Hello {
        version: VERSION,
        name: shared.options.name.clone(),
    };
    let more = HelloMore {
        resume: shared.session(),
    };
    let hello = control_frame(FrameType::Hello, &(hello, more));
    let hello = hello.map_err(|error| failed(error.to_string()))?;
    let mut reader = FrameReader::new();
    let greeting = async {
        // A broker that turns us away may close before it has read this: what it said still stands.
        let written = write.write_all(&hello).await;
        loop {
            if let Some(piece) = reader.next().map_err(|error| failed(error.to_string()))? {
                return greeted(&piece).map_err(|error| match error {
                    Greeting::Refused(refused) => ClientError::Refused(refused),
                    Greeting::Broken(problem) => failed(problem),
                });
            }
            match reader.fill(&mut read).await {
                Ok(0) => {
                    let problem = written.as_ref().err().map_or_else(
                        || "the broker ended the connection without a word".to_owned(),
                        ToString::to_string,
                    );
                    return Err(failed(problem));
                }
                Ok(_) => {}
                Err(error) => return Err(failed(error.to_string())),
            }
        }
    };
    let welcome = tokio::time::timeout(WELCOME_TIMEOUT, greeting).await;
    let silent = || failed(format!("no welcome within {} s", WELCOME_TIMEOUT.as_secs()));
    let welcome = welcome.map_err(|_| silent())??;
    Ok((reader, read, write, welcome))
}

fn no_broker(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no socket: is `weir run` or `weir bus` running?".to_owned(),
        io::ErrorKind::ConnectionRefused => {
            "nobody serves this socket: is `weir run` or `weir bus` running?".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not connect; it must be the daemon's user, or in the group of `bus.group`"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

enum Greeting {
    Refused(Refused),
    Broken(String),
}

fn greeted(piece: &Piece<'_>) -> Result<Greeted, Greeting> {
    let frame_type = piece.prefix().frame_type;
    let broken = |error: FrameError| Greeting::Broken(error.to_string());
    match frame_type {
        FrameType::Welcome => decode_with_more(frame_type, piece.header()).map_err(broken),
        FrameType::Error => {
            let error: ErrorFrame = decode_header(frame_type, piece.header()).map_err(broken)?;
            Err(Greeting::Refused(error.into()))
        }
        other => Err(Greeting::Broken(format!(
            "a {} frame instead of a welcome",
            other.as_str()
        ))),
    }
}

/// Speaks until the connection ends; none where this side wanted it.
async fn converse(
    shared: &Arc<Shared>,
    reader: FrameReader,
    read: ReadHalf<Socket>,
    mut write: WriteHalf<Socket>,
    (welcome, more): Greeted,
) -> Option<ClientError> {
    let beat = Duration::from_millis(welcome.heartbeat_ms.max(1).into());
    let again = shared.up(welcome, more);
    let reading = Reading {
        shared,
        reader,
        read,
        silence_max: beat.saturating_mul(SILENT_BEATS_MAX + 1),
        source: Arc::from(""),
    };
    tokio::select! {
        problem = reading.run() => Some(problem),
        () = send(shared, &mut write, again) => None,
    }
}

/// Writes what waits, until all is sent and the client is closed. Where the broker takes nothing more,
/// that is left for the reader to see: what the broker sent before it went is still to be read.
async fn send(shared: &Shared, write: &mut WriteHalf<Socket>, first: Vec<Bytes>) {
    let mut buffer: Vec<u8> = first.concat();
    loop {
        if !buffer.is_empty()
            && let Err(error) = write.write_all(&buffer).await
        {
            tracing::debug!(%error, "the broker takes nothing more");
            return std::future::pending().await;
        }
        buffer.clear();
        match shared.take_frames(WRITE_BYTES, &mut buffer) {
            Ok(()) if buffer.is_empty() => shared.work.notified().await,
            Ok(()) => {}
            Err(()) => {
                let reason = "the client closes".to_owned();
                if let Ok(goodbye) = control_frame(FrameType::Goodbye, &Goodbye { reason }) {
                    drop(write.write_all(&goodbye).await);
                }
                drop(write.shutdown().await);
                return;
            }
        }
    }
}

struct Reading<'a> {
    shared: &'a Arc<Shared>,
    reader: FrameReader,
    read: ReadHalf<Socket>,
    silence_max: Duration,
    /// Of the last delivery: most come from the same.
    source: Arc<str>,
}

/// What a broker sends that isn't what it should be.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the broker ends the connection: {0}")]
    Ended(String),
    #[error("a {0} frame from a broker")]
    Order(&'static str),
}

impl Reading<'_> {
    async fn run(mut self) -> ClientError {
        let failed = |shared: &Shared, problem: String| ClientError::Disconnected {
            socket: shared.options.socket.display().to_string(),
            problem,
        };
        loop {
            if let Err(broken) = self.take_all().await {
                return match broken {
                    TakeError::Refused(refused) => ClientError::Refused(refused),
                    TakeError::Broken(broken) => failed(self.shared, broken.to_string()),
                };
            }
            let filled = tokio::time::timeout(self.silence_max, self.reader.fill(&mut self.read));
            let problem = match filled.await {
                Ok(Ok(0)) => "the broker has gone".to_owned(),
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!(
                    "the broker is silent for {} ms",
                    self.silence_max.as_millis()
                ),
            };
            return failed(self.shared, problem);
        }
    }

    async fn take_all(&mut self) -> Result<(), TakeError> {
        while let Some(piece) = self.reader.next().map_err(Broken::from)? {
            if piece.prefix().frame_type == FrameType::Deliver {
                let delivered = deliver(self.shared, &mut self.source, &piece)?;
                self.shared.tell_slow();
                if let Some(waiting) = delivered {
                    // Nothing more is read until there is room: the broker's queue takes over.
                    drop(tokio::task::spawn_blocking(waiting).await);
                }
            } else {
                control(self.shared, &piece)?;
            }
        }
        Ok(())
    }
}

enum TakeError {
    Refused(Refused),
    Broken(Broken),
}

impl<E: Into<Broken>> From<E> for TakeError {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

/// Puts a delivery into its queue; gives what has to be waited for.
fn deliver(
    shared: &Shared,
    source: &mut Arc<str>,
    piece: &Piece<'_>,
) -> Result<Option<impl FnOnce() + Send + 'static + use<>>, Broken> {
    let (header, DeliverMore { more }): (Deliver<'_>, _) =
        decode_with_more(FrameType::Deliver, piece.header())?;
    if **source != *header.source {
        *source = Arc::from(header.source);
    }
    let position = header.position;
    let frames = match piece {
        Piece::Alone(prefix, bytes) => bytes.slice(prefix.payload_offset()..),
        Piece::Shared(..) => Bytes::copy_from_slice(piece.payload()),
    };
    let wire = WireBatch::of_frames(source, &frames)?;
    let part = if more {
        let rows = wire.rows() as u64;
        Part::OfMore { rows }
    } else {
        Part::Last
    };
    let Some(queue) = shared.arrived(header.id, position, part) else {
        return Ok(None);
    };
    match wire.decode() {
        Ok(batch) => match queue.offer_or_return(position, Arc::new(batch)) {
            Offered::Done => Ok(None),
            Offered::Full(batch) => Ok(Some(move || {
                // Counted by the queue, whatever comes of it.
                let _pushed = queue.push(position, batch);
            })),
        },
        Err(error) => {
            tracing::warn!(topic = %wire.header().topic, %error, "a batch from the broker is dropped");
            let rows = wire.rows() as u64;
            queue.push_gap(Gap::of(position, rows, DropReason::Invalid));
            Ok(None)
        }
    }
}

fn control(shared: &Shared, piece: &Piece<'_>) -> Result<(), TakeError> {
    let frame_type = piece.prefix().frame_type;
    let header = piece.header();
    match frame_type {
        FrameType::Subscribed => {
            let Subscribed { id } = decode_header(frame_type, header).map_err(Broken::from)?;
            shared.subscribed(id);
        }
        FrameType::Gap => {
            let (gap, more): (GapFrame, GapMore) =
                decode_with_more(frame_type, header).map_err(Broken::from)?;
            if let Some(queue) = shared.arrived(gap.id, gap.to, Part::Last) {
                queue.push_gap(Gap {
                    missed: gap.missed,
                    reason: gap.reason.parse().unwrap_or(DropReason::QueueFull),
                    from: gap.from,
                    to: gap.to,
                    incarnations: more.incarnations.map(|(old, new)| Incarnations {
                        old: Incarnation(old),
                        new: Incarnation(new),
                    }),
                });
            }
        }
        FrameType::Reply => {
            let Reply { id, code } = decode_header(frame_type, header).map_err(Broken::from)?;
            let body = piece.payload();
            let end = body
                .iter()
                .rposition(|&byte| byte != 0)
                .map_or(0, |last| last + 1);
            let body = body.get(..end).unwrap_or_default();
            shared.replied(id, answer(code, body));
        }
        FrameType::Ping => {
            let Ping { id } = decode_header(frame_type, header).map_err(Broken::from)?;
            let pong = Pong {
                id,
                position: shared.position(),
                ..Pong::default()
            };
            if let Ok(frame) = control_frame(FrameType::Pong, &pong) {
                drop(shared.push_control(frame));
            }
        }
        FrameType::Pong => {
            let (pong, more) = decode_with_more(frame_type, header).map_err(Broken::from)?;
            shared.ponged(pong, more);
        }
        FrameType::Error => {
            let error: ErrorFrame = decode_header(frame_type, header).map_err(Broken::from)?;
            if error.fatal {
                return Err(TakeError::Refused(error.into()));
            }
            shared.refused(error);
        }
        FrameType::Goodbye => {
            let Goodbye { reason } = decode_header(frame_type, header).map_err(Broken::from)?;
            return Err(TakeError::Broken(Broken::Ended(reason)));
        }
        other => return Err(TakeError::Broken(Broken::Order(other.as_str()))),
    }
    Ok(())
}

fn answer(code: String, body: &[u8]) -> Result<Bytes, ClientError> {
    if code == "ok" {
        return Ok(Bytes::copy_from_slice(body));
    }
    let message = serde_json::from_slice(body).unwrap_or_else(|_| code.clone());
    Err(ClientError::Refused(Refused {
        code,
        message,
        topic: None,
        rule: None,
        rows: 0,
    }))
}
