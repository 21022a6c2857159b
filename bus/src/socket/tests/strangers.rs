//! Peers that break the protocol, lie, fall silent, or send in odd pieces.

use super::*;

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
        // A row may be received before it is counted.
        if counts.produced == 2 {
            let found = (counts.published, counts.dropped.total().rows);
            assert_eq!(found, (1, 1));
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
