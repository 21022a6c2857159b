//! The duty of a trigger slot: batches come from the bus, firings become trigger requests, which
//! go to who works on them and, as events, to the bus.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_bus::batch::Batch;
use weir_bus::event::{ProcessColumns, TriggerEvent};
use weir_bus::pubsub::{Delivery, EventBus, PublisherId, QueueCounts, Recv, Subscriber};
use weir_bus::{CollectionEvent, Selection, Timestamp, Topic};

use super::cascade::Place;
use super::comparison::fingerprint;
use super::{Duty, Settled};
use crate::ids::new_id;
use crate::sandbox::{Cause, Firing, Instance, Outcome, Rule, Verdicts, Wants, World};
use crate::trigger::fifo::Fifo;
use crate::trigger::{Priority, Request};

/// A batch on its way to a trigger, with what was lost before it.
pub struct TriggerJob {
    batch: Arc<Batch>,
    missed: Option<u64>,
}

/// Evaluates what the bus delivers.
pub struct TriggerDuty {
    slot: String,
    /// Of the guest in force: its firings name them by number.
    rules: Mutex<Arc<[Rule]>>,
    subscriber: Subscriber,
    bus: Arc<dyn EventBus>,
    publisher: PublisherId,
    requests: Arc<Fifo>,
    missed: Mutex<Option<u64>>,
    /// Firings that went no further: their cascade had become too deep.
    cut: AtomicU64,
}

impl TriggerDuty {
    /// A trigger that takes what `subscriber` receives.
    #[must_use]
    pub fn new(
        slot: String,
        subscriber: Subscriber,
        bus: Arc<dyn EventBus>,
        publisher: PublisherId,
        requests: Arc<Fifo>,
    ) -> Self {
        Self {
            slot,
            rules: Mutex::new(Arc::from([])),
            subscriber,
            bus,
            publisher,
            requests,
            missed: Mutex::new(Some(0)),
            cut: AtomicU64::new(0),
        }
    }

    fn missed(&self) -> MutexGuard<'_, Option<u64>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None if it would go too deep.
    fn request(&self, batch: &Batch, firing: &Firing) -> Option<TriggerEvent> {
        let rules = Arc::clone(&self.rules.lock().unwrap_or_else(PoisonError::into_inner));
        let rule = usize::try_from(firing.rule)
            .ok()
            .and_then(|rule| rules.get(rule));
        let row = usize::try_from(firing.row).unwrap_or(usize::MAX);
        let request_id = new_id();
        let place = Place::behind(batch, row, &request_id)?;
        let process = ProcessColumns::of(batch).and_then(|columns| columns.row(row));
        Some(TriggerEvent {
            timestamp: Timestamp::now(),
            correlation_id: place.correlation_id,
            parent_id: place.parent_id,
            root_id: place.root_id,
            depth: place.depth,
            request_id,
            trigger: self.slot.clone(),
            rule: rule.map(|rule| rule.name.clone()).unwrap_or_default(),
            target: rule.map(|rule| rule.target.clone()).unwrap_or_default(),
            priority: rule.map(|rule| rule.priority.clone()).unwrap_or_default(),
            target_pid: process.map(|process| process.pid()),
            target_start_time: process.map(|process| process.start_time()),
            target_path: process.and_then(|process| process.executable().map(str::to_owned)),
            metadata: firing
                .message
                .iter()
                .map(|text| format!("message={text}"))
                .collect(),
            ..TriggerEvent::default()
        })
    }

    fn fire(&self, batch: &Batch, firing: &Firing) {
        let Some(request) = self.request(batch, firing) else {
            self.cut.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Ok(event) = batch.select(&Selection::Rows(vec![firing.row])) else {
            return;
        };
        let cause = Cause {
            request_id: request.request_id.clone(),
            trigger: request.trigger.clone(),
            rule: request.rule.clone(),
            priority: request.priority.clone(),
            message: firing.message.clone(),
            correlation_id: request.correlation_id.clone(),
            parent_id: request.parent_id.clone(),
            root_id: request.root_id.clone(),
            depth: request.depth,
            metadata: Vec::new(),
        };
        self.announce(request.clone());
        self.requests.admit(Request {
            priority: Priority::of_name(&request.priority).unwrap_or(Priority::Normal),
            event: Arc::new(request),
            row: Arc::new(event),
            cause: Arc::new(cause),
        });
    }

    /// The request as an event: who listens to `control.trigger.>` sees every firing.
    fn announce(&self, request: TriggerEvent) {
        let event = CollectionEvent::from(request);
        let topic: Topic = weir_bus::topic::of_event(event.kind(), self.leaf(&event));
        let batch = Batch::of_events(topic, &self.slot, 0, std::slice::from_ref(&event));
        let published = batch.map(|batch| self.bus.publish(self.publisher, Arc::new(batch)));
        if let Err(error) = published {
            tracing::error!(slot = %self.slot, %error, "a trigger request is no event");
        }
    }

    fn leaf<'a>(&'a self, event: &'a CollectionEvent) -> &'a str {
        match event {
            CollectionEvent::Trigger(request) if !request.target.is_empty() => &request.target,
            _ => &self.slot,
        }
    }
}

impl Duty for TriggerDuty {
    type Job = TriggerJob;
    type Answer = Verdicts;

