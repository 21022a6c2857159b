//! The performance source: at an interval, what the machine's cpus, memory, disks and interfaces do, and what this
//! process itself costs.
//!
//! It judges nothing: whether a value is high is for guests to say. Each look is a snapshot. The invariant: a value is
//! one that was measured: where counters begin again, or two looks are too near or too far apart, there is none.

#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "the portable look has fewer counters")
)]
mod counters;
#[cfg(all(target_os = "linux", any(test, feature = "fuzzing")))]
pub mod fuzzing;
#[cfg(target_os = "linux")]
mod linux;
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "the portable look has fewer metrics")
)]
pub mod metric;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "the portable look has fewer sorts of rows")
)]
mod rows;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use weir_bus::event::PerformanceEvent;
use weir_bus::{Pace, SourceCaps, Timestamp};

use crate::emitter::Emitter;
#[cfg(target_os = "linux")]
use crate::kernel_files::Roots;
use crate::schedule::{Clock, ScheduleOptions, Tier};
use crate::source::{EventSource, SourceContext, SourceError, SourceHealth};
use crate::tiers::TierReport;
use counters::Moment;
#[cfg(target_os = "linux")]
use linux::Look;
#[cfg(not(target_os = "linux"))]
use portable::Look;

/// The name of the source where nothing else is said.
pub const PERFORMANCE_SOURCE_NAME: &str = "performance";
/// How often the source looks where nothing else is said.
pub const PERFORMANCE_INTERVAL_DEFAULT: Duration = Duration::from_secs(10);

/// What the looks showed, for health.
#[derive(Clone, Debug, Default)]
struct State {
    /// What couldn't be read at the last look, by part.
    failed: Vec<(&'static str, String)>,
    /// What this host doesn't offer, by part.
    left_out: Vec<(&'static str, String)>,
    took: Duration,
}

/// Looks at the machine's load at an interval.
pub struct PerformanceSource {
    name: String,
    schedule: ScheduleOptions,
    #[cfg(target_os = "linux")]
    roots: Roots,
    /// The next snapshot's id; it goes on counting when the source is started again.
    snapshot_id: AtomicU64,
    state: Mutex<State>,
}

impl PerformanceSource {
    /// A source that looks every `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            name: PERFORMANCE_SOURCE_NAME.to_owned(),
            schedule: ScheduleOptions::every(interval),
            #[cfg(target_os = "linux")]
            roots: Roots::default(),
            snapshot_id: AtomicU64::new(1),
            state: Mutex::default(),
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

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// What this host doesn't offer, each with its reason: known after the first look.
    #[must_use]
    pub fn left_out(&self) -> Vec<String> {
        let state = self.state();
        let told = state.left_out.iter();
        told.map(|(part, reason)| format!("{part}: {reason}"))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(target_os = "linux")]
    fn new_look(&self) -> Look {
        Look::new(&self.roots)
    }

    #[cfg(not(target_os = "linux"))]
    fn new_look(&self) -> Look {
        Look::new()
    }

    fn note(&self, look: &Look, took: Duration) {
        let mut state = self.state();
        let left_out = look.left_out();
        if state.left_out != left_out {
            for (part, reason) in &left_out {
                tracing::info!(source = %self.name, %part, %reason, "left out on this host");
            }
            state.left_out = left_out;
        }
        state.failed = look.failed();
        state.took = took;
    }

    async fn emit(&self, emitter: &Emitter, look: &Look) {
        emitter.begin_snapshot(self.snapshot_id.fetch_add(1, Ordering::Relaxed));
        for rows in look.rows() {
            emitter.emit_all::<PerformanceEvent>(rows).await;
        }
        emitter.end_snapshot();
    }
}

impl Default for PerformanceSource {
    fn default() -> Self {
        Self::new(PERFORMANCE_INTERVAL_DEFAULT)
    }
}

#[async_trait]
impl EventSource for PerformanceSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PERFORMANCE | SourceCaps::SYSTEM_WIDE
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
        let mut look = self.new_look();
        while let Some(run) = context.next_run().await {
            let began = Instant::now();
            let moment = Moment::new(now(&context), self.schedule.interval);
            look.take(&moment, Timestamp::now(), |tier: Tier| run.due(tier));
            self.note(&look, began.elapsed());
            if look.rows().all(<[_]>::is_empty) {
                return Err(SourceError::Failed(format!(
                    "nothing can be read: {}",
                    self.health_check().await
                )));
            }
            context.ready();
            self.emit(context.emitter(), &look).await;
            run.finished();
        }
        Ok(())
    }

    fn tiers(&self) -> Vec<TierReport> {
        let left_out = self.state().left_out.clone();
        let left_out = left_out.into_iter();
        left_out
            .map(|(part, reason)| TierReport::of(part, Some(reason)))
            .collect()
    }

    async fn health_check(&self) -> SourceHealth {
        let state = self.state().clone();
        if !state.failed.is_empty() {
            let told = state.failed.iter();
            let told: Vec<String> = told
                .map(|(part, reason)| format!("{part}: {reason}"))
                .collect();
            return SourceHealth::Degraded(told.join("; "));
        }
        let slow = self.schedule.trouble_of(state.took);
        slow.map_or(SourceHealth::Healthy, SourceHealth::Degraded)
    }
}

/// The time of the source's schedule, which doesn't follow the wall's clock.
fn now(context: &SourceContext) -> Duration {
    let schedule = context.schedule();
    schedule.map_or_else(
        || Clock::monotonic().now(),
        |schedule| schedule.clock().now(),
    )
}

#[cfg(test)]
mod tests;
