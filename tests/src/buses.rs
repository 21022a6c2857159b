//! The makes of bus that carry anything, behind one face: the bus in process, and a broker with a client
//! of its own for everybody.
//!
//! A promise that is held against both names neither. What inherently differs stands here, in
//! [`Fixture::party`]. Invariant: after [`Fixture::settle`] what was published has arrived wherever it
//! goes, and what was unsubscribed is gone.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::runtime::Runtime;
use weir_bus::pubsub::{
    BUS_BYTES_MAX, BusStatistics, Delivery, EventBus, LocalBus, LocalBusOptions, PublisherId,
    Receipt, Recv, Subscriber, SubscriptionOptions,
};
use weir_bus::socket::{BrokerClient, ClientOptions};
use weir_bus::{Batch, CollectionEvent, Topic, TopicPattern};

use crate::PATIENCE;
use crate::broker::Served;

/// A make of bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// In process.
    Local,
    /// Over the socket.
    Socket,
}

impl Make {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Local, Self::Socket];
}

/// A bus of one make.
pub struct Fixture {
    /// Which make.
    pub make: Make,
    /// Where everything meets: the bus itself, or the one that the broker serves.
    pub core: Arc<LocalBus>,
    /// Bytes that all queues of one bus keep alive, at most: a client's are its own.
    bytes_max: u64,
    served: Option<Served>,
    clients: RefCell<Vec<(String, Arc<BrokerClient>)>>,
    runtime: Runtime,
}

/// Somebody who uses a bus.
pub struct Party {
    /// What they publish and subscribe on.
    pub bus: Arc<dyn EventBus>,
    /// Who they are there.
    pub publisher: PublisherId,
    /// What their batches are said to come from.
    pub source: String,
    /// How many rows they have published.
    rows: AtomicU64,
}

impl Fixture {
    /// A bus that nobody uses yet.
    ///
    /// # Panics
    /// If it can't be served.
    #[must_use]
    pub fn new(make: Make) -> Self {
        Self::within(make, BUS_BYTES_MAX)
    }

    /// As [`Fixture::new`], where the queues that receivers read together keep so many bytes alive at most.
    ///
    /// # Panics
    /// As [`Fixture::new`].
    #[must_use]
    pub fn within(make: Make, bytes_max: u64) -> Self {
        let served = (make == Make::Socket).then(Served::new);
        let options = LocalBusOptions {
            bytes_max,
            ..LocalBusOptions::default()
        };
        let core = served.as_ref().map_or_else(
            || Arc::new(LocalBus::with_options(options)),
            |served| Arc::clone(&served.bus),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        Self {
            make,
            core,
            bytes_max,
            served,
            clients: RefCell::default(),
            runtime: runtime.expect("a runtime"),
        }
    }

    /// Somebody of that name. In process a publisher says itself what its batches come from; over the
    /// socket the broker says it, of all clients in one process the same.
    ///
    /// # Panics
    /// If the broker doesn't welcome them.
    #[must_use]
    pub fn party(&self, name: &str) -> Party {
        let (bus, source): (Arc<dyn EventBus>, _) = match &self.served {
            None => (Arc::clone(&self.core) as _, name.to_owned()),
            Some(served) => {
                let options = ClientOptions {
                    queues_bytes_max: self.bytes_max,
                    ..ClientOptions::new(served.path("weir.sock"), name)
                };
                let client = Arc::new(
                    self.wait(BrokerClient::connect(options))
                        .expect("a welcome"),
                );
                let known = (name.to_owned(), Arc::clone(&client));
                self.clients.borrow_mut().push(known);
                let source = client.status().source.expect("a welcome says it");
                (client, source)
            }
        };
        Party {
            bus,
            publisher: PublisherId::unique(),
            source,
            rows: AtomicU64::new(0),
        }
    }

    fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        let waiting = async { tokio::time::timeout(PATIENCE, what).await };
        self.runtime.block_on(waiting).expect("an answer in time")
    }

    /// Waits until all that was published, subscribed and unsubscribed has had its effect.
    ///
    /// # Panics
    /// If that doesn't happen, or anything was refused.
    pub fn settle(&self) {
        for (_, client) in self.clients.borrow().iter() {
            let flushed = self.wait(client.flush()).expect("a connection");
            assert_eq!(flushed.refused_rows, 0, "{flushed:?}");
        }
        // What the broker has matched is final now; it is still on its way to the clients.
        let until = Instant::now() + PATIENCE;
        while !self.has_arrived() {
            assert!(Instant::now() < until, "{:#?}", self.core.statistics());
            std::thread::yield_now();
        }
    }

