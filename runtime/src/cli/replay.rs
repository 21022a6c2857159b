//! `weir replay`: a recording, onto the bus.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::time::Instant;
use weir_bus::batch::{Batch, BatchHeader, Recording, RecordingError};
use weir_bus::{Timestamp, Topic};

use super::client::{self, SocketArguments, Stop, session};
use super::{Failure, Global};

#[derive(Args)]
pub(super) struct ReplayArguments {
    /// The recording: an Arrow IPC file.
    file: PathBuf,
    /// Sends everything there, not where it went when it was recorded.
    #[arg(long, value_parser = client::topic)]
    topic: Option<Topic>,
    /// How fast.
    #[arg(long, value_enum, default_value_t)]
    pace: PaceArgument,
    #[command(flatten)]
    socket: SocketArguments,
}

#[derive(Clone, Copy, Default, PartialEq, ValueEnum)]
enum PaceArgument {
    /// As fast as the daemon takes it.
    #[default]
    Fast,
    /// With the pauses with which it was recorded.
    Recorded,
}

impl From<RecordingError> for Failure {
    fn from(error: RecordingError) -> Self {
        Self::Failed(error.into())
    }
}

pub(super) fn replay(global: &Global, arguments: &ReplayArguments) -> Result<ExitCode, Failure> {
    let recording =
        Recording::open(&arguments.file).map_err(|error| Failure::Usage(error.to_string()))?;
    session(global, &arguments.socket, "replay", async |client| {
        let mut stop = Stop::listen()?;
        let began = Instant::now();
        let mut first_closed = None;
        let mut sent_rows = 0_u64;
        for batch in recording {
            let batch = moved(batch?, arguments.topic.as_ref())?;
            if arguments.pace == PaceArgument::Recorded {
                let closed = batch.header().closed;
                let first = *first_closed.get_or_insert(closed);
                let due = tokio::time::sleep_until(began + between(first, closed));
                tokio::select! {
                    biased;
                    () = stop.asked() => break,
                    () = due => {}
                }
            }
            client.send(&batch).await?;
            sent_rows += batch.rows() as u64;
        }
        let flushed = client.flush().await?;
        for refused in &flushed.refusals {
            eprintln!("refused: {refused}");
        }
        eprintln!(
            "{} rows published, {} refused",
            flushed.published_rows, flushed.refused_rows
        );
        Ok(if flushed.published_rows >= sent_rows {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}

/// The batch on another topic, where one is asked for.
fn moved(batch: Batch, topic: Option<&Topic>) -> Result<Batch, Failure> {
    let Some(topic) = topic else {
        return Ok(batch);
    };
    let header = BatchHeader {
        topic: topic.clone(),
        ..batch.header().clone()
    };
    let moved = Batch::new(header, batch.records().columns().to_vec());
    Ok(moved.context("a batch of the recording")?)
}

/// From one moment to a later one; nothing where it isn't later.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    let ns = to.0.saturating_sub(from.0);
    Duration::from_nanos(u64::try_from(ns).unwrap_or_default())
}
