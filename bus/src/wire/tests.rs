//! Promises of the wire: rows come back as they went, and no bytes break anything.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::batch::{Batch, Snapshot};
use crate::event::{CollectionEvent, FieldSpec, FieldType, Kind};
use crate::topic::Topic;

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(String::new()),
        "[a-z/]{1,12}",
        "\\PC{0,24}",
        Just("für ὅλην 🦀".to_owned()),
    ]
    .prop_map(Value::from)
}

fn value(field: &FieldSpec) -> BoxedStrategy<Value> {
    let value = match field.field_type {
        FieldType::Utf8 => text().boxed(),
        FieldType::U16 => any::<u16>().prop_map(Value::from).boxed(),
        FieldType::U32 => any::<u32>().prop_map(Value::from).boxed(),
        FieldType::U64 => any::<u64>().prop_map(Value::from).boxed(),
        FieldType::I32 => any::<i32>().prop_map(Value::from).boxed(),
        FieldType::TimestampNs => any::<i64>().prop_map(Value::from).boxed(),
        FieldType::F64 => (-1.0e9..1.0e9).prop_map(Value::from).boxed(),
        FieldType::Bool => any::<bool>().prop_map(Value::from).boxed(),
        FieldType::ListUtf8 => prop::collection::vec(text(), 0..40)
            .prop_map(Value::from)
            .boxed(),
    };
    if field.nullable {
        prop_oneof![Just(Value::Null), value].boxed()
    } else {
        value
    }
}

/// Rows of one kind, each field any value that it can have; whole columns are often without one.
fn rows() -> impl Strategy<Value = (Kind, Vec<CollectionEvent>)> {
    (0..Kind::ALL.len(), 1..20_usize, any::<u64>()).prop_flat_map(|(kind, rows, empty)| {
        let kind = Kind::ALL[kind];
        let own = kind.fields().iter().enumerate();
        let own = own.filter(|(_, field)| !["source", "sequence"].contains(&field.name));
        let fields: Vec<_> = own
            .map(|(at, field)| {
                let empty = field.nullable && empty >> (at % 64) & 1 == 1;
                let value = if empty {
                    Just(Value::Null).boxed()
                } else {
                    value(field)
                };
                value.prop_map(move |value| (field.name.to_owned(), value))
            })
            .collect();
        let row = fields.prop_map(move |fields| {
            let mut object: Map<String, Value> = fields.into_iter().collect();
            object.insert("kind".to_owned(), json!(kind.as_str()));
            serde_json::from_value(Value::Object(object)).expect("a row of its kind")
        });
        (Just(kind), prop::collection::vec(row, rows))
    })
}

fn batch(kind: Kind, events: &[CollectionEvent], source: &str, first: u64) -> Batch {
    let topic = crate::topic::of_event(kind, "any");
    Batch::of_events(topic, source, first, events).expect("rows of one kind")
}

/// As a client would send it, and as a receiver reads it under `source`.
fn received(frames: &Bytes, source: &str) -> Result<Vec<Batch>, String> {
    let mut runs = RunBuilder::new(Arc::from(source));
    let mut batches = Vec::new();
    let mut rest = frames.clone();
    while let Some(frame) = Frame::read(&rest).map_err(|error| error.to_string())? {
        let publish = PublishFrame::of(&frame).map_err(|error| error.to_string())?;
        let done = runs
            .push(&publish, frame.bytes())
            .map_err(|error| error.to_string())?;
        batches.extend(done);
        rest = rest.slice(frame.prefix().bytes..);
    }
    batches.extend(runs.finish());
    let decode = |wire: &WireBatch| wire.decode().map_err(|error| error.to_string());
    batches.iter().map(decode).collect()
}

