//! A bus that another process serves.
//!
//! One thread and one connection for each client; it connects again by itself, and subscribes again.
//! After a loss it goes on where it was, with what it reads and with what it publishes, if the same broker
//! is still there. The invariants: publishing never waits for a connection, and nothing that was accepted
//! is lost without being counted; a missing broker is told once an outage, and breaks nobody.

mod link;
mod state;
mod told;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

pub use told::{ClientStatus, Flushed, Refused};

use super::address::{AddressError, check_length};
use crate::batch::Batch;
use crate::count::DropReason;
use crate::pubsub::{
    BUS_BYTES_MAX, BusStatistics, EventBus, PublishError, PublisherId, Receipt, SubscribeError,
    Subscriber, SubscriptionId, SubscriptionOptions,
};
use crate::topic::Topic;
use crate::wire::{
    EncodeError, FrameType, Ping, Pong, Request, Stamp, control_frame, frame_with_payload,
};
use state::{Outgoing, Shared};

/// Publishes that wait for the connection at most.
const BUFFER_BATCHES_MAX: usize = 1_024;

/// The bytes of them.
const BUFFER_BYTES_MAX: usize = 16 << 20;

/// How long a caller waits for the answer to a subscription, where it waits on its thread.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a client connects.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The broker's socket.
    pub socket: PathBuf,
    /// How the client is shown: 1 to 64 of `A-Za-z0-9_.-`.
    pub name: String,
    /// The pause before the second attempt to connect; it doubles with each.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// Publishes that wait for the connection.
    pub buffer_batches_max: usize,
    /// The bytes of them.
    pub buffer_bytes_max: usize,
    /// Bytes that the queues of all its subscriptions keep alive together.
    pub queues_bytes_max: u64,
}

impl ClientOptions {
    /// The defaults, for this socket.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            socket: socket.into(),
            name: name.into(),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            buffer_batches_max: BUFFER_BATCHES_MAX,
            buffer_bytes_max: BUFFER_BYTES_MAX,
            queues_bytes_max: BUS_BYTES_MAX,
        }
    }
}

/// What can go wrong for a client.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// No socket can have that path, or the system refuses a thread.
    #[error("{0}")]
    Open(String),
    /// There is no broker.
    #[error("{socket}: {problem}")]
    Disconnected {
        /// The socket.
        socket: String,
        /// What happened.
        problem: String,
    },
    /// The broker refuses it.
    #[error("{0}")]
    Refused(Refused),
    /// The batch can't be sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The subscription makes no sense.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// It is closed.
    #[error("the client is closed")]
    Closed,
    /// The broker didn't answer in time.
    #[error("no answer to `{topic}` within {} ms", deadline.as_millis())]
    Deadline {
        /// What was asked.
        topic: String,
        /// How long it was waited for.
        deadline: Duration,
    },
}

