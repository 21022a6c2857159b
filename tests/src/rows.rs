//! Rows for tests: processes that no machine has.

use weir_bus::event::ProcessEvent;
use weir_bus::{CollectionEvent, Timestamp};

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

/// The pids of the processes among these events, in their order.
#[must_use]
pub fn pids(events: &[CollectionEvent]) -> Vec<u32> {
    let pid = |event: &CollectionEvent| match event {
        CollectionEvent::Process(process) => Some(process.pid),
        _ => None,
    };
    events.iter().filter_map(pid).collect()
}
