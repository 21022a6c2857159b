//! The source of what happens to processes, as it happens: forks, execs and exits.
//!
//! By eBPF where it may be loaded, else by the proc connector. It shares what is known with the source of
//! looks, and each process is told once by one of the two. The invariant: what the kernel had no room for
//! is counted where the kernel tells how much it was, and followed by a look at everything.

pub(super) mod connector;
mod ring;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};
use weir_bus::event::ProcessEvent;
use weir_bus::{DropReason, Pace, SourceCaps, Timestamp};

use super::details::ReaderOptions;
use super::proc_root::ProcRoot;
use super::table::{Happening, Table};
use crate::readable::Readable;
use crate::source::{EventSource, SourceContext, SourceError, SourceHealth};
use crate::tiers::{Known, TierReport, of_alternatives};
use connector::Connector;
use ring::Ringed;

/// How long the kernel collects events after the first before they are fetched. Waking a reader for
/// each of them would cost ten times as much as all else.
const COLLECT_TIME: Duration = Duration::from_millis(20);
/// How long a loss stays in the source's health.
const LOSS_SHOWN: Duration = Duration::from_secs(60);

/// A way to hear of what happens to processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedName {
    /// eBPF programs on tracepoints.
    Ebpf,
    /// Netlink's proc connector; arguments are read from `/proc`.
    Connector,
}

impl FeedName {
    /// All, the best first.
    pub const ALL: [Self; 2] = [Self::Ebpf, Self::Connector];

    /// The name, for a person.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ebpf => "eBPF exec, fork and exit",
            Self::Connector => "proc connector",
        }
    }
}

/// Where events come from.
pub(super) enum Feed {
    Ring(Box<Ringed>),
    Connector(Box<Connector>),
}

/// What a kernel had no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Whether anything was lost.
    anything: bool,
    /// Rows that would have come of it, where the kernel counts.
    rows: u64,
}

impl Feed {
    pub(super) fn open(name: FeedName) -> Result<Self, String> {
        Ok(match name {
            FeedName::Ebpf => Self::Ring(Box::new(Ringed::open()?)),
            FeedName::Connector => Self::Connector(Box::new(Connector::open()?)),
        })
    }

    fn read(
        &mut self,
        happening: &mut Happening,
        rows: &mut Vec<ProcessEvent>,
    ) -> Result<Lost, SourceError> {
        let clock = Clock::now();
        match self {
            Self::Ring(ring) => ring.read(&clock, happening, rows),
            Self::Connector(connector) => connector.read(&clock, happening, rows),
        }
    }
}

impl AsFd for Feed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Ring(ring) => ring.as_fd(),
            Self::Connector(connector) => connector.as_fd(),
        }
    }
}

/// What the kernel's clocks say beside each other.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// Since boot, with what was slept.
    boot_ns: u64,
    /// Since boot, without.
    awake_ns: u64,
    /// Since the epoch.
    epoch_ns: i64,
}

impl Clock {
    fn now() -> Self {
        let since = |clock| {
            let time = clock_gettime(clock);
            let ns = time
                .tv_sec
                .saturating_mul(1_000_000_000)
                .saturating_add(time.tv_nsec);
            u64::try_from(ns).unwrap_or_default()
        };
        Self {
            boot_ns: since(ClockId::Boottime),
            awake_ns: since(ClockId::Monotonic),
            epoch_ns: Timestamp::now().0,
        }
    }

    /// A time since boot as one since the epoch.
    fn timestamp(&self, boot_ns: u64) -> Timestamp {
        let ago = i64::try_from(self.boot_ns.saturating_sub(boot_ns)).unwrap_or(i64::MAX);
        Timestamp(self.epoch_ns.saturating_sub(ago))
    }

    /// A time without what was slept as one with it.
    fn boot_of_awake(&self, awake_ns: u64) -> u64 {
        let slept = self.boot_ns.saturating_sub(self.awake_ns);
        awake_ns.saturating_add(slept)
    }
}

/// Tells of forks, execs and exits at once. Made by [`super::ProcessSource::events`].
///
/// A process has one row `started` — when it first execs, or a quarter of a second after its fork if it
/// doesn't —, a row `observed` for each exec after that, and one row `exited`.
pub struct ProcessEvents {
    name: String,
    /// How often the other source looks; none: only while somebody asks.
    interval: Option<Duration>,
    table: Table,
    root: ProcRoot,
    reading: ReaderOptions,
    allowed: Vec<FeedName>,
    tiers: Known,
    loss: Mutex<Option<Instant>>,
}

