//! A client in another language, written from `docs/protocol.md` alone, sees what `weir tap --json` sees.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use weir_bus::event::{FieldSpec, FieldType, FilesystemEvent, PerformanceEvent};
use weir_bus::pubsub::{EventBus as _, PublisherId};
use weir_bus::{Batch, BatchHeader, CollectionEvent, Kind, Snapshot, Topic};
use weir_tests::broker::{Served, Verb};
use weir_tests::rows::row_of;

/// From here on buffers lie at multiples of 64 rather than 8.
const LARGE_FRAME_BYTES: usize = 4_096;

/// A text that no frame has room for.
const TOO_LARGE_BYTES: usize = 9 << 20;

type Row = Map<String, Value>;

/// Each value at a border of its type.
fn full(field: &FieldSpec) -> Value {
    match field.field_type {
        FieldType::Utf8 => json!("a \"text\", für ὅλην 🦀\n\u{1b}\u{0}"),
        FieldType::U16 => json!(u16::MAX),
        FieldType::U32 => json!(u32::MAX),
        FieldType::U64 => json!(u64::MAX),
        FieldType::I32 => json!(i32::MIN),
        FieldType::F64 => json!(-0.1),
        FieldType::Bool => json!(true),
        FieldType::TimestampNs => json!(i64::MIN),
        FieldType::ListUtf8 => json!(["", "a b", "", "ü"]),
    }
}

/// The least that a field can be.
fn empty(field: &FieldSpec) -> Value {
    match field.field_type {
        FieldType::Utf8 => json!(""),
        FieldType::F64 => json!(0.0),
        FieldType::Bool => json!(false),
        FieldType::ListUtf8 => json!([]),
        _ => json!(0),
    }
}

fn null(field: &FieldSpec) -> Value {
    if field.nullable {
        Value::Null
    } else {
        full(field)
    }
}

fn long(field: &FieldSpec) -> Value {
    match field.field_type {
        FieldType::Utf8 => json!("ü🦀".repeat(300)),
        FieldType::ListUtf8 => (0..300).map(|item| "é".repeat(item % 7)).collect(),
        _ => null(field),
    }
}

/// The batches of a kind: of few rows and of many, with and without values in whole columns.
fn batches(kind: Kind) -> Vec<Vec<Row>> {
    let [full, empty, null, long] = [full, empty, null, long].map(|value| row_of(kind, value));
    // More than 8 rows and more than 64, so that bits lie in several bytes and buffers.
    let many = [&full, &null, &empty].into_iter().cycle().take(100);
    vec![
        vec![null.clone()],
        vec![empty.clone()],
        vec![full.clone(), null.clone(), empty.clone(), full.clone()],
        vec![null.clone(), long, full.clone()],
        many.cloned().collect(),
        vec![null; 70],
    ]
}

fn batch(topic: &str, rows: &[Row]) -> Batch {
    let event = |row: &Row| serde_json::from_value(Value::Object(row.clone())).expect("a row");
    let events: Vec<CollectionEvent> = rows.iter().map(event).collect();
    let topic = Topic::parse(topic).expect("a topic");
    Batch::of_events(topic, "observer", 1 << 63, &events).expect("a batch")
}

fn publish(served: &Served, batch: Batch) {
    let published = served.bus.publish(PublisherId::unique(), Arc::new(batch));
    published.expect("an open bus");
}

/// Both clients, listening.
fn taps(served: &Served, rows: usize) -> [Verb; 2] {
    let count = rows.to_string();
    let weir = served.start_verb(&["tap", "tests.>", "--json", "--count", &count]);
    let python = served.start_python_tap(&["tests.>", "--count", &count]);
    served.wait_for_subscribers(2);
    [weir, python]
}

/// The next line of both, which is the same.
fn line(taps: &[Verb; 2]) -> Row {
    let [weir, python] = taps.each_ref().map(Verb::json);
    assert_eq!(python, weir);
    match weir {
        Value::Object(row) => row,
        other => panic!("no object: {other}"),
    }
}

/// Both have had enough.
fn ended(taps: [Verb; 2]) {
    for tap in taps {
        let ended = tap.wait();
        let quiet = (ended.code, ended.stdout.as_str(), ended.stderr.as_str());
        assert_eq!(quiet, (Some(0), "", ""), "{ended:?}");
    }
}

