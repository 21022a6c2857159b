//! The inventory source: what the machine consists of, whole at first and afterwards what changed.
//!
//! It judges nothing. A row is one attribute of one item of a class, and a present attribute is never empty: **an
//! empty value says that the attribute is gone**. The first look of a run is a snapshot of everything, and so is each
//! look that somebody besides the config asks for; any other sends the rows that are new, changed or gone, and mostly
//! none. Between looks it notices by itself that mounts changed.
//!
//! The invariant: what can't be read any more is not gone: its rows stay, and health says why.

#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "the portable look has one part, and is whole")
)]
mod facts;
#[cfg(all(target_os = "linux", any(test, feature = "fuzzing")))]
pub mod fuzzing;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use weir_bus::event::InventoryEvent;
use weir_bus::{Pace, SourceCaps, Timestamp};

use crate::emitter::Emitter;
#[cfg(target_os = "linux")]
use crate::kernel_files::Roots;
use crate::schedule::{ScheduleOptions, Tier};
use crate::source::{EventSource, SourceContext, SourceError, SourceHealth};
use facts::Table;
#[cfg(target_os = "linux")]
use linux::{Look, Watch};
#[cfg(not(target_os = "linux"))]
use portable::{Look, Watch};

/// The name of the source where nothing else is said.
pub const INVENTORY_SOURCE_NAME: &str = "inventory";
/// How often the source looks where nothing else is said.
pub const INVENTORY_INTERVAL_DEFAULT: Duration = Tier::Static.period();
/// How often it asks the kernel whether mounts have changed: one system call.
#[cfg(target_os = "linux")]
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// Looks at what the machine consists of.
pub struct InventorySource {
    name: String,
    schedule: ScheduleOptions,
    #[cfg(target_os = "linux")]
    roots: Roots,
    #[cfg(target_os = "linux")]
    watch_period: Duration,
    /// The next snapshot's id; it goes on counting when the source is started again.
    snapshot_id: AtomicU64,
    /// What couldn't be read at the last look, by part.
    failed: Mutex<Vec<(&'static str, String)>>,
}

impl InventorySource {
    /// A source that looks every `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            name: INVENTORY_SOURCE_NAME.to_owned(),
            schedule: ScheduleOptions::every(interval),
            #[cfg(target_os = "linux")]
            roots: Roots::default(),
            #[cfg(target_os = "linux")]
            watch_period: WATCH_PERIOD,
            snapshot_id: AtomicU64::new(1),
            failed: Mutex::default(),
        }
    }

    /// The same at other times, or only while somebody asks, or for another share of a core.
    #[must_use]
    pub const fn scheduled(mut self, schedule: ScheduleOptions) -> Self {
        self.schedule = schedule;
        self
    }

    /// The same, which reads the kernel's files elsewhere.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn reading(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// The same, which asks at another pace whether mounts have changed.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub const fn watching_every(mut self, period: Duration) -> Self {
        self.watch_period = period;
        self
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    fn failed(&self) -> MutexGuard<'_, Vec<(&'static str, String)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(target_os = "linux")]
    fn begin(&self) -> (Look, Watch) {
        let watch = Watch::new(&self.roots, self.watch_period);
        (Look::new(&self.roots), watch)
    }

    #[cfg(not(target_os = "linux"))]
    fn begin(&self) -> (Look, Watch) {
        (Look::new(), Watch)
    }

    /// Sends what is gone, then everything, as a snapshot.
    async fn emit_all(&self, emitter: &Emitter, table: &mut Table) {
        let timestamp = Timestamp::now();
        let gone = table.take_changes().into_iter();
        let gone = gone.filter(|change| change.value.is_none());
        let gone: Vec<InventoryEvent> = gone.map(|change| change.row(timestamp)).collect();
        let present: Vec<InventoryEvent> = table.rows(timestamp).collect();
        emitter.begin_snapshot(self.snapshot_id.fetch_add(1, Ordering::Relaxed));
        emitter.emit_all(&gone).await;
        emitter.emit_all(&present).await;
        emitter.end_snapshot();
    }

    /// Sends what is new, changed or gone.
    async fn emit_changes(&self, emitter: &Emitter, table: &mut Table) {
        let timestamp = Timestamp::now();
        let changes = table.take_changes().into_iter();
        let rows: Vec<InventoryEvent> = changes.map(|change| change.row(timestamp)).collect();
        emitter.emit_all(&rows).await;
        emitter.flush();
    }
}

impl Default for InventorySource {
    fn default() -> Self {
        Self::new(INVENTORY_INTERVAL_DEFAULT)
    }
}

#[async_trait]
impl EventSource for InventorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::SYSTEM_WIDE
    }

    fn pace(&self) -> Pace {
        Pace::Periodic
    }

    fn unavailable(&self) -> Option<String> {
        #[cfg(target_os = "linux")]
        return linux::unavailable(&self.roots);
        #[cfg(not(target_os = "linux"))]
        return portable::unavailable();
    }

    fn schedule(&self) -> Option<ScheduleOptions> {
        Some(self.schedule)
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        let (mut look, mut watch) = self.begin();
        let emitter = context.emitter();
        let mut is_first = true;
        loop {
            tokio::select! {
                biased;
                run = context.next_run() => {
                    let Some(run) = run else {
                        return Ok(());
                    };
                    look.take(|tier: Tier| run.due(tier));
                    *self.failed() = look.failed();
                    context.ready();
                    if is_first || run.is_asked_for() {
                        self.emit_all(emitter, look.table()).await;
                        is_first = false;
                        run.finished();
                    } else {
                        self.emit_changes(emitter, look.table()).await;
                        run.finished_with_changes();
                    }
                }
                // Before the first look there is nothing that could have changed.
                () = watch.changed(), if !is_first => {
                    look.take_mounts();
                    *self.failed() = look.failed();
                    self.emit_changes(emitter, look.table()).await;
                }
            }
        }
    }

    async fn health_check(&self) -> SourceHealth {
        let failed = self.failed().clone();
        if failed.is_empty() {
            return SourceHealth::Healthy;
        }
        let told = failed.iter();
        let told: Vec<String> = told
            .map(|(part, reason)| format!("{part}: {reason}"))
            .collect();
        SourceHealth::Degraded(told.join("; "))
    }
}

#[cfg(test)]
mod tests;
