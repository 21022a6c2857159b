//! Tables at an interval over the socket.

use super::*;
use crate::pubsub::testing::{Served, seen, table};
use crate::pubsub::{TableRequest, Tables};
use crate::wire::{Later, Subscribe};

const EVERY: Duration = Duration::from_secs(10);

fn served(house: &House) -> Arc<Served> {
    let tables = Arc::new(Served::default());
    house
        .bus
        .serve_tables(Arc::clone(&tables) as Arc<dyn Tables>);
    tables
}

fn asking() -> SubscriptionOptions {
    SubscriptionOptions::new("asks")
        .pattern(TopicPattern::parse("events.process.>").unwrap())
        .every(EVERY)
}

async fn next(subscriber: &Subscriber) -> (String, Vec<u32>, bool) {
    match tokio::time::timeout(PATIENCE, subscriber.recv()).await {
        Ok(Recv::Got(Delivery::Batch { item, .. })) => seen(&item),
        other => panic!("no part of a table: {other:?}"),
    }
}

#[tokio::test]
async fn a_client_gets_whole_tables_at_its_interval_until_it_leaves() {
    let house = House::new();
    let tables = served(&house);
    let client = house.client("reader").await;
    let subscriber = client.open_subscription(asking()).await.unwrap();
    let whole = table(7, &[("started", &[2, 3]), ("observed", &[4])]);
    let pushed = tables.asked(|asked| {
        let TableRequest {
            name, every, feed, ..
        } = asked.first().unwrap();
        assert_eq!((&**name, *every), ("reader/asks", EVERY));
        feed.push(&whole, 0)
    });
    assert!(pushed);
    assert_eq!(
        next(&subscriber).await,
        ("started".to_owned(), vec![2, 3], false)
    );
    assert_eq!(
        next(&subscriber).await,
        ("observed".to_owned(), vec![4], true)
    );
    let shown = client.statistics();
    assert_eq!(shown.subscriber("asks").unwrap().every, Some(EVERY));
    drop((subscriber, client));
    while tables.asking() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_had_is_refused_with_its_reason() {
    let house = House::new();
    let client = house.client("reader").await;
    let refused = client.open_subscription(asking()).await.unwrap_err();
    assert!(
        refused.to_string().contains("no source of this bus"),
        "{refused}"
    );
    let short = asking().every(Duration::from_millis(1));
    let refused = client.open_subscription(short).await.unwrap_err();
    assert!(refused.to_string().contains("100ms"), "{refused}");
}

#[test]
fn a_subscribe_frame_that_ends_before_the_interval_asks_for_the_stream() {
    let frame = asking().to_wire(1, "asks".to_owned());
    assert_eq!(frame.every_ms, Later(10_000));
    let whole = control_frame(FrameType::Subscribe, &frame).unwrap();
    let whole = Frame::read(&whole).unwrap().unwrap();
    let older = &whole.header()[..whole.header().len() - 2];
    let older: Subscribe = decode_header(FrameType::Subscribe, older).unwrap();
    assert_eq!(older.every_ms, Later(0));
    assert_eq!(older.patterns, frame.patterns);
}
