//! What the verbs share that talk to a running daemon: where its socket is, the connection, and what
//! ends them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use weir_bus::pubsub::SubscribeError;
use weir_bus::socket::{BrokerClient, ClientError, ClientOptions};
use weir_bus::{Topic, TopicPattern};

use super::{Failure, Global, logs};
use crate::config::{Config, LogFormat, LogSettings};

/// The longest pause between two attempts to connect: somebody looks at the terminal.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Flags of every verb that talks to a running daemon.
#[derive(Args, Clone, Default)]
pub(super) struct SocketArguments {
    /// The socket of the daemon; without it, `bus.socket` of the config.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl SocketArguments {
    /// The socket that they say, else the config's.
    pub(super) fn path(&self, config: &Config) -> PathBuf {
        self.socket
            .clone()
            .unwrap_or_else(|| config.bus.socket.clone())
    }
}

/// Connects, and does what a verb does.
///
/// # Errors
/// If there is no daemon, or what the verb does fails.
pub(super) fn session(
    global: &Global,
    arguments: &SocketArguments,
    verb: &str,
    work: impl AsyncFnOnce(&BrokerClient) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    let (socket, log) = match (&arguments.socket, global.load()) {
        // With a socket there is nothing to learn from a config that this user may not read.
        (Some(socket), Err(_)) if global.says_nothing() => (socket.clone(), default_log()),
        (_, loaded) => {
            let config = loaded?.config;
            (arguments.path(&config), config.log)
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime")?;
    runtime.block_on(async {
        let mut options = ClientOptions::new(socket, format!("weir-{verb}"));
        options.backoff_max = BACKOFF_MAX;
        let client = BrokerClient::connect(options).await?;
        // Not before: without a daemon there is one line to say, and it is the error.
        logs::start(&log)?;
        work(&client).await
    })
}

fn default_log() -> LogSettings {
    LogSettings {
        level: "info".to_owned(),
        format: LogFormat::Text,
    }
}

/// What the command line asks for wrongly is usage: 2. The rest has failed: 1.
impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let is_usage = match &error {
            ClientError::Open(_) => true,
            ClientError::Refused(refused) => refused.code == "unknown-topic",
            ClientError::Subscribe(SubscribeError::Refused { code, .. }) => code == "subscription",
            ClientError::Subscribe(error) => !matches!(error, SubscribeError::Closed { .. }),
            _ => false,
        };
        if is_usage {
            Self::Usage(error.to_string())
        } else {
            Self::Failed(error.into())
        }
    }
}

/// A topic of the command line.
pub(super) fn topic(text: &str) -> Result<Topic, String> {
    Topic::parse(text).map_err(|error| error.to_string())
}

/// A pattern of the command line.
pub(super) fn pattern(text: &str) -> Result<TopicPattern, String> {
    TopicPattern::parse(text).map_err(|error| error.to_string())
}

/// Ends a verb that would go on: Ctrl-C, or the system.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).context("signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for it. Cancel safe.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Waits for the end of a time that may be none. Cancel safe.
pub(super) async fn until(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
