//! The verbs that talk to a running daemon, as processes, against a broker in this one.

use rustix::process::Signal;
use serde_json::{Map, Value, json};
use weir_bus::event::FieldType;
use weir_bus::pubsub::{Delivery, EventBus as _, Recv, SubscriptionOptions};
use weir_bus::{CollectionEvent, Kind, TopicPattern};
use weir_tests::broker::Served;
use weir_tests::rows::{process, processes, row_of};

fn events(first: u32, count: u32) -> Vec<CollectionEvent> {
    processes(first, count)
        .into_iter()
        .map(CollectionEvent::from)
        .collect()
}

/// A row of a kind in which every field has a value that it could have, at a border where it has one.
fn full_row(kind: Kind) -> Map<String, Value> {
    let value = |field_type| match field_type {
        FieldType::Utf8 => json!("a \"text\", ü\n\u{1b}"),
        FieldType::U16 => json!(u16::MAX),
        FieldType::U32 => json!(u32::MAX),
        FieldType::U64 => json!(u64::MAX),
        FieldType::I32 => json!(i32::MIN),
        FieldType::F64 => json!(-0.125),
        FieldType::Bool => json!(true),
        FieldType::TimestampNs => json!(1_700_000_000_123_456_789_i64),
        FieldType::ListUtf8 => json!(["", "a b", "c"]),
    };
    row_of(kind, |field| value(field.field_type))
}

fn lines<'a>(rows: impl IntoIterator<Item = &'a Map<String, Value>>) -> String {
    let line =
        |row: &Map<String, Value>| format!("{}\n", serde_json::to_string(row).expect("JSON"));
    rows.into_iter().map(line).collect()
}

#[test]
fn every_field_of_every_kind_goes_through_pub_and_tap_and_again() {
    let served = Served::new();
    let rows: Vec<_> = Kind::ALL.into_iter().map(full_row).collect();
    let mut input = lines(&rows);
    for round in 0..2 {
        let tap = served.start_verb(&["tap", "tests.>", "--json", "--count", "7"]);
        served.wait_for_subscribers(1);
        let published = served.run(&["pub", "tests.rows"], &input);
        assert_eq!(published.code, Some(0), "{published:?}");
        assert_eq!(
            published.stderr,
            "7 rows published to tests.rows, 0 refused, 0 bad\n"
        );
        input.clear();
        for (sequence, row) in rows.iter().enumerate() {
            let mut found = tap.json();
            input.push_str(&format!("{found}\n"));
            let found = found.as_object_mut().expect("an object");
            assert_eq!(found.remove("topic"), Some(json!("tests.rows")));
            assert_eq!(found.remove("sequence"), Some(json!(sequence)));
            assert!(found.remove("position").is_some_and(|value| value.is_u64()));
            let source = found.remove("source").expect("a source");
            assert!(
                source
                    .as_str()
                    .is_some_and(|source| source.contains(",pid:"))
            );
            assert_eq!(found, row, "round {round}");
        }
        let ended = tap.wait();
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), ""),
            "{ended:?}"
        );
        served.wait_for_subscribers(0);
    }
}

#[test]
fn a_bad_line_is_told_with_its_number_and_the_good_ones_are_published() {
    let served = Served::new();
    let input = "{\"pid\":1}\n\n{\"pid\":2}\n{\"pidd\":3}\nno\n{\"pid\":4,\"timestamp\":5}\n";
    std::fs::write(served.path("rows"), input).expect("a file");
    let ran = served.run(
        &["pub", "events.process.observed", "rows", "--batch", "2"],
        "",
    );
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        said[0],
        "line 4: process events have no field `pidd`; the nearest is `pid`"
    );
    assert!(said[1].starts_with("line 5: no JSON"), "{ran:?}");
    assert_eq!(
        said[2],
        "3 rows published to events.process.observed, 0 refused, 2 bad"
    );
    let published = served.bus.statistics().published;
    // Two were sent; the broker makes one of them where it reads them at once.
    assert_eq!(published.rows, 3);
    assert!((1..=2).contains(&published.batches), "{published}");
    let nothing_says_the_kind = served.run(&["pub", "tests.rows"], "{\"pid\":1}\n");
    assert!(
        nothing_says_the_kind
            .stderr
            .contains("line 1: nothing says of which kind")
    );
    let said = served.run(&["pub", "tests.rows", "--kind", "process"], "{\"pid\":1}\n");
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn without_a_daemon_a_verb_says_in_one_line_which_socket_and_what_to_do() {
    let mut served = Served::new();
    served.stop();
    let socket = served.path("elsewhere.sock");
    let socket = socket.to_str().expect("a text");
    for verb in [
        &["tap", ">"][..],
        &["pub", "tests.rows", "--kind", "process"],
        &["request", "control.status"],
        &["status"],
        &["guests"],
        &["reload"],
        &["release", "watch"],
        &["record", "tape.arrow", ">"],
        &["top"],
    ] {
        let ran = served.run(&[verb, &["--socket", socket]].concat(), "");
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(1), ""),
            "{verb:?} {ran:?}"
        );
        assert_eq!(
            ran.stderr,
            format!("weir: {socket}: there is no socket: is `weir run` or `weir bus` running?\n"),
            "{verb:?}"
        );
    }
}

