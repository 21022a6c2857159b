//! Clients that lose their connection and come back: what they get, what they are told, what is counted.

mod anywhere;
mod by_hand;

use super::proxy::Proxy;
use super::*;
use crate::count::DropReason;
use crate::pubsub::{Comparison, Gap, Operator, QueueCounts, RingLimits};
use crate::wire::{GapFrame, GapMore, HelloMore, ResumePoint, SessionName, SubscribeMore};
use crate::wire::{WelcomeMore, decode_with_more};

const NO_RING: RingLimits = RingLimits::NONE;

fn ring(ring: RingLimits) -> House {
    House::with(|options| BrokerOptions { ring, ..options })
}

fn proxy(house: &House) -> Proxy {
    Proxy::new(house.folder.path(), house.socket())
}

async fn client_through(proxy: &Proxy) -> BrokerClient {
    let mut options = ClientOptions::new(proxy.path(), "reader");
    (options.backoff_min, options.backoff_max) =
        (Duration::from_millis(1), Duration::from_millis(20));
    BrokerClient::connect(options).await.unwrap()
}

fn publish(house: &House, texts: &[&str]) {
    house
        .bus
        .publish(PublisherId::unique(), Arc::new(rows(texts)))
        .unwrap();
}

fn counts(house: &House, name: &str) -> QueueCounts {
    let statistics = house.bus.statistics();
    assert!(statistics.balances(), "{statistics:#?}");
    statistics.subscriber(name).unwrap().counts.clone()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

fn is_away(house: &House, name: &str) -> bool {
    let statistics = house.bus.statistics();
    statistics.subscriber(name).is_some_and(|one| one.away)
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

async fn next_gap(subscriber: &Subscriber) -> Gap {
    match tokio::time::timeout(PATIENCE, subscriber.recv()).await {
        Ok(Recv::Got(Delivery::Gap(gap))) => *gap,
        other => panic!("{other:?}"),
    }
}

/// Says hello, and gives the welcome.
fn introduce(stream: &mut UnixStream, resume: Option<SessionName>) -> (Welcome, WelcomeMore) {
    let hello = Hello {
        version: crate::wire::VERSION,
        name: "raw".to_owned(),
    };
    let hello = control_frame(FrameType::Hello, &(hello, HelloMore { resume })).unwrap();
    stream.write_all(&hello).unwrap();
    let frame = next_frame(stream).expect("a welcome");
    assert_eq!(frame.frame_type(), FrameType::Welcome);
    decode_with_more(FrameType::Welcome, frame.header()).unwrap()
}

/// Subscribes; the code of the error, if it is refused.
fn try_ask(
    stream: &mut UnixStream,
    subscribe: &crate::wire::Subscribe,
    resume: Option<ResumePoint>,
) -> Option<String> {
    let more = SubscribeMore { resume };
    let frame = control_frame(FrameType::Subscribe, &(subscribe, more)).unwrap();
    stream.write_all(&frame).unwrap();
    let frame = next_frame(stream).expect("an answer");
    if frame.frame_type() == FrameType::Subscribed {
        return None;
    }
    let error: ErrorFrame = decode_header(FrameType::Error, frame.header()).unwrap();
    assert!(!error.fatal);
    Some(error.code)
}

fn ask(stream: &mut UnixStream, subscribe: &crate::wire::Subscribe, resume: Option<ResumePoint>) {
    assert_eq!(try_ask(stream, subscribe, resume), None);
}

fn gap(stream: &mut UnixStream) -> (GapFrame, GapMore) {
    let frame = next_frame(stream).expect("a gap");
    assert_eq!(frame.frame_type(), FrameType::Gap);
    decode_with_more(FrameType::Gap, frame.header()).unwrap()
}

#[tokio::test]
async fn a_client_whose_connection_is_cut_misses_nothing_that_the_ring_holds_and_gets_nothing_twice()
 {
    let house = ring(RingLimits::default());
    let proxy = proxy(&house);
    let client = client_through(&proxy).await;
    let there = client.open_subscription(everything("there")).await.unwrap();
    for text in numbers(0..10) {
        publish(&house, &[&text]);
    }
    assert_eq!(receive(&there, 10).await, numbers(0..10));
    // What lies between the two when they are cut: handed to the kernel, and never read.
    proxy.hold(true);
    for text in numbers(10..30) {
        publish(&house, &[&text]);
    }
    let name = "reader/there";
    until("all of it is sent", || {
        counts(&house, name).delivered.rows == 30
    })
    .await;
    proxy.cut();
    until("the loss is noticed", || {
        is_away(&house, name) || proxy.made() > 1
    })
    .await;
    for text in numbers(30..50) {
        publish(&house, &[&text]);
    }
    proxy.hold(false);
    assert_eq!(receive(&there, 40).await, numbers(10..50));
    let after = counts(&house, name);
    assert_eq!((after.matched.rows, after.delivered.rows), (50, 50));
    assert_eq!(after.dropped.total().rows, 0);
    assert_eq!(after.resent.rows, 20, "{after:?}");
    assert!(client.statistics().balances());
    assert_eq!(client.status().connects, 2);
}

#[tokio::test]
async fn what_the_ring_did_not_hold_is_one_gap_with_the_rows_that_this_subscription_missed() {
    let house = ring(NO_RING);
    let proxy = proxy(&house);
    let client = client_through(&proxy).await;
    let yes = Comparison::new("item", Operator::Equal, "yes");
    let some = everything("some").filter(EventFilter::new().compare(yes));
    let some = client.open_subscription(some).await.unwrap();
    publish(&house, &["yes", "no", "yes"]);
    assert_eq!(receive(&some, 2).await, ["yes", "yes"]);
    proxy.hold(true);
    publish(&house, &["yes", "no"]);
    let name = "reader/some";
    until("it is sent", || counts(&house, name).delivered.rows == 3).await;
    proxy.cut();
    until("the loss is noticed", || is_away(&house, name)).await;
    publish(&house, &["no", "no"]);
    publish(&house, &["yes", "yes", "no"]);
    // Nobody knows of the one that was sent; the others are gone.
    let away = counts(&house, name);
    let gone = away.dropped.get(DropReason::Disconnected).rows;
    assert_eq!((away.matched.rows, gone), (5, 2), "{away:?}");
    proxy.hold(false);
    let gap = next_gap(&some).await;
    assert_eq!(
        (gap.missed, gap.reason),
        (Some(3), DropReason::Disconnected)
    );
    assert_eq!((gap.from, gap.to, gap.incarnations), (2, 4, None));
    publish(&house, &["yes"]);
    assert_eq!(receive(&some, 1).await, ["yes"]);
    let after = counts(&house, name);
    assert_eq!((after.delivered.rows, after.dropped.total().rows), (3, 3));
    assert_eq!((after.queued.rows, after.resent.rows), (0, 0));
}

#[tokio::test]
async fn what_died_with_another_life_of_the_broker_is_unknown_and_names_both() {
    let mut house = ring(RingLimits::default());
    let reader = house.client("reader").await;
    let there = reader.open_subscription(everything("there")).await.unwrap();
    publish(&house, &["before"]);
    assert_eq!(receive(&there, 1).await, ["before"]);
    let incarnation = |house: &House| {
        let mut raw = house.raw();
        introduce(&mut raw, None).0.incarnation
    };
    let old = incarnation(&house);
    drop(house.broker.take());
    assert_eq!(house.bus.statistics().subscribers, []);
    house.start(|options| options);
    let gap = next_gap(&there).await;
    let lives = gap.incarnations.unwrap();
    assert_eq!((lives.old.0, lives.new.0), (old, incarnation(&house)));
    assert_eq!((gap.missed, gap.reason), (None, DropReason::Disconnected));
    publish(&house, &["after"]);
    assert_eq!(receive(&there, 1).await, ["after"]);
}

#[tokio::test]
async fn a_client_that_comes_back_before_its_loss_is_noticed_takes_over() {
    let house = ring(RingLimits::default());
    let proxy = proxy(&house);
    let client = client_through(&proxy).await;
    let there = client.open_subscription(everything("there")).await.unwrap();
    for round in 0..5 {
        publish(&house, &[&format!("{round} before")]);
        proxy.cut_client();
        publish(&house, &[&format!("{round} after")]);
        let expected = [format!("{round} before"), format!("{round} after")];
        assert_eq!(receive(&there, 2).await, expected);
    }
    until("the old ones have ended", || {
        house.view().status().connections.len() == 1
    })
    .await;
    assert_eq!(house.bus.statistics().subscribers.len(), 1);
    assert_eq!(counts(&house, "reader/there").delivered.rows, 10);
}

#[tokio::test]
async fn who_says_goodbye_or_unsubscribes_leaves_nothing_behind_and_who_is_lost_is_shown() {
    let house = House::new();
    let proxy = proxy(&house);
    let client = client_through(&proxy).await;
    let there = client.open_subscription(everything("there")).await.unwrap();
    let gone = client.open_subscription(everything("gone")).await.unwrap();
    drop(gone);
    until("one is gone", || {
        house.bus.statistics().subscribers.len() == 1
    })
    .await;
    // Nobody lets it back in.
    proxy.hold(true);
    proxy.cut();
    until("it is away", || !house.view().status().away.is_empty()).await;
    let away = house.view().status().away.remove(0);
    assert_eq!(
        (away.name.as_str(), away.subscriptions),
        ("reader", vec!["reader/there".to_owned()])
    );
    proxy.hold(false);
    publish(&house, &["row"]);
    assert_eq!(receive(&there, 1).await, ["row"]);
    drop(there);
    drop(client);
    until("it has gone", || {
        house.view().status().connections.is_empty()
    })
    .await;
    let statistics = house.bus.statistics();
    assert_eq!(statistics.subscribers, []);
    assert_eq!(house.view().status().away, []);
    assert_eq!(statistics.departed.delivered.rows, 1);
    assert!(statistics.departed.dropped.is_empty());
}

#[tokio::test]
async fn a_client_with_other_wishes_begins_anew_and_is_told_that_something_may_be_missing() {
    let house = House::new();
    let mut first = house.raw();
    let (welcome, more) = introduce(&mut first, None);
    let subscribe = |pattern: &str| {
        let options =
            SubscriptionOptions::new("there").pattern(TopicPattern::parse(pattern).unwrap());
        options.to_wire(7, "there".to_owned())
    };
    ask(&mut first, &subscribe("events.>"), None);
    publish(&house, &["one"]);
    assert_eq!(
        next_frame(&mut first).unwrap().frame_type(),
        FrameType::Deliver
    );
    drop(first);
    until("it is away", || is_away(&house, "raw/there")).await;
    publish(&house, &["two"]);
    let session = Some(SessionName {
        incarnation: welcome.incarnation,
        session: more.session.unwrap(),
    });
    let mut second = house.raw();
    introduce(&mut second, session);
    let point = ResumePoint {
        incarnation: welcome.incarnation,
        position: 1,
        rows: 0,
    };
    ask(&mut second, &subscribe(">"), Some(point));
    let (gap, more) = gap(&mut second);
    assert_eq!((gap.missed, gap.from, gap.to), (None, 2, 2));
    assert_eq!(more.incarnations, None);
    let statistics = house.bus.statistics();
    let dropped = statistics.departed.dropped.get(DropReason::Disconnected);
    assert_eq!(dropped.rows, 2, "nobody has said that the first was read");
    assert!(statistics.balances());
}

#[tokio::test]
async fn what_is_published_is_taken_once_however_often_the_connection_is_cut() {
    let house = House::new();
    let here = house.bus.subscribe(everything("here").limits(QueueLimits {
        items_max: 100_000,
        bytes_max: 1 << 30,
    }));
    let here = here.unwrap();
    let proxy = proxy(&house);
    let client = client_through(&proxy).await;
    let texts = numbers(0..3_000);
    for (number, text) in texts.iter().enumerate() {
        if number % 250 == 17 {
            proxy.cut_up_after(Some(number));
        }
        while let Err(error) = client.send(&rows(&[text])).await {
            assert!(matches!(error, ClientError::Disconnected { .. }), "{error}");
            client.connected().await.ok();
        }
    }
    proxy.cut_up_after(None);
    let mut received = receive(&here, texts.len()).await;
    // What found no connection was refused with an error, counted, and sent by the caller again.
    received.dedup();
    assert!(
        received == texts,
        "{} rows, first {:?}",
        received.len(),
        received.first()
    );
    while client.flush().await.is_err() {}
    let status = client.status();
    assert!(status.connects > 1, "{status:?}");
    assert!(status.resent.rows > 0, "{status:?}");
    assert_eq!((status.unknown.rows, status.unconfirmed.rows), (0, 0));
    assert_eq!(house.bus.statistics().published.rows, 3_000);
}

fn classed(class: &str, texts: &[String]) -> Batch {
    let event = |text: &String| {
        let row = json!({"kind": "inventory", "class": class, "item": text});
        serde_json::from_value::<CollectionEvent>(row).unwrap()
    };
    let events: Vec<_> = texts.iter().map(event).collect();
    let topic = Topic::parse("events.inventory.item").unwrap();
    Batch::of_events(topic, "claimed", 0, &events).unwrap()
}

#[tokio::test]
async fn a_batch_of_several_frames_that_is_cut_between_them_goes_on_with_the_next() {
    let (items_max, bytes_max) = (100, 64 << 20);
    let queue_limits = QueueLimits {
        items_max,
        bytes_max,
    };
    let ring = RingLimits {
        bytes_max,
        ..RingLimits::default()
    };
    let house = House::with(|options| BrokerOptions {
        queue_limits,
        ring,
        ..options
    });
    let proxy = proxy(&house);
    let client = client_through(&proxy).await;
    let there = everything("there").limits(queue_limits);
    let there = client.open_subscription(there).await.unwrap();
    // Larger than a frame may be: it goes out in several.
    let texts: Vec<String> = (0..30)
        .map(|number| format!("{number}{}", "z".repeat(300_000)))
        .collect();
    let batch = classed("a", &texts);
    assert!(batch.frames().unwrap().len() > 1);
    let half = batch.frames().unwrap()[0].len() + 100_000;
    proxy.cut_down_after(Some(half));
    house
        .bus
        .publish(PublisherId::unique(), Arc::new(batch))
        .unwrap();
    let received = receive(&there, 30).await;
    assert_eq!(received, texts);
    let counts = counts(&house, "reader/there");
    assert_eq!((counts.matched.rows, counts.delivered.rows), (30, 30));
    assert!((1..30).contains(&counts.resent.rows), "{counts:?}");
    assert!(client.status().connects > 1);
}
