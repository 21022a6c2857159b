//! Rows of processes, built where they are published and decoded where they are received.
//!
//! The other cases carry frames that were ready; here the ends do what a source and a guest's host
//! do: texts that differ from row to row become columns, columns a frame, and the frame columns
//! again, which are read. There is no peer: what others would carry is theirs to encode.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use weir_bus::batch::{Batch, BatchHeader};
use weir_bus::event::{EventRow as _, ProcessColumns, ProcessEvent};
use weir_bus::wire::{PREFIX_BYTES, Prefix, PublishFrame, RunBuilder, Stamp, WireBatch, encode};
use weir_bus::{CollectionEvent, EventBuilder, Kind, Timestamp, Topic};

use super::client::{say_ready, wait_go};
use super::credits::{Granted, Returned};
use super::errand::{Done, Errand, Wanted, now_ns};
use super::line::Line;
use super::load::Message;
use super::side::{Heard, Role, Side};
use super::weir::Weir;
use crate::rows;

/// Where the rows go.
const TOPIC: &str = "events.process.observed";
/// Who publishes is the broker's to say, and who receives must not mind here.
const SOURCE: &str = "";

/// The client of `weir bus` whose messages are whole publish frames.
#[derive(Default)]
struct Frames(Weir);

impl Side for Frames {
    fn greet(&mut self, line: &mut Line, role: Role) -> anyhow::Result<()> {
        self.0.greet_for(line, role, TOPIC)
    }

    fn message(message: &Message, into: &mut Vec<u8>) -> anyhow::Result<()> {
        Weir::message(message, into)
    }

    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>> {
        let next = self.0.next(bytes)?;
        Ok(
            next.map(|(taken, heard)| match (heard, bytes.get(..taken)) {
                (Heard::Message { rows, .. }, Some(payload)) => {
                    (taken, Heard::Message { payload, rows })
                }
                (heard, _) => (taken, heard),
            }),
        )
    }
}

/// Makes frames of rows whose numbers follow each other.
struct Builder {
    topic: Topic,
    columns: EventBuilder,
    row: ProcessEvent,
    number: u64,
    /// What was read from the rows, as the subscriber will.
    digest: u64,
}

impl Builder {
    fn new(rows_a_frame: u64) -> anyhow::Result<Self> {
        Ok(Self {
            topic: Topic::parse(TOPIC)?,
            columns: EventBuilder::new(Kind::Process, usize::try_from(rows_a_frame)?),
            row: blank(),
            number: 0,
            digest: 0,
        })
    }

    /// Appends a frame of so many rows.
    fn append(&mut self, rows: u64, frames: &mut Vec<u8>) -> anyhow::Result<()> {
        let first_sequence = self.number;
        let opened = Timestamp::now();
        for _ in 0..rows {
            fill(&mut self.row, self.number);
            self.row.append_to(&mut self.columns, self.number);
            self.digest = self.digest.wrapping_add(digest(&self.row));
            self.number += 1;
        }
        let header = BatchHeader {
            kind: Kind::Process,
            topic: self.topic.clone(),
            source: Arc::from(SOURCE),
            first_sequence,
            opened,
            closed: Timestamp::now(),
            snapshot: None,
        };
        let batch = Batch::new(header, self.columns.finish(SOURCE))?;
        frames.extend_from_slice(&encode(&batch, Stamp::Broker)?);
        Ok(())
    }
}

/// A row to be filled; all have the same time, so that each follows from its number.
fn blank() -> ProcessEvent {
    ProcessEvent {
        timestamp: Timestamp(0),
        ..rows::blank()
    }
}

fn fill(row: &mut ProcessEvent, number: u64) {
    rows::fill(row, number, false, false);
}

/// What is read of a row: numbers as they are, texts by their bytes.
fn digest(row: &ProcessEvent) -> u64 {
    let texts = row.name.len() + row.executable.as_ref().map_or(0, String::len);
    let list: usize = row.command_line.iter().map(String::len).sum();
    u64::from(row.pid) + row.memory_bytes.unwrap_or(0) + (texts + list) as u64
}

/// The same of all rows of a batch, read from its columns.
fn digest_of(batch: &Batch) -> anyhow::Result<u64> {
    let columns = ProcessColumns::of(batch).context("a batch of another kind")?;
    let mut digest = 0_u64;
    for row in (0..batch.rows()).filter_map(|row| columns.row(row)) {
        let texts = row.name().len() + row.executable().map_or(0, str::len);
        let list: usize = row.command_line().iter().map(str::len).sum();
        let numbers = u64::from(row.pid()) + row.memory_bytes().unwrap_or(0);
        digest = digest.wrapping_add(numbers + (texts + list) as u64);
    }
    Ok(digest)
}

