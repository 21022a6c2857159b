//! The duty of a stage slot: trigger requests come from the triggers, findings go to the bus.

use std::sync::{Arc, PoisonError, RwLock};

use weir_bus::batch::Batch;
use weir_bus::event::FindingEvent;
use weir_bus::pubsub::{
    EventBus, PublisherId, Queue, QueueCounts, QueueLimits, QueuePolicy, Recv, Weigh,
};
use weir_bus::{CollectionEvent, Kind, Timestamp};

use super::comparison::fingerprint;
use super::{Duty, Settled};
use crate::ids::new_id;
use crate::sandbox::{Cause, Finding, Instance, Outcome, Wants, World};

/// A request on its way to a stage.
#[derive(Clone)]
pub struct StageJob {
    inner: Arc<(Batch, Cause)>,
}

impl StageJob {
    /// The row that fired, and why.
    #[must_use]
    pub fn new(event: Batch, cause: Cause) -> Self {
        Self {
            inner: Arc::new((event, cause)),
        }
    }

    fn event(&self) -> &Batch {
        &self.inner.0
    }

    fn cause(&self) -> &Cause {
        &self.inner.1
    }
}

impl Weigh for StageJob {
    fn rows(&self) -> u64 {
        self.event().rows() as u64
    }

    fn bytes(&self) -> u64 {
        // Named attack: requests about a small row with a message of megabytes.
        (self.event().bytes() as u64).saturating_add(self.cause().bytes())
    }
}

/// A stage as the triggers know it.
struct Route {
    triggers: Vec<String>,
    kinds: Vec<Kind>,
    queue: Arc<Queue<StageJob>>,
}

/// Sends every request to the stages that take it.
#[derive(Default)]
pub struct StageRouter {
    routes: RwLock<Vec<Route>>,
}

impl StageRouter {
    /// A queue for a stage that takes requests of those triggers (none: of all) about events of
    /// those kinds.
    #[must_use]
    pub fn add(
        &self,
        triggers: Vec<String>,
        kinds: Vec<Kind>,
        policy: QueuePolicy,
        limits: QueueLimits,
    ) -> Arc<Queue<StageJob>> {
        let queue = Arc::new(Queue::new(policy, limits));
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.push(Route {
            triggers,
            kinds,
            queue: Arc::clone(&queue),
        });
        queue
    }

    /// Hands a request to every stage that takes it; what a full queue drops, it counts.
    pub fn send(&self, job: &StageJob) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        for route in routes.iter() {
            let trigger = &job.cause().trigger;
            let takes = route.triggers.is_empty() || route.triggers.contains(trigger);
            if takes && route.kinds.contains(&job.event().kind()) {
                route.queue.push(0, job.clone());
            }
        }
    }
}

/// Analyses what fired.
pub struct StageDuty {
    slot: String,
    queue: Arc<Queue<StageJob>>,
    bus: Arc<dyn EventBus>,
    publisher: PublisherId,
}

impl StageDuty {
    /// A stage that takes what the router puts into `queue`.
    #[must_use]
    pub fn new(
        slot: String,
        queue: Arc<Queue<StageJob>>,
        bus: Arc<dyn EventBus>,
        publisher: PublisherId,
    ) -> Self {
        Self {
            slot,
            queue,
            bus,
            publisher,
        }
    }

    fn event(&self, finding: Finding, cause: &Cause, generation: u64) -> CollectionEvent {
        let evidence = finding.evidence.into_iter();
        FindingEvent {
            timestamp: Timestamp::now(),
            finding_id: new_id(),
            guest: self.slot.clone(),
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
}

impl Duty for StageDuty {
    type Job = StageJob;
    type Answer = Vec<Finding>;

    const WORLD: World = World::Stage;
    const MAY_WAIT: bool = true;

    fn next(&self) -> Recv<StageJob> {
        // A request is about one row; what was lost before it is counted, not told.
        super::without_gaps(self.queue.recv_blocking())
    }

    fn interrupt(&self) {
        self.queue.interrupt();
    }

    fn finish(&self) {
        self.queue.close();
    }

    fn batch(job: &StageJob) -> &Batch {
        job.event()
    }

    fn ask(
        &self,
        instance: &mut Instance,
        job: &StageJob,
        batch: &Batch,
        _first: usize,
    ) -> Outcome<Vec<Finding>> {
        instance.analyze(batch, &[], Some(job.cause()))
    }

    fn fingerprints(_wants: &Wants, findings: &Vec<Finding>, rows: usize) -> Vec<u64> {
        vec![fingerprint(findings); rows]
    }

    fn settle(&self, job: &StageJob, settled: Settled<Vec<Finding>>, generation: u64) {
        let parts = settled.parts.into_iter();
        let findings = parts.flat_map(|part| part.verdict.unwrap_or_default());
        let events: Vec<CollectionEvent> = findings
            .map(|finding| self.event(finding, job.cause(), generation))
            .collect();
        if events.is_empty() {
            return;
        }
        let topic = weir_bus::topic::of_event(Kind::Finding, &self.slot);
        let published = Batch::of_events(topic, &self.slot, 0, &events)
            .map(|batch| self.bus.publish(self.publisher, Arc::new(batch)));
        if let Err(error) = published {
            tracing::error!(slot = %self.slot, %error, "a finding is no event");
        }
    }

    fn counts(&self) -> QueueCounts {
        self.queue.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_bus::event::ProcessEvent;

    #[test]
    fn a_request_weighs_what_it_says_too() {
        let event = CollectionEvent::from(ProcessEvent::default());
        let topic = weir_bus::topic::of_event(Kind::Process, "test");
        let batch = Batch::of_events(topic, "test", 0, &[event]).expect("a batch");
        let cause = |message: Option<String>| Cause {
            request_id: "id".to_owned(),
            trigger: "trigger".to_owned(),
            rule: String::new(),
            priority: String::new(),
            message,
            correlation_id: String::new(),
            parent_id: None,
            root_id: String::new(),
            depth: 0,
            metadata: Vec::new(),
        };
        let weight = |message| StageJob::new(batch.clone(), cause(message)).bytes();
        assert_eq!(weight(None), batch.bytes() as u64 + 9);
        let megabyte = "x".repeat(1 << 20);
        assert_eq!(weight(Some(megabyte)), weight(None) + (1 << 20));
    }
}
