//! All TCP and UDP sockets of the machine, through `sock_diag`: at an interval a look at all of them, and between
//! the looks the kernel's word on each that ends.
//!
//! So a connection that lives between two looks is told as well, opened and closed at once with its last
//! counters. The notice doesn't say whose it was: for TCP that is what small programs in the kernel are for, which
//! tell who connects, listens and closes. It judges nothing. The invariant: a connection's name stays the same for as long
//! as its socket lives, each end is told once, and a pid is of a process that has held the socket, or none.
//!
//! - `diag`: what the kernel says of a socket, from bytes;
//! - `dumps`: all of them, asked for until they are whole;
//! - `namespaces`: where it is asked;
//! - `table`: what is new, changed and gone;
//! - `owners`: whose a socket is, by its descriptors;
//! - `holders`: whose it was, as the kernel's programs tell it;
//! - `endings`: waiting for ends;
//! - `look`: all of that, once.

mod diag;
mod dumps;
mod endings;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod holders;
mod look;
mod namespaces;
mod owners;
mod row;
mod table;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use weir_bus::event::NetworkEvent;
use weir_bus::{DropReason, Kind, Pace, SourceCaps, Timestamp};

use crate::ebpf::SOCKET_RING_BYTES;
use crate::emitter::Emitter;
use crate::schedule::ScheduleOptions;
use crate::source::{EventSource, SourceContext, SourceError, SourceHealth};
use crate::tiers::TierReport;
use look::{Look, Missed, Troubles};
use row::Lifecycle;
use table::{Ended, Table};

/// The name of the source where nothing else is said.
pub const NETWORK_SOURCE_NAME: &str = "network";
/// How often the source looks where nothing else is said.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// Sockets that are followed, so that no flood of connections takes the collector's memory: some 40 MiB.
pub const SOCKETS_MAX: usize = 131_072;
/// How often new network namespaces are looked for; it costs one link for each process.
const NAMESPACES_INTERVAL: Duration = Duration::from_secs(5);
/// Room in the kernel for notices that wait, for each namespace: some 10,000 that end at once. Memory only while
/// they wait.
const RECEIVE_BYTES: usize = 8 << 20;
/// A loss within this of another brings no look of its own, or a flood of ends would be one of looks.
const LOSS_PAUSE: Duration = Duration::from_secs(1);
/// How long a loss of notices is part of the health.
const LOSS_REMEMBERED: Duration = Duration::from_secs(60);

/// How sockets are listed, for a person.
const LOOKS: &str = "sock_diag with tcp_info";
/// How their ends are heard of.
const ENDINGS: &str = "notices of sockets that end";
/// How descriptors of sockets are found, all at once.
const FILES: &str = "eBPF iterator over open files";
/// How it is known whose short connections are.
const HOLDERS: &str = "eBPF owners of short connections";
/// Where.
const NAMESPACES: &str = "all network namespaces";

/// What tests choose otherwise.
#[derive(Clone, Debug)]
struct Settings {
    proc: PathBuf,
    namespaces_interval: Duration,
    receive_bytes: usize,
    sockets_max: usize,
    /// Room in the kernel for who had sockets in hand.
    ring_bytes: u32,
    /// Whether programs may be loaded.
    has_programs: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            namespaces_interval: NAMESPACES_INTERVAL,
            receive_bytes: RECEIVE_BYTES,
            sockets_max: SOCKETS_MAX,
            ring_bytes: SOCKET_RING_BYTES,
            has_programs: true,
        }
    }
}

/// What is known of the run, for health.
#[derive(Debug, Default)]
struct Condition {
    /// None before the first look.
    took: Option<Duration>,
    troubles: Troubles,
    missed: Missed,
    lost_last: Option<Instant>,
    unheld_last: Option<Instant>,
}

