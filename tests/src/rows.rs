//! Rows for tests: processes that no machine has, and rows of any kind.

use serde_json::{Map, Value};
use weir_bus::event::{FieldSpec, ProcessEvent};
use weir_bus::{CollectionEvent, Kind, Timestamp};

/// When all of these processes started: some day in 2001.
const STARTED: Timestamp = Timestamp(1_000_000_000_000_000_000);

/// A process of that pid and name.
#[must_use]
pub fn process(pid: u32, name: &str) -> ProcessEvent {
    ProcessEvent {
        timestamp: STARTED,
        pid,
        start_time: STARTED,
        name: name.to_owned(),
        command_line: vec![name.to_owned()],
        accessible: true,
        lifecycle: "observed".to_owned(),
        ..ProcessEvent::default()
    }
}

/// That many processes, with pids from `first` on.
#[must_use]
pub fn processes(first: u32, count: u32) -> Vec<ProcessEvent> {
    (first..first + count)
        .map(|pid| process(pid, &format!("p{pid}")))
        .collect()
}

/// A row of a kind as JSON, each field with what `value` says of it.
#[must_use]
pub fn row_of(kind: Kind, value: impl Fn(&FieldSpec) -> Value) -> Map<String, Value> {
    // What the publisher doesn't say.
    let stamped = ["source", "sequence"];
    let fields = kind.fields().iter();
    let said = fields.filter(|field| !stamped.contains(&field.name));
    let mut row: Map<String, Value> = said
        .map(|field| (field.name.to_owned(), value(field)))
        .collect();
    row.insert("kind".to_owned(), kind.as_str().into());
    row
}

/// The pids of the processes among these events, in their order.
#[must_use]
pub fn pids(events: &[CollectionEvent]) -> Vec<u32> {
    let pid = |event: &CollectionEvent| match event {
        CollectionEvent::Process(process) => Some(process.pid),
        _ => None,
    };
    events.iter().filter_map(pid).collect()
}
