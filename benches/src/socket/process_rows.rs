//! Rows of processes, built where they are published and decoded where they are received.
//!
//! The other cases carry frames that were ready; here the ends do what a source and a guest's host
//! do: texts that differ from row to row become columns, columns a frame, and the frame columns
//! again, which are read. Where there are several topics, frames go to them in turn, and each subscriber
//! wants one. There is no peer over a socket: what others would carry is theirs to encode.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use weir_bus::batch::{Batch, BatchHeader};
use weir_bus::event::{EventRow as _, ProcessColumns, ProcessEvent};
use weir_bus::topic::of_event;
use weir_bus::wire::{PREFIX_BYTES, Prefix, PublishFrame, RunBuilder, Stamp, WireBatch, encode};
use weir_bus::{CollectionEvent, EventBuilder, Kind, Timestamp, Topic};

use super::client::{say_ready, wait_go};
use super::credits::{Granted, Returned};
use super::errand::{Done, Errand, Load, Task, Wanted, now_ns};
use super::line::Line;
use super::load::Message;
use super::side::{Heard, Role, Side};
use super::weir::Weir;
use crate::cost::Meter;
use crate::pace::Pacer;
use crate::rows::{self, LEAVES};

/// Who publishes is the broker's to say, and who receives must not mind here.
const SOURCE: &str = "";

/// The client of `weir bus` whose messages are whole publish frames.
#[derive(Default)]
struct Frames {
    weir: Weir,
    /// Which of the topics, if it subscribes.
    topic: u64,
}

impl Side for Frames {
    fn greet(&mut self, line: &mut Line, role: Role) -> anyhow::Result<()> {
        let topic = topic(self.topic)?;
        self.weir.greet_for(line, role, topic.as_str())
    }

    fn message(message: &Message, into: &mut Vec<u8>) -> anyhow::Result<()> {
        Weir::message(message, into)
    }

    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>> {
        let next = self.weir.next(bytes)?;
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

/// The topic of that number.
fn topic(number: u64) -> anyhow::Result<Topic> {
    Ok(of_event(Kind::Process, leaf(number)?))
}

fn leaf(topic: u64) -> anyhow::Result<&'static str> {
    let leaf = LEAVES.get(usize::try_from(topic)?).copied();
    leaf.with_context(|| format!("there are {} topics", LEAVES.len()))
}

/// What was built for one topic.
struct Stream {
    topic: Topic,
    /// Rows so far.
    rows: u64,
    /// What was read from them, as the subscriber will.
    digest: u64,
}

/// Makes frames of rows, for each of the topics in turn.
struct Builder {
    streams: Vec<Stream>,
    /// The stream that is next, if it is there.
    next: usize,
    rows_a_frame: u64,
    columns: EventBuilder,
    row: ProcessEvent,
}

impl Builder {
    fn new(rows_a_frame: u64, topics: u64) -> anyhow::Result<Self> {
        let stream = |number| {
            Ok(Stream {
                topic: topic(number)?,
                rows: 0,
                digest: 0,
            })
        };
        Ok(Self {
            streams: (0..topics).map(stream).collect::<anyhow::Result<_>>()?,
            next: 0,
            rows_a_frame,
            columns: EventBuilder::new(Kind::Process, usize::try_from(rows_a_frame)?),
            row: blank(),
        })
    }

    /// Rows so far.
    fn rows(&self) -> u64 {
        self.streams.iter().map(|stream| stream.rows).sum()
    }

