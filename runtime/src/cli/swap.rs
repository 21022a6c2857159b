//! `weir swap` and `weir rollback`: guests change places by hand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use weir_bus::Topic;

use super::client::{SocketArguments, session};
use super::{Failure, Global, out};

/// The module may have to be compiled first.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct SwapArguments {
    /// The slot.
    slot: String,
    /// The component: `builtin:NAME`, or a file in one of the daemon's guest folders.
    file: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

#[derive(Args)]
pub(super) struct RollbackArguments {
    /// The slot.
    slot: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn swap(global: &Global, arguments: &SwapArguments) -> Result<ExitCode, Failure> {
    let body = serde_json::json!({
        "slot": arguments.slot,
        "module": as_the_daemon_sees(&arguments.file),
    });
    ask(global, "swap", &body, arguments.json, &arguments.socket)
}

pub(super) fn roll_back(
    global: &Global,
    arguments: &RollbackArguments,
) -> Result<ExitCode, Failure> {
    let body = serde_json::json!({ "slot": arguments.slot });
    ask(global, "rollback", &body, arguments.json, &arguments.socket)
}

/// A file that is here is meant where it is; else the name is the daemon's to look for.
fn as_the_daemon_sees(file: &str) -> PathBuf {
    let path = Path::new(file);
    match std::path::absolute(path) {
        Ok(absolute) if absolute.exists() => absolute,
        _ => path.to_owned(),
    }
}

fn ask(
    global: &Global,
    verb: &str,
    body: &serde_json::Value,
    json: bool,
    socket: &SocketArguments,
) -> Result<ExitCode, Failure> {
    let topic = Topic::parse(&format!("control.{verb}")).map_err(anyhow::Error::from)?;
    session(global, socket, verb, async |client| {
        let reply = client
            .request(&topic, body.to_string().as_bytes(), DEADLINE)
            .await?;
        if json {
            out::print(&String::from_utf8_lossy(&reply))?;
        } else {
            let reply: serde_json::Value =
                serde_json::from_slice(&reply).map_err(anyhow::Error::from)?;
            out::print(reply["message"].as_str().unwrap_or_default())?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
