//! `weir reload`: has the daemon read its config again.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{SocketArguments, session};
use super::request::ask;
use super::{Failure, Global, out};

#[derive(Args)]
pub(super) struct ReloadArguments {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn reload(global: &Global, arguments: &ReloadArguments) -> Result<ExitCode, Failure> {
    session(global, &arguments.socket, "reload", async |client| {
        let reply = ask(client, "control.reload").await?;
        if arguments.json {
            out::print(&reply.to_string())?;
        } else {
            let message = reply.get("message").and_then(Value::as_str);
            out::print(message.unwrap_or_default())?;
        }
        let is_taken = reply.get("taken").and_then(Value::as_bool);
        Ok(if is_taken == Some(true) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}
