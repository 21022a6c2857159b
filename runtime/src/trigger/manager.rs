//! The manager: takes firings from the slots, hands requests to who works on them, and tells what became of each.
//!
//! One lock, held for a decision and never while something is published.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use serde::Serialize;
use weir_bus::batch::Batch;
use weir_bus::event::{InventoryEvent, TriggerEvent};
use weir_bus::pubsub::{EventBus, PublisherId};
use weir_bus::{CollectionEvent, Kind, Timestamp, topic};

use super::admission::{Admission, Firing, TriggerName};
use super::counts::{Refusal, TriggerCounts};
use super::decisions::{Decision, Decisions};
use super::policy::Policy;
use super::queue::Waiting;
use super::{Ending, Request, Requests};
use crate::config::CONDITIONS_SLOT;

/// The trigger manager.
pub struct TriggerManager {
    state: Mutex<State>,
    policy: RwLock<Arc<Policy>>,
    bus: Arc<dyn EventBus>,
    /// Of the manager's own events.
    publisher: PublisherId,
    /// Whose firings they are: a slot doesn't get its own requests.
    publishers: RwLock<BTreeMap<String, PublisherId>>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

struct State {
    admission: Admission,
    decisions: Decisions,
    summed_at: Instant,
}

/// What the manager counts, read at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TriggersStatus {
    /// Of all triggers together.
    pub total: TriggerCounts,
    /// Of each that ever fired, by name.
    pub triggers: Vec<TriggerStatus>,
    /// So many requests may wait.
    pub requests_max: usize,
    /// Subjects that are known again.
    pub dedup_entries: usize,
    /// Subjects that were forgotten before their time, as there were too many.
    pub dedup_forgotten: u64,
}

/// The counts of one trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriggerStatus {
    /// The slot.
    pub slot: String,
    /// The rule.
    pub rule: String,
    /// What became of its firings.
    #[serde(flatten)]
    pub counts: TriggerCounts,
}

impl TriggerManager {
    /// A manager that tells `bus` what it admits.
    #[must_use]
    pub fn new(policy: Policy, bus: Arc<dyn EventBus>) -> Self {
        Self {
            state: Mutex::new(State {
                admission: Admission::new(&policy),
                decisions: Decisions::default(),
                summed_at: Instant::now(),
            }),
            policy: RwLock::new(Arc::new(policy)),
            bus,
            publisher: PublisherId::unique(),
            publishers: RwLock::default(),
            wake: OnceLock::new(),
        }
    }

    /// Publishes a slot's requests as the slot's own.
    pub fn add_slot(&self, slot: &str, publisher: PublisherId) {
        let mut publishers = self
            .publishers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        publishers.insert(slot.to_owned(), publisher);
    }

    /// Calls that whenever a request waits. The first one counts.
    pub fn on_admitted(&self, wake: impl Fn() + Send + Sync + 'static) {
        drop(self.wake.set(Box::new(wake)));
    }