/// Builds and sends what the errand says.
pub(super) fn publish(
    errand: &Errand,
    rows_a_frame: u64,
    write_bytes: usize,
    credits: &[PathBuf],
) -> anyhow::Result<(Done, Line)> {
    let mut builder = Builder::new(rows_a_frame)?;
    let mut granted = Granted::open(credits, errand.messages_a_credit)?;
    let mut side = Frames::default();
    let mut line = Frames::open(&errand.address, Role::Publisher)?;
    side.greet(&mut line, Role::Publisher)?;
    say_ready()?;
    wait_go()?;

    let started_ns = now_ns();
    let mut frames = Vec::with_capacity(write_bytes);
    while builder.number < errand.messages {
        frames.clear();
        let before = builder.number;
        while builder.number < errand.messages && frames.len() < write_bytes {
            let rows = rows_a_frame.min(errand.messages - builder.number);
            builder.append(rows, &mut frames)?;
        }
        granted.take(builder.number - before)?;
        line.attend(&mut side)?;
        line.say(&frames)?;
    }
    let done = Done {
        rows: builder.number,
        started_ns,
        ended_ns: now_ns(),
        digest: builder.digest,
        ..Done::default()
    };
    Ok((done, line))
}

/// Receives, decodes and reads what the errand says.
pub(super) fn subscribe(errand: &Errand, credits: &Path) -> anyhow::Result<(Done, Line)> {
    let mut returned = Returned::open(credits, errand.messages_a_credit)?;
    let mut side = Frames::default();
    let mut line = Frames::open(&errand.address, Role::Subscriber)?;
    side.greet(&mut line, Role::Subscriber)?;
    say_ready()?;

    let mut reading = Reading {
        runs: RunBuilder::new(Arc::from(SOURCE)),
        done: Done::default(),
        is_proof: errand.wanted == Wanted::Proof,
    };
    while reading.done.rows < errand.messages {
        let told = line.hear(&mut side, |frame, _| reading.take(frame));
        let told = told.with_context(|| format!("after {} rows", reading.done.rows))?;
        // Nothing waits for a later read: rows are read as soon as they are there.
        let last = reading.runs.finish();
        reading.read(last)?;
        returned.give(told.rows)?;
    }
    reading.done.ended_ns = now_ns();
    ensure!(
        line.unheard_bytes() == 0 && reading.done.rows == errand.messages,
        "{} rows came where {} were sent",
        reading.done.rows,
        errand.messages
    );
    Ok((reading.done, line))
}

/// What a subscriber has read so far.
struct Reading {
    runs: RunBuilder,
    done: Done,
    is_proof: bool,
}

impl Reading {
    /// Takes a publish frame; decodes those before it if it doesn't belong to them.
    fn take(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        let prefix = Prefix::read(frame)?.context("a part of a frame")?;
        let header = frame.get(PREFIX_BYTES..PREFIX_BYTES + prefix.header_bytes);
        let payload_bytes = prefix.bytes - prefix.payload_offset();
        let header = header.context("a part of a frame")?;
        let publish = PublishFrame::read(header, payload_bytes, prefix.alignment())?;
        let finished = self.runs.push(&publish, frame)?;
        self.read(finished)
    }

    fn read(&mut self, batch: Option<WireBatch>) -> anyhow::Result<()> {
        let Some(batch) = batch else {
            return Ok(());
        };
        let batch = batch.decode()?;
        if self.is_proof {
            self.prove(&batch)?;
        }
        self.done.digest = self.done.digest.wrapping_add(digest_of(&batch)?);
        self.done.rows += batch.rows() as u64;
        Ok(())
    }

    /// Every row is the one that was built, and the next one.
    fn prove(&self, batch: &Batch) -> anyhow::Result<()> {
        let mut expected = blank();
        for (row, number) in (0..batch.rows()).zip(self.done.rows..) {
            fill(&mut expected, number);
            let found = batch.row(row);
            ensure!(
                found == Some(CollectionEvent::Process(expected.clone())),
                "row {number} isn't what was sent: {found:?}"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_what_is_read() {
        for (rows_a_frame, frames) in [(1, 300), (256, 3)] {
            let mut builder = Builder::new(rows_a_frame).expect("a builder");
            let mut reading = Reading {
                runs: RunBuilder::new(Arc::from("someone")),
                done: Done::default(),
                is_proof: true,
            };
            for _ in 0..frames {
                let mut frame = Vec::new();
                builder.append(rows_a_frame, &mut frame).expect("a frame");
                reading.take(&frame).expect("a publish frame");
            }
            let last = reading.runs.finish();
            reading.read(last).expect("a batch");
            assert_eq!(reading.done.rows, rows_a_frame * frames);
            assert_eq!(reading.done.digest, builder.digest);
        }
    }
}
