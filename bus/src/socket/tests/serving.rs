//! What a broker does for those who keep to the protocol.

use super::*;

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
    // The broker says so, or on a busy machine the client first.
    let late = ask("control.never", 20).await.unwrap_err();
    assert!(
        late.starts_with("no answer") && late.ends_with("within 20 ms"),
        "{late}"
    );
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