/// Looks at all sockets at an interval.
///
/// The first look's rows are `observed`; afterwards a new socket's row is `opened`, one whose state, addresses or
/// owner are others than before is `changed`, and one that has ended has a last row `closed`, as soon as the
/// kernel says so, with its last counters. A socket that opens and ends between two looks has both rows then.
///
/// The process in a row is who closed the socket or shut it down, where that was told; else who is found with a
/// descriptor of it, the first of several; else who connected it or made it listen. So an accepted connection has no
/// pid before a look has found its descriptor, and one that nobody accepts has none at all: who listens isn't who
/// accepts. So has a UDP socket that lives between two looks. Where the host allows no eBPF, only what a look finds is
/// told.
pub struct NetworkSource {
    name: String,
    schedule: ScheduleOptions,
    settings: Settings,
    /// The next snapshot's id; it goes on counting when the source is started again.
    snapshot_id: AtomicU64,
    condition: Mutex<Condition>,
}

impl NetworkSource {
    /// A source that looks every `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            name: NETWORK_SOURCE_NAME.to_owned(),
            schedule: ScheduleOptions::every(interval),
            settings: Settings::default(),
            snapshot_id: AtomicU64::new(1),
            condition: Mutex::default(),
        }
    }

    /// The same at other times, or only while somebody asks, or for another share of a core.
    #[must_use]
    pub const fn scheduled(mut self, schedule: ScheduleOptions) -> Self {
        self.schedule = schedule;
        self
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    fn condition(&self) -> std::sync::MutexGuard<'_, Condition> {
        self.condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the look's rows as a snapshot.
    async fn emit(&self, emitter: &Emitter, table: &Table, row: &mut NetworkEvent) {
        row.timestamp = Timestamp::now();
        emitter.begin_snapshot(self.snapshot_id.fetch_add(1, Ordering::Relaxed));
        for gone in table.gone() {
            row::fill(row, gone, Lifecycle::Closed);
            emitter.emit(row).await;
        }
        for known in table.present() {
            row::fill(row, known, Lifecycle::of(known));
            emitter.emit(row).await;
        }
        emitter.end_snapshot();
    }

    /// Sends what has ended since the last look.
    async fn emit_ended(&self, emitter: &Emitter, ended: &mut Vec<Ended>, row: &mut NetworkEvent) {
        row.timestamp = Timestamp::now();
        for Ended { known, was_known } in ended.drain(..) {
            if !was_known {
                row::fill(row, &known, Lifecycle::Opened);
                emitter.emit(row).await;
            }
            row::fill(row, &known, Lifecycle::Closed);
            emitter.emit(row).await;
        }
    }

    /// Notes what was missed; whether a look has to follow, for what was missed before is long ago.
    fn note_missed(&self, missed: Missed) -> bool {
        let mut condition = self.condition();
        condition.missed.notices += missed.notices;
        condition.missed.holders += missed.holders;
        let is_long_ago =
            |before: Option<Instant>| before.is_none_or(|before| before.elapsed() > LOSS_PAUSE);
        let mut wants_look = false;
        if missed.notices > 0 {
            wants_look |= is_long_ago(condition.lost_last.replace(Instant::now()));
        }
        if missed.holders > 0 {
            wants_look |= is_long_ago(condition.unheld_last.replace(Instant::now()));
        }
        wants_look
    }

    fn note_look(&self, look: &Look, took: Duration) {
        let mut condition = self.condition();
        condition.took = Some(took);
        condition.troubles = look.troubles().clone();
    }
}

impl Default for NetworkSource {
    fn default() -> Self {
        Self::new(INTERVAL_DEFAULT)
    }
}

