//! The broker: serves a bus to other processes over a local socket.
//!
//! One thread for all connections: reading, checking, matching and writing of a frame take turns on it,
//! so that a frame costs no wake-up of another thread. What waits — for room, for an answer — waits as a
//! task, and only its own connection waits with it.

mod clock;
mod connection;
mod control;
mod ingress;
mod outgoing;
mod sessions;
mod turn;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::traits::tokio::Listener as _;
use serde::Serialize;
use tokio::sync::Notify;

pub use control::{Refusal, Responder};
pub use ingress::{Direct, EnterError, Entered, Entrance, Ingress};
pub use sessions::AwayStatus;

use super::access::Access;
use super::address::{Address, AddressError};
use super::{CONNECTIONS_MAX, HEARTBEAT, random};
use crate::batch::SourceCounts;
use crate::pubsub::{LocalBus, QueueLimits, RingLimits};
use clock::Clock;
use connection::{Connection, Shared};
use sessions::{AWAY_MAX, Sessions};

/// How a broker serves.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// The socket.
    pub socket: PathBuf,
    /// The group that may connect, besides the own user.
    pub group: Option<u32>,
    /// Who may do what.
    pub access: Access,
    /// Connections at most.
    pub connections_max: usize,
    /// How often it pings.
    pub heartbeat: Duration,
    /// What it is called.
    pub component: String,
    /// A subscription's queue, where it asks for no less.
    pub queue_limits: QueueLimits,
    /// What is kept for clients that lose their connection and come back.
    pub ring: RingLimits,
}

impl BrokerOptions {
    /// The defaults, on this socket.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            group: None,
            access: Access::new(Vec::new(), None),
            connections_max: CONNECTIONS_MAX,
            heartbeat: HEARTBEAT,
            component: "weir".to_owned(),
            queue_limits: QueueLimits::default(),
            ring: RingLimits::default(),
        }
    }
}

/// A connection, as the status shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionStatus {
    /// What it calls itself.
    pub name: String,
    /// What its batches are said to come from.
    pub source: String,
    /// The access rules that are for it.
    pub rules: Vec<String>,
    /// Its subscriptions, by name.
    pub subscriptions: Vec<String>,
    /// Since when, in seconds.
    pub seconds: f64,
    /// What it published, and what became of it.
    pub published: SourceCounts,
    /// Rows that the rules or the limits refused; they are in no other count.
    pub refused_rows: u64,
}

/// A broker, as the status shows it.
#[derive(Debug, Clone, Serialize)]
pub struct BrokerStatus {
    /// The socket.
    pub socket: PathBuf,
    /// Its connections, in the order in which they came.
    pub connections: Vec<ConnectionStatus>,
    /// Clients that lost their connection, and may come back.
    pub away: Vec<AwayStatus>,
    /// Connections that it ended because of what they sent, or didn't read.
    pub faulted: u64,
    /// Connections that it didn't take: too many, or without any right.
    pub turned_away: u64,
}

/// The connections of a broker; can be asked from any thread.
#[derive(Debug, Default)]
struct Connections {
    list: Mutex<Vec<Arc<Shared>>>,
    sessions: Sessions,
    faulted: AtomicU32,
    turned_away: AtomicU32,
    closing: Notify,
}

impl Connections {
    fn list(&self) -> MutexGuard<'_, Vec<Arc<Shared>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, gone: &Arc<Shared>) {
        self.list().retain(|one| !Arc::ptr_eq(one, gone));
    }
}

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The socket.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The system refuses what the broker's thread needs.
    #[error("the broker's thread: {0}")]
    Thread(std::io::Error),
}

/// A socket that is held, and not yet served: who connects waits.
pub struct BoundBroker {
    options: BrokerOptions,
    address: Address,
    listener: Listener,
    runtime: tokio::runtime::Runtime,
    connections: Arc<Connections>,
}

/// Tells what a broker does, from any thread, also before it serves.
#[derive(Debug, Clone)]
pub struct BrokerView {
    socket: PathBuf,
    connections: Arc<Connections>,
}

