//! `weir request`: a question to the daemon, and its answer.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use weir_bus::Topic;
use weir_bus::socket::BrokerClient;

use super::client::{self, SocketArguments, session};
use super::{Failure, Global, out};

/// How long an answer is waited for, where the command line says nothing.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// The longest body: what a frame holds.
const BODY_BYTES_MAX: u64 = 8 << 20;

#[derive(Args)]
pub(super) struct RequestArguments {
    /// What is asked: `control.status`; `control.capabilities` lists what can be. `cancel ID` cancels a request.
    #[arg(value_parser = client::topic)]
    topic: Topic,
    /// JSON that goes with it; `-` is stdin.
    body: Option<String>,
    /// How long the answer may take: `500ms`, `5s`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "5s")]
    deadline: Duration,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn request(global: &Global, arguments: &RequestArguments) -> Result<ExitCode, Failure> {
    let (topic, body) = match cancelled(arguments)? {
        Some(cancel) => cancel,
        None => (arguments.topic.clone(), body(arguments.body.as_deref())?),
    };
    session(global, &arguments.socket, "request", async |client| {
        let reply = client.request(&topic, &body, arguments.deadline).await?;
        out::print(&String::from_utf8_lossy(&reply))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// `cancel ID` in the form that the daemon takes.
fn cancelled(arguments: &RequestArguments) -> Result<Option<(Topic, Vec<u8>)>, Failure> {
    if arguments.topic.as_str() != "cancel" {
        return Ok(None);
    }
    let Some(id) = &arguments.body else {
        return Err(Failure::Usage(
            "which request? `weir status --chains` shows their ids; write `weir request cancel ID`"
                .to_owned(),
        ));
    };
    let topic = Topic::parse("control.cancel").context("a topic of our own")?;
    let body = serde_json::json!({ "request": id }).to_string();
    Ok(Some((topic, body.into_bytes())))
}

fn body(argument: Option<&str>) -> Result<Vec<u8>, Failure> {
    let body = match argument {
        None => return Ok(Vec::new()),
        Some("-") => {
            let mut bytes = Vec::new();
            let mut stdin = std::io::stdin().take(BODY_BYTES_MAX);
            stdin.read_to_end(&mut bytes).context("the input")?;
            bytes
        }
        Some(text) => text.as_bytes().to_vec(),
    };
    match serde_json::from_slice::<serde::de::IgnoredAny>(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(Failure::Usage(format!(
            "the body is no JSON: {error}; write it as '{{\"key\":1}}'"
        ))),
    }
}

/// Asks the daemon about itself.
///
/// # Errors
/// If it doesn't answer, or not with JSON.
pub(super) async fn ask(client: &BrokerClient, topic: &str) -> Result<Value, Failure> {
    let topic = Topic::parse(topic).context("a topic of our own")?;
    let reply = client.request(&topic, &[], DEADLINE).await?;
    let value = serde_json::from_slice(&reply)
        .with_context(|| format!("the answer to `{topic}` is no JSON"))?;
    Ok(value)
}
