//! `weir tap`: what goes over the bus, a row a line.

use std::process::ExitCode;

use clap::Args;
use weir_bus::pubsub::{Delivery, Recv, Subscriber};
use weir_bus::socket::BrokerClient;

use super::client::{SocketArguments, Stop, session};
use super::out::{self, Out, ReaderGone, Unprinted};
use super::selection::SelectionArguments;
use super::{Failure, Global};
use crate::rows::{gap_json, gap_text, json_line, text_line};

#[derive(Args)]
pub(super) struct TapArguments {
    #[command(flatten)]
    selection: SelectionArguments,
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
    let options = arguments.selection.options("tap")?;
    session(global, &arguments.socket, "tap", async |client| {
        let mut stop = Stop::listen()?;
        let subscriber = client.open_subscription(options).await?;
        let mut printer = Printer {
            out: Out::new(),
            json: arguments.json,
            left: arguments.count.unwrap_or(u64::MAX),
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
    while printer.left > 0 {
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
}

impl Printer {
    fn delivery(
        &mut self,
        delivery: &Delivery<std::sync::Arc<weir_bus::Batch>>,
    ) -> Result<(), Unprinted> {
        match delivery {
            Delivery::Gap(gap) if self.json => self.out.line(&gap_json(gap)),
            Delivery::Gap(gap) => self.out.line(&gap_text(gap)),
            Delivery::Batch { position, item } => {
                for row in 0..item.rows() {
                    if self.left == 0 {
                        break;
                    }
                    let line = if self.json {
                        json_line(item, *position, row)
                    } else {
                        text_line(item, row)
                    };
                    if let Some(line) = line {
                        self.out.line(&line)?;
                        self.left -= 1;
                    }
                }
                Ok(())
            }
        }
    }
}
