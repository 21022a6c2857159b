//! A stage's findings on their way out of the chain.

use std::sync::Arc;

use weir_bus::batch::Batch;
use weir_bus::event::FindingEvent;
use weir_bus::pubsub::{EventBus, PublisherId};
use weir_bus::{CollectionEvent, Kind, Timestamp};

use super::task::Answer;
use crate::ids::new_id;
use crate::sandbox::{Cause, Finding};

/// Findings that go to the bus.
#[derive(Debug)]
pub(super) struct Findings {
    /// The slot or source that found them.
    pub(super) guest: String,
    /// What was found.
    pub(super) answer: Answer,
    /// The request that they answer.
    pub(super) cause: Arc<Cause>,
}

impl Findings {
    /// Publishes them, as one batch. May wait, where a subscriber has asked for that.
    pub(super) fn publish(self, bus: &dyn EventBus, publisher: PublisherId) {
        let (guest, cause, generation) = (&self.guest, &self.cause, self.answer.generation);
        let findings = self.answer.findings.into_iter();
        let events: Vec<CollectionEvent> = findings
            .map(|finding| event(finding, guest, generation, cause))
            .collect();
        if events.is_empty() {
            return;
        }
        let topic = weir_bus::topic::of_event(Kind::Finding, guest);
        let published = Batch::of_events(topic, guest, 0, &events)
            .map(|batch| bus.publish(publisher, Arc::new(batch)));
        if let Err(error) = published {
            tracing::error!(slot = %guest, %error, "a finding is no event");
        }
    }
}

fn event(finding: Finding, guest: &str, generation: u64, cause: &Cause) -> CollectionEvent {
    let evidence = finding.evidence.into_iter();
    FindingEvent {
        timestamp: Timestamp::now(),
        finding_id: new_id(),
        guest: guest.to_owned(),
        generation,
        severity: finding.severity.as_str().to_owned(),
        title: finding.title,
        subject: finding.subject,
        evidence: evidence
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        correlation_id: cause.correlation_id.clone(),
        parent_id: Some(cause.request_id.clone()),
        root_id: cause.root_id.clone(),
        depth: cause.depth,
    }
    .into()
}
