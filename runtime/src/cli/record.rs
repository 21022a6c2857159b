//! `weir record`: what goes over the bus, into recordings.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use weir_bus::Kind;
use weir_bus::batch::{Batch, Selection};
use weir_bus::pubsub::{Delivery, Recv, Subscriber};
use weir_bus::socket::BrokerClient;

use super::client::{SocketArguments, Stop, session, until};
use super::selection::SelectionArguments;
use super::tap::ended_by_broker;
use super::{Failure, Global};
use crate::sink::{RecordingSink, Rotation, Sink as _, SinkError};

#[derive(Args)]
pub(super) struct RecordArguments {
    /// The recording; it holds one kind of events, so `tape.arrow` becomes `tape.process.arrow`.
    file: PathBuf,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Ends after so long: `10s`, `5m`.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    record_for: Option<Duration>,
    /// Ends after so many rows.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Overwrites recordings that are there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn record(global: &Global, arguments: &RecordArguments) -> Result<ExitCode, Failure> {
    let options = arguments.selection.options("record")?;
    let sink = RecordingSink::new(Rotation {
        path: arguments.file.clone(),
        // One file a kind, however long it becomes.
        bytes_max: u64::MAX,
        files_max: 1,
    });
    if !arguments.force {
        refuse_to_overwrite(&sink, arguments.selection.kinds())?;
    }
    session(global, &arguments.socket, "record", async |client| {
        let end = arguments
            .record_for
            .map(|record_for| tokio::time::Instant::now() + record_for);
        let mut stop = Stop::listen()?;
        let subscriber = client.open_subscription(options).await?;
        let mut recorder = Recorder {
            sink,
            left: arguments.count.unwrap_or(u64::MAX),
            rows: 0,
            missed: 0,
        };
        let ended = tokio::select! {
            biased;
            () = stop.asked() => Ok(()),
            () = until(end) => Ok(()),
            ended = recorder.take_all(client, &subscriber) => ended,
        };
        // Whatever ended it, what there is can be read.
        recorder.finish()?;
        ended.map(|()| ExitCode::SUCCESS)
    })
}

fn refuse_to_overwrite(sink: &RecordingSink, kinds: &[Kind]) -> Result<(), Failure> {
    let kinds = if kinds.is_empty() {
        &Kind::ALL[..]
    } else {
        kinds
    };
    let paths = kinds.iter().map(|&kind| sink.path(kind));
    match paths.into_iter().find(|path| path.exists()) {
        None => Ok(()),
        Some(path) => Err(Failure::Usage(format!(
            "{} is there already; --force overwrites it",
            path.display()
        ))),
    }
}

struct Recorder {
    sink: RecordingSink,
    left: u64,
    rows: u64,
    missed: u64,
}

impl Recorder {
    async fn take_all(
        &mut self,
        client: &BrokerClient,
        subscriber: &Subscriber,
    ) -> Result<(), Failure> {
        while self.left > 0 {
            match subscriber.recv().await {
                Recv::Got(Delivery::Batch { item, .. }) => self.write(&item)?,
                Recv::Got(Delivery::Gap(gap)) => {
                    self.missed += gap.missed.unwrap_or_default();
                    self.sink.gap(&gap).map_err(failed)?;
                }
                Recv::Empty | Recv::Interrupted => {}
                Recv::Closed => return Err(ended_by_broker(client)),
            }
            // A stream that never pauses must not keep signals from being seen.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn write(&mut self, batch: &Arc<Batch>) -> Result<(), Failure> {
        let rows = u32::try_from(self.left.min(batch.rows() as u64)).unwrap_or(u32::MAX);
        if u64::from(rows) == batch.rows() as u64 {
            self.sink.write(batch).map_err(failed)?;
        } else {
            let first = Selection::Rows((0..rows).collect());
            let part = batch.select(&first).context("the last batch")?;
            self.sink.write(&part).map_err(failed)?;
        }
        self.rows += u64::from(rows);
        self.left -= u64::from(rows);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let paths: Vec<String> = self
            .sink
            .paths()
            .map(|path| path.display().to_string())
            .collect();
        self.sink.finish().map_err(failed)?;
        let missed = match self.missed {
            0 => String::new(),
            missed => format!(", {missed} missed"),
        };
        let paths = if paths.is_empty() {
            "no file".to_owned()
        } else {
            paths.join(", ")
        };
        eprintln!("{} rows recorded{missed}: {paths}", self.rows);
        Ok(())
    }
}

fn failed(error: SinkError) -> Failure {
    Failure::Failed(error.into())
}