impl ProcessEvents {
    pub(super) fn new(
        name: String,
        interval: Option<Duration>,
        table: Table,
        root: ProcRoot,
        reading: ReaderOptions,
    ) -> Self {
        Self {
            name,
            interval,
            table,
            root,
            reading,
            allowed: FeedName::ALL.to_vec(),
            tiers: Known::default(),
            loss: Mutex::default(),
        }
    }

    /// The same by one way only: to compare them.
    #[must_use]
    pub fn only(mut self, feed: FeedName) -> Self {
        self.allowed = vec![feed];
        self
    }

    /// The best feed that is allowed, or why there is none.
    fn open(&self) -> Result<Feed, String> {
        let mut tried = Vec::new();
        let mut found = None;
        for name in &self.allowed {
            // One is enough.
            let opened = match found.is_some() {
                true => Ok(()),
                false => Feed::open(*name).map(|feed| found = Some(feed)),
            };
            tried.push((name.as_str(), opened));
        }
        let reasons: Vec<String> = tried
            .iter()
            .filter_map(|(name, opened)| Some(format!("{name}: {}", opened.as_ref().err()?)))
            .collect();
        self.tiers.set(of_alternatives(tried));
        found.ok_or_else(|| self.refused(&reasons.join("; ")))
    }

    fn refused(&self, reasons: &str) -> String {
        match self.interval {
            Some(interval) => format!(
                "{reasons}; polling every {interval:?} instead: processes shorter than that are missed"
            ),
            None => format!(
                "{reasons}; processes are seen only by looks that somebody asks for, and those in between are missed"
            ),
        }
    }

    async fn run(&self, context: &SourceContext, feed: &mut Feed) -> Result<(), SourceError> {
        let readable = Readable::new().and_then(|readable| {
            readable.watch(feed.as_fd())?;
            Ok(readable)
        });
        let readable = readable
            .map_err(|error| SourceError::Failed(format!("events can't be waited for: {error}")))?;
        let began_ns = Clock::now().boot_ns;
        let mut happening = Happening::new(
            self.table.clone(),
            &self.root,
            self.reading.clone(),
            began_ns,
        )
        .map_err(|errno| SourceError::Failed(format!("/proc can't be read: {errno}")))?;
        let mut rows = Vec::new();
        context.ready();
        loop {
            // The one place where this source waits.
            tokio::select! {
                biased;
                () = context.stopping() => return Ok(()),
                () = wait(&readable, happening.has_untold_forks()) => {}
            }
            let lost = feed.read(&mut happening, &mut rows)?;
            happening.tell_forks(Instant::now(), &mut rows);
            if !rows.is_empty() {
                context.emitter().emit_all(&rows).await;
                rows.clear();
            }
            if lost.anything {
                self.note_loss(context, lost);
            }
        }
    }

    fn note_loss(&self, context: &SourceContext, lost: Lost) {
        context
            .emitter()
            .count_dropped(DropReason::Backpressure, lost.rows);
        tracing::warn!(source = %self.name, rows = lost.rows, "the kernel had no room for what happened to processes: a look at all of them follows");
        let mut loss = self.loss.lock().unwrap_or_else(PoisonError::into_inner);
        *loss = Some(Instant::now());
        self.table.want_look();
    }
}

/// Returns a little after something happened; soon if forks wait to be told. Cancel safe.
async fn wait(readable: &Readable, is_soon: bool) {
    if !is_soon {
        readable.wait().await;
    }
    tokio::time::sleep(COLLECT_TIME).await;
}

/// Says that events are told, as long as it lives.
struct Telling<'a>(&'a Table);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.set_events(false);
    }
}

#[async_trait]
impl EventSource for ProcessEvents {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS
            | SourceCaps::REALTIME
            | SourceCaps::KERNEL_LEVEL
            | SourceCaps::SYSTEM_WIDE
    }

    fn pace(&self) -> Pace {
        Pace::Realtime
    }

    fn unavailable(&self) -> Option<String> {
        let refused = self.open().err()?;
        self.table.refuse_events(&refused);
        Some(refused)
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        let mut feed = self.open().map_err(SourceError::Failed)?;
        self.table.set_events(true);
        let _telling = Telling(&self.table);
        self.run(&context, &mut feed).await
    }

    fn tiers(&self) -> Vec<TierReport> {
        self.tiers.get()
    }

    fn redacted(&self) -> u64 {
        self.reading.redacting.lines()
    }

    async fn health_check(&self) -> SourceHealth {
        let loss = *self.loss.lock().unwrap_or_else(PoisonError::into_inner);
        match loss {
            Some(at) if at.elapsed() < LOSS_SHOWN => SourceHealth::Degraded(
                "the kernel had no room for what happened to processes within the last minute"
                    .to_owned(),
            ),
            _ => SourceHealth::Healthy,
        }
    }
}

#[cfg(test)]
mod tests;