    /// Appends a frame of so many rows that were observed then.
    fn append(
        &mut self,
        rows: u64,
        observed: Timestamp,
        frames: &mut Vec<u8>,
    ) -> anyhow::Result<()> {
        let topics = self.streams.len() as u64;
        let turn = self.next as u64;
        let stream = self.streams.get_mut(self.next).context("no topic")?;
        let first_sequence = stream.rows;
        let opened = Timestamp::now();
        for _ in 0..rows {
            let number = number(stream.rows, turn, topics);
            fill(&mut self.row, number, turn)?;
            self.row.timestamp = observed;
            self.row.append_to(&mut self.columns, stream.rows);
            stream.digest = stream.digest.wrapping_add(rows::digest(&self.row));
            stream.rows += 1;
        }
        let header = BatchHeader {
            kind: Kind::Process,
            topic: stream.topic.clone(),
            source: Arc::from(SOURCE),
            first_sequence,
            opened,
            closed: Timestamp::now(),
            snapshot: None,
        };
        self.next = (self.next + 1) % self.streams.len();
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

/// A row's number: those of several topics are mixed one by one.
const fn number(row: u64, topic: u64, topics: u64) -> u64 {
    row * topics + topic
}

fn fill(row: &mut ProcessEvent, number: u64, topic: u64) -> anyhow::Result<()> {
    rows::fill(row, number, false, false);
    row.lifecycle.clear();
    row.lifecycle.push_str(leaf(topic)?);
    Ok(())
}

/// Does what the errand says.
pub(super) fn work(errand: &Errand, meter: &mut Meter) -> anyhow::Result<(Done, Line)> {
    let Load::ProcessRows {
        rows_a_frame,
        topics,
    } = errand.load
    else {
        bail!("another load");
    };
    match &errand.task {
        Task::Publish {
            write_bytes,
            credits,
            ..
        } => {
            let builder = Builder::new(rows_a_frame, topics)?;
            publish(errand, meter, builder, *write_bytes, credits)
        }
        Task::Subscribe {
            subscriber,
            credits,
        } => {
            let topic = subscriber % topics;
            let reading = Reading::new(topic, topics, errand.wanted);
            subscribe(errand, meter, reading, credits)
        }
    }
}

/// Builds and sends what the errand says.
fn publish(
    errand: &Errand,
    meter: &mut Meter,
    mut builder: Builder,
    write_bytes: usize,
    credits: &[PathBuf],
) -> anyhow::Result<(Done, Line)> {
    let mut granted = Granted::open(credits, errand.messages_a_credit)?;
    let mut side = Frames::default();
    let mut line = Frames::open(&errand.address, Role::Publisher)?;
    side.greet(&mut line, Role::Publisher)?;
    meter.restart_cpu()?;
    say_ready()?;
    wait_go()?;

    let started_ns = now_ns();
    let mut pacing = errand.pace.map(|pace| (pace, Pacer::start(pace.interval)));
    let mut observed = Timestamp(0);
    let mut frames = Vec::with_capacity(write_bytes);
    while builder.rows() < errand.messages {
        frames.clear();
        let before = builder.rows();
        if let Some((pace, pacer)) = &mut pacing
            && before.is_multiple_of(pace.messages)
        {
            observed = Timestamp(i64::try_from(pacer.turn())?);
        }
        while builder.rows() < errand.messages && frames.len() < write_bytes {
            let rows = builder.rows_a_frame.min(errand.messages - builder.rows());
            builder.append(rows, observed, &mut frames)?;
        }
        granted.take(builder.rows() - before)?;
        line.attend(&mut side)?;
        line.say(&frames)?;
    }
    let done = Done {
        rows: builder.rows(),
        started_ns,
        ended_ns: now_ns(),
        digests: builder.streams.iter().map(|one| one.digest).collect(),
        ..Done::default()
    };
    Ok((done, line))
}

/// Receives, decodes and reads what the errand says.
fn subscribe(
    errand: &Errand,
    meter: &mut Meter,
    mut reading: Reading,
    credits: &Path,
) -> anyhow::Result<(Done, Line)> {
    let mut returned = Returned::open(credits, errand.messages_a_credit)?;
    let mut side = Frames {
        topic: reading.topic,
        ..Frames::default()
    };
    let mut line = Frames::open(&errand.address, Role::Subscriber)?;
    side.greet(&mut line, Role::Subscriber)?;
    meter.restart_cpu()?;
    say_ready()?;

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
    topic: u64,
    topics: u64,
    runs: RunBuilder,
    done: Done,
    wanted: Wanted,
}

impl Reading {
    fn new(topic: u64, topics: u64, wanted: Wanted) -> Self {
        Self {
            topic,
            topics,
            runs: RunBuilder::new(Arc::from(SOURCE)),
            done: Done::default(),
            wanted,
        }
    }

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
        let columns = ProcessColumns::of(&batch).context("a batch of another kind")?;
        match self.wanted {
            Wanted::Proof => self.prove(&batch)?,
            Wanted::Moments => {
                let first = columns.row(0).context("a batch without rows")?;
                let took = now_ns().saturating_sub(u64::try_from(first.timestamp().0)?);
                self.done.moments_ns.push(took);
            }
            Wanted::Span => {}
        }
        let digest = rows::digest_of(&columns);
        self.done.digest = self.done.digest.wrapping_add(digest);
        self.done.rows += batch.rows() as u64;
        Ok(())
    }

    /// Every row is the one that was built, and the next one.
    fn prove(&self, batch: &Batch) -> anyhow::Result<()> {
        let mut expected = blank();
        for (row, place) in (0..batch.rows()).zip(self.done.rows..) {
            let number = number(place, self.topic, self.topics);
            fill(&mut expected, number, self.topic)?;
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
        for (rows_a_frame, frames, topics) in [(1, 300, 1), (256, 3, 1), (1, 300, 2), (256, 4, 2)] {
            let mut builder = Builder::new(rows_a_frame, topics).expect("a builder");
            let mut readings: Vec<_> = (0..topics)
                .map(|topic| Reading::new(topic, topics, Wanted::Proof))
                .collect();
            for turn in 0..frames {
                let place = turn % readings.len();
                let reading = &mut readings[place];
                let mut frame = Vec::new();
                let appended = builder.append(rows_a_frame, Timestamp(0), &mut frame);
                appended.expect("a frame");
                reading.take(&frame).expect("a publish frame");
            }
            for (reading, stream) in readings.iter_mut().zip(&builder.streams) {
                let last = reading.runs.finish();
                reading.read(last).expect("a batch");
                assert_eq!(reading.done.rows, stream.rows);
                assert_eq!(reading.done.digest, stream.digest);
            }
            assert_eq!(builder.rows(), rows_a_frame * frames as u64);
        }
    }
}
