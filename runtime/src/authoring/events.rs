//! Recorded events, as batches like the daemon's: out of lines of JSON, or out of a recording.
//!
//! Lines go through the daemon's own batcher: a batch for each topic, closed at so many rows. A
//! recording's batches stay as they were recorded, as they do in a replay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use weir_bus::batch::{Recording, RecordingError};
use weir_bus::{Batch, Batcher, BatcherLimits, CollectionEvent, Pace, Timestamp};

use crate::rows::RowParser;

/// The most bytes of a file of lines: a trial is no load test.
const EVENTS_BYTES_MAX: u64 = 256 << 20;
/// The most events of a trial; each has a line in the report.
const EVENTS_MAX: usize = 1_000_000;
/// Who observed the events of a file of lines.
const SOURCE: &str = "test";
/// How a recording's name ends.
const RECORDING_END: &str = "arrow";

/// Why there are no events.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The file can't be read.
    #[error("can't read the events {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A recording can't be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// There are too many.
    #[error("the events {path} are more than a trial takes: {EVENTS_MAX} events, {EVENTS_BYTES_MAX} bytes", path = path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
    },
    /// There are none.
    #[error("the events {path}: there is none; write a line of JSON for each, as {{\"kind\":\"process\",\"pid\":7,\"name\":\"demo\"}}", path = path.display())]
    None {
        /// The file.
        path: PathBuf,
    },
    /// A line is no event.
    #[error("{path}:{line}: {message}; a line is one event, as {{\"kind\":\"process\",\"pid\":7,\"name\":\"demo\"}}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The batcher has no thread to run on.
    #[error("can't make batches: {0}")]
    Runtime(io::Error),
}

/// Events in batches, each with its number: its place in the file, from 1.
pub struct Events {
    /// The batches, in the order in which a guest gets them, and the numbers of their rows.
    pub batches: Vec<(Batch, Vec<u64>)>,
    /// How many events.
    pub rows: usize,
}

impl Events {
    /// Reads a file: a recording where its name ends in `.arrow`, else lines of JSON, in batches
    /// of at most `batch_rows_max`.
    ///
    /// # Errors
    /// If it can't be read, or holds anything but events.
    pub fn read(path: &Path, batch_rows_max: usize) -> Result<Self, EventsError> {
        let is_recording = path.extension().is_some_and(|end| end == RECORDING_END);
        let events = if is_recording {
            recorded(path)?
        } else {
            batched(&lines(path)?, batch_rows_max)?
        };
        if events.rows == 0 {
            let path = path.to_owned();
            return Err(EventsError::None { path });
        }
        Ok(events)
    }
}

fn recorded(path: &Path) -> Result<Events, EventsError> {
    let mut events = Events {
        batches: Vec::new(),
        rows: 0,
    };
    for batch in Recording::open(path)? {
        let batch = batch?;
        let first = events.rows as u64 + 1;
        events.rows += batch.rows();
        if events.rows > EVENTS_MAX {
            let path = path.to_owned();
            return Err(EventsError::TooMany { path });
        }
        let numbers = (first..).take(batch.rows()).collect();
        events.batches.push((batch, numbers));
    }
    Ok(events)
}

fn lines(path: &Path) -> Result<Vec<CollectionEvent>, EventsError> {
    let unreadable = |source| EventsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let too_many = || EventsError::TooMany {
        path: path.to_owned(),
    };
    if fs::metadata(path).map_err(unreadable)?.len() > EVENTS_BYTES_MAX {
        return Err(too_many());
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let mut events = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let event = event_of(line).map_err(|message| EventsError::Line {
            path: path.to_owned(),
            line: index + 1,
            message,
        })?;
        events.extend(event);
        if events.len() > EVENTS_MAX {
            return Err(too_many());
        }
    }
    Ok(events)
}

/// The event of a line: as it is, as `weir tap --json` prints it, or as a `json` sink wraps it; none where
/// these told something else.
fn event_of(line: &str) -> Result<Option<CollectionEvent>, String> {
    // A trial is the same whenever it is made: a moment that isn't there is no moment.
    RowParser::default()
        .parse(line, Timestamp::default())
        .map_err(|error| error.to_string())
}

fn batched(rows: &[CollectionEvent], batch_rows_max: usize) -> Result<Events, EventsError> {
    let limits = BatcherLimits {
        batch_rows_max,
        // All of them wait here: their number is bounded already.
        event_buffer_rows_max: EVENTS_MAX.saturating_add(1),
        backpressure_threshold: 1.0,
        ..BatcherLimits::default()
    };
    let batcher = Batcher::new(SOURCE, Pace::Periodic, limits);
    batcher.append_all(rows);
    batcher.close();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(EventsError::Runtime)?;
    let mut events = Events {
        batches: Vec::new(),
        rows: rows.len(),
    };
    // It is closed: there is nothing to wait for.
    while let Some(batch) = runtime.block_on(batcher.next()) {
        let number = |row| batch.stamp(row).map_or(0, |(_, sequence)| sequence + 1);
        let numbers = (0..batch.rows()).map(number).collect();
        events.batches.push((batch, numbers));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Option<&str>, &str>) {
        let found = event_of(line).map(|event| event.map(|event| event.kind().as_str()));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{line}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{line}: {error}"),
            (found, _) => panic!("{line}: {found:?}"),
        }
    }

    #[test]
    fn a_line_is_an_event_or_what_a_sink_made_of_one() {
        check(r#"{"kind":"process","pid":7}"#, Ok(Some("process")));
        check(
            r#"{"kind":"filesystem","path":"/x"}"#,
            Ok(Some("filesystem")),
        );
        check(
            r#"{"type":"event","topic":"events.process.started","source":"s","sequence":3,"event":{"kind":"process"}}"#,
            Ok(Some("process")),
        );
        check(
            r#"{"type":"gap","missed":3,"reason":"full","from":1,"to":2}"#,
            Ok(None),
        );
        check(
            r#"{"kind":"process","pidd":7}"#,
            Err("no field `pidd`; the nearest is `pid`"),
        );
        check(r#"{"kind":"proces"}"#, Err("no kind `proces`"));
        check(
            r#"{"topic":"a.b","source":"s","sequence":3,"position":9,"kind":"process","pid":7}"#,
            Ok(Some("process")),
        );
        check("pid 7", Err("expected"));
    }

    #[test]
    fn rows_are_batched_by_topic_and_keep_their_numbers() {
        let rows: Vec<_> = ["started", "observed", "started", "started"]
            .into_iter()
            .map(|lifecycle| {
                let row = weir_bus::event::ProcessEvent {
                    lifecycle: lifecycle.to_owned(),
                    ..Default::default()
                };
                CollectionEvent::from(row)
            })
            .collect();
        let events = batched(&rows, 2).expect("batches");
        let numbers: Vec<_> = events
            .batches
            .iter()
            .map(|(_, numbers)| numbers.clone())
            .collect();
        assert_eq!(numbers, [vec![1, 3], vec![2], vec![4]]);
        assert_eq!(events.rows, 4);
    }
}
