//! Promises of the broker and its client, over real sockets.

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
    Delivery, EventBus as _, EventFilter, LocalBus, PublisherId, QueueLimits, Recv, SubscribeError,
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
        match received.expect("rows come in time") {
            Recv::Got(Delivery::Batch { item: batch, .. }) => {
                found.extend((0..batch.rows()).filter_map(|row| Some(item(&batch.row(row)?))));
            }
            Recv::Got(Delivery::Gap(gap)) => {
                found.push(format!("{:?} missed: {}", gap.missed, gap.reason))
            }
            other => {
                found.push(format!("{other:?}"));
                break;
            }
        }
    }
    found
}

#[tokio::test]
async fn what_a_client_publishes_reaches_clients_and_the_broker_s_own_process_in_order() {
    let house = House::new();
    let here = house.bus.subscribe(everything("here")).unwrap();
    let reader = house.client("reader").await;
    let there = reader.open_subscription(everything("there")).await.unwrap();
    let writer = house.client("writer").await;
    let texts: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    for text in &texts {
        writer.send(&rows(&[text])).await.unwrap();
    }
    let flushed = writer.flush().await.unwrap();
    assert_eq!((flushed.published_rows, flushed.refused_rows), (500, 0));
    assert_eq!(receive(&there, 500).await, texts);
    assert_eq!(receive(&here, 500).await, texts);
    let status = house.view().status();
    assert_eq!(status.connections.len(), 2);
    assert!(
        status
            .connections
            .iter()
            .all(|one| one.published.produced == one.published.published)
    );
    assert!(house.bus.statistics().balances());
    assert_eq!(reader.statistics().total.delivered.rows, 500);
    assert!(reader.statistics().balances());
}

#[tokio::test]
async fn a_client_can_t_claim_another_s_source() {
    let house = House::new();
    let here = house.bus.subscribe(everything("here")).unwrap();
    let writer = house.client("writer").await;
    writer.send(&rows(&["one"])).await.unwrap();
    let received = tokio::time::timeout(PATIENCE, here.recv()).await.unwrap();
    let Recv::Got(Delivery::Batch { item, .. }) = received else {
        panic!("{received:?}");
    };
    let expected = format!(
        "uid:{},pid:{}",
        rustix::process::geteuid().as_raw(),
        std::process::id()
    );
    assert_eq!(*item.header().source, *expected);
    assert_eq!(item.stamp(0), Some((expected.as_str(), 0)));
    // Who insists is thrown out.
    let mut raw = house.raw();
    greet(&mut raw);
    raw.write_all(&encode(&rows(&["two"]), Stamp::Deliver("other")).unwrap())
        .unwrap();
    let error = fatal(&mut raw);
    assert_eq!(error.code, "malformed");
    assert!(error.message.contains("`source`"), "{}", error.message);
}

#[tokio::test]
async fn a_publisher_gets_its_own_events_only_if_it_asks() {
    let house = House::new();
    let client = house.client("both").await;
    let all = client.open_subscription(everything("all")).await.unwrap();
    let mine = PublisherId::unique();
    let without = everything("without").owner(mine);
    let without = client.open_subscription(without).await.unwrap();
    client.send(&rows(&["own"])).await.unwrap();
    let other = house.client("other").await;
    assert_eq!(receive(&all, 1).await, ["own"]);
    other.send(&rows(&["foreign"])).await.unwrap();
    assert_eq!(receive(&without, 1).await, ["foreign"]);
}

#[tokio::test]
async fn filters_hold_over_the_socket_and_wrong_ones_are_refused_with_a_reason() {
    let house = House::new();
    let client = house.client("reader").await;
    let wanted = SubscriptionOptions::new("wanted")
        .pattern(TopicPattern::parse("events.*.item").unwrap())
        .filter(EventFilter::new().compare(crate::pubsub::Comparison::new(
            "item",
            crate::pubsub::Operator::Equal,
            "yes",
        )));
    let wanted = client.open_subscription(wanted).await.unwrap();
    let writer = house.client("writer").await;
    writer.send(&rows(&["no", "yes", "no"])).await.unwrap();
    writer
        .send(&rows_on("events.other.topic", &["yes"], 0))
        .await
        .unwrap();
    writer.send(&rows(&["yes"])).await.unwrap();
    assert_eq!(receive(&wanted, 2).await, ["yes", "yes"]);
    let wrong = everything("wrong").limits(QueueLimits {
        items_max: 4,
        bytes_max: 1 << 20,
    });
    let wrong = wrong.filter(EventFilter::new().compare(crate::pubsub::Comparison::new(
        "itme",
        crate::pubsub::Operator::Equal,
        "yes",
    )));
    let refused = client.open_subscription(wrong).await.unwrap_err();
    assert!(refused.to_string().contains("`item`"), "{refused}");
}

