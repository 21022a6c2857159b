//! Promises of rows as lines.

use weir_bus::batch::Batch;
use weir_bus::pubsub::{Gap, Incarnation, Incarnations};
use weir_bus::{CollectionEvent, DropReason, Kind, Timestamp, Topic};

use super::*;

const NOW: Timestamp = Timestamp(1_000);

fn parse(line: &str) -> Result<Option<CollectionEvent>, RowError> {
    RowParser::default().parse(line, NOW)
}

#[test]
fn a_wrong_line_says_what_would_be_right() {
    let check = |line: &str, expected: &str| {
        let error = parse(line).expect_err(line).to_string();
        assert!(error.contains(expected), "{line}: {error}");
    };
    check("pid 7", "no JSON");
    check("[1]", "a row is an object");
    check(r#"{"pid":7}"#, "use --kind");
    check(r#"{"kind":"proces"}"#, "no kind `proces`");
    check(
        r#"{"kind":"process","pidd":7}"#,
        "process events have no field `pidd`; the nearest is `pid`",
    );
    check(
        r#"{"kind":"process","pid":-1}"#,
        "`pid` of process events is -1; it must be a whole number from 0 to 4294967295",
    );
    check(
        r#"{"kind":"network","destination_port":70000}"#,
        "from 0 to 65535, or null",
    );
    check(r#"{"kind":"process","name":null}"#, "must be a text");
    check(
        r#"{"kind":"process","command_line":[1]}"#,
        "a list of texts",
    );
    check(
        r#"{"kind":"process","start_time":1.5}"#,
        "whole number of nanoseconds",
    );
    let asked = RowParser {
        kind: Some(Kind::Network),
        fallback: None,
    };
    let error = asked
        .parse(r#"{"kind":"process"}"#, NOW)
        .expect_err("mismatch");
    assert_eq!(
        error.to_string(),
        "the row is of kind process, and --kind says network"
    );
}

#[test]
fn a_line_is_a_row_or_what_a_tap_or_a_sink_made_of_one_or_nothing() {
    let check = |line: &str, expected: Option<(Kind, i64)>| {
        let found = parse(line).expect(line);
        let found = found.map(|event| (event.kind(), event.timestamp().0));
        assert_eq!(found, expected, "{line}");
    };
    check(
        r#"{"kind":"process","pid":7}"#,
        Some((Kind::Process, 1_000)),
    );
    check(
        r#"{"topic":"a.b","source":"s","sequence":1,"position":2,"kind":"finding","timestamp":5}"#,
        Some((Kind::Finding, 5)),
    );
    check(
        r#"{"type":"event","topic":"a.b","source":"s","sequence":3,"event":{"kind":"process","timestamp":9}}"#,
        Some((Kind::Process, 9)),
    );
    check(
        r#"{"type":"gap","missed":3,"reason":"x","from":1,"to":2}"#,
        None,
    );
    check(r#"{"gap":{"missed":3}}"#, None);
    check("  ", None);
    let fallback = RowParser {
        kind: None,
        fallback: Some(Kind::Filesystem),
    };
    let event = fallback.parse("{}", NOW).expect("a row").expect("one");
    assert_eq!(event.kind(), Kind::Filesystem);
}

#[test]
fn a_printed_row_is_read_as_the_same_row() {
    let line = r#"{"kind":"process","timestamp":7,"pid":4294967295,"start_time":-3,"name":"a \"b\"\u001b","command_line":["x","y z"],"cpu_usage":12.5,"memory_bytes":18446744073709551615,"accessible":true,"exit_code":-9}"#;
    let event = parse(line).expect("a row").expect("one");
    let topic = Topic::parse("events.process.observed").expect("a topic");
    let batch =
        Batch::of_events(topic, "tests", 41, std::slice::from_ref(&event)).expect("a batch");
    let printed = json_line(&batch, 3, 0).expect("a line");
    let around = r#"{"topic":"events.process.observed","source":"tests","sequence":41,"position":3,"kind":"process","timestamp":7,"pid":4294967295,"#;
    assert!(printed.starts_with(around), "{printed}");
    assert_eq!(parse(&printed), Ok(Some(event)));
    let text = text_line(&batch, 0).expect("a line");
    assert_eq!(
        text,
        "1970-01-01T00:00:00.000Z events.process.observed tests#41 pid=4294967295 start_time=-3 \
         name=\"a \\\"b\\\"\\u{1b}\" command_line=[x \"y z\"] cpu_usage=12.5 \
         memory_bytes=18446744073709551615 accessible=true exit_code=-9"
    );
    assert_eq!(
        (json_line(&batch, 3, 1), text_line(&batch, 1)),
        (None, None)
    );
}

#[test]
fn a_gap_says_how_much_is_missing_and_why() {
    let gap = |missed| Gap {
        missed,
        reason: DropReason::QueueFull,
        from: 1,
        to: 2,
        incarnations: None,
    };
    assert_eq!(
        gap_json(&gap(Some(3))),
        r#"{"gap":{"missed":3,"reason":"queue-full","from":1,"to":2}}"#
    );
    assert_eq!(
        gap_text(&gap(None)),
        "(gap: an unknown number of rows are missing here, queue-full)"
    );
    let other_life = Gap {
        incarnations: Some(Incarnations {
            old: Incarnation(1),
            new: Incarnation(u128::MAX),
        }),
        ..gap(None)
    };
    assert_eq!(
        gap_json(&other_life),
        r#"{"gap":{"missed":null,"reason":"queue-full","from":1,"to":2,"incarnations":{"old":"00000000000000000000000000000001","new":"ffffffffffffffffffffffffffffffff"}}}"#
    );
    assert_eq!(
        gap_text(&other_life),
        "(gap: an unknown number of rows are missing here, queue-full; the bus of incarnation 00000000000000000000000000000001 has ended, ffffffffffffffffffffffffffffffff goes on)"
    );
}
