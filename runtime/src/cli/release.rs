//! `weir release`: ends the quarantine of a slot's module.

use std::process::ExitCode;

use clap::Args;
use weir_bus::Topic;

use super::client::{SocketArguments, session};
use super::request::DEADLINE;
use super::{Failure, Global, out};

#[derive(Args)]
pub(super) struct ReleaseArguments {
    /// The slot.
    slot: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn release(global: &Global, arguments: &ReleaseArguments) -> Result<ExitCode, Failure> {
    let topic = Topic::parse("control.release").map_err(anyhow::Error::from)?;
    let body = serde_json::json!({ "slot": arguments.slot }).to_string();
    session(global, &arguments.socket, "release", async |client| {
        let reply = client.request(&topic, body.as_bytes(), DEADLINE).await?;
        if arguments.json {
            out::print(&String::from_utf8_lossy(&reply))?;
        } else {
            out::print(&format!("slot {} is out of quarantine", arguments.slot))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
