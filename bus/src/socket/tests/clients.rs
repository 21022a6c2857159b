//! The Rust client: connecting, losing the connection, publishing without one.

use std::os::unix::net::UnixListener;

use super::*;
use crate::wire::{Deliver, DeliverMore, Ping, Subscribe, Subscribed, VERSION, put_deliver};

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

/// A broker that says what a test tells it to.
fn told_broker(listener: &UnixListener) -> UnixStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(
        any_frame(&mut stream).unwrap().frame_type(),
        FrameType::Hello
    );
    let welcome = Welcome {
        version: VERSION,
        component: "told".to_owned(),
        source: "uid:0,pid:1".to_owned(),
        incarnation: 1,
        heartbeat_ms: 5_000,
        frame_bytes_max: 8 << 20,
        capabilities: Vec::new(),
    };
    let welcome = control_frame(FrameType::Welcome, &welcome).unwrap();
    stream.write_all(&welcome).unwrap();
    stream
}

#[tokio::test]
async fn what_a_broker_sent_before_it_went_is_read_though_it_takes_no_more_answers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let broker = std::thread::spawn(move || {
        let mut stream = told_broker(&listener);
        let subscribe = any_frame(&mut stream).unwrap();
        let Subscribe { id, .. } = decode_header(FrameType::Subscribe, subscribe.header()).unwrap();
        // A ping to answer, then more than is read at once, all of it there before it goes.
        let mut said = control_frame(FrameType::Subscribed, &Subscribed { id })
            .unwrap()
            .to_vec();
        let text = "z".repeat(1_000);
        for number in 0..100 {
            let ping = control_frame(FrameType::Ping, &Ping { id: number }).unwrap();
            said.extend_from_slice(&ping);
            let frame = encode(&rows(&[&text]), Stamp::Broker).unwrap();
            let header = Deliver {
                id,
                position: number,
                source: "there",
            };
            let mut deliver = bytes::BytesMut::new();
            assert!(put_deliver(
                &mut deliver,
                &header,
                DeliverMore::default(),
                frame.len()
            ));
            said.extend_from_slice(&deliver);
            said.extend_from_slice(&frame);
        }
        stream.write_all(&said).unwrap();
    });
    let options = ClientOptions::new(&socket, "reader");
    let client = BrokerClient::connect(options).await.unwrap();
    let there = client.subscribe(everything("there")).unwrap();
    broker.join().unwrap();
    let found = receive(&there, 100).await;
    assert!(found.iter().all(|text| text.len() == 1_000), "{found:?}");
}