fn events(batches: &[Batch]) -> Vec<CollectionEvent> {
    let rows = |batch: &Batch| {
        (0..batch.rows())
            .filter_map(|row| batch.row(row))
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(rows).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn rows_over_the_wire_are_the_same_rows((kind, sent) in rows()) {
        let batch = batch(kind, &sent, "here", 7);
        let frame = encode(&batch, Stamp::Deliver("here")).unwrap();
        let back = received(&frame, "there").unwrap();
        prop_assert_eq!(events(&back), sent);
        prop_assert_eq!(back[0].header().topic.clone(), batch.header().topic.clone());
        prop_assert_eq!(back[0].stamp(0), Some(("there", 7)));
        // A source that isn't the frame's goes with the rows.
        let kept = received(&encode(&batch, Stamp::Deliver("other")).unwrap(), "there").unwrap();
        prop_assert_eq!(kept[0].stamp(0), Some(("here", 7)));
    }

    #[test]
    fn a_slice_of_a_batch_is_sent_as_if_it_were_whole((kind, sent) in rows(), from in 0..20_usize) {
        let batch = batch(kind, &sent, "here", 0);
        let from = from % sent.len();
        let part = batch.records().slice(from, sent.len() - from);
        let part = Batch::new(batch.header().clone(), part.columns().to_vec()).unwrap();
        let back = received(&encode(&part, Stamp::Deliver("here")).unwrap(), "here").unwrap();
        prop_assert_eq!(events(&back), &sent[from..]);
    }

    #[test]
    fn a_broken_frame_is_an_error_or_other_rows_and_never_a_panic(
        (kind, sent) in rows(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let frame = encode(&batch(kind, &sent, "here", 0), Stamp::Deliver("here")).unwrap();
        let mut flipped = frame.to_vec();
        flipped[at.index(frame.len())] ^= flip;
        drop(received(&Bytes::from(flipped), "here"));
        let cut = frame.slice(..cut.index(frame.len()));
        prop_assert_eq!(received(&cut, "here").map(|batches| batches.len()), Ok(0));
    }

    #[test]
    fn small_frames_that_follow_each_other_are_one_batch_with_all_their_rows(
        (kind, sent) in rows(),
        size in 1..5_usize,
    ) {
        let mut bytes = Vec::new();
        for (at, part) in sent.chunks(size).enumerate() {
            let first = (at * size) as u64;
            bytes.extend_from_slice(&encode(&batch(kind, part, "here", first), Stamp::Deliver("here")).unwrap());
        }
        let small = bytes.len() < LARGE_FRAME_BYTES;
        let back = received(&Bytes::from(bytes), "here").unwrap();
        prop_assert_eq!(events(&back), sent);
        prop_assert!(!small || back.len() == 1);
    }

    #[test]
    fn random_bytes_are_an_error_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        drop(received(&Bytes::from(bytes), "here"));
    }

    #[test]
    fn random_headers_of_publish_frames_are_errors(header in prop::collection::vec(any::<u8>(), 0..96)) {
        drop(PublishFrame::read(&header, 0, ALIGNMENT_SMALL));
    }
}

#[test]
fn the_end_of_a_snapshot_may_have_no_rows_and_nothing_else() {
    let empty = batch(Kind::Inventory, &[], "here", 3);
    let mut header = empty.header().clone();
    header.kind = Kind::Inventory;
    let columns = crate::event::EventBuilder::new(Kind::Inventory, 0).finish("here");
    let without = Batch::new(header.clone(), columns.clone()).unwrap();
    let sent = encode(&without, Stamp::Deliver("here")).unwrap();
    assert_eq!(
        received(&sent, "here").map(|batches| batches.len()),
        Err("a batch without rows that doesn't end a snapshot".to_owned())
    );
    header.snapshot = Some(Snapshot { id: 4, last: true });
    let last = Batch::new(header, columns).unwrap();
    let back = received(&encode(&last, Stamp::Deliver("here")).unwrap(), "here").unwrap();
    assert_eq!(back[0].rows(), 0);
    assert_eq!(back[0].header().snapshot, last.header().snapshot);
}

#[test]
fn a_frame_that_lies_about_itself_is_told_what_is_wrong() {
    let frame =
        |bytes: &[u8]| Frame::read(&Bytes::copy_from_slice(bytes)).map(|found| found.is_some());
    let check = |bytes: &[u8], expected: &str| {
        let error = frame(bytes).map_err(|error| error.to_string());
        assert_eq!(error, Err(expected.to_owned()));
    };
    check(
        &u32::MAX.to_le_bytes(),
        "a frame of 4294967299 bytes; at most 8388608 are allowed",
    );
    check(
        &[0, 0, 0, 0],
        "a frame of 4 bytes; it must be a multiple of 8, and at least 8",
    );
    check(
        &[5, 0, 0, 0, 3, 0, 0, 0],
        "a frame of 9 bytes; it must be a multiple of 8, and at least 8",
    );
    check(
        &[4, 0, 0, 0, 99, 0, 0, 0],
        "a frame of type 99; the types are 1 (hello) to 14 (goodbye)",
    );
    check(
        &[4, 0, 0, 0, 3, 1, 0, 0],
        "a frame with 1 in its sixth byte, which must be 0",
    );
    check(
        &[4, 0, 0, 0, 3, 0, 1, 0],
        "a publish frame of 8 bytes says that its header has 1",
    );
    assert_eq!(frame(&[4, 0, 0]), Ok(false));
}

#[test]
fn a_batch_that_lies_about_its_rows_or_buffers_is_refused() {
    let event: CollectionEvent =
        serde_json::from_value(json!({"kind": "inventory", "class": "c", "item": "i"})).unwrap();
    let whole = encode(
        &batch(Kind::Inventory, &[event], "here", 0),
        Stamp::Deliver("here"),
    )
    .unwrap();
    let read = Frame::read(&whole).unwrap().unwrap();
    let header = read.header().to_vec();
    let payload_bytes = read.payload().len();
    let at = |header: &[u8], bytes: usize| {
        PublishFrame::read(header, bytes, ALIGNMENT_SMALL)
            .map(|frame| frame.rows)
            .map_err(|error| error.to_string())
    };
    assert_eq!(at(&header, payload_bytes), Ok(1));
    assert_eq!(
        at(&header, payload_bytes + 8),
        Err(format!(
            "buffers of {payload_bytes} bytes in a payload of {}",
            payload_bytes + 8
        ))
    );
    // The table has one byte for each buffer of 7 columns; before it its own length, and the rows.
    let buffers: usize = Kind::Inventory
        .fields()
        .iter()
        .map(|field| lengths::buffers(field.field_type))
        .sum();
    let rows_at = header.len() - buffers - 2;
    let mut lies = header.clone();
    lies[rows_at] = 2;
    assert_eq!(
        at(&lies, payload_bytes),
        Err("column `timestamp` has buffers whose lengths don't fit the batch's rows".to_owned())
    );
    let mut fewer = header.clone();
    fewer[rows_at + 1] -= 1;
    assert!(
        at(&fewer, payload_bytes)
            .unwrap_err()
            .contains("buffers for inventory events")
    );
    let mut unknown = header;
    unknown[0] = 99;
    assert_eq!(
        at(&unknown, payload_bytes),
        Err("kind 99; kinds are 0 to 6".to_owned())
    );
}

#[test]
fn values_that_lie_are_found_when_they_are_read() {
    let event: CollectionEvent =
        serde_json::from_value(json!({"kind": "inventory", "class": "abcdefgh", "item": "i"}))
            .unwrap();
    let whole = encode(
        &batch(Kind::Inventory, &[event.clone(), event], "here", 0),
        Stamp::Deliver("here"),
    )
    .unwrap();
    let text = whole
        .windows(8)
        .position(|window| window == b"abcdefgh")
        .unwrap();
    let check = |change: &dyn Fn(&mut Vec<u8>), part: &str| {
        let mut bytes = whole.to_vec();
        change(&mut bytes);
        let error = received(&Bytes::from(bytes), "here").unwrap_err();
        assert!(error.contains(part), "{error}");
    };
    check(&|bytes| bytes[text] = 0xff, "column `class`");
    // The offsets 0, 8, 16 stand 16 bytes (12 and 4 of zeros) before the text.
    check(&|bytes| bytes[text - 12] = 17, "column `class`");
    check(
        &|bytes| bytes[text - 8] = 15,
        "offsets from 0 to 15, they must go from 0 to 16",
    );
}

#[test]
fn the_parts_of_a_large_frame_lie_at_multiples_of_64() {
    let event = json!({"kind": "inventory", "class": "x".repeat(5000)});
    let event: CollectionEvent = serde_json::from_value(event).unwrap();
    let frame = encode(
        &batch(Kind::Inventory, &[event], "here", 0),
        Stamp::Deliver("here"),
    )
    .unwrap();
    let read = Frame::read(&frame).unwrap().unwrap();
    assert_eq!(read.prefix().payload_offset() % ALIGNMENT_LARGE, 0);
    assert_eq!(frame.len() % ALIGNMENT_LARGE, 0);
    assert!(PublishFrame::of(&read).is_ok());
}

#[test]
fn a_batch_of_several_frames_ends_its_snapshot_with_the_last() {
    let text = "x".repeat(3 << 20);
    let row = json!({"kind": "inventory", "item": text});
    let row = serde_json::from_value::<CollectionEvent>(row).unwrap();
    let topic = Topic::parse("events.inventory.item").unwrap();
    let rows = [row.clone(), row.clone(), row.clone(), row];
    let batch = Batch::of_events(topic, "there", 7, &rows).unwrap();
    for last in [false, true] {
        let batch = batch.in_snapshot(Snapshot { id: 1, last });
        let frames = batch.frames().unwrap().iter();
        let found: Vec<_> = frames
            .map(|bytes| {
                let frame = Frame::read(bytes).unwrap().unwrap();
                let publish = PublishFrame::of(&frame).unwrap();
                (publish.first_sequence, publish.snapshot.unwrap().last)
            })
            .collect();
        assert_eq!(found, [(7, false), (9, last)]);
    }
}

#[test]
fn a_peer_that_knows_no_more_than_the_first_fields_is_understood_and_understands() {
    let (hello, resume) = (
        Hello {
            version: VERSION,
            name: "n".to_owned(),
        },
        Some(SessionName {
            incarnation: u128::MAX,
            session: 7,
        }),
    );
    let more = HelloMore { resume };
    let check = |bytes: &[u8], expected: HelloMore| {
        let decoded = decode_with_more(FrameType::Hello, bytes);
        assert_eq!(decoded, Ok((hello.clone(), expected)));
        assert_eq!(decode_header(FrameType::Hello, bytes), Ok(hello.clone()));
    };
    let old = postcard::to_allocvec(&hello).unwrap();
    let new = postcard::to_allocvec(&(&hello, more)).unwrap();
    check(&old, HelloMore::default());
    check(&new, more);
    check(&[&new[..], &[1, 2, 3]].concat(), more);
    // What was added is there whole, or it isn't there.
    for cut in old.len() + 1..new.len() {
        let decoded = decode_with_more::<Hello, HelloMore>(FrameType::Hello, &new[..cut]);
        assert!(decoded.is_err(), "{cut} bytes");
    }
}
