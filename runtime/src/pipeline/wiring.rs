//! What is under construction: slots, their duties and queues, who works on requests.
//!
//! Made from the end of the way to its beginning, so that nothing is sent to where nobody is yet. Invariant: once the
//! pipeline runs, nothing of this is left.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_bus::pubsub::{EventBus, PublisherId, QueueLimits, QueuePolicy, SubscriptionOptions};
use weir_bus::{TopicPattern, topic};
use weir_sources::{EventSource, ProcessTable};

use super::StartError;
use crate::chain::plan::WorkerName;
use crate::chain::plans::{Offers, Plans};
use crate::chain::runner::{Runner, RunnerParts, Workers};
use crate::collector::Collector;
use crate::config::{Config, OnState, SlotSettings};
use crate::guests::{self, Beginning, Triggerables};
use crate::sandbox::{Wants, World};
use crate::slot::filter::FilterDuty;
use crate::slot::stage::{StageDuty, StageWorker};
use crate::slot::trigger::TriggerDuty;
use crate::slot::{self, Candidate, Slot, SlotHandle};
use crate::sources;
use crate::trigger::{Requests, Targets, TriggerManager};

/// What is under construction: slots are made from the end of the way to its beginning, so that
/// nothing is sent to where nobody is yet.
pub(super) struct Wiring<'a> {
    config: &'a Config,
    bus: Arc<dyn EventBus>,
    manager: Arc<TriggerManager>,
    pub(super) offers: Offers,
    workers: Workers,
    /// What the guests want that the config names.
    rules: Vec<(String, Wants)>,
    pub(super) slots: BTreeMap<String, Arc<dyn SlotHandle>>,
    filters: Vec<(u32, String, Slot<FilterDuty>)>,
    shared: guests::Shared,
}

/// A slot's way in: what it begins with, and its settings.
pub(super) struct Opening<'a> {
    pub(super) name: &'a str,
    pub(super) settings: &'a SlotSettings,
    pub(super) begins: Beginning,
}

impl<'a> Wiring<'a> {
    /// Nothing yet.
    pub(super) fn new(
        config: &'a Config,
        bus: &Arc<dyn EventBus>,
        manager: &Arc<TriggerManager>,
    ) -> Self {
        Self {
            config,
            bus: Arc::clone(bus),
            manager: Arc::clone(manager),
            offers: Offers::default(),
            workers: Workers::new(),
            rules: Vec::new(),
            slots: BTreeMap::new(),
            filters: Vec::new(),
            shared: guests::Shared::new(config),
        }
    }

    pub(super) fn open(&mut self, opening: Opening<'_>) -> Result<(), StartError> {
        let name = opening.name.to_owned();
        let thread = |error| StartError::Thread {
            name: name.clone(),
            error,
        };
        let (slot, settings, begins) = (opening.name, opening.settings, opening.begins);
        let (world, wants) = (begins.first.world, begins.first.wants.clone());
        // A guest that was kept begins; whom the rules ask is the question of the one that the config names.
        let asked = begins.then.as_ref().unwrap_or(&begins.first);
        self.rules.push((name.clone(), asked.wants.clone()));
        let first = Candidate {
            memory: begins.memory,
            ..begins.first.into()
        };
        let opening = slot::Beginning {
            first,
            then: begins.then.map(|guest| Candidate {
                may_forget: settings.state == OnState::Reset,
                ..guest.into()
            }),
            generations: begins.number.saturating_sub(1),
        };
        let options = guests::slot_options(slot, settings, world, &self.shared);
        let publisher = PublisherId::unique();
        let handle: Arc<dyn SlotHandle> = match world {
            World::Stage => {
                let duty = StageDuty::new(&self.stage_worker(&name, settings, &wants));
                Arc::new(Slot::start(options, duty, opening).map_err(thread)?)
            }
            World::Trigger => {
                let subscribed = self.bus.subscribe(
                    SubscriptionOptions::new(format!("slot:{name}"))
                        .patterns(patterns(&wants))
                        .owner(publisher)
                        .policy(queue_policy(settings))
                        .limits(queue_limits(settings)),
                );
                let subscriber =
                    subscribed.map_err(|error| StartError::Subscribe(Box::new(error)))?;
                self.manager.add_slot(&name, publisher);
                let duty = TriggerDuty::new(name.clone(), subscriber, Arc::clone(&self.manager));
                Arc::new(Slot::start(options, duty, opening).map_err(thread)?)
            }
            World::Filter => {
                let kinds = wants.kinds;
                let on_fault = options.on_fault;
                let duty = FilterDuty::new(kinds, on_fault, queue_limits(settings));
                let slot = Slot::start(options, duty, opening).map_err(thread)?;
                self.filters
                    .push((settings.order, name.clone(), slot.clone()));
                Arc::new(slot)
            }
        };
        handle.set_shadow(begins.shadow).map_err(thread)?;
        self.slots.insert(name, handle);
        Ok(())
    }