#[tokio::test]
async fn requests_are_answered_refused_and_given_up_in_time() {
    let house = House::new();
    let client = house.client("asker").await;
    let ask = async |topic: &str, deadline: u64| {
        let topic = Topic::parse(topic).unwrap();
        let answer = client
            .request(&topic, b"{\"a\":1}", Duration::from_millis(deadline))
            .await;
        answer
            .map(|body| String::from_utf8_lossy(&body).into_owned())
            .map_err(|error| error.to_string())
    };
    assert_eq!(ask("control.echo", 5_000).await, Ok("{\"a\":1}".to_owned()));
    assert_eq!(
        ask("control.nothing", 5_000).await,
        Err("nobody answers to `control.nothing`; one can ask control.echo".to_owned())
    );
    assert_eq!(
        ask("control.never", 20).await,
        Err("no answer within 20 ms".to_owned())
    );
}

#[tokio::test]
async fn a_client_connects_and_subscribes_again_and_is_told_that_something_may_be_missing() {
    let mut house = House::new();
    let reader = house.client("reader").await;
    let there = reader.open_subscription(everything("there")).await.unwrap();
    let writer = house.client("writer").await;
    writer.send(&rows(&["before"])).await.unwrap();
    assert_eq!(receive(&there, 1).await, ["before"]);
    drop(house.broker.take());
    // While there is no broker, publishing doesn't wait.
    while writer.status().connected {
        tokio::task::yield_now().await;
    }
    writer
        .publish(PublisherId::unique(), Arc::new(rows(&["meanwhile"])))
        .unwrap();
    house.start(|options| options);
    let received = receive(&there, 1).await;
    assert_eq!(received, ["None missed: disconnected"]);
    // Whether the writer was back before the reader is chance: then its row is part of the gap.
    writer.connected().await.ok();
    while !writer.status().connected {
        tokio::task::yield_now().await;
    }
    writer.send(&rows(&["after"])).await.unwrap();
    let mut next = receive(&there, 1).await;
    if next == ["meanwhile"] {
        next = receive(&there, 1).await;
    }
    assert_eq!(next, ["after"]);
    assert!(reader.statistics().balances());
    assert_eq!(writer.status().connects, 2);
}

#[tokio::test]
async fn what_doesn_t_fit_the_buffer_of_a_client_without_a_broker_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ClientOptions::new(folder.path().join("none.sock"), "lonely");
    options.buffer_batches_max = 3;
    let client = BrokerClient::open(options).unwrap();
    for _ in 0..5 {
        client
            .publish(PublisherId::unique(), Arc::new(rows(&["row", "row"])))
            .unwrap();
    }
    let status = client.status();
    assert_eq!(
        (
            status.published.rows,
            status.waiting.rows,
            status.dropped.total().rows
        ),
        (10, 6, 4)
    );
    let error = client.connected().await.unwrap_err().to_string();
    assert!(
        error.contains("is `weir run` or `weir bus` running?"),
        "{error}"
    );
    assert!(client.flush().await.is_err());
}

