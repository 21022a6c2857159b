//! The seeds of the fuzz targets, as they lie in `bus/fuzz/seeds`: made here, and compared with the
//! files, so that nobody has to trust bytes. `WEIR_BLESS=1 cargo test -p weir-bus seeds` writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::*;
use crate::batch::BatchHeader;
use crate::event::{CollectionEvent, FieldType, Kind, Timestamp};
use crate::wire::{
    Later, ResumePoint, SessionName, VERSION, WireComparison, WireLiteral, WirePolicy,
    control_frame, frame_with_payload,
};

type Seeds = BTreeMap<String, Vec<u8>>;

fn put<H: Serialize>(seeds: &mut Seeds, frame_type: FrameType, header: &H) {
    let mut bytes = vec![frame_type as u8];
    bytes.extend(postcard::to_allocvec(header).unwrap());
    seeds.insert(frame_type.as_str().to_owned(), bytes);
}

fn subscribe() -> Subscribe {
    Subscribe {
        id: 300,
        name: "watcher".to_owned(),
        patterns: vec!["events.process.>".to_owned(), "findings.*".to_owned()],
        own_events: true,
        policy: WirePolicy::Block { deadline_ms: 1_000 },
        queue_batches_max: 16,
        queue_bytes_max: 1 << 20,
        kinds: vec![0, 6],
        source: Some("processes".to_owned()),
        pids: vec![1, 70_000],
        priority_min: Some("high".to_owned()),
        comparison: Some(WireComparison {
            column: "cpu_usage".to_owned(),
            operator: ">=".to_owned(),
            literal: WireLiteral::Number(0.5),
        }),
        correlation_id: None,
        correlation_glob: Some("run-*".to_owned()),
        correlation_root: Some("r".to_owned()),
        every_ms: Later(10_000),
    }
}

fn hello() -> Hello {
    Hello {
        version: VERSION,
        name: "seed".to_owned(),
    }
}

/// A header of every type.
fn headers() -> Seeds {
    let mut seeds = Seeds::new();
    let (incarnation, session) = (u128::MAX, 1 << 100);
    let resume = Some(SessionName {
        incarnation,
        session,
    });
    put(
        &mut seeds,
        FrameType::Hello,
        &(hello(), HelloMore { resume }),
    );
    let resume = Some(ResumePoint {
        incarnation,
        position: 70_000,
        rows: 3,
    });
    let more = SubscribeMore { resume };
    put(&mut seeds, FrameType::Subscribe, &(subscribe(), more));
    let welcome = Welcome {
        version: VERSION,
        component: "weir".to_owned(),
        source: "uid:0,pid:1".to_owned(),
        incarnation,
        heartbeat_ms: 5_000,
        frame_bytes_max: 8 << 20,
        capabilities: vec!["control.status".to_owned()],
    };
    let more = WelcomeMore {
        session: Some(session),
        frames: 300,
    };
    put(&mut seeds, FrameType::Welcome, &(welcome, more));
    put(&mut seeds, FrameType::Subscribed, &Subscribed { id: 300 });
    put(&mut seeds, FrameType::Unsubscribe, &Unsubscribe { id: 1 });
    let (id, position, source) = (1, 1 << 40, "für ὅλην");
    let deliver = Deliver {
        id,
        position,
        source,
    };
    let more = DeliverMore { more: true };
    put(&mut seeds, FrameType::Deliver, &(deliver, more));
    let (missed, reason, from, to) = (Some(7), "queue-full".to_owned(), 1, 9);
    let gap = GapFrame {
        id,
        missed,
        reason: reason.clone(),
        from,
        to,
    };
    let more = GapMore {
        incarnations: Some((1, incarnation)),
    };
    put(&mut seeds, FrameType::Gap, &(gap, more));
    let (topic, deadline_ms) = ("control.status".to_owned(), 1_000);
    let request = Request {
        id,
        topic: topic.clone(),
        deadline_ms,
    };
    put(&mut seeds, FrameType::Request, &request);
    let code = "unknown-topic".to_owned();
    let reply = Reply {
        id,
        code: code.clone(),
    };
    put(&mut seeds, FrameType::Reply, &reply);
    put(&mut seeds, FrameType::Ping, &Ping { id: 1 << 33 });
    // As one says it that knows no more.
    put(&mut seeds, FrameType::Pong, &Pong::default());
    let error = ErrorFrame {
        code,
        message: reason.clone(),
        fatal: true,
        topic: Some(topic),
        rule: Some("owner".to_owned()),
        id: Some(id),
        rows: 3,
    };
    put(&mut seeds, FrameType::Error, &error);
    put(&mut seeds, FrameType::Goodbye, &Goodbye { reason });
    let publish = publish(Kind::Inventory, 2, 1);
    let frame = Frame::read(&publish).unwrap().unwrap();
    let mut bytes = vec![FrameType::Publish as u8];
    let payload_bytes = u16::try_from(frame.payload().len()).unwrap();
    bytes.extend(payload_bytes.to_le_bytes());
    bytes.extend(frame.header());
    seeds.insert(FrameType::Publish.as_str().to_owned(), bytes);
    seeds
}