#[test]
fn python_prints_the_rows_of_every_kind_that_tap_prints() {
    let served = Served::new();
    for kind in Kind::ALL {
        let batches = batches(kind);
        let rows: Vec<&Row> = batches.iter().flatten().collect();
        let taps = taps(&served, 3 * rows.len());
        let mut bytes = Vec::new();
        for rows in &batches {
            let batch = batch("tests.in_process", rows);
            bytes.extend(
                batch
                    .frames()
                    .expect("frames")
                    .iter()
                    .map(|frame| frame.len()),
            );
            publish(&served, batch);
        }
        let is_large = |bytes: &usize| *bytes >= LARGE_FRAME_BYTES;
        assert!(
            bytes.iter().any(is_large) && !bytes.iter().all(is_large),
            "{bytes:?}"
        );
        // Under another's name, and as the end of a snapshot.
        for rows in &batches {
            let batch = batch("tests.again", rows).published_by("publisher".into());
            let header = BatchHeader {
                snapshot: Some(Snapshot {
                    id: 300,
                    last: true,
                }),
                ..batch.header().clone()
            };
            let columns = batch.records().columns().to_vec();
            publish(&served, Batch::new(header, columns).expect("a batch"));
        }
        // From a client: the broker says where they come from, and joins what is small.
        let line_of = |row: &&Row| format!("{}\n", Value::Object((*row).clone()));
        let input: String = rows.iter().map(line_of).collect();
        let said = served.run(&["pub", "tests.client", "--batch", "3"], &input);
        assert_eq!(said.code, Some(0), "{said:?}");
        for (topic, source) in [
            ("tests.in_process", Some("observer")),
            ("tests.again", Some("publisher")),
            ("tests.client", None),
        ] {
            for row in &rows {
                check(line(&taps), topic, source, row);
            }
        }
        ended(taps);
        served.wait_for_subscribers(0);
    }
}

/// A line is the row that was published, and what stands around it.
fn check(mut found: Row, topic: &str, source: Option<&str>, row: &Row) {
    assert_eq!(found.remove("topic"), Some(json!(topic)));
    let from = found.remove("source").expect("a source");
    assert!(source.is_none_or(|source| from == source), "{from}");
    for number in ["sequence", "position"] {
        assert!(
            found.remove(number).is_some_and(|value| value.is_u64()),
            "{number}"
        );
    }
    assert_eq!(&found, row);
}

#[test]
fn python_prints_numbers_as_tap_prints_them_and_those_that_json_has_not_as_null() {
    let served = Served::new();
    let table = [
        (f64::NAN, json!(null)),
        (f64::INFINITY, json!(null)),
        (f64::NEG_INFINITY, json!(null)),
        (f64::MAX, json!(f64::MAX)),
        (f64::MIN_POSITIVE, json!(f64::MIN_POSITIVE)),
        (-0.0, json!(-0.0)),
        (1e16, json!(1e16)),
        (0.1 + 0.2, json!(0.1 + 0.2)),
    ];
    let taps = taps(&served, table.len());
    let rows = table.each_ref().map(|(value, _)| {
        let row = PerformanceEvent {
            value: *value,
            ..PerformanceEvent::default()
        };
        row.into()
    });
    served.publish("tests.numbers", &rows);
    for (value, expected) in table {
        assert_eq!(line(&taps)["value"], expected, "{value}");
    }
    ended(taps);
}

#[test]
fn python_prints_a_gap_where_tap_prints_it() {
    let served = Served::new();
    let taps = taps(&served, 4);
    let of = |path: String| {
        let row = FilesystemEvent {
            path,
            ..FilesystemEvent::default()
        };
        CollectionEvent::from(row)
    };
    let small = [of("before".to_owned()), of("after".to_owned())];
    served.publish("tests.rows", &small);
    served.publish("tests.rows", &[of("x".repeat(TOO_LARGE_BYTES))]);
    served.publish("tests.rows", &small);
    for position in [1, 3] {
        for path in ["before", "after"] {
            let row = line(&taps);
            assert_eq!(
                (&row["path"], &row["position"]),
                (&json!(path), &json!(position))
            );
        }
        if position == 1 {
            let gap = json!({"missed": 1, "reason": "too-large", "from": 2, "to": 2});
            assert_eq!(Value::Object(line(&taps)), json!({ "gap": gap }));
        }
    }
    ended(taps);
}