#[tokio::test]
async fn without_a_right_nothing_is_published_read_or_asked_and_the_rule_is_named() {
    let rights = |publish: &[&str], subscribe: &[&str]| {
        let patterns = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| TopicPattern::parse(text).unwrap())
                .collect::<Vec<_>>()
        };
        let rule = Rule {
            name: "guests".to_owned(),
            who: Who::User(4_242),
            publish: patterns(publish),
            subscribe: patterns(subscribe),
        };
        let peer = Peer {
            uid: Some(4_242),
            pid: Some(1),
            groups: vec![7],
        };
        Access::new(vec![rule], None).rights(&peer)
    };
    let topic = |text: &str| Topic::parse(text).unwrap();
    let some = rights(&["events.>"], &["events.process.>", "findings.*"]);
    assert_eq!(some.check_publish(&topic("events.process.started")), Ok(()));
    let denied = some.check_publish(&topic("control.reload")).unwrap_err();
    assert_eq!(denied.rule, "guests");
    assert_eq!(
        denied.to_string(),
        "publishing on `control.reload` is not allowed: rule `guests` allows to publish on `events.>`; ask for a rule in `bus.access`"
    );
    let narrow = |asked: &str| {
        let narrowed = some.narrow(&[TopicPattern::parse(asked).unwrap()]);
        narrowed.map(|patterns| patterns.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(narrow(">").unwrap(), ["events.process.>", "findings.*"]);
    assert_eq!(
        narrow("events.*.started").unwrap(),
        ["events.process.started"]
    );
    assert_eq!(narrow("control.>").unwrap_err().rule, "guests");
    let stranger = Peer {
        uid: Some(1),
        pid: None,
        groups: Vec::new(),
    };
    assert!(!Access::new(Vec::new(), Some(7)).rights(&stranger).is_any());
    let member = Peer {
        uid: Some(1),
        pid: None,
        groups: vec![7],
    };
    let member = Access::new(Vec::new(), Some(7)).rights(&member);
    assert!(
        member
            .narrow(&[TopicPattern::parse("findings.>").unwrap()])
            .is_ok()
    );
    assert_eq!(
        member.check_publish(&topic("events.a")).unwrap_err().rule,
        "socket-group"
    );
}

#[test]
fn a_second_broker_on_a_live_socket_is_refused_with_the_pid_and_a_stale_one_is_replaced() {
    let mut house = House::new();
    let second = BoundBroker::bind(BrokerOptions::new(house.socket()));
    let error = second.err().unwrap().to_string();
    let expected = format!("process {} serves this socket already", std::process::id());
    assert!(error.contains(&expected), "{error}");
    drop(house.broker.take());
    assert!(!house.socket().exists());
    // What a killed daemon leaves: the socket, and a lock that nobody holds.
    drop(std::os::unix::net::UnixListener::bind(house.socket()).unwrap());
    assert!(house.socket().exists());
    house.start(|options| options);
    drop(house.broker.take());
    std::fs::write(house.socket(), "a file").unwrap();
    let error = BoundBroker::bind(BrokerOptions::new(house.socket()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("is no socket"), "{error}");
    let long = Path::new("/tmp").join("x".repeat(108));
    let error = BoundBroker::bind(BrokerOptions::new(long)).err().unwrap();
    assert!(error.to_string().contains("a path of 113 bytes"), "{error}");
}

// What peers send that they shouldn't.

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

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_told_why_and_ended_and_nobody_else_notices() {
    let house = House::new();
    let reader = house.client("reader").await;
    let there = reader.open_subscription(everything("there")).await.unwrap();
    let good = encode(&rows(&["x"]), Stamp::Broker).unwrap();
    let goodbye = control_frame(
        FrameType::Goodbye,
        &Goodbye {
            reason: String::new(),
        },
    )
    .unwrap();
    let hello = |version: u16, name: &str| {
        let hello = Hello {
            version,
            name: name.to_owned(),
        };
        control_frame(FrameType::Hello, &hello).unwrap().to_vec()
    };
    let mut lying_rows = good.to_vec();
    // The row count stands before the table of lengths: 1 length for each buffer of 7 columns.
    let frame = Frame::read(&good).unwrap().unwrap();
    let rows_at = 8 + frame.header().len() - 19 - 1;
    lying_rows[rows_at] = 9;
    let check = |greeted: bool, bytes: &[u8], code: &str, part: &str| {
        let mut raw = house.raw();
        if greeted {
            greet(&mut raw);
        }
        // The broker may end the connection while it is still being written to.
        drop(raw.write_all(bytes));
        let error = fatal(&mut raw);
        assert_eq!(error.code, code, "{}", error.message);
        assert!(error.message.contains(part), "{}", error.message);
    };
    check(
        false,
        &u32::MAX.to_le_bytes(),
        "too-large",
        "4294967299 bytes",
    );
    check(
        true,
        &u32::MAX.to_le_bytes(),
        "too-large",
        "4294967299 bytes",
    );
    check(false, b"GET / HTTP/1.1\r\n\r\n", "too-large", "a frame of");
    check(true, &[4, 0, 0, 0, 77, 0, 0, 0], "malformed", "type 77");
    check(false, &good, "order", "before hello");
    check(false, &hello(9, "x"), "version", "version 9");
    check(false, &hello(1, "no name"), "malformed", "no name");
    check(true, &hello(1, "again"), "order", "hello");
    check(true, &lying_rows, "malformed", "");
    let mut cut = house.raw();
    greet(&mut cut);
    cut.write_all(&good[..good.len() - 8]).unwrap();
    cut.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(fatal(&mut cut).message, "the stream ended within a frame");
    let mut polite = house.raw();
    greet(&mut polite);
    polite.write_all(&goodbye).unwrap();
    assert!(next_frame(&mut polite).is_none());
    let writer = house.client("writer").await;
    writer.send(&rows(&["still there"])).await.unwrap();
    assert_eq!(receive(&there, 1).await, ["still there"]);
    assert_eq!(house.view().status().faulted, 10);
}

#[tokio::test]
async fn values_that_lie_are_dropped_as_invalid_where_they_are_read_and_the_connection_goes_on() {
    let house = House::new();
    let here = house.bus.subscribe(everything("here")).unwrap();
    let good = encode(&rows(&["abcdefgh"]), Stamp::Broker).unwrap();
    let text = good
        .windows(8)
        .position(|window| window == b"abcdefgh")
        .unwrap();
    let mut lie = good.to_vec();
    lie[text] = 0xff;
    let mut raw = house.raw();
    greet(&mut raw);
    raw.write_all(&lie).unwrap();
    let frame = next_frame(&mut raw).unwrap();
    let error: ErrorFrame = decode_header(FrameType::Error, frame.header()).unwrap();
    assert_eq!(
        (error.code.as_str(), error.fatal, error.rows),
        ("invalid", false, 1)
    );
    raw.write_all(&good).unwrap();
    assert_eq!(receive(&here, 1).await, ["abcdefgh"]);
    loop {
        let status = house.view().status();
        let counts = &status.connections[0].published;
        assert!(counts.balances());
        if counts.in_channel == 0 {
            let found = (
                counts.produced,
                counts.published,
                counts.dropped.total().rows,
            );
            assert_eq!(found, (2, 1, 1));
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn any_split_and_any_coalescing_of_the_stream_reads_the_same() {
    let house = House::new();
    let here = house.bus.subscribe(everything("here")).unwrap();
    let large = "y".repeat(400_000);
    let texts: Vec<String> = (0..40)
        .map(|number| {
            if number % 13 == 12 {
                large.clone()
            } else {
                number.to_string()
            }
        })
        .collect();
    let mut bytes = Vec::new();
    for text in &texts {
        bytes.extend_from_slice(&encode(&rows(&[text]), Stamp::Broker).unwrap());
    }
    for chunk in [1_009, 65_536, 262_144, bytes.len()] {
        let mut raw = house.raw();
        greet(&mut raw);
        let sent = bytes.clone();
        let writer = std::thread::spawn(move || {
            for part in sent.chunks(chunk) {
                raw.write_all(part).unwrap();
            }
            raw
        });
        assert_eq!(receive(&here, texts.len()).await, texts);
        drop(writer.join().unwrap());
    }
}

#[tokio::test]
async fn a_slow_subscriber_misses_rows_that_are_counted_and_delays_nobody() {
    let house = House::with(|options| BrokerOptions {
        queue_limits: QueueLimits {
            items_max: 8,
            bytes_max: 1 << 20,
        },
        ..options
    });
    let mut stalled = house.raw();
    greet(&mut stalled);
    let subscribe = everything("stalled").to_wire(1, "stalled".to_owned());
    stalled
        .write_all(&control_frame(FrameType::Subscribe, &subscribe).unwrap())
        .unwrap();
    assert_eq!(
        next_frame(&mut stalled).unwrap().frame_type(),
        FrameType::Subscribed
    );
    let reader = house.client("reader").await;
    let there = reader.open_subscription(everything("there")).await.unwrap();
    let writer = house.client("writer").await;
    let text = "z".repeat(20_000);
    for _ in 0..100 {
        writer.send(&rows(&[&text])).await.unwrap();
        assert_eq!(receive(&there, 1).await.len(), 1);
    }
    let statistics = house.bus.statistics();
    let slow = statistics.subscriber("raw/stalled").unwrap();
    assert!(statistics.balances());
    assert_eq!(slow.counts.matched.rows, 100);
    assert!(slow.counts.dropped.total().rows > 50, "{:?}", slow.counts);
    // What it does read has the gap in its place: nothing is missing without a word.
    let (mut found, mut missed) = (0, 0);
    while found + missed < 100 {
        let frame = next_frame(&mut stalled).unwrap();
        match frame.frame_type() {
            FrameType::Deliver => found += 1,
            FrameType::Gap => {
                let gap: crate::wire::GapFrame =
                    decode_header(FrameType::Gap, frame.header()).unwrap();
                assert_eq!(gap.reason, "queue-full");
                missed += gap.missed.unwrap();
            }
            _ => {}
        }
    }
    assert_eq!(found + missed, 100);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away_with_a_word() {
    let house = House::with(|options| BrokerOptions {
        connections_max: 1,
        ..options
    });
    let first = house.client("first").await;
    let options = ClientOptions::new(house.socket(), "second");
    let error = BrokerClient::connect(options).await.unwrap_err();
    assert!(
        error.to_string().contains("1 connections are open"),
        "{error}"
    );
    drop(first);
}

#[tokio::test]
async fn closing_hands_out_what_is_queued_and_says_goodbye() {
    let mut house = House::new();
    let reader = house.client("reader").await;
    let there = reader.open_subscription(everything("there")).await.unwrap();
    let mut raw = house.raw();
    greet(&mut raw);
    for number in 0..50 {
        let batch = rows(&[&number.to_string()]);
        house
            .bus
            .publish(PublisherId::unique(), Arc::new(batch))
            .unwrap();
    }
    house.bus.close();
    let broker = house.broker.take().unwrap();
    let closed = tokio::task::spawn_blocking(move || broker.close(Instant::now() + PATIENCE));
    assert_eq!(receive(&there, 50).await.len(), 50);
    closed.await.unwrap();
    assert_eq!(
        next_frame(&mut raw).unwrap().frame_type(),
        FrameType::Goodbye
    );
    assert!(!house.socket().exists());
}

#[tokio::test]
async fn a_silent_peer_is_ended_after_three_heartbeats_and_a_living_one_stays() {
    let house = House::with(|options| BrokerOptions {
        heartbeat: Duration::from_millis(20),
        ..options
    });
    let alive = house.client("alive").await;
    let mut raw = house.raw();
    greet(&mut raw);
    let mut pings = 0;
    while let Some(frame) = any_frame(&mut raw) {
        match frame.frame_type() {
            FrameType::Ping => pings += 1,
            other => assert_eq!(other, FrameType::Goodbye),
        }
    }
    assert!(pings >= SILENT_BEATS_MAX, "{pings}");
    assert_eq!(alive.status().connects, 1);
}

#[tokio::test]
async fn a_subscription_that_is_refused_over_the_socket_is_an_error_for_a_waiting_caller_too() {
    let house = House::new();
    let client = Arc::new(house.client("reader").await);
    let asked = Arc::clone(&client);
    let long = "x".repeat(200);
    let subscribed = tokio::task::spawn_blocking(move || asked.subscribe(everything(&long)));
    // A name that is too long for the wire is cut, not refused.
    assert!(subscribed.await.unwrap().is_ok());
    let asked = Arc::clone(&client);
    let refused = tokio::task::spawn_blocking(move || asked.subscribe(everything("")));
    assert!(matches!(
        refused.await.unwrap(),
        Err(SubscribeError::Refused { .. })
    ));
}
