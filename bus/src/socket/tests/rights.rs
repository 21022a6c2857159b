//! Who may do what, who is who, and who has the socket.

use super::*;

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

#[test]
fn its_group_may_connect_to_the_socket_whatever_the_umask_says_and_nobody_else() {
    use std::os::unix::fs::PermissionsExt as _;

    let house = House::new();
    let mode = std::fs::metadata(house.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660, "{mode:o}");
}
