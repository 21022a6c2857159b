//! The collector: sources, their supervision, and the lanes that carry their batches through
//! filters to the bus. Usable as a library; the daemon is a collector with slots and sinks around it.

mod builder;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use weir_bus::pubsub::{EventBus, LocalBus, PublisherId, Tables};
use weir_bus::{BatcherLimits, SourceCaps, SourceCounts};
use weir_sources::schedule::Clock;
use weir_sources::{
    EventSource, ProcessTable, Registry, RegistryError, SourceStatus, SourceTables, Supervisor,
    SupervisorOptions, Unavailable,
};

pub use builder::CollectorConfigBuilder;

use crate::config::CollectorSettings;
use crate::lane::Lane;
use crate::slot::Slot;
use crate::slot::filter::FilterDuty;

/// A validated config of a collector.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectorConfig {
    settings: CollectorSettings,
}

impl CollectorConfig {
    /// Begins with the defaults.
    pub fn builder() -> CollectorConfigBuilder {
        CollectorConfigBuilder::default()
    }

    /// What it says.
    #[must_use]
    pub const fn settings(&self) -> &CollectorSettings {
        &self.settings
    }
}

impl From<CollectorSettings> for CollectorConfig {
    fn from(settings: CollectorSettings) -> Self {
        Self { settings }
    }
}

/// What a collector's run came to.
#[derive(Clone, Debug, Default)]
pub struct CollectorReport {
    /// What became of each source's rows, by its name.
    pub sources: Vec<(String, SourceCounts)>,
    /// Sources that did not stop in time, and were left behind.
    pub abandoned: Vec<String>,
}

/// Sources and a bus, before they run.
pub struct Collector {
    config: CollectorConfig,
    registry: Registry,
    bus: Arc<dyn EventBus>,
    filters: Vec<Slot<FilterDuty>>,
    processes: Option<Arc<ProcessTable>>,
    clock: Clock,
}

impl Collector {
    /// A collector with a bus of its own, in this process.
    #[must_use]
    pub fn new(config: CollectorConfig) -> Self {
        Self::with_bus(config, Arc::new(LocalBus::new()))
    }

    /// A collector that publishes on that bus.
    #[must_use]
    pub fn with_bus(config: CollectorConfig, bus: Arc<dyn EventBus>) -> Self {
        let registry = Registry::with_sources_max(config.settings.sources_max);
        Self {
            config,
            registry,
            bus,
            filters: Vec::new(),
            processes: None,
            clock: Clock::monotonic(),
        }
    }

    /// The same, whose sources look by another clock: a test's.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a source. One that this host can't offer is left out, with its reason.
    ///
    /// # Errors
    /// If its name is taken or is no topic token, or there are as many sources as there may be.
    pub fn register(&mut self, source: Arc<dyn EventSource>) -> Result<(), RegistryError> {
        self.registry.register(source)?;
        Ok(())
    }

    /// What all its sources observe together.
    #[must_use]
    pub fn capabilities(&self) -> SourceCaps {
        self.registry.capabilities()
    }

    /// The bus that it publishes on.
    #[must_use]
    pub fn bus(&self) -> Arc<dyn EventBus> {
        Arc::clone(&self.bus)
    }

    pub(crate) fn with_filters(mut self, filters: Vec<Slot<FilterDuty>>) -> Self {
        self.filters = filters;
        self
    }

    pub(crate) fn with_processes(mut self, processes: Option<Arc<ProcessTable>>) -> Self {
        self.processes = processes;
        self
    }