/// A client of a broker. Dropping it ends the connection at once; [`EventBus::close`] sends first what
/// waits.
pub struct BrokerClient {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl BrokerClient {
    /// Begins to connect; doesn't wait for it.
    ///
    /// # Errors
    /// If no socket can have that path, or the system refuses a thread.
    pub fn open(options: ClientOptions) -> Result<Self, ClientError> {
        check_length(&options.socket)
            .map_err(|error: AddressError| ClientError::Open(error.to_string()))?;
        let shared = Shared::new(options);
        let link = Arc::clone(&shared);
        let refused =
            |error: std::io::Error| ClientError::Open(format!("the client's thread: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(refused)?;
        let thread = std::thread::Builder::new()
            .name("weir-client".to_owned())
            .spawn(move || runtime.block_on(link::run(&link)))
            .map_err(refused)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Connects, and waits until the broker has said welcome.
    ///
    /// # Errors
    /// If the first attempt fails: there is no broker, or it refuses this client.
    pub async fn connect(options: ClientOptions) -> Result<Self, ClientError> {
        let client = Self::open(options)?;
        client.connected().await?;
        Ok(client)
    }

    /// Waits until the client is connected, or an attempt has failed.
    ///
    /// # Errors
    /// If the attempt under way, or the last one, failed.
    pub async fn connected(&self) -> Result<(), ClientError> {
        loop {
            let changed = self.shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(result) = self.shared.connection() {
                return result;
            }
            changed.await;
        }
    }

    /// What the client did so far.
    #[must_use]
    pub fn status(&self) -> ClientStatus {
        self.shared.status()
    }

    /// Publishes, and waits for room in the buffer where the broker is slower than the caller.
    ///
    /// # Errors
    /// If the batch is too large, or there is neither room nor a connection: then it is dropped, and
    /// counted.
    pub async fn send(&self, batch: &Batch) -> Result<(), ClientError> {
        let mut frames = Vec::with_capacity(1);
        batch.encode_into(Stamp::Broker, &mut frames)?;
        let mut rows = batch.rows() as u64;
        for frame in frames {
            let mut waiting = Some(Outgoing::publish(frame, std::mem::take(&mut rows)));
            while let Some(outgoing) = waiting.take() {
                let room = self.shared.room.notified();
                let mut room = std::pin::pin!(room);
                room.as_mut().enable();
                match self.shared.offer(outgoing)? {
                    None => {}
                    Some(outgoing) if self.shared.is_up() => {
                        waiting = Some(outgoing);
                        room.await;
                    }
                    Some(outgoing) => {
                        self.shared.drop_publish(&outgoing);
                        return Err(self.shared.disconnected());
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until the broker has taken everything that was published before, and says what of it was
    /// refused.
    ///
    /// # Errors
    /// If the connection ends before.
    pub async fn flush(&self) -> Result<Flushed, ClientError> {
        let (sender, receiver) = oneshot::channel::<Pong>();
        let id = self.shared.ask_pong(sender);
        let frame = control_frame(FrameType::Ping, &Ping { id });
        self.shared
            .push_control(frame.map_err(EncodeError::from)?)?;
        let pong = receiver.await.map_err(|_| self.shared.disconnected())?;
        Ok(self.shared.flushed(pong))
    }

    /// Subscribes, and waits until the broker has agreed.
    ///
    /// # Errors
    /// If it refuses, or there is no connection.
    pub async fn open_subscription(
        &self,
        options: SubscriptionOptions,
    ) -> Result<Subscriber, ClientError> {
        let name = options.name().to_owned();
        let (subscriber, answer) = self.shared.subscribe(options)?;
        if !self.shared.is_up() {
            return Err(self.shared.disconnected());
        }
        match answer.await {
            Ok(Ok(())) => Ok(subscriber),
            Ok(Err(refused)) => Err(ClientError::Subscribe(refused.of_subscription(name))),
            Err(_) => Err(self.shared.disconnected()),
        }
    }

    /// Asks the broker's process, and waits for the answer: a JSON text.
    ///
    /// # Errors
    /// If it refuses, doesn't answer in time, or the connection ends.
    pub async fn request(
        &self,
        topic: &Topic,
        body: &[u8],
        deadline: Duration,
    ) -> Result<Bytes, ClientError> {
        let (sender, receiver) = oneshot::channel();
        let id = self.shared.ask_reply(sender);
        let request = Request {
            id,
            topic: topic.as_str().to_owned(),
            deadline_ms: u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX),
        };
        let frame = frame_with_payload(FrameType::Request, &request, body);
        self.shared
            .push_control(frame.map_err(EncodeError::from)?)?;
        // The broker keeps the deadline too; a little later this side gives up by itself.
        match tokio::time::timeout(deadline + deadline / 4, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.shared.disconnected()),
            Err(_) => Err(ClientError::Deadline {
                topic: topic.as_str().to_owned(),
                deadline,
            }),
        }
    }
}

/// Counts are this side's: what was accepted here, and what has arrived here.
impl EventBus for BrokerClient {
    /// Puts the batch into the buffer; never waits. What finds no room is dropped, and counted. The
    /// receipt says nothing: nobody knows yet.
    fn publish(&self, _from: PublisherId, batch: Arc<Batch>) -> Result<Receipt, PublishError> {
        self.shared.publish(&batch)
    }

    /// Waits for the broker's answer, at most 5 s, where there is a connection; else the subscription
    /// begins when there is one.
    fn subscribe(&self, options: SubscriptionOptions) -> Result<Subscriber, SubscribeError> {
        let name = options.name().to_owned();
        let (subscriber, mut answer) = self.shared.subscribe(options)?;
        let since = std::time::Instant::now();
        while self.shared.is_up() && since.elapsed() < SUBSCRIBE_TIMEOUT {
            match answer.try_recv() {
                Ok(Ok(())) => break,
                Ok(Err(refused)) => return Err(refused.of_subscription(name)),
                Err(oneshot::error::TryRecvError::Closed) => break,
                Err(oneshot::error::TryRecvError::Empty) => std::thread::sleep(ANSWER_LOOK),
            }
        }
        Ok(subscriber)
    }

    fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.shared.unsubscribe_by_id(id)
    }

    fn statistics(&self) -> BusStatistics {
        self.shared.statistics()
    }

    fn close(&self) {
        self.shared.begin_close();
    }
}

/// How often a thread that waits for the broker's answer looks.
const ANSWER_LOOK: Duration = Duration::from_micros(200);

impl Drop for BrokerClient {
    fn drop(&mut self) {
        self.shared.end();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl fmt::Debug for BrokerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerClient")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// Why a publish without room is dropped, with and without a connection.
const fn drop_reason(is_up: bool) -> DropReason {
    if is_up {
        DropReason::QueueFull
    } else {
        DropReason::Disconnected
    }
}

/// Wakes whoever waits for anything.
fn wake_all(notify: &Notify) {
    notify.notify_waiters();
    notify.notify_one();
}
