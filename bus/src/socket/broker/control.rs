//! Questions to the broker's process, and who answers them.

use async_trait::async_trait;

use super::super::Peer;
use crate::topic::Topic;

/// Answers requests. What may be asked at all, the access rules have decided.
#[async_trait]
pub trait Responder: Send + Sync + 'static {
    /// The topics that can be asked.
    fn capabilities(&self) -> Vec<String>;

    /// Answers with a JSON text. Cancelled at the request's deadline.
    ///
    /// # Errors
    /// If there is no answer.
    async fn respond(&self, topic: &Topic, body: &[u8], peer: &Peer) -> Result<Vec<u8>, Refusal>;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs: `unknown-topic`, `invalid`, `failed`, `deadline`, `denied`, `limit`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// Nobody answers to that topic.
    #[must_use]
    pub fn unknown(topic: &str, known: &[String]) -> Self {
        Self {
            code: "unknown-topic",
            message: format!(
                "nobody answers to `{topic}`; one can ask {}",
                known.join(", ")
            ),
        }
    }

    /// It was tried, and didn't work.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            code: "failed",
            message: message.into(),
        }
    }
}