    /// Runs until `shutdown` is ready, then drains. Must be called within a tokio runtime.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> CollectorReport {
        let timeout = self.config.settings.shutdown_timeout;
        let bus = self.bus();
        let running = self.start();
        shutdown.await;
        let report = running.drain(Instant::now() + timeout).await;
        bus.close();
        report
    }

    /// Starts sources and lanes. Must be called within a tokio runtime.
    pub(crate) fn start(self) -> RunningCollector {
        let options = SupervisorOptions {
            clock: self.clock,
            ..supervisor_options(&self.config.settings)
        };
        let supervisor = Supervisor::start(&self.registry, options);
        let mut tables = SourceTables::default();
        let (mut lanes, mut watches) = (Vec::new(), Vec::new());
        let sources = self.registry.sources().iter();
        for ((source, batcher), schedule) in sources
            .zip(supervisor.batchers())
            .zip(supervisor.schedules())
        {
            let table =
                schedule.map(|schedule| tables.add(source.name(), source.capabilities(), schedule));
            if let Some(table) = table.clone() {
                watches.push(tokio::spawn(async move { table.watch().await }));
            }
            let lane = Lane {
                batcher,
                filters: self.filters.clone(),
                bus: Arc::clone(&self.bus),
                publisher: PublisherId::unique(),
                processes: self.processes.clone(),
                table,
            };
            lanes.push(tokio::spawn(lane.run()));
        }
        let tables = Arc::new(tables);
        self.bus
            .serve_tables(Arc::clone(&tables) as Arc<dyn Tables>);
        RunningCollector {
            supervisor,
            lanes,
            tables,
            watches,
        }
    }
}

/// The bounds of each publisher's batches.
pub(crate) fn batcher_limits(settings: &CollectorSettings) -> BatcherLimits {
    BatcherLimits {
        batch_rows_max: settings.batch_rows_max,
        batch_bytes_max: settings.batch_bytes_max,
        batch_age_max: settings.batch_timeout,
        event_buffer_rows_max: settings.event_buffer_size,
        backpressure_threshold: settings.backpressure_threshold,
    }
}

fn supervisor_options(settings: &CollectorSettings) -> SupervisorOptions {
    SupervisorOptions {
        batcher: batcher_limits(settings),
        realtime_batch_age_max: settings.realtime_batch_timeout,
        backpressure_wait_max: settings.backpressure_wait_max,
        startup_timeout: settings.startup_timeout,
        health_interval: settings.health_interval,
        ..SupervisorOptions::default()
    }
}

/// A collector at work.
pub(crate) struct RunningCollector {
    supervisor: Supervisor,
    lanes: Vec<JoinHandle<()>>,
    tables: Arc<SourceTables>,
    /// Who tells of tables that don't come.
    watches: Vec<JoinHandle<()>>,
}

impl RunningCollector {
    /// The latest tables of the sources that look at intervals.
    pub(crate) const fn tables(&self) -> &Arc<SourceTables> {
        &self.tables
    }

    pub(crate) fn statuses(&self) -> Vec<SourceStatus> {
        self.supervisor.statuses()
    }

    pub(crate) fn unavailable(&self) -> &[Unavailable] {
        self.supervisor.unavailable()
    }

    /// Whether every source has ended by itself.
    pub(crate) fn is_finished(&self) -> bool {
        !self.lanes.is_empty() && self.lanes.iter().all(JoinHandle::is_finished)
    }

    /// Stops the sources, and waits until the lanes have carried what they left.
    pub(crate) async fn drain(self, deadline: Instant) -> CollectorReport {
        let left = || deadline.saturating_duration_since(Instant::now());
        // Half of the time for the sources: what they have handed over still has a way to go.
        let stopped = self.supervisor.stop_all(left() / 2).await;
        self.watches.iter().for_each(JoinHandle::abort);
        for lane in self.lanes {
            let abort = lane.abort_handle();
            let wait = left().max(Duration::from_millis(1));
            if tokio::time::timeout(wait, lane).await.is_err() {
                // What it held stays counted as in flight.
                abort.abort();
            }
        }
        CollectorReport {
            sources: self
                .supervisor
                .statuses()
                .into_iter()
                .map(|status| (status.name, status.counts))
                .collect(),
            abandoned: stopped.abandoned,
        }
    }
}