#[test]
fn what_is_asked_for_wrongly_is_usage_and_says_what_would_be_right() {
    let served = Served::with([("control.status", json!({}))]);
    let check = |arguments: &[&str], part: &str| {
        let ran = served.run(arguments, "");
        assert_eq!(ran.code, Some(2), "{arguments:?} {ran:?}");
        assert!(ran.stderr.contains(part), "{arguments:?} {ran:?}");
    };
    check(&["tap", "events..x"], "events..x");
    check(
        &["tap", ">", "--kind", "proces"],
        "the kinds are process, network",
    );
    check(&["tap", ">", "--where", "pid"], "there is no operator");
    check(&["tap", ">", "--where", "pidd=1"], "the nearest is `pid`");
    check(&["tap", ">", "--where", "pid=sh"], "write a whole number");
    check(&["pub", "tests.*"], "tests.*");
    check(&["pub", "tests.rows", "missing"], "can't read missing");
    check(
        &["request", "control.nothing"],
        "one can ask control.status",
    );
    check(&["request", "control.status", "{"], "no JSON");
    check(&["replay", "missing.arrow"], "missing.arrow");
    check(&["top", "--interval", "1ms"], "at least 100 ms");
}

#[test]
fn a_tap_shows_only_what_is_asked_for_for_a_person_too() {
    let served = Served::new();
    let check = |flags: &[&str], expected: &str| {
        let tap = served.start_verb(&[&["tap", "events.>", "--count", "1"], flags].concat());
        served.wait_for_subscribers(1);
        served.publish("events.process.observed", &events(40, 5));
        let line = tap.line();
        assert!(line.contains(expected), "{flags:?}: {line}");
        assert_eq!(tap.wait().code, Some(0));
        served.wait_for_subscribers(0);
    };
    check(
        &[],
        "2001-09-09T01:46:40.000Z events.process.observed tests#0 pid=40 \
         start_time=2001-09-09T01:46:40.000Z name=p40 command_line=[p40] accessible=true lifecycle=observed",
    );
    check(&["--where", "pid>42"], "tests#3 pid=43");
    check(&["--pid", "44", "--kind", "process"], "pid=44");
    check(&["--source", "tests", "--where", "name='p41'"], "pid=41");
}

#[test]
fn after_a_broker_s_end_a_tap_goes_on_with_a_gap_in_its_place_and_a_word_on_stderr() {
    let mut served = Served::new();
    let tap = served.start_verb(&["tap", ">", "--json", "--count", "2"]);
    served.wait_for_subscribers(1);
    served.publish("tests.rows", &events(1, 1));
    assert_eq!(tap.json()["pid"], 1);
    served.stop();
    served.wait_for_subscribers(0);
    served.start();
    served.wait_for_subscribers(1);
    served.publish("tests.rows", &events(2, 1));
    let gap = tap.json();
    assert_eq!(gap["gap"]["missed"], Value::Null, "{gap}");
    assert_eq!(gap["gap"]["reason"], "disconnected", "{gap}");
    assert_eq!(tap.json()["pid"], 2);
    let ended = tap.wait();
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("trying again"), "{ended:?}");
}

#[test]
fn an_interrupt_and_a_reader_that_goes_away_are_quiet_ends() {
    let served = Served::new();
    for verb in [&["tap", ">"][..], &["record", "tape.arrow", ">"]] {
        let running = served.start_verb(verb);
        served.wait_for_subscribers(1);
        running.signal(Signal::INT);
        let ended = running.wait();
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), ""),
            "{ended:?}"
        );
        let word = if verb[0] == "tap" {
            ""
        } else {
            "0 rows recorded: no file\n"
        };
        assert_eq!(ended.stderr, word);
        served.wait_for_subscribers(0);
    }
    // Nothing more is published: it sees by itself that nobody reads, maybe before anybody here sees it.
    let tap = served.start_verb_unread(&["tap", ">"]);
    let ended = tap.wait();
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
}

#[test]
fn what_was_recorded_is_replayed_row_for_row() {
    let served = Served::new();
    let record = ["record", "tape.arrow", "events.>", "--count", "5"];
    let recording = served.start_verb(&record);
    served.wait_for_subscribers(1);
    let rows = events(1, 7);
    served.publish("events.process.observed", &rows[..3]);
    served.publish("events.process.started", &rows[3..]);
    let ended = recording.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "5 rows recorded: tape.process.arrow\n");
    let again = served.run(&record, "");
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("--force overwrites it"), "{again:?}");
    served.wait_for_subscribers(0);
    let everything =
        SubscriptionOptions::new("tests").pattern(TopicPattern::parse(">").expect("all"));
    let subscriber = served.bus.subscribe(everything).expect("a subscriber");
    let replay = |flags: &[&str]| {
        let ran = served.run(&[&["replay", "tape.process.arrow"], flags].concat(), "");
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (Some(0), "5 rows published, 0 refused\n")
        );
        let mut found = Vec::new();
        while let Recv::Got(Delivery::Batch { item, .. }) = subscriber.try_recv() {
            let events = (0..item.rows()).filter_map(|row| item.row(row));
            found.extend(events.map(|event| (item.topic().to_string(), event)));
        }
        found
    };
    let there = |topics: [&str; 2]| -> Vec<(String, CollectionEvent)> {
        let topic = |row: usize| topics[usize::from(row >= 3)].to_owned();
        (0..5).map(|row| (topic(row), rows[row].clone())).collect()
    };
    let recorded = there(["events.process.observed", "events.process.started"]);
    assert_eq!(replay(&["--pace", "recorded"]), recorded);
    assert_eq!(replay(&["--topic", "tests.rows"]), there(["tests.rows"; 2]));
}

