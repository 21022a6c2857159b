//! The process source: at an interval a look at all processes, and beside it what happens to them between
//! two looks, as it happens.
//!
//! On Linux it looks by the best of several tiers that the host allows, elsewhere through
//! sysinfo. It isn't where anything is judged. The invariant: a process is (pid, start time), and keeps that
//! name from look to look and in every event.

pub(crate) mod details;
#[cfg(target_os = "linux")]
mod events;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg(target_os = "linux")]
pub(crate) mod fuzzing;
#[cfg(target_os = "linux")]
mod hashes;
#[cfg(not(target_os = "linux"))]
#[path = "hashes/elsewhere.rs"]
mod hashes;
mod known;
#[cfg(target_os = "linux")]
mod native;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
#[cfg(target_os = "linux")]
mod proc_root;
mod row;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod tier;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use weir_bus::event::ProcessEvent;
use weir_bus::{Pace, SourceCaps, Timestamp};

use crate::emitter::Emitter;
use crate::redaction::{Redacting, Redaction};
use crate::schedule::ScheduleOptions;
use crate::source::{EventSource, SourceContext, SourceError, SourceHealth};
#[cfg(target_os = "linux")]
use crate::tiers::{TierReport, of_alternatives};
use details::ReaderOptions;
use hashes::Hashes;
#[cfg(target_os = "linux")]
use native::Look;
#[cfg(not(target_os = "linux"))]
use portable::Look;

#[cfg(target_os = "linux")]
pub use events::{FeedName, ProcessEvents};
#[cfg(target_os = "linux")]
pub use tier::TierName;

/// The name of the source where nothing else is said.
pub const PROCESS_SOURCE_NAME: &str = "process";
/// How often the source looks where nothing else is said.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

/// Processes that are followed, so that no fork bomb takes the collector's memory; four times what a
/// host has where pids end at 32,768.
const PROCESSES_MAX: usize = 131_072;
/// Rows that are filled before they are handed over: each keeps its texts' memory.
const ROWS_AT_ONCE: usize = 256;

/// What the last look showed, for health.
#[derive(Clone, Copy, Debug, Default)]
struct LastLook {
    took: Duration,
    processes_over_limit: usize,
}

/// Looks at all processes at an interval.
///
/// The first look's rows are `observed`; afterwards a new process's row is `started`, and one that is
/// gone has a last row `exited`, which carries what was known. What lives between two looks is told by
/// the source of events beside it, where the host allows that.
pub struct ProcessSource {
    name: String,
    schedule: ScheduleOptions,
    /// The next snapshot's id; it goes on counting when the source is started again.
    snapshot_id: AtomicU64,
    last_look: Mutex<LastLook>,
    /// Where digests come from, and what is replaced; what was first at a path is remembered when the source is
    /// started again.
    reading: ReaderOptions,
    /// How it looks, and with whom it shares what it knows.
    #[cfg(target_os = "linux")]
    native: native::Options,
}

impl ProcessSource {
    /// A source that looks every `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            name: PROCESS_SOURCE_NAME.to_owned(),
            schedule: ScheduleOptions::every(interval),
            snapshot_id: AtomicU64::new(1),
            last_look: Mutex::default(),
            reading: ReaderOptions::default(),
            #[cfg(target_os = "linux")]
            native: native::Options::default(),
        }
    }

    /// The same at other times, or only while somebody asks, or for another share of a core.
    #[must_use]
    pub const fn scheduled(mut self, schedule: ScheduleOptions) -> Self {
        self.schedule = schedule;
        self
    }

    /// The same with digests of executables in its rows, or without, as it is by default. They are worked out
    /// on a thread at the lowest priority, each file once, and rows have none until theirs is there; only on
    /// Linux.
    #[must_use]
    pub fn hashing(mut self, on: bool) -> Self {
        self.reading.hashes = on.then(|| Arc::new(Hashes::new()));
        self
    }

    /// The same with these secrets replaced in the command lines of its rows; by default those that
    /// [`Redaction::builtin`] knows.
    #[must_use]
    pub fn redacting(mut self, redaction: Redaction) -> Self {
        self.reading.redacting = Redacting::by(redaction);
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
    async fn emit(&self, emitter: &Emitter, look: &mut Look, rows: &mut Vec<ProcessEvent>) {
        let timestamp = Timestamp::now();
        rows.resize_with(ROWS_AT_ONCE, ProcessEvent::default);
        emitter.begin_snapshot(self.snapshot_id.fetch_add(1, Ordering::Relaxed));
        emitter.keep_snapshot();
        let mut from = 0;
        while from < look.rows() {
            let filled = look.fill(from, rows);
            let rows = rows.get_mut(..filled.rows).unwrap_or_default();
            for row in &mut *rows {
                row.timestamp = timestamp;
            }
            match filled.standing {
                Some((batch, at)) => emitter.emit_again(rows, (&batch, at)).await,
                None => emitter.emit_all(rows).await,
            };
            from += filled.passed.max(1);
        }
        look.end_look(emitter.end_snapshot());
    }

    #[cfg(target_os = "linux")]
    fn new_look(&self) -> Result<Look, SourceError> {
        Look::new(&self.name, &self.native, self.reading.clone())
    }

    #[cfg(not(target_os = "linux"))]
    fn new_look(&self) -> Result<Look, SourceError> {
        Look::new(self.reading.clone())
    }

    /// Returns when a look is wanted before its time. Cancel safe.
    async fn look_wanted(&self) {
        #[cfg(target_os = "linux")]
        self.native.table.look_wanted().await;
        #[cfg(not(target_os = "linux"))]
        std::future::pending::<()>().await;
    }

    /// Why processes between two looks aren't seen, if somebody asked for them.
    fn no_events(&self) -> Option<String> {
        #[cfg(target_os = "linux")]
        return self.native.table.no_events();
        #[cfg(not(target_os = "linux"))]
        return None;
    }
}

