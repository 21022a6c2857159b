//! The portable process source: at an interval, a look at all processes, through sysinfo.
//!
//! It sees what lives at a look; what starts and ends between two looks it can't see. It isn't where
//! anything is judged. The invariant: a process is (pid, start time), and keeps that name from look
//! to look.

pub(crate) mod details;
#[cfg(target_os = "linux")]
mod hashes;
#[cfg(not(target_os = "linux"))]
#[path = "hashes/elsewhere.rs"]
mod hashes;
mod look;
mod row;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use weir_bus::event::ProcessEvent;
use weir_bus::{Pace, SourceCaps, Timestamp};

use crate::emitter::Emitter;
use crate::schedule::{COST_SHARE_DEFAULT, ScheduleOptions};
use crate::source::{EventSource, SourceContext, SourceError, SourceHealth};
use hashes::Hashes;
use look::Look;

/// The name of the source where nothing else is said.
pub const PROCESS_SOURCE_NAME: &str = "process";
/// How often the source looks where nothing else is said.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// The shortest interval: below it a look at a large host would never end before the next.
pub const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// What the last look showed, for health.
#[derive(Clone, Copy, Debug, Default)]
struct LastLook {
    took: Duration,
    processes_over_limit: usize,
}

/// Looks at all processes at an interval.
///
/// The first look's rows are `observed`; afterwards a new process's row is `started`, and one that is
/// gone has a last row `exited`, which carries what was known.
pub struct ProcessSource {
    name: String,
    /// None: only while somebody asks.
    interval: Option<Duration>,
    cost_share: f64,
    /// The next snapshot's id; it goes on counting when the source is started again.
    snapshot_id: AtomicU64,
    last_look: Mutex<LastLook>,
    /// Where digests come from; what was first at a path is remembered when the source is started again.
    hashes: Option<Arc<Hashes>>,
}

impl ProcessSource {
    /// A source that looks every `interval`, at least [`INTERVAL_MIN`].
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            name: PROCESS_SOURCE_NAME.to_owned(),
            interval: Some(interval.max(INTERVAL_MIN)),
            cost_share: COST_SHARE_DEFAULT,
            snapshot_id: AtomicU64::new(1),
            last_look: Mutex::default(),
            hashes: None,
        }
    }

    /// The same, which looks only while somebody asks.
    #[must_use]
    pub const fn on_demand(mut self) -> Self {
        self.interval = None;
        self
    }

    /// The same with another share of a core that it may cost; what costs more looks more seldom.
    #[must_use]
    pub const fn cost_share(mut self, share: f64) -> Self {
        self.cost_share = share;
        self
    }

    /// The same with digests of executables in its rows, or without, as it is by default. They are worked out
    /// on a thread at the lowest priority, each file once, and rows have none until theirs is there; only on
    /// Linux.
    #[must_use]
    pub fn hashing(mut self, on: bool) -> Self {
        self.hashes = on.then(|| Arc::new(Hashes::new()));
        self
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    fn note(&self, look: LastLook) {
        *self
            .last_look
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = look;
    }

    /// Sends one look's rows as a snapshot.
    async fn emit(&self, emitter: &Emitter, look: &mut Look, row: &mut ProcessEvent) {
        row.timestamp = Timestamp::now();
        emitter.begin_snapshot(self.snapshot_id.fetch_add(1, Ordering::Relaxed));
        // What is gone comes first, so that a pid's old process ends before its new one starts.
        for gone in look.gone() {
            row::fill(row, gone, look.parent_of(gone), row::Lifecycle::Exited);
            emitter.emit(row).await;
        }
        for known in look.present() {
            let lifecycle = match known.is_new {
                true => row::Lifecycle::Started,
                false => row::Lifecycle::Observed,
            };
            row::fill(row, known, look.parent_of(known), lifecycle);
            emitter.emit(row).await;
        }
        emitter.end_snapshot();
    }
}

impl Default for ProcessSource {
    fn default() -> Self {
        Self::new(INTERVAL_DEFAULT)
    }
}

#[async_trait]
impl EventSource for ProcessSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS | SourceCaps::SYSTEM_WIDE
    }

    fn pace(&self) -> Pace {
        Pace::Periodic
    }

    fn unavailable(&self) -> Option<String> {
        let error = sysinfo::System::new().err()?;
        Some(format!("this platform doesn't show its processes: {error}"))
    }

    fn schedule(&self) -> Option<ScheduleOptions> {
        Some(ScheduleOptions {
            interval: self.interval,
            cost_share: self.cost_share,
        })
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        let mut look = Look::new(self.hashes.clone())?;
        let mut row = ProcessEvent::default();
        while let Some(run) = context.next_run().await {
            let began = Instant::now();
            look.take()?;
            self.note(LastLook {
                took: began.elapsed(),
                processes_over_limit: look.over_limit(),
            });
            context.ready();
            self.emit(context.emitter(), &mut look, &mut row).await;
            run.finished();
        }
        Ok(())
    }

    async fn health_check(&self) -> SourceHealth {
        let last = *self
            .last_look
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.processes_over_limit > 0 {
            return SourceHealth::Degraded(format!(
                "{} processes over the {} that are followed are not reported",
                last.processes_over_limit,
                look::PROCESSES_MAX
            ));
        }
        if let Some(trouble) = self.hashes.as_ref().and_then(|hashes| hashes.trouble()) {
            return SourceHealth::Degraded(trouble);
        }
        if let Some(interval) = self.interval.filter(|interval| last.took > *interval) {
            return SourceHealth::Degraded(format!(
                "a look took {:?}, longer than its interval of {interval:?}: choose a longer one",
                last.took
            ));
        }
        SourceHealth::Healthy
    }
}

#[cfg(test)]
mod tests;