/// Rows of a kind: the second has no value wherever that is possible.
fn publish(kind: Kind, rows: u64, first: u64) -> Bytes {
    let row = |number: u64| {
        let fields = kind.fields().iter();
        let own = fields.filter(|field| !["source", "sequence"].contains(&field.name));
        let with = own.filter(|field| number != 1 || !field.nullable);
        let value = |field_type| match field_type {
            FieldType::Utf8 => json!(format!("tête {number}")),
            FieldType::F64 => json!(0.5),
            FieldType::Bool => json!(number == 0),
            FieldType::ListUtf8 => json!(["a", "", "ß"][..number.min(3) as usize]),
            _ => json!(number),
        };
        let mut object: serde_json::Map<_, _> = with
            .map(|field| (field.name.to_owned(), value(field.field_type)))
            .collect();
        object.insert("kind".to_owned(), json!(kind.as_str()));
        serde_json::from_value::<CollectionEvent>(object.into()).unwrap()
    };
    let events: Vec<_> = (0..rows).map(row).collect();
    let topic = crate::topic::of_event(kind, "seed");
    let batch = Batch::of_events(topic, SOURCE, first, &events).unwrap();
    // The same bytes whenever they are made.
    let header = BatchHeader {
        opened: Timestamp(1),
        closed: Timestamp(2),
        ..batch.header().clone()
    };
    let batch = Batch::new(header, batch.records().columns().to_vec()).unwrap();
    encode(&batch, Stamp::Broker).unwrap()
}

/// A frame of each kind, two that are joined, and one whose parts are aligned to 64.
fn batches() -> Seeds {
    let each = Kind::ALL.map(|kind| (kind.to_string(), publish(kind, 2, 0).to_vec()));
    let mut seeds: Seeds = each.into_iter().collect();
    let two = [
        publish(Kind::Inventory, 2, 0),
        publish(Kind::Inventory, 1, 2),
    ];
    seeds.insert("joined".to_owned(), two.concat());
    let large = publish(Kind::Inventory, 100, 0);
    assert!(large.len() >= crate::wire::LARGE_FRAME_BYTES);
    seeds.insert("large".to_owned(), large.to_vec());
    seeds
}

/// The beginnings of conversations, after the byte that says how they are split.
fn streams() -> Seeds {
    let hello = control_frame(FrameType::Hello, &hello()).unwrap();
    let subscribe = control_frame(FrameType::Subscribe, &subscribe()).unwrap();
    let request = Request {
        id: 1,
        topic: "control.status".to_owned(),
        deadline_ms: 9,
    };
    let request = frame_with_payload(FrameType::Request, &request, b"{}").unwrap();
    let publish = publish(Kind::Performance, 2, 0);
    let stream = |split: u8, parts: &[&[u8]]| [&[split][..], &parts.concat()].concat();
    let seeds = [
        ("reader", stream(0, &[&hello, &subscribe])),
        ("writer", stream(6, &[&hello, &publish, &publish])),
        ("asker", stream(255, &[&hello, &request])),
        ("cut", stream(30, &[&hello, &publish[..100]])),
        ("claim", stream(2, &[&(8_u32 << 20).to_le_bytes(), &[3, 0]])),
        ("half a frame of 300 kB", {
            stream(99, &[&(300_004_u32 - 8).to_le_bytes(), &[3, 0, 9, 0, 1]])
        }),
    ];
    seeds
        .map(|(name, bytes)| (name.replace(' ', "-"), bytes))
        .into()
}

fn check(target: &str, seeds: &Seeds, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let folder: PathBuf = folder.join(target);
    for bytes in seeds.values() {
        body(bytes);
    }
    if std::env::var_os("WEIR_BLESS").is_some() {
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in seeds {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    let entries = std::fs::read_dir(&folder).unwrap().map(Result::unwrap);
    let files = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read(entry.path()).unwrap())
    });
    assert!(
        files.collect::<Seeds>() == *seeds,
        "bus/fuzz/seeds/{target} isn't what this test makes; `WEIR_BLESS=1 cargo test -p weir-bus seeds` writes it anew"
    );
}

#[test]
fn the_seeds_of_frames_are_what_is_made_here_and_hold() {
    check("frame", &streams(), frame);
}

#[test]
fn the_seeds_of_headers_are_what_is_made_here_and_hold() {
    check("header", &headers(), header);
}

#[test]
fn the_seeds_of_batches_are_what_is_made_here_and_hold() {
    check("batch", &batches(), batch);
}