    fn has_arrived(&self) -> bool {
        let matched = self.core.statistics();
        self.clients.borrow().iter().all(|(name, client)| {
            let arrived = client.statistics().subscribers;
            arrived.iter().all(|there| {
                matched
                    .subscriber(&format!("{name}/{}", there.name))
                    .is_some_and(|here| here.counts.matched.rows == there.counts.matched.rows)
            })
        })
    }

    /// The counts of everybody, at rest.
    ///
    /// # Panics
    /// If a law doesn't hold.
    #[must_use]
    pub fn balanced(&self) -> BusStatistics {
        self.settle();
        for connection in self.served.iter().flat_map(Served::connections) {
            let counts = &connection.published;
            assert!(counts.balances() && counts.in_flight() == 0, "{counts:?}");
        }
        for (_, client) in self.clients.borrow().iter() {
            let (status, statistics) = (client.status(), client.statistics());
            assert!(status.waiting.is_zero(), "{status:?}");
            assert!(statistics.balances(), "{statistics:?}");
        }
        let statistics = self.core.statistics();
        assert!(statistics.balances(), "{statistics:?}");
        statistics
    }
}

impl Party {
    /// A batch of these rows, after all that they published before.
    ///
    /// # Panics
    /// If the rows are of several kinds, or the topic is none.
    #[must_use]
    pub fn batch(&self, topic: &str, rows: &[CollectionEvent]) -> Arc<Batch> {
        let first = self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        let topic = Topic::parse(topic).expect("a topic");
        Arc::new(Batch::of_events(topic, &self.source, first, rows).expect("a batch"))
    }

    /// Publishes rows of one kind.
    ///
    /// # Panics
    /// As [`Party::batch`], or if the bus is closed.
    pub fn publish(&self, topic: &str, rows: &[CollectionEvent]) -> Receipt {
        let batch = self.batch(topic, rows);
        let published = self.bus.publish(self.publisher, batch);
        published.expect("an open bus")
    }

    /// Subscribes.
    ///
    /// # Panics
    /// If that is refused.
    #[must_use]
    pub fn subscribe(&self, options: SubscriptionOptions) -> Subscriber {
        self.bus.subscribe(options).expect("a subscription")
    }
}

/// A subscription to these patterns; its name must be the only one of a party.
///
/// # Panics
/// If one is none.
#[must_use]
pub fn subscription(name: &str, patterns: &[&str]) -> SubscriptionOptions {
    let parsed = patterns.iter().map(|text| TopicPattern::parse(text));
    let patterns = parsed.map(|pattern| pattern.expect("a pattern"));
    SubscriptionOptions::new(name).patterns(patterns)
}

/// What a subscriber got.
#[allow(clippy::large_enum_variant, reason = "only as many as a test reads")]
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A row.
    Row {
        /// Where it was published.
        topic: Topic,
        /// Its number at its publisher.
        sequence: u64,
        /// The row.
        event: Box<CollectionEvent>,
    },
    /// A gap, as it is written.
    Gap(String),
}

/// What has arrived at a subscriber, in its order.
#[must_use]
pub fn seen(subscriber: &Subscriber) -> Vec<Seen> {
    std::iter::from_fn(|| subscriber.try_recv().got())
        .flat_map(rows_of)
        .collect()
}

/// What arrives at a subscriber until its end.
///
/// # Panics
/// If that doesn't come.
#[must_use]
pub fn seen_to_the_end(subscriber: &Subscriber) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        match subscriber.recv_timeout(PATIENCE) {
            Recv::Got(delivery) => all.extend(rows_of(delivery)),
            Recv::Closed => return all,
            other => panic!("no end, but {other:?} after {all:?}"),
        }
    }
}

/// The rows of a delivery, or its gap.
#[must_use]
pub fn rows_of(delivery: Delivery<Arc<Batch>>) -> Vec<Seen> {
    let batch = match delivery {
        Delivery::Batch { item, .. } => item,
        Delivery::Gap(gap) => {
            let missed = gap.missed.map_or("?".to_owned(), |rows| rows.to_string());
            let (reason, from, to) = (gap.reason, gap.from, gap.to);
            return vec![Seen::Gap(format!("{missed} {reason} {from}-{to}"))];
        }
    };
    let row = |row| {
        Some(Seen::Row {
            topic: batch.topic().clone(),
            sequence: batch.stamp(row)?.1,
            event: Box::new(batch.row(row)?),
        })
    };
    (0..batch.rows()).filter_map(row).collect()
}
