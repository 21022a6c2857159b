//! Requests to the daemon: they are put on the daemon's desk, and answered where everything is at hand.

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use weir_bus::Topic;
use weir_bus::socket::{Peer, Refusal, Responder};

/// Requests that may wait for the daemon; connections have a bound of their own.
const WAITING_MAX: usize = 64;

/// What can be asked of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// What can be asked.
    Capabilities,
    /// Everything with its counts.
    Status,
    /// The health of everything.
    Health,
    /// The slots and their guests.
    Guests,
    /// The triggers, and what became of their firings.
    Triggers,
    /// The runs of chains.
    Chains,
    /// What was decided lately about one event.
    Decisions,
    /// Cancel a request.
    Cancel,
    /// Read the config again.
    Reload,
    /// End a slot's quarantine.
    Release,
    /// Have another module take over in a slot.
    Swap,
    /// Have the guest before come back in a slot.
    Rollback,
    /// Drain and end.
    Drain,
}

impl Control {
    const ALL: [Self; 13] = [
        Self::Capabilities,
        Self::Status,
        Self::Health,
        Self::Guests,
        Self::Triggers,
        Self::Chains,
        Self::Decisions,
        Self::Cancel,
        Self::Reload,
        Self::Release,
        Self::Swap,
        Self::Rollback,
        Self::Drain,
    ];

    const fn topic(self) -> &'static str {
        match self {
            Self::Capabilities => "control.capabilities",
            Self::Status => "control.status",
            Self::Health => "control.health",
            Self::Guests => "control.guests",
            Self::Triggers => "control.triggers",
            Self::Chains => "control.chains",
            Self::Decisions => "control.decisions",
            Self::Cancel => "control.cancel",
            Self::Reload => "control.reload",
            Self::Release => "control.release",
            Self::Swap => "control.swap",
            Self::Rollback => "control.rollback",
            Self::Drain => "control.drain",
        }
    }
}

/// A request on the desk.
pub(crate) struct Asked {
    pub(crate) control: Control,
    /// What came with it, unread.
    pub(crate) body: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<u8>, Refusal>>,
}

impl Asked {
    /// Answers with a value, as JSON.
    pub(crate) fn answer<T: Serialize>(self, value: &T) {
        self.answer_or_refuse(Ok(value));
    }

    /// Answers with a value, or says what is wrong with the request.
    pub(crate) fn answer_or_refuse<T: Serialize>(self, answer: Result<&T, String>) {
        let encode = |value: &T| serde_json::to_vec(value).map_err(|error| error.to_string());
        let body = answer.and_then(encode).map_err(Refusal::failed);
        // Who asked may have gone.
        let _unheard = self.answer.send(body);
    }
}

/// Where the daemon takes requests from.
pub(crate) struct Controls(mpsc::Receiver<Asked>);

impl Controls {
    /// The next request. Cancel safe; waits for ever where nobody can ask any more.
    pub(crate) async fn next(&mut self) -> Asked {
        match self.0.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

/// Takes requests from the socket.
pub(crate) struct ControlDesk {
    asked: mpsc::Sender<Asked>,
}

impl ControlDesk {
    /// A desk, and where what is put on it arrives.
    pub(crate) fn new() -> (Self, Controls) {
        let (asked, controls) = mpsc::channel(WAITING_MAX);
        (Self { asked }, Controls(controls))
    }
}

/// What can be asked, as it is told.
#[derive(Serialize)]
pub(crate) struct Capabilities {
    version: &'static str,
    protocol: u16,
    topics: Vec<String>,
}

impl Capabilities {
    pub(crate) fn of(topics: Vec<String>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            protocol: weir_bus::wire::VERSION,
            topics,
        }
    }
}

#[async_trait]
impl Responder for ControlDesk {
    fn capabilities(&self) -> Vec<String> {
        Control::ALL
            .iter()
            .map(|control| control.topic().to_owned())
            .collect()
    }

    async fn respond(&self, topic: &Topic, body: &[u8], peer: &Peer) -> Result<Vec<u8>, Refusal> {
        let control = Control::ALL
            .into_iter()
            .find(|control| control.topic() == topic.as_str());
        let Some(control) = control else {
            return Err(Refusal::unknown(topic.as_str(), &self.capabilities()));
        };
        let only_reads = matches!(
            control,
            Control::Capabilities
                | Control::Status
                | Control::Health
                | Control::Guests
                | Control::Triggers
                | Control::Chains
                | Control::Decisions
        );
        if !only_reads {
            tracing::info!(
                peer = peer.source(),
                topic = topic.as_str(),
                "asked over the socket"
            );
        }
        let (answer, answered) = oneshot::channel();
        let gone = || Refusal::failed("the daemon is stopping");
        self.asked
            .send(Asked {
                control,
                body: body.to_vec(),
                answer,
            })
            .await
            .map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}