#[async_trait]
impl EventSource for NetworkSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::NETWORK | SourceCaps::KERNEL_LEVEL | SourceCaps::SYSTEM_WIDE
    }

    fn pace(&self) -> Pace {
        Pace::Periodic
    }

    fn unavailable(&self) -> Option<String> {
        let (no_endings, no_holders) = (look::probe_endings(), look::probe_holders());
        let no_iterator = owners::probe_iterator();
        let mut condition = self.condition();
        condition.troubles.no_endings = no_endings;
        condition.troubles.no_holders = no_holders;
        condition.troubles.no_iterator = no_iterator;
        drop(condition);
        dumps::probe()
    }

    fn schedule(&self) -> Option<ScheduleOptions> {
        Some(self.schedule)
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        let mut look = Look::new(&self.settings)?;
        let mut row = NetworkEvent::default();
        let mut ended = Vec::new();
        loop {
            // The one place where this source waits.
            let run = tokio::select! {
                biased;
                run = context.next_run() => match run {
                    Some(run) => Some(run),
                    None => return Ok(()),
                },
                () = look.wait() => None,
            };
            let missed = look.read_endings(&mut ended)?;
            self.emit_ended(context.emitter(), &mut ended, &mut row)
                .await;
            if missed.notices > 0 {
                let reason = DropReason::Overflow;
                context.emitter().lost(Kind::Network, None, reason);
            }
            if self.note_missed(missed) {
                // It may have been anything: only a look tells what is there.
                context.want_run();
            }
            let Some(run) = run else {
                continue;
            };
            let began = Instant::now();
            look.take()?;
            self.note_look(&look, began.elapsed());
            context.ready();
            self.emit(context.emitter(), look.table(), &mut row).await;
            run.finished();
        }
    }

    fn tiers(&self) -> Vec<TierReport> {
        let condition = self.condition();
        let troubles = &condition.troubles;
        let mut reports = vec![
            TierReport::of(LOOKS, troubles.incomplete.clone()),
            TierReport::of(ENDINGS, troubles.no_endings.clone()),
            TierReport::of(HOLDERS, troubles.no_holders.clone()),
            TierReport::of(FILES, troubles.no_iterator.clone()),
        ];
        // Which namespaces there are isn't known before.
        if condition.took.is_some() {
            reports.push(TierReport::of(NAMESPACES, troubles.namespaces.clone()));
        }
        reports
    }

    async fn health_check(&self) -> SourceHealth {
        let condition = self.condition();
        let mut reasons = reasons(&condition);
        let took = condition.took.unwrap_or_default();
        reasons.extend(self.schedule.trouble_of(took));
        if reasons.is_empty() {
            return SourceHealth::Healthy;
        }
        SourceHealth::Degraded(reasons.join("; "))
    }
}

/// Asks for sockets, to be told of their ends, and whose they are.
pub(crate) fn try_all() -> [TierReport; 4] {
    [
        TierReport::of(LOOKS, dumps::probe()),
        TierReport::of(ENDINGS, look::probe_endings()),
        TierReport::of(HOLDERS, look::probe_holders()),
        TierReport::of(FILES, owners::probe_iterator()),
    ]
}

fn reasons(condition: &Condition) -> Vec<String> {
    let troubles = &condition.troubles;
    let mut reasons = Vec::new();
    if let Some(why) = &troubles.incomplete {
        reasons.push(format!("not all sockets are seen: {why}"));
    }
    if troubles.over_limit > 0 {
        reasons.push(format!(
            "{} sockets over the {SOCKETS_MAX} that are followed are not reported",
            troubles.over_limit
        ));
    }
    let is_recent = |lost: &Instant| lost.elapsed() < LOSS_REMEMBERED;
    if condition.lost_last.as_ref().is_some_and(is_recent) {
        reasons.push(format!(
            "the kernel had no room for notices of closed sockets, {} times: connections that opened and closed \
             between two looks are missing; run as root, or raise net.core.rmem_max",
            condition.missed.notices
        ));
    }
    if condition.unheld_last.as_ref().is_some_and(is_recent) {
        reasons.push(format!(
            "there was no room for who had sockets in hand, {} times: connections that opened and closed between two \
             looks may have no pid",
            condition.missed.holders
        ));
    }
    if let Some(why) = &troubles.no_endings {
        reasons.push(format!(
            "sockets that open and close between two looks are not seen: {why}"
        ));
    }
    if let (None, Some(why)) = (&troubles.no_endings, &troubles.no_holders) {
        reasons.push(format!(
            "a connection that lives between two looks has no pid: {why}"
        ));
    }
    if troubles.owners_denied > 0 {
        reasons.push(format!(
            "the sockets of {} processes have no pid: run as root, or add CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH \
             to the unit",
            troubles.owners_denied
        ));
    }
    reasons.extend(troubles.namespaces.clone());
    reasons
}

#[cfg(test)]
mod tests;