/// A status in which a subscriber is slow and a source isn't well.
fn canned_status() -> Value {
    json!({
        "component": "weir", "version": "9.9.9", "pid": 7, "seconds": 125.0,
        "sources": [
            {"name": "fine", "health": {"status": "healthy"}, "produced": 20_000, "published": 12_345, "dropped": {}},
            {"name": "ill", "health": {"status": "degraded", "reason": "half blind"}, "dropped": {}},
        ],
        "slots": [],
        "bus": {"published": {"rows": 12_345, "batches": 9}, "subscribers": [
            {"id": 1, "name": "laggard", "patterns": [">"],
             "counts": {"delivered": {"rows": 1}, "dropped": {"queue-full": {"rows": 3, "batches": 1}}}},
        ]},
        "broker": {"connections": []},
    })
}

#[test]
fn status_guests_and_top_say_what_is_wrong_first_and_reload_tells_by_its_exit() {
    let guests = json!({"guests": [
        {"slot": "watch", "world": "trigger", "state": "running", "module": "builtin:sql-trigger", "rows_answered": 10, "fuel": 1_000, "faults": {"trap": 1}, "last_fault": {"reason": "trap"}},
    ]});
    let served = Served::with([
        ("control.status", canned_status()),
        ("control.guests", guests.clone()),
        (
            "control.reload",
            json!({"taken": false, "message": "slots.x.module: no such file"}),
        ),
        ("control.echo", Value::Null),
    ]);
    let status = served.run(&["status"], "");
    let expected = "\
weir — weir 9.9.9, pid 7, since 2 m 05 s: 12345 rows over the bus
! source ill is degraded: half blind
! subscriber laggard is slow: 3 rows dropped

! SOURCE  HEALTH    PRODUCED  PUBLISHED  REMOVED  DROPPED  IN FLIGHT
"
    .replace("! SOURCE", "  SOURCE");
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.starts_with(&expected), "{}", status.stdout);
    assert!(
        status.stdout.contains("\n! ill     degraded"),
        "{}",
        status.stdout
    );
    let top = served.run(&["top", "--interval", "100ms"], "");
    assert_eq!((top.code, top.stdout), (Some(0), status.stdout));
    let json = served.run(&["status", "--json"], "");
    assert_eq!(
        serde_json::from_str(&json.stdout).ok(),
        Some(canned_status())
    );
    let json = served.run(&["top", "--once", "--json", "--interval", "100ms"], "");
    let overview: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        overview["sources"][1]["problem"],
        "source ill is degraded: half blind"
    );
    let table = served.run(&["guests"], "");
    let first = "! slot watch has 1 faults, the last trap\n";
    assert!(table.stdout.starts_with(first), "{}", table.stdout);
    assert!(table.stdout.contains("\n! watch"), "{}", table.stdout);
    let json = served.run(&["guests", "--json"], "");
    assert_eq!(serde_json::from_str(&json.stdout).ok(), Some(guests));
    let reload = served.run(&["reload"], "");
    assert_eq!(
        (reload.code, reload.stdout.as_str()),
        (Some(1), "slots.x.module: no such file\n")
    );
    let echo = served.run(&["request", "control.echo", "{\"a\":1}"], "");
    assert_eq!((echo.code, echo.stdout.as_str()), (Some(0), "{\"a\":1}\n"));
    let piped = served.run(&["request", "control.echo", "-"], "[2]");
    assert_eq!(piped.stdout, "[2]\n");
}

#[test]
fn rows_of_one_process_keep_their_order_and_their_numbers() {
    let served = Served::new();
    let tap = served.start_verb(&["tap", "tests.>", "--json", "--count", "2500"]);
    served.wait_for_subscribers(1);
    let row = |pid: u32| CollectionEvent::from(process(pid, "p"));
    let input: String = (0..2_500)
        .map(|pid| format!("{}\n", serde_json::to_string(&row(pid)).expect("JSON")))
        .collect();
    let published = served.run(&["pub", "tests.rows", "-"], &input);
    assert_eq!(published.code, Some(0), "{published:?}");
    for number in 0..2_500 {
        let found = tap.json();
        assert_eq!(
            (&found["sequence"], &found["pid"]),
            (&json!(number), &json!(number))
        );
    }
}