/// What only Linux has.
#[cfg(target_os = "linux")]
impl ProcessSource {
    /// The source of what happens between two looks, called `NAME-events`. Both know what the other has told:
    /// while it runs, looks tell no start and no end that it has told or will. Call it last, for it shares the
    /// settings that were made before.
    #[must_use]
    pub fn events(&self) -> ProcessEvents {
        ProcessEvents::new(
            format!("{}-events", self.name),
            self.schedule.interval,
            self.native.table.clone(),
            self.native.root.clone(),
            ReaderOptions {
                hashes: self.reading.hashes.clone(),
                redacting: self.reading.redacting.for_another(),
            },
        )
    }

    /// The same over another tree than `/proc`, which looks like it; then that is all it reads.
    #[must_use]
    pub fn proc_root(mut self, path: &std::path::Path) -> Self {
        self.native.root = proc_root::ProcRoot::at(path);
        self
    }

    /// The same by one tier only: to compare them. Where the host doesn't allow it, the source fails.
    #[must_use]
    pub fn only(mut self, tier: TierName) -> Self {
        self.native.only = Some(tier);
        self
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
        let error = self.new_look().err()?;
        Some(format!("this host doesn't show its processes: {error}"))
    }

    fn schedule(&self) -> Option<ScheduleOptions> {
        Some(self.schedule)
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        let mut look = self.new_look()?;
        let mut rows = Vec::new();
        loop {
            let run = tokio::select! {
                biased;
                () = self.look_wanted() => {
                    context.want_run();
                    continue;
                }
                run = context.next_run() => run,
            };
            let Some(run) = run else {
                return Ok(());
            };
            let began = Instant::now();
            look.take()?;
            self.note(LastLook {
                took: began.elapsed(),
                processes_over_limit: look.over_limit(),
            });
            context.ready();
            self.emit(context.emitter(), &mut look, &mut rows).await;
            run.finished();
        }
    }

    #[cfg(target_os = "linux")]
    fn tiers(&self) -> Vec<TierReport> {
        self.native.tiers.get()
    }

    fn redacted(&self) -> u64 {
        self.reading.redacting.lines()
    }

    async fn health_check(&self) -> SourceHealth {
        let last = *self
            .last_look
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.processes_over_limit > 0 {
            return SourceHealth::Degraded(format!(
                "{} processes over the {} that are followed are not reported",
                last.processes_over_limit, PROCESSES_MAX
            ));
        }
        if let Some(trouble) = self
            .reading
            .hashes
            .as_ref()
            .and_then(|hashes| hashes.trouble())
        {
            return SourceHealth::Degraded(trouble);
        }
        if let Some(reason) = self.no_events() {
            return SourceHealth::Degraded(reason);
        }
        let slow = self.schedule.trouble_of(last.took);
        slow.map_or(SourceHealth::Healthy, SourceHealth::Degraded)
    }
}

/// Opens all ways to look at processes, then all to hear of what happens to them; each of the first looks once.
#[cfg(target_os = "linux")]
pub(crate) fn try_all() -> Vec<TierReport> {
    let root = proc_root::ProcRoot::default();
    let looks = TierName::ALL.map(|name| {
        let looked = tier::Tier::open(name, &root).and_then(|mut tier| tier.look());
        let looked = looked.map(drop).map_err(|error| error.to_string());
        (name.as_str(), looked)
    });
    let feeds = FeedName::ALL.map(|name| (name.as_str(), events::Feed::open(name).map(drop)));
    let mut reports = of_alternatives(looks);
    reports.extend(of_alternatives(feeds));
    reports
}

#[cfg(test)]
mod tests;
