//! `weir tap`: what goes over the bus, a row a line; with `--every`, whole tables.

mod tables;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use weir_bus::Batch;
use weir_bus::pubsub::{Delivery, Recv, Subscriber};
use weir_bus::socket::BrokerClient;

use super::client::{SocketArguments, Stop, session};
use super::out::{self, Out, ReaderGone, Unprinted};
use super::selection::SelectionArguments;
use super::{Failure, Global};
use crate::rows::{gap_json, gap_text, json_line, text_line};
use tables::{Came, Tables, Whole};

#[derive(Args)]
pub(super) struct TapArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// Whole tables at this interval instead of the stream: `10s`. The latest look of each source that looks at intervals.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    every: Option<Duration>,
    /// Ends after so many tables.
    #[arg(long, value_name = "TABLES", requires = "every", value_parser = clap::value_parser!(u64).range(1..))]
    tables: Option<u64>,
    /// Ends after so many rows.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Prints a line of JSON a row, which `weir pub` takes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn tap(global: &Global, arguments: &TapArguments) -> Result<ExitCode, Failure> {
    let mut options = arguments.selection.options("tap")?;
    if let Some(every) = arguments.every {
        options = options.every(every);
    }
    session(global, &arguments.socket, "tap", async |client| {
        let mut stop = Stop::listen()?;
        let subscriber = client.open_subscription(options).await?;
        let mut printer = Printer {
            out: Out::new(),
            json: arguments.json,
            left: arguments.count.unwrap_or(u64::MAX),
            tables: arguments.every.map(|_| Tables::default()),
            tables_left: arguments.tables.unwrap_or(u64::MAX),
        };
        let printed = print_all(client, &subscriber, &mut printer, &mut stop).await?;
        printed.map_or_else(out::ended, |()| Ok(ExitCode::SUCCESS))
    })
}

/// Prints until it has enough; the inner error is stdout's.
async fn print_all(
    client: &BrokerClient,
    subscriber: &Subscriber,
    printer: &mut Printer,
    stop: &mut Stop,
) -> Result<Result<(), Unprinted>, Failure> {
    let mut reader = ReaderGone::watch()?;
    while printer.left > 0 && printer.tables_left > 0 {
        let received = tokio::select! {
            biased;
            () = stop.asked() => break,
            () = reader.gone() => break,
            received = subscriber.recv() => received,
        };
        let printed = match received {
            Recv::Got(delivery) => printer.delivery(&delivery),
            Recv::Empty | Recv::Interrupted => Ok(()),
            Recv::Closed => return Err(ended_by_broker(client)),
        };
        let idle = subscriber.counts().queued.is_zero();
        let printed = printed.and_then(|()| if idle { printer.out.flush() } else { Ok(()) });
        if printed.is_err() {
            return Ok(printed);
        }
        // A stream that never pauses must not keep signals from being seen.
        tokio::task::yield_now().await;
    }
    Ok(printer.out.flush())
}

/// Why a subscription has ended that nobody here ended.
pub(super) fn ended_by_broker(client: &BrokerClient) -> Failure {
    let problem = client.status().problem;
    let problem = problem.unwrap_or_else(|| "the broker ended the subscription".to_owned());
    Failure::Failed(anyhow::anyhow!(problem))
}

struct Printer {
    out: Out,
    json: bool,
    left: u64,
    /// What comes together to tables, where those were asked for.
    tables: Option<Tables>,
    tables_left: u64,
}

impl Printer {
    fn delivery(&mut self, delivery: &Delivery<Arc<Batch>>) -> Result<(), Unprinted> {
        match delivery {
            Delivery::Gap(gap) if self.json => self.out.line(&gap_json(gap)),
            Delivery::Gap(gap) => self.out.line(&gap_text(gap)),
            Delivery::Batch { position, item } => match &mut self.tables {
                None => self.rows(*position, item),
                Some(tables) => match tables.take(*position, item) {
                    Came::Nothing => Ok(()),
                    Came::Word(word) if self.json => self.out.line(&word.json()),
                    Came::Word(word) => self.out.line(&word.text()),
                    Came::Table(table) => self.table(&table),
                },
            },
        }
    }

    fn table(&mut self, table: &Whole) -> Result<(), Unprinted> {
        let head = if self.json {
            table.json()
        } else {
            table.text()
        };
        self.out.line(&head)?;
        self.tables_left = self.tables_left.saturating_sub(1);
        for (position, batch) in &table.parts {
            self.rows(*position, batch)?;
        }
        Ok(())
    }

    fn rows(&mut self, position: u64, batch: &Batch) -> Result<(), Unprinted> {
        for row in 0..batch.rows() {
            if self.left == 0 {
                break;
            }
            let line = if self.json {
                json_line(batch, position, row)
            } else {
                text_line(batch, row)
            };
            if let Some(line) = line {
                self.out.line(&line)?;
                self.left -= 1;
            }
        }
        Ok(())
    }
}