    /// Decides by another policy from now on.
    pub fn set_policy(&self, policy: Policy) {
        let mut state = self.state();
        state.admission.set_policy(&policy);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// Decides on firings of one batch, in their order.
    pub fn offer<'a>(&self, firings: impl IntoIterator<Item = Firing<'a>>) {
        let policy = self.policy();
        let mut admitted = false;
        for firing in firings {
            let now = Instant::now();
            let mut state = self.state();
            let decided = state.admission.offer(firing, &policy, now);
            admitted |= decided.is_ok();
            state.decisions.keep(decision(firing, decided));
        }
        if admitted && let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Counts rows that a rule could not decide.
    pub fn undecided(&self, slot: &str, rule: &str, rows: u64) {
        let policy = self.policy();
        self.state().admission.undecided(slot, rule, rows, &policy);
    }

    /// What was decided lately about a row, oldest first.
    #[must_use]
    pub fn decisions(&self, source: &str, sequence: u64) -> Vec<Decision> {
        self.state().decisions.about(source, sequence)
    }

    /// Cancels waiting requests: all, or the one of that id. Answers how many.
    pub fn cancel_waiting(&self, request_id: Option<&str>) -> usize {
        let mut state = self.state();
        let wanted =
            |waiting: &Waiting| request_id.is_none_or(|id| waiting.request.event.request_id == id);
        let cancelled = state.admission.queue.take_if(wanted);
        for waiting in &cancelled {
            let event = &waiting.request.event;
            if let Some(counts) = state.admission.counts_of(event) {
                counts.waiting -= 1;
                counts.cancelled += 1;
            }
        }
        cancelled.len()
    }

    /// The counts.
    #[must_use]
    pub fn status(&self) -> TriggersStatus {
        let policy = self.policy();
        let mut state = self.state();
        let mut total = TriggerCounts::default();
        let mut triggers: Vec<TriggerStatus> = state
            .admission
            .known()
            .map(|(name, known)| TriggerStatus {
                slot: name.slot.clone(),
                rule: name.rule.clone(),
                counts: known.counts,
            })
            .collect();
        triggers.iter().for_each(|one| total.add(&one.counts));
        triggers.sort_by(|one, other| (&one.slot, &one.rule).cmp(&(&other.slot, &other.rule)));
        TriggersStatus {
            total,
            triggers,
            requests_max: policy.admission.queue_requests_max,
            dedup_entries: state.admission.dedup.len(),
            dedup_forgotten: state.admission.dedup.forgotten(),
        }
    }

    /// Sums up what was suppressed since the last time, if it is time to.
    pub fn look(&self, now: Instant) {
        let interval = self.policy().admission.summary_interval;
        let mut state = self.state();
        if now.saturating_duration_since(state.summed_at) < interval {
            return;
        }
        state.summed_at = now;
        drop(state);
        self.sum_up();
    }

    /// An event for each trigger of which something was suppressed since the last time.
    fn sum_up(&self) {
        let mut sums: BTreeMap<TriggerName, Vec<InventoryEvent>> = BTreeMap::new();
        let now = Timestamp::now();
        for (name, known) in self.state().admission.known() {
            let (mut counts, mut before) = (known.counts, known.summed);
            let since = |why| {
                let suppressed = *counts.refused(why) - *before.refused(why);
                (suppressed > 0).then(|| InventoryEvent {
                    timestamp: now,
                    class: "suppressed".to_owned(),
                    item: shown(&name.slot, &name.rule),
                    attribute: why.as_str().to_owned(),
                    value: suppressed.to_string(),
                })
            };
            let events: Vec<InventoryEvent> = Refusal::ALL.into_iter().filter_map(since).collect();
            known.summed = known.counts;
            if !events.is_empty() {
                sums.insert(name.clone(), events);
            }
        }
        for (name, sum) in sums {
            let leaf = if name.slot == CONDITIONS_SLOT {
                name.rule
            } else {
                name.slot
            };
            let events: Vec<CollectionEvent> = sum.into_iter().map(Into::into).collect();
            self.publish(topic::suppressed(&leaf), &leaf, self.publisher, &events);
        }
    }

    /// The request as an event: who listens to `control.trigger.>` sees each that somebody begins to work on.
    fn announce(&self, event: &TriggerEvent) {
        let leaf = if event.target.is_empty() {
            &event.trigger
        } else {
            &event.target
        };
        let publishers = self
            .publishers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let publisher = publishers.get(&event.trigger).copied();
        drop(publishers);
        let event = CollectionEvent::from(event.clone());
        let topic = topic::of_event(Kind::Trigger, leaf);
        let publisher = publisher.unwrap_or(self.publisher);
        self.publish(topic, leaf, publisher, std::slice::from_ref(&event));
    }

    fn publish(
        &self,
        topic: weir_bus::Topic,
        source: &str,
        publisher: PublisherId,
        events: &[CollectionEvent],
    ) {
        let batch = Batch::of_events(topic, source, 0, events);
        let published = batch.map(|batch| self.bus.publish(publisher, Arc::new(batch)));
        if let Err(error) = published {
            tracing::error!(%error, "what the trigger manager has to tell is no event");
        }
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_one(&self, policy: &Policy) -> Option<Request> {
        let mut state = self.state();
        loop {
            let waiting = state.admission.queue.pop()?;
            let event = &waiting.request.event;
            let late = waiting.since.elapsed() >= policy.request_timeout;
            if let Some(counts) = state.admission.counts_of(event) {
                counts.waiting -= 1;
                if late {
                    counts.timed_out += 1;
                } else {
                    counts.under_way += 1;
                }
            }
            if late {
                let id = &event.request_id;
                tracing::warn!(request = id, "a request waited longer than it may");
            } else {
                return Some(waiting.request);
            }
        }
    }
}

impl Requests for TriggerManager {
    fn take(&self) -> Option<Request> {
        let request = self.take_one(&self.policy())?;
        self.announce(&request.event);
        Some(request)
    }

    fn ended(&self, request: &Request, ending: Ending) {
        let mut state = self.state();
        if let Some(counts) = state.admission.counts_of(&request.event) {
            counts.under_way -= 1;
            *counts.ended(ending) += 1;
        }
    }
}

/// A trigger as people know it: the conditions of the config by their names, others behind their slots.
#[must_use]
pub fn shown(slot: &str, rule: &str) -> String {
    if slot == CONDITIONS_SLOT {
        rule.to_owned()
    } else {
        format!("{slot}/{rule}")
    }
}

fn decision(firing: Firing<'_>, decided: Result<Arc<TriggerEvent>, Refusal>) -> Decision {
    let (source, sequence) = firing.batch.stamp(firing.row).unwrap_or(("", 0));
    Decision {
        at: Timestamp::now(),
        source: source.into(),
        sequence,
        slot: firing.slot.to_owned(),
        rule: firing
            .rule
            .map(|rule| rule.name.clone())
            .unwrap_or_default(),
        outcome: match &decided {
            Ok(_) => "admitted",
            Err(why) => why.as_str(),
        },
        request_id: decided.ok().map(|event| event.request_id.clone()),
    }
}
