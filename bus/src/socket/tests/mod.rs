//! Promises of the broker and its client, over real sockets.

mod chaos;
mod clients;
mod proxy;
mod resume;
mod rights;
mod serving;
mod strangers;
mod tables;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::batch::Batch;
use crate::event::CollectionEvent;
use crate::pubsub::{
    Delivery, EventBus, EventFilter, LocalBus, PublisherId, QueueLimits, Recv, SubscribeError,
    Subscriber, SubscriptionOptions,
};
use crate::topic::{Topic, TopicPattern};
use crate::wire::{
    ErrorFrame, Frame, FrameType, Goodbye, Hello, Stamp, Welcome, control_frame, decode_header,
    encode,
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Echo;

#[async_trait]
impl Responder for Echo {
    fn capabilities(&self) -> Vec<String> {
        vec!["control.echo".to_owned()]
    }

    async fn respond(&self, topic: &Topic, body: &[u8], _peer: &Peer) -> Result<Vec<u8>, Refusal> {
        match topic.as_str() {
            "control.echo" => Ok(body.to_vec()),
            "control.never" => std::future::pending().await,
            other => Err(Refusal::unknown(other, &self.capabilities())),
        }
    }
}

struct House {
    folder: tempfile::TempDir,
    bus: Arc<LocalBus>,
    broker: Option<Broker>,
}

impl House {
    fn new() -> Self {
        let mut house = Self {
            folder: tempfile::tempdir().unwrap(),
            bus: Arc::new(LocalBus::new()),
            broker: None,
        };
        house.start(|options| options);
        house
    }

    fn with(change: impl FnOnce(BrokerOptions) -> BrokerOptions) -> Self {
        let mut house = Self {
            folder: tempfile::tempdir().unwrap(),
            bus: Arc::new(LocalBus::new()),
            broker: None,
        };
        house.start(change);
        house
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("bus.sock")
    }

    fn start(&mut self, change: impl FnOnce(BrokerOptions) -> BrokerOptions) {
        let options = change(BrokerOptions::new(self.socket()));
        let bound = BoundBroker::bind(options).unwrap();
        let ingress = Arc::new(Direct::new(Arc::clone(&self.bus)));
        let served = bound.serve(Arc::clone(&self.bus), ingress, Arc::new(Echo));
        self.broker = Some(served.unwrap());
    }

    fn view(&self) -> &BrokerView {
        self.broker.as_ref().unwrap().view()
    }

    async fn client(&self, name: &str) -> BrokerClient {
        let mut options = ClientOptions::new(self.socket(), name);
        options.backoff_max = Duration::from_millis(50);
        BrokerClient::connect(options).await.unwrap()
    }

    /// A client that knows nothing of clients.
    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

fn rows(texts: &[&str]) -> Batch {
    rows_on("events.inventory.item", texts, 0)
}

fn rows_on(topic: &str, texts: &[&str], first: u64) -> Batch {
    let event = |text: &&str| {
        let row = json!({"kind": "inventory", "class": "c", "item": text});
        serde_json::from_value::<CollectionEvent>(row).unwrap()
    };
    let events: Vec<_> = texts.iter().map(event).collect();
    Batch::of_events(Topic::parse(topic).unwrap(), "claimed", first, &events).unwrap()
}

fn everything(name: &str) -> SubscriptionOptions {
    SubscriptionOptions::new(name).pattern(TopicPattern::parse(">").unwrap())
}

fn item(event: &CollectionEvent) -> String {
    match event {
        CollectionEvent::Inventory(row) => row.item.clone(),
        other => format!("{other:?}"),
    }
}

/// The next `count` rows, or what stands in their place.
async fn receive(subscriber: &Subscriber, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let received = tokio::time::timeout(PATIENCE, subscriber.recv()).await;
        let Ok(received) = received else {
            panic!("{count} rows in time, not only {found:?}");
        };
        match received {
            Recv::Got(Delivery::Batch { item: batch, .. }) => {
                found.extend((0..batch.rows()).filter_map(|row| Some(item(&batch.row(row)?))));
            }
            Recv::Got(Delivery::Gap(gap)) => {
                found.push(format!("{:?} missed: {}", gap.missed, gap.reason));
            }
            other => {
                found.push(format!("{other:?}"));
                break;
            }
        }
    }
    found
}

fn greet(stream: &mut UnixStream) {
    let hello = Hello {
        version: crate::wire::VERSION,
        name: "raw".to_owned(),
    };
    stream
        .write_all(&control_frame(FrameType::Hello, &hello).unwrap())
        .unwrap();
    let frame = next_frame(stream).expect("a welcome");
    assert_eq!(frame.frame_type(), FrameType::Welcome);
    let welcome: Welcome = decode_header(FrameType::Welcome, frame.header()).unwrap();
    assert_eq!(welcome.version, crate::wire::VERSION);
}

/// The next frame that isn't a ping: those come when they like.
fn next_frame(stream: &mut UnixStream) -> Option<Frame> {
    loop {
        let frame = any_frame(stream)?;
        if frame.frame_type() != FrameType::Ping {
            return Some(frame);
        }
    }
}

fn any_frame(stream: &mut UnixStream) -> Option<Frame> {
    let mut bytes = vec![0; 4];
    stream.read_exact(&mut bytes).ok()?;
    let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    bytes.resize(4 + length, 0);
    stream.read_exact(&mut bytes[4..]).ok()?;
    Frame::read(&bytes.into()).unwrap()
}

/// The fatal error that comes, and the end after it.
fn fatal(stream: &mut UnixStream) -> ErrorFrame {
    loop {
        let frame = next_frame(stream).expect("an error before the end");
        if frame.frame_type() == FrameType::Error {
            let error: ErrorFrame = decode_header(FrameType::Error, frame.header()).unwrap();
            if error.fatal {
                assert!(next_frame(stream).is_none());
                return error;
            }
        }
    }
}
