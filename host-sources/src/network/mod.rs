//! All TCP and UDP sockets of the machine, through `sock_diag`: at an interval a look at all of them, and between
//! the looks the kernel's word on each that ends.
//!
//! So a connection that lives between two looks is told as well, opened and closed at once with its last
//! counters; only its owner isn't known, for the kernel's notice doesn't say it. It judges nothing. The
//! invariant: a connection's name stays the same for as long as its socket lives, and each end is told once.
//!
//! - `diag`: what the kernel says of a socket, from bytes;
//! - `namespaces`: where it is asked;
//! - `table`: what is new, changed and gone;
//! - `owners`: whose a socket is;
//! - `endings`: waiting for ends;
//! - `look`: all of that, once.

mod diag;
mod endings;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
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

use crate::emitter::Emitter;
use crate::schedule::{COST_SHARE_DEFAULT, ScheduleOptions};
use crate::source::{EventSource, SourceContext, SourceError, SourceHealth};
use crate::tiers::TierReport;
use look::{Look, Troubles};
use row::Lifecycle;
use table::Ended;

/// The name of the source where nothing else is said.
pub const NETWORK_SOURCE_NAME: &str = "network";
/// How often the source looks where nothing else is said.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// The shortest interval: below it a look at a large host would never end before the next.
pub const INTERVAL_MIN: Duration = Duration::from_millis(10);
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
/// Where.
const NAMESPACES: &str = "all network namespaces";

/// What tests choose otherwise.
#[derive(Clone, Debug)]
struct Settings {
    proc: PathBuf,
    namespaces_interval: Duration,
    receive_bytes: usize,
    sockets_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            namespaces_interval: NAMESPACES_INTERVAL,
            receive_bytes: RECEIVE_BYTES,
            sockets_max: SOCKETS_MAX,
        }
    }
}

/// What is known of the run, for health.
#[derive(Debug, Default)]
struct Condition {
    /// None before the first look.
    took: Option<Duration>,
    troubles: Troubles,
    losses: u64,
    lost_last: Option<Instant>,
}

/// Looks at all sockets at an interval.
///
/// The first look's rows are `observed`; afterwards a new socket's row is `opened`, one whose state, addresses or
/// owner are others than before is `changed`, and one that has ended has a last row `closed`, as soon as the
/// kernel says so, with its last counters. A socket that opens and ends between two looks has both rows then.
pub struct NetworkSource {
    name: String,
    /// None: only while somebody asks.
    interval: Option<Duration>,
    cost_share: f64,
    settings: Settings,
    /// The next snapshot's id; it goes on counting when the source is started again.
    snapshot_id: AtomicU64,
    condition: Mutex<Condition>,
}

impl NetworkSource {
    /// A source that looks every `interval`, at least [`INTERVAL_MIN`].
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            name: NETWORK_SOURCE_NAME.to_owned(),
            interval: Some(interval.max(INTERVAL_MIN)),
            cost_share: COST_SHARE_DEFAULT,
            settings: Settings::default(),
            snapshot_id: AtomicU64::new(1),
            condition: Mutex::default(),
        }
    }

    /// The same, which looks only while somebody asks; what ends is still told as it ends.
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
    async fn emit(&self, emitter: &Emitter, look: &Look, row: &mut NetworkEvent) {
        row.timestamp = Timestamp::now();
        emitter.begin_snapshot(self.snapshot_id.fetch_add(1, Ordering::Relaxed));
        for gone in look.table().gone() {
            row::fill(row, gone, Lifecycle::Closed);
            emitter.emit(row).await;
        }
        for known in look.table().present() {
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

    /// Notes losses; whether the one before is long ago.
    fn note_losses(&self, losses: u64) -> bool {
        let mut condition = self.condition();
        condition.losses += losses;
        let before = condition.lost_last.replace(Instant::now());
        before.is_none_or(|before| before.elapsed() > LOSS_PAUSE)
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
        self.condition().troubles.no_endings = look::probe_endings();
        look::probe()
    }

    fn schedule(&self) -> Option<ScheduleOptions> {
        Some(ScheduleOptions {
            interval: self.interval,
            cost_share: self.cost_share,
        })
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
                () = look.endings().wait() => None,
            };
            let losses = look.read_endings(&mut ended)?;
            self.emit_ended(context.emitter(), &mut ended, &mut row)
                .await;
            if losses > 0 {
                let reason = DropReason::Overflow;
                context.emitter().lost(Kind::Network, None, reason);
            }
            if losses > 0 && self.note_losses(losses) {
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
            self.emit(context.emitter(), &look, &mut row).await;
            run.finished();
        }
    }

    fn tiers(&self) -> Vec<TierReport> {
        let condition = self.condition();
        let troubles = &condition.troubles;
        let mut reports = vec![
            TierReport::of(LOOKS, troubles.incomplete.clone()),
            TierReport::of(ENDINGS, troubles.no_endings.clone()),
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
        if let Some(interval) = self.interval.filter(|interval| took > *interval) {
            reasons.push(format!(
                "a look took {took:?}, longer than its interval of {interval:?}: choose a longer one"
            ));
        }
        if reasons.is_empty() {
            return SourceHealth::Healthy;
        }
        SourceHealth::Degraded(reasons.join("; "))
    }
}

/// Asks for sockets, and to be told of their ends.
pub(crate) fn try_all() -> [TierReport; 2] {
    [
        TierReport::of(LOOKS, look::probe()),
        TierReport::of(ENDINGS, look::probe_endings()),
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
            condition.losses
        ));
    }
    if let Some(why) = &troubles.no_endings {
        reasons.push(format!(
            "sockets that open and close between two looks are not seen: {why}"
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
