//! `weir pub`: rows from a file or stdin onto the bus.
//!
//! A line is checked before anything of it is sent. Lines that are wrong are told, counted and left out;
//! the invariant: every line is published, refused, or told.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::sync::mpsc;
use tokio::time::Instant;
use weir_bus::socket::BrokerClient;
use weir_bus::topic::kind_of;
use weir_bus::{Batch, CollectionEvent, Kind, Timestamp, Topic};

use super::client::{self, SocketArguments, session};
use super::{Failure, Global};
use crate::rows::RowParser;

/// Rows of a batch, where the command line says nothing.
const BATCH_ROWS: u32 = 1_000;
/// The most rows of a batch.
const BATCH_ROWS_MAX: i64 = 65_536;
/// How long a row waits for others.
const BATCH_AGE_MAX: Duration = Duration::from_millis(100);
/// The longest line: what a frame holds.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// Lines that are read ahead.
const LINES_AHEAD: usize = 256;
/// Wrong lines that are told; more are only counted.
const BAD_LINES_TOLD: u64 = 20;
/// What stands for stdin.
const STDIN: &str = "-";

#[derive(Args)]
pub(super) struct PubArguments {
    /// Where the rows go: `events.process.observed`.
    #[arg(value_parser = client::topic)]
    topic: Topic,
    /// Rows as lines of JSON; `-` is stdin.
    #[arg(default_value = STDIN)]
    file: PathBuf,
    /// The kind of the rows, where neither they nor the topic say it.
    #[arg(long)]
    kind: Option<Kind>,
    /// Rows of a batch; fewer go out after 100 ms.
    #[arg(long, value_name = "ROWS", default_value_t = BATCH_ROWS, value_parser = clap::value_parser!(u32).range(1..=BATCH_ROWS_MAX))]
    batch: u32,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn publish(global: &Global, arguments: &PubArguments) -> Result<ExitCode, Failure> {
    let input = open(&arguments.file)?;
    session(global, &arguments.socket, "pub", async |client| {
        let mut lines = read_ahead(input)?;
        let mut publisher = Publisher {
            client,
            topic: &arguments.topic,
            parser: RowParser {
                kind: arguments.kind,
                fallback: kind_of(&arguments.topic),
            },
            batch_rows_max: usize::try_from(arguments.batch).unwrap_or(usize::MAX),
            rows: Vec::new(),
            sequence: 0,
            bad: 0,
        };
        publisher.take_all(&mut lines).await?;
        publisher.finish().await
    })
}

fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, Failure> {
    if path.as_os_str() == STDIN {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path)
        .map_err(|error| Failure::Usage(format!("can't read {}: {error}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

/// A line of the input, with its number, or why it is none.
type Line = (u64, Result<String, String>);

/// Reads lines on a thread of its own, which ends with the process: a terminal can't be interrupted.
fn read_ahead(
    mut input: Box<dyn BufRead + Send>,
) -> Result<mpsc::Receiver<io::Result<Line>>, Failure> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    let read = move || {
        for number in 1.. {
            let line = next_line(&mut *input);
            let sent = match line.transpose() {
                None => break,
                Some(Ok(text)) => sender.blocking_send(Ok((number, text))),
                Some(Err(error)) => {
                    drop(sender.blocking_send(Err(error)));
                    break;
                }
            };
            if sent.is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(read)
        .context("a thread")?;
    Ok(receiver)
}

fn next_line(input: &mut dyn BufRead) -> io::Result<Option<Result<String, String>>> {
    let mut bytes = Vec::new();
    let read = (&mut *input)
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut bytes)?;
    if read == 0 {
        return Ok(None);
    }
    if read as u64 == LINE_BYTES_MAX && !bytes.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return Ok(Some(Err(format!(
            "has more than the {LINE_BYTES_MAX} bytes that a row may have"
        ))));
    }
    Ok(Some(
        String::from_utf8(bytes).map_err(|error| error.to_string()),
    ))
}

struct Publisher<'a> {
    client: &'a BrokerClient,
    topic: &'a Topic,
    parser: RowParser,
    batch_rows_max: usize,
    rows: Vec<CollectionEvent>,
    sequence: u64,
    bad: u64,
}

impl Publisher<'_> {
    async fn take_all(
        &mut self,
        lines: &mut mpsc::Receiver<io::Result<Line>>,
    ) -> Result<(), Failure> {
        let mut due = Instant::now();
        loop {
            let next = if self.rows.is_empty() {
                due = Instant::now() + BATCH_AGE_MAX;
                lines.recv().await
            } else {
                match tokio::time::timeout_at(due, lines.recv()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.send().await?;
                        continue;
                    }
                }
            };
            let Some(line) = next else {
                return self.send().await;
            };
            let (number, text) = line.context("the input")?;
            if self.rows.is_empty() {
                due = Instant::now() + BATCH_AGE_MAX;
            }
            let parse = |text: String| {
                self.parser
                    .parse(&text, Timestamp::now())
                    .map_err(|error| error.to_string())
            };
            match text.and_then(parse) {
                Ok(Some(row)) => self.push(row).await?,
                Ok(None) => {}
                Err(problem) => self.tell(number, &problem),
            }
        }
    }

    async fn push(&mut self, row: CollectionEvent) -> Result<(), Failure> {
        let is_other = |last: &CollectionEvent| last.kind() != row.kind();
        if self.rows.last().is_some_and(is_other) {
            self.send().await?;
        }
        self.rows.push(row);
        if self.rows.len() >= self.batch_rows_max {
            self.send().await?;
        }
        Ok(())
    }

    fn tell(&mut self, number: u64, problem: &str) {
        self.bad += 1;
        if self.bad <= BAD_LINES_TOLD {
            eprintln!("line {number}: {problem}");
        }
    }

    async fn send(&mut self) -> Result<(), Failure> {
        if self.rows.is_empty() {
            return Ok(());
        }
        // Who publishes, the broker says.
        let batch = Batch::of_events(self.topic.clone(), "", self.sequence, &self.rows)
            .context("a batch")?;
        self.sequence += self.rows.len() as u64;
        self.rows.clear();
        self.client.send(&batch).await?;
        Ok(())
    }

    /// Waits for the broker's word, and says what everything came to.
    async fn finish(self) -> Result<ExitCode, Failure> {
        let flushed = self.client.flush().await?;
        for refused in &flushed.refusals {
            eprintln!("refused: {refused}");
        }
        // The broker counts by connection.
        let answered = flushed.published_rows.saturating_add(flushed.refused_rows);
        let unanswered = match self.sequence.saturating_sub(answered) {
            0 => String::new(),
            rows => format!(
                ", {rows} sent before the connection was lost: nobody says what became of them"
            ),
        };
        eprintln!(
            "{} rows published to {}, {} refused, {} bad{unanswered}",
            flushed.published_rows, self.topic, flushed.refused_rows, self.bad
        );
        Ok(
            if flushed.published_rows == self.sequence && self.bad == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            },
        )
    }
}