    const WORLD: World = World::Trigger;
    const MAY_WAIT: bool = true;

    fn next(&self) -> Recv<TriggerJob> {
        loop {
            match self.subscriber.recv_blocking() {
                Recv::Got(Delivery::Batch { item, .. }) => {
                    let missed = self.missed().replace(0);
                    return Recv::Got(TriggerJob {
                        batch: item,
                        missed,
                    });
                }
                Recv::Got(Delivery::Gap(gap)) => {
                    let mut missed = self.missed();
                    // What nobody can know stays unknown, whatever is added to it.
                    *missed = missed
                        .zip(gap.missed)
                        .map(|(sum, rows)| sum.saturating_add(rows));
                }
                Recv::Empty => return Recv::Empty,
                Recv::Interrupted => return Recv::Interrupted,
                Recv::Closed => return Recv::Closed,
            }
        }
    }

    fn in_force(&self, wants: &Wants) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = wants.rules.as_slice().into();
    }

    fn interrupt(&self) {
        self.subscriber.interrupt();
    }

    fn finish(&self) {
        self.subscriber.finish();
    }

    fn batch(job: &TriggerJob) -> &Batch {
        &job.batch
    }

    fn ask(
        &self,
        instance: &mut Instance,
        job: &TriggerJob,
        batch: &Batch,
        first: usize,
    ) -> Outcome<Verdicts> {
        instance.evaluate(batch, if first == 0 { job.missed } else { Some(0) })
    }

    fn undecided(verdicts: &Verdicts) -> u64 {
        // Several rules may be unable to decide the same row.
        let rows: BTreeSet<u32> = verdicts.undecided.iter().map(|one| one.row).collect();
        rows.len() as u64
    }

    fn selected(verdicts: &Verdicts, _rows: usize) -> u64 {
        let rows: BTreeSet<u32> = verdicts.firings.iter().map(|one| one.row).collect();
        rows.len() as u64
    }

    fn fingerprints(wants: &Wants, verdicts: &Verdicts, rows: usize) -> Vec<u64> {
        // Two guests may count their rules differently: what a rule is called is what it is.
        let name = |rule: u32| {
            let rule = usize::try_from(rule)
                .ok()
                .and_then(|at| wants.rules.get(at));
            rule.map_or("", |rule| rule.name.as_str())
        };
        let mut said: Vec<BTreeSet<(bool, &str)>> = vec![BTreeSet::new(); rows];
        let fired = verdicts.firings.iter().map(|one| (one.row, one.rule, true));
        let undecided = verdicts.undecided.iter();
        for (row, rule, fires) in fired.chain(undecided.map(|one| (one.row, one.rule, false))) {
            let row = usize::try_from(row).unwrap_or(usize::MAX);
            if let Some(said) = said.get_mut(row) {
                said.insert((fires, name(rule)));
            }
        }
        said.iter().map(fingerprint).collect()
    }

    fn settle(&self, job: &TriggerJob, settled: Settled<Verdicts>, _generation: u64) {
        // Rows without a verdict fire nothing: the fault is what is told of them.
        for part in settled.parts {
            let first = u32::try_from(part.rows.start).unwrap_or(u32::MAX);
            for mut firing in part.verdict.into_iter().flat_map(|all| all.firings) {
                firing.row = firing.row.saturating_add(first);
                self.fire(&job.batch, &firing);
            }
        }
    }

    fn counts(&self) -> QueueCounts {
        self.subscriber.counts()
    }

    fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }
}
