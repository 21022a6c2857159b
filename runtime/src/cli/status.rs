//! `weir status`: what is at work, what it did, and what is wrong.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::chains::{self, CHAINS_TOPIC};
use super::client::{SocketArguments, session};
use super::overview::{Overview, Reply, tables};
use super::request::ask;
use super::triggers::{self, TRIGGERS_TOPIC};
use super::{Failure, Global, out, sources, table};

#[derive(Args)]
pub(super) struct StatusArguments {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// Each trigger, and what became of its firings.
    #[arg(long, conflicts_with = "chains")]
    triggers: bool,
    /// The runs of chains: those under way, and the last that ended.
    #[arg(long)]
    chains: bool,
    /// Each source: how often it looks and for whom, what that costs, and what is kept of it.
    #[arg(long, conflicts_with_all = ["triggers", "chains"])]
    sources: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn status(global: &Global, arguments: &StatusArguments) -> Result<ExitCode, Failure> {
    session(global, &arguments.socket, "status", async |client| {
        let (topic, as_text): (_, fn(&Value) -> String) = match arguments {
            StatusArguments { triggers: true, .. } => (TRIGGERS_TOPIC, triggers::text),
            StatusArguments { chains: true, .. } => (CHAINS_TOPIC, chains::text),
            StatusArguments { sources: true, .. } => (STATUS_TOPIC, sources::text),
            _ => (STATUS_TOPIC, |reply| {
                text(&Overview::of(Reply::of(reply), None), &on_this_host(reply))
            }),
        };
        let reply = ask(client, topic).await?;
        if arguments.json && arguments.sources {
            out::print(&sources::only(&reply).to_string())?;
        } else if arguments.json {
            out::print(&reply.to_string())?;
        } else {
            out::print(as_text(&reply).trim_end())?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What answers with the status.
pub(super) const STATUS_TOPIC: &str = "control.status";

/// What this host can't offer, and how the sources reach into it.
fn on_this_host(reply: &Value) -> Vec<String> {
    let left_out = sources::left_out(reply).into_iter();
    left_out.chain(sources::all_ways(reply)).collect()
}

/// An overview as plain text: what is wrong first, then what is to be known of the host, a line each.
pub(super) fn text(overview: &Overview, on_this_host: &[String]) -> String {
    let published = overview.published.to_string();
    let mut text = format!("{}\n", head(overview, &published));
    for problem in &overview.problems {
        // Writing to a String can't fail.
        let _ = writeln!(text, "! {}", table::line(problem));
    }
    for line in on_this_host {
        let _ = writeln!(text, "  {}", table::line(line));
    }
    let _ = write!(text, "\n{}", table::text(&tables(overview)));
    text
}

/// The first line: who answers, since when, and what goes over its bus; `published`: how many rows that were.
pub(super) fn head(overview: &Overview, published: &str) -> String {
    let rate = overview.published_a_second;
    let rate = rate.map(|rate| format!(", {} rows/s", table::count(rate)));
    format!(
        "{} — weir {}, pid {}, since {}: {} rows over the bus{}",
        table::cell(&overview.component),
        table::cell(&overview.version),
        overview.pid,
        table::seconds(overview.seconds),
        published,
        rate.unwrap_or_default()
    )
}
