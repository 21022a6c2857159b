//! `weir guests`: the guest of each slot, its state, its cost and its faults.

use std::process::ExitCode;

use clap::Args;

use super::client::{SocketArguments, session};
use super::overview::{Overview, shadow_lines, slot_table};
use super::request::ask;
use super::{Failure, Global, out, table};

#[derive(Args)]
pub(super) struct GuestsArguments {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn guests(global: &Global, arguments: &GuestsArguments) -> Result<ExitCode, Failure> {
    session(global, &arguments.socket, "guests", async |client| {
        let reply = ask(client, "control.guests").await?;
        if arguments.json {
            out::print(&reply.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        let overview = Overview::of_guests(&reply);
        for problem in &overview.problems {
            out::print(&format!("! {}", table::line(problem)))?;
        }
        if overview.slots.is_empty() {
            out::print("there is no slot")?;
        } else {
            let text = table::text(&[slot_table(&overview.slots)]);
            out::print(text.trim_end())?;
            for line in shadow_lines(&overview.slots) {
                out::print(&table::line(&line))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