    fn stage_worker(&mut self, slot: &str, settings: &SlotSettings, wants: &Wants) -> StageWorker {
        let (policy, limits) = (queue_policy(settings), queue_limits(settings));
        let kinds = wants.kinds.clone();
        let worker = StageWorker::new(slot.to_owned(), kinds.clone(), policy, limits);
        self.offers.slots.insert(slot.to_owned(), kinds);
        let name = WorkerName::Slot(slot.to_owned());
        self.workers.insert(name, Arc::new(worker.clone()));
        worker
    }

    /// The sources that answer requests, as those who work on stages.
    pub(super) fn answering(&mut self, sources: &Triggerables) -> Result<(), StartError> {
        for (name, source) in sources {
            let worker = crate::chain::source_worker(name, Arc::clone(source));
            let worker = worker.map_err(|error| StartError::Thread {
                name: name.clone(),
                error,
            })?;
            self.offers.sources.insert(name.clone());
            self.workers
                .insert(WorkerName::Source(name.clone()), Arc::new(worker));
        }
        Ok(())
    }

    /// What works requests off, once all who work are there.
    pub(super) fn chains(&mut self) -> Result<Runner, StartError> {
        let plans = Plans::new(self.config, &self.offers)?;
        for (slot, wants) in &self.rules {
            plans.rules_fit(slot, wants)?;
        }
        let runner = Runner::start(RunnerParts {
            settings: self.config.chains.clone(),
            plans,
            workers: std::mem::take(&mut self.workers),
            requests: Arc::clone(&self.manager) as Arc<dyn Requests>,
            bus: Arc::clone(&self.bus),
        });
        let runner = runner.map_err(|error| StartError::Thread {
            name: "chains".to_owned(),
            error,
        })?;
        let wake = runner.waker();
        self.manager.on_admitted(move || wake());
        runner.wake();
        Ok(runner)
    }

    /// As batches pass them.
    pub(super) fn filters_in_order(&mut self) -> Vec<Slot<FilterDuty>> {
        self.filters
            .sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        self.filters.drain(..).map(|(_, _, slot)| slot).collect()
    }

    pub(super) fn collector(
        &self,
        filters: Vec<Slot<FilterDuty>>,
        processes: Arc<ProcessTable>,
        extra_sources: Vec<Arc<dyn EventSource>>,
    ) -> Result<Collector, StartError> {
        // The table costs a look at every row: only stages can ask it.
        let is_asked = self.slots.values().any(|slot| slot.world() == World::Stage);
        let collector = self.config.collector.clone().into();
        let mut collector = Collector::with_bus(collector, Arc::clone(&self.bus))
            .with_filters(filters)
            .with_processes(is_asked.then_some(processes));
        for source in sources::from_config(&self.config.sources, &self.config.redact)?
            .into_iter()
            .chain(extra_sources)
        {
            collector.register(source)?;
        }
        Ok(collector)
    }
}

/// Who can answer requests.
pub(super) fn targets(config: &Config, answering: &Triggerables) -> Targets {
    let sources = answering.iter();
    Targets {
        chains: config.chain.keys().cloned().collect(),
        sources: sources
            .map(|(name, source)| (name.clone(), source.analyses()))
            .collect(),
    }
}

/// The topics that a guest gets: its own patterns, or all of its kinds.
fn patterns(wants: &Wants) -> Vec<TopicPattern> {
    if wants.patterns.is_empty() {
        wants
            .kinds
            .iter()
            .copied()
            .map(topic::families::all_events)
            .collect()
    } else {
        wants.patterns.clone()
    }
}

fn queue_limits(settings: &SlotSettings) -> QueueLimits {
    QueueLimits {
        items_max: settings.queue_batches_max,
        bytes_max: settings.queue_bytes_max as u64,
    }
}

fn queue_policy(settings: &SlotSettings) -> QueuePolicy {
    use crate::config::SlotQueuePolicy;
    match settings.queue_policy {
        SlotQueuePolicy::DropOldest => QueuePolicy::DropOldest,
        SlotQueuePolicy::DropNewest => QueuePolicy::DropNewest,
        SlotQueuePolicy::Block => QueuePolicy::Block {
            deadline: settings.block_deadline,
        },
    }
}
