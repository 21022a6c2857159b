//! The wiring: source → batcher → filters → bus → triggers → stages → findings → sinks. Read first.
//!
//! Everything here is made once, from a validated config, in the order in which events pass it;
//! and drained in the same order at the end. What the parts do stands in their own folders.

mod door;
mod wiring;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use weir_bus::pubsub::{BusStatistics, EventBus, SubscribeError};
use weir_bus::socket::{BrokerStatus, Responder};
use weir_bus::{Opened, SourceCounts};
use weir_sources::{EventSource, RegistryError, SourceStatus, TableStatus, Unavailable};

use crate::broker::{self, IdentityError};
use crate::chain::plans::{Offers, Plans, PlansError};
use crate::chain::runner::Runner;
use crate::collector::{CollectorReport, RunningCollector, batcher_limits};
use crate::config::Config;
use crate::guests::{GuestError, Guests, Triggerables};
use crate::keeper::Keeper;
use crate::sandbox::World;
use crate::sink::{self, Console, OpenError, RunningSink};
use crate::slot::{SlotHandle, SlotStatistics};
use crate::sources::SourceOpenError;
use crate::trigger::{Policy, TriggerManager, TriggersStatus};
use door::Door;
use wiring::{Opening, Wiring, targets};

/// Why a pipeline can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A guest can't be put into its slot.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A chain can't be worked by.
    #[error(transparent)]
    Chain(#[from] PlansError),
    /// A source can't be registered.
    #[error("sources: {0}")]
    Source(#[from] RegistryError),
    /// A source can't be opened.
    #[error(transparent)]
    SourceOpen(#[from] SourceOpenError),
    /// A sink can't be opened.
    #[error(transparent)]
    Sink(#[from] OpenError),
    /// The bus refuses a subscription.
    #[error("the bus: {0}")]
    Subscribe(Box<SubscribeError>),
    /// There is no such bus.
    #[error(transparent)]
    Bus(#[from] weir_bus::OpenError),
    /// The config names a user or group that isn't there.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system refuses a thread.
    #[error("no thread for `{name}`: {error}")]
    Thread {
        /// What it was for.
        name: String,
        /// Why.
        error: std::io::Error,
    },
}

/// What the parts of a pipeline count, read one after the other.
#[derive(Clone, Debug)]
pub struct PipelineStatus {
    /// Sources, with their health and counts.
    pub sources: Vec<SourceStatus>,
    /// Slots, in the order of their names.
    pub slots: Vec<SlotStatistics>,
    /// The triggers, and what became of their firings.
    pub triggers: TriggersStatus,
    /// The bus and its subscribers.
    pub bus: BusStatistics,
}

/// Everything at work.
pub struct Pipeline {
    bus: Arc<dyn EventBus>,
    collector: RunningCollector,
    slots: BTreeMap<String, Arc<dyn SlotHandle>>,
    manager: Arc<TriggerManager>,
    answering: Arc<Triggerables>,
    chains: Runner,
    offers: Offers,
    sinks: Vec<RunningSink>,
    door: Option<Door>,
    keeper: Option<Arc<Keeper>>,
}

impl Pipeline {
    /// Prepares all guests, then starts everything from the sinks to the sources. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// If any part can't be made; what was made until then is dropped again.
    pub fn start(
        config: &Config,
        guests: &Guests,
        console: &Arc<Console>,
        extra_sources: Vec<Arc<dyn EventSource>>,
    ) -> Result<Self, StartError> {
        // The socket first: a second daemon is refused before it has done any work.
        let choice = broker::choice(&config.bus, &config.collector.component_name)?;
        let Opened { bus, broker } = weir_bus::open_within(choice, broker::bounds(&config.bus))?;
        let keeper = Keeper::open(&config.sandbox.state_folder);
        let beginnings = guests.begin(config, keeper.as_deref())?;
        let signers = beginnings.iter();
        guests.note_signers(
            signers
                .map(|begins| (begins.slot.clone(), begins.first.signed_by.clone()))
                .collect(),
        );
        let sinks = sink::open_all(config, &bus, console)?;
        let processes = guests.processes();
        let answering = guests.triggerables();
        let policy = Policy::new(config, targets(config, &answering));
        let manager = Arc::new(TriggerManager::new(policy, Arc::clone(&bus)));
        let mut wiring = Wiring::new(config, &bus, &manager);
        let mut openings: Vec<Opening<'_>> = beginnings
            .into_iter()
            .filter_map(|begins| {
                let (name, settings) = config.slots.get_key_value(&begins.slot)?;
                Some(Opening {
                    name,
                    settings,
                    begins,
                })
            })
            .collect();
        openings.sort_by_key(|opening| match opening.begins.first.world {
            World::Stage => 0,
            World::Trigger => 1,
            World::Filter => 2,
        });
        for opening in openings {
            wiring.open(opening)?;
        }
        wiring.answering(&answering)?;
        let chains = wiring.chains()?;
        let filters = wiring.filters_in_order();
        let door = broker.map(|broker| {
            let limits = batcher_limits(&config.collector);
            Door::new(broker, filters.clone(), limits)
        });
        let collector = wiring.collector(filters, processes, extra_sources)?.start();
        guests.read_tables(collector.tables());
        Ok(Self {
            bus,
            collector,
            slots: wiring.slots,
            manager,
            answering,
            chains,
            offers: wiring.offers,
            sinks,
            door,
            keeper,
        })
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> Arc<dyn EventBus> {
        Arc::clone(&self.bus)
    }

    /// Lets clients in, where there is a socket. Until now those that connected have waited.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn serve(&mut self, responder: Arc<dyn Responder>) -> Result<(), StartError> {
        let door = self.door.as_mut();
        Ok(door.map_or(Ok(()), |door| door.open(responder))?)
    }

    /// The socket's connections, where there is one.
    #[must_use]
    pub fn broker_status(&self) -> Option<BrokerStatus> {
        self.door.as_ref().map(Door::status)
    }

    /// What became of all that clients published, where there is a socket.
    #[must_use]
    pub fn socket_counts(&self) -> Option<SourceCounts> {
        self.door.as_ref().map(Door::counts)
    }

    /// The slots by name.
    #[must_use]
    pub const fn slots(&self) -> &BTreeMap<String, Arc<dyn SlotHandle>> {
        &self.slots
    }

    /// The trigger manager.
    #[must_use]
    pub const fn triggers(&self) -> &Arc<TriggerManager> {
        &self.manager
    }

    /// The runs of chains.
    #[must_use]
    pub const fn chains(&self) -> &Runner {
        &self.chains
    }

    /// The plans of another config, whose slots are those of this pipeline.
    ///
    /// # Errors
    /// If a chain can't be worked by.
    pub fn plans(&self, config: &Config) -> Result<Plans, PlansError> {
        Plans::new(config, &self.offers)
    }

    /// Admits by another config, and works by its plans, from the next firing and request on.
    pub fn set_plans(&self, config: &Config, plans: Plans) {
        self.manager
            .set_policy(Policy::new(config, targets(config, &self.answering)));
        self.chains.set_plans(plans);
    }

    /// Keeps what slots have for the next run, as it is now. Waits for the disk.
    pub fn save(&self) -> impl Future<Output = ()> + use<> {
        save(self.keeper.clone(), self.slots.clone())
    }

    /// Sources that this host can't offer.
    #[must_use]
    pub fn unavailable(&self) -> &[Unavailable] {
        self.collector.unavailable()
    }

    /// What is kept of the sources that look at intervals.
    #[must_use]
    pub fn tables(&self) -> Vec<TableStatus> {
        let tables = self.collector.tables().all();
        tables.map(|table| table.status()).collect()
    }

    /// Whether every source has ended by itself: a recording that was played to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.collector.is_finished()
    }

    /// What everything counts.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        PipelineStatus {
            sources: self.collector.statuses(),
            slots: self.slots.values().map(|slot| slot.statistics()).collect(),
            triggers: self.manager.status(),
            bus: self.bus.statistics(),
        }
    }

    /// Stops everything in the order of the way: sources, queues, guests, sinks. What hasn't come
    /// through at the deadline stays where it is counted.
    pub async fn drain(self, deadline: Instant) -> (CollectorReport, PipelineStatus) {
        // What is under way must not wait for a slot's pause, and with it its source.
        self.slots.values().for_each(|slot| slot.hurry());
        if let Some(door) = &self.door {
            door.drain(deadline).await;
        }
        let mut report = self.collector.drain(deadline).await;
        for world in [World::Filter, World::Trigger, World::Stage] {
            if world == World::Stage && !self.chains.drain(deadline) {
                tracing::warn!("the runs of chains did not end in time");
            }
            if world == World::Stage {
                self.manager.cancel_waiting(None);
            }
            let of_world = || self.slots.values().filter(|slot| slot.world() == world);
            of_world().for_each(|slot| slot.finish());
            let ended = of_world().filter(|slot| !slot.wait(deadline)).count();
            if ended > 0 {
                tracing::warn!(
                    world = world.as_str(),
                    slots = ended,
                    "slots did not end in time"
                );
            }
        }
        save(self.keeper, self.slots.clone()).await;
        for sink in &self.sinks {
            if !sink.finish(deadline) {
                tracing::warn!(sink = sink.name(), "the sink did not end in time");
            }
        }
        self.bus.close();
        if let Some(door) = self.door {
            door.close(deadline, &mut report).await;
        }
        let status = PipelineStatus {
            sources: Vec::new(),
            slots: self.slots.values().map(|slot| slot.statistics()).collect(),
            triggers: self.manager.status(),
            bus: self.bus.statistics(),
        };
        (report, status)
    }
}

async fn save(keeper: Option<Arc<Keeper>>, slots: BTreeMap<String, Arc<dyn SlotHandle>>) {
    if let Some(keeper) = keeper {
        drop(tokio::task::spawn_blocking(move || keeper.save(&slots)).await);
    }
}