impl BrokerView {
    /// Its connections, with their counts.
    #[must_use]
    pub fn status(&self) -> BrokerStatus {
        let list = self.connections.list().clone();
        BrokerStatus {
            socket: self.socket.clone(),
            connections: list.iter().map(|one| one.status()).collect(),
            away: self.connections.sessions.status(),
            faulted: self.connections.faulted.load(Ordering::Relaxed).into(),
            turned_away: self.connections.turned_away.load(Ordering::Relaxed).into(),
        }
    }
}

/// A broker at work. Dropping it ends it at once; [`Broker::close`] lets what is queued go out.
pub struct Broker {
    view: BrokerView,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl BoundBroker {
    /// Takes the socket, so that nobody else serves it.
    ///
    /// # Errors
    /// If another process holds it, or the system refuses.
    pub fn bind(options: BrokerOptions) -> Result<Self, BindError> {
        // No timers: each wait would look at the clock and at them. They have a thread of their own.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(BindError::Thread)?;
        let entered = runtime.enter();
        let (address, listener) = Address::listen(&options.socket, options.group)?;
        drop(entered);
        Ok(Self {
            options,
            address,
            listener,
            runtime,
            connections: Arc::default(),
        })
    }

    /// What will tell what the broker does.
    #[must_use]
    pub fn view(&self) -> BrokerView {
        BrokerView {
            socket: self.address.path().to_owned(),
            connections: Arc::clone(&self.connections),
        }
    }

    /// Serves a bus.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn serve(
        self,
        bus: Arc<LocalBus>,
        ingress: Arc<dyn Ingress>,
        responder: Arc<dyn Responder>,
    ) -> Result<Broker, BindError> {
        let view = self.view();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let ring = self.options.ring;
        bus.keep(ring);
        let (connections, heartbeat) = (Arc::clone(&self.connections), self.options.heartbeat);
        let away_max = AWAY_MAX.max(ring.age_max);
        let clock = Clock::start(connections, Arc::clone(&bus), heartbeat, away_max)
            .map_err(BindError::Thread)?;
        let house = Arc::new(House {
            bus,
            ingress,
            responder,
            incarnation: u128::from(random()) << 64 | u128::from(random()),
            options: self.options,
            connections: self.connections,
            clock,
        });
        let (address, listener, runtime) = (self.address, self.listener, self.runtime);
        let thread = std::thread::Builder::new()
            .name("weir-broker".to_owned())
            .spawn(move || {
                runtime.block_on(serve(&house, &listener, &stopped));
                drop(address);
                drop(runtime);
                // Nobody comes back to this life of the broker.
                house.connections.list().clear();
                house.connections.sessions.clear();
                house.bus.keep(RingLimits::NONE);
            })
            .map_err(BindError::Thread)?;
        Ok(Broker {
            view,
            stop,
            thread: Some(thread),
        })
    }
}

impl Broker {
    /// What tells what the broker does.
    #[must_use]
    pub const fn view(&self) -> &BrokerView {
        &self.view
    }

    /// Takes nothing more in, hands out what is queued where the bus is closed, says goodbye, and waits
    /// for all that at most until the deadline. The socket is gone afterwards.
    pub fn close(mut self, deadline: Instant) {
        for connection in self.view.connections.list().iter() {
            connection.say_goodbye();
        }
        self.view.connections.closing.notify_waiters();
        while !self.view.connections.list().is_empty() && Instant::now() < deadline {
            std::thread::sleep(CLOSE_LOOK);
        }
        self.end();
    }

    fn end(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("socket", &self.view.socket)
            .finish_non_exhaustive()
    }
}

/// How often a closing broker looks whether its connections have ended.
const CLOSE_LOOK: Duration = Duration::from_millis(2);

/// How long the listener rests when the system refuses it a connection: too many descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
struct House {
    bus: Arc<LocalBus>,
    ingress: Arc<dyn Ingress>,
    responder: Arc<dyn Responder>,
    incarnation: u128,
    options: BrokerOptions,
    connections: Arc<Connections>,
    clock: Clock,
}

async fn serve(house: &Arc<House>, listener: &Listener, stop: &Notify) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(stream) => {
                    tokio::spawn(Connection::run(Arc::clone(house), stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be taken");
                    house.clock.sleep(ACCEPT_PAUSE).await;
                }
            },
            () = stop.notified() => break,
        }
    }
}

/// Where a socket is served, for who only wants to know.
impl AsRef<Path> for BrokerView {
    fn as_ref(&self) -> &Path {
        &self.socket
    }
}
