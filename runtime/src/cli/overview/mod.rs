//! What a daemon's status says, as `weir status` and `weir top` show it.
//!
//! Plain data: it reads a reply, compares it with an earlier one, and knows neither socket nor terminal.
//! The invariant: a reply of another version never fails it; what isn't there is 0 or empty.

mod reply;
mod tables;

use serde::Serialize;
use serde_json::Value;

pub(super) use reply::Reply;
use reply::{Connection, Slot, Source, Subscriber, slots_of};
pub(super) use tables::{shadow_lines, slot_table, tables};
use weir_bus::pubsub::QUEUE_BATCHES_MAX;

/// A queue that is fuller than this, of the default's batches, is behind.
const BEHIND_BATCHES: u64 = QUEUE_BATCHES_MAX as u64 / 2;

/// A status, with rates where there was an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Overview {
    /// Who answers.
    pub(super) component: String,
    /// Its version.
    pub(super) version: String,
    /// Its process.
    pub(super) pid: u64,
    /// Since when it runs.
    pub(super) seconds: f64,
    /// Rows that reached the bus, a second.
    pub(super) published_a_second: Option<f64>,
    /// Rows that reached the bus.
    pub(super) published: u64,
    /// What is wrong, by name; empty where nothing is.
    pub(super) problems: Vec<String>,
    /// The sources.
    pub(super) sources: Vec<Rated<Source>>,
    /// The slots.
    pub(super) slots: Vec<Rated<Slot>>,
    /// The subscribers.
    pub(super) subscribers: Vec<Rated<Subscriber>>,
    /// The connections.
    pub(super) connections: Vec<Rated<Connection>>,
}

/// Something with what it did since the last look.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Rated<T> {
    /// What it is.
    #[serde(flatten)]
    pub(super) now: T,
    /// Rows a second: produced, answered, delivered, published.
    pub(super) rows_a_second: Option<f64>,
    /// Fuel a row, of the rows since the last look; of a slot.
    pub(super) fuel_a_row: Option<f64>,
    /// CPU, in % of a core; of a slot.
    pub(super) cpu_percent: Option<f64>,
    /// What is wrong with it.
    pub(super) problem: Option<String>,
}

/// What is compared: a thing that is in both replies.
trait Compared {
    /// Whether it is the same one, later.
    fn is_same(&self, earlier: &Self) -> bool;
    /// Rows that it has handled.
    fn rows(&self) -> u64;
    /// Rows that it has lost.
    fn lost(&self) -> u64;
    /// What is wrong with it; `lost` is what it lost since the last look, or ever where there was none.
    fn problem(&self, lost: u64) -> Option<String>;
}

impl Compared for Source {
    fn is_same(&self, earlier: &Self) -> bool {
        self.name == earlier.name
    }

    fn rows(&self) -> u64 {
        self.produced
    }

    fn lost(&self) -> u64 {
        self.dropped
    }

    fn problem(&self, lost: u64) -> Option<String> {
        let name = &self.name;
        if self.health != "healthy" && !self.health.is_empty() {
            return Some(format!("source {name} is {}: {}", self.health, self.reason));
        }
        (lost > 0).then(|| format!("source {name} dropped {lost} rows"))
    }
}

impl Compared for Slot {
    fn is_same(&self, earlier: &Self) -> bool {
        self.name == earlier.name && self.generation == earlier.generation
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn lost(&self) -> u64 {
        self.queue.dropped
    }

    fn problem(&self, lost: u64) -> Option<String> {
        let name = &self.name;
        if !self.quarantine.is_empty() {
            return Some(format!(
                "slot {name} is in quarantine: {}; `weir release {name}` ends it",
                self.quarantine
            ));
        }
        if !["", "running"].contains(&self.state.as_str()) {
            return Some(format!("slot {name} is {}", self.state));
        }
        if self.faults > 0 {
            let last = &self.last_fault;
            return Some(format!(
                "slot {name} has {} faults, the last {last}",
                self.faults
            ));
        }
        (lost > 0).then(|| format!("slot {name} is slow: {lost} rows dropped"))
    }
}

impl Compared for Subscriber {
    fn is_same(&self, earlier: &Self) -> bool {
        self.id == earlier.id
    }

    fn rows(&self) -> u64 {
        self.queue.delivered
    }

    fn lost(&self) -> u64 {
        self.queue.overrun
    }

    fn problem(&self, lost: u64) -> Option<String> {
        let name = &self.name;
        if lost > 0 {
            return Some(format!("subscriber {name} is slow: {lost} rows dropped"));
        }
        let behind = self.queue.queued_batches >= BEHIND_BATCHES;
        behind.then(|| format!("subscriber {name} is slow: {} rows wait", self.queue.queued))
    }
}

impl Compared for Connection {
    fn is_same(&self, earlier: &Self) -> bool {
        (&self.name, &self.source) == (&earlier.name, &earlier.source)
    }

    fn rows(&self) -> u64 {
        self.published
    }

    fn lost(&self) -> u64 {
        self.dropped.saturating_add(self.refused)
    }

    fn problem(&self, lost: u64) -> Option<String> {
        let Self { name, source, .. } = self;
        (lost > 0).then(|| format!("connection {name} ({source}): {lost} rows refused or dropped"))
    }
}

impl Overview {
    /// A reply, compared with an earlier one of the same daemon.
    pub(super) fn of(now: Reply, before: Option<&Reply>) -> Self {
        let earlier = before.filter(|one| one.pid == now.pid && one.seconds < now.seconds);
        let seconds = earlier.map(|one| now.seconds - one.seconds);
        let published = earlier.map_or(0, |one| one.published);
        let mut overview = Self {
            published_a_second: rate(now.published, published, seconds),
            sources: rated(now.sources, earlier.map(|one| &*one.sources), seconds),
            slots: rated(now.slots, earlier.map(|one| &*one.slots), seconds),
            subscribers: rated(
                now.subscribers,
                earlier.map(|one| &*one.subscribers),
                seconds,
            ),
            connections: rated(
                now.connections,
                earlier.map(|one| &*one.connections),
                seconds,
            ),
            component: now.component,
            version: now.version,
            pid: now.pid,
            seconds: now.seconds,
            published: now.published,
            problems: Vec::new(),
        };
        let slots_before = earlier.map_or(&[][..], |one| &one.slots);
        for slot in &mut overview.slots {
            let same = slots_before.iter().find(|one| slot.now.is_same(one));
            if let (Some(before), Some(seconds)) = (same, seconds) {
                slot.costs(before, seconds);
            }
        }
        overview.problems = overview.found();
        if !now.config_refused.is_empty() {
            overview.problems.insert(0, now.config_refused);
        }
        overview
    }

    /// Rows that reached the bus, for the eye.
    pub(super) fn published_rows(&self) -> f64 {
        float(self.published)
    }

    /// The reply to `control.guests`.
    pub(super) fn of_guests(reply: &Value) -> Self {
        let reply = Reply {
            slots: slots_of(reply, "guests"),
            ..Reply::default()
        };
        Self::of(reply, None)
    }

    /// What is wrong, the worst kind first.
    fn found(&self) -> Vec<String> {
        let sources = self.sources.iter().filter_map(|one| one.problem.clone());
        let slots = self.slots.iter().filter_map(|one| one.problem.clone());
        let subscribers = self
            .subscribers
            .iter()
            .filter_map(|one| one.problem.clone());
        let connections = self
            .connections
            .iter()
            .filter_map(|one| one.problem.clone());
        sources
            .chain(slots)
            .chain(subscribers)
            .chain(connections)
            .collect()
    }
}

impl Rated<Slot> {
    fn costs(&mut self, before: &Slot, seconds: f64) {
        let rows = self.now.rows.saturating_sub(before.rows);
        if rows > 0 {
            self.fuel_a_row = rate(self.now.fuel, before.fuel, Some(float(rows)));
        }
        let cpu_ns = rate(self.now.cpu_ns, before.cpu_ns, Some(seconds));
        self.cpu_percent = cpu_ns.map(|ns| ns / NS_OF_A_PERCENT);
    }
}

/// CPU time of a second of which a core was 1 % at work.
const NS_OF_A_PERCENT: f64 = 1e7;

fn rated<T: Compared>(now: Vec<T>, before: Option<&[T]>, seconds: Option<f64>) -> Vec<Rated<T>> {
    let one = |now: T| {
        let mut same = before.into_iter().flatten();
        let same = same.find(|before| now.is_same(before));
        let lost = now.lost().saturating_sub(same.map_or(0, Compared::lost));
        Rated {
            rows_a_second: same.and_then(|before| rate(now.rows(), before.rows(), seconds)),
            fuel_a_row: None,
            cpu_percent: None,
            problem: now.problem(lost),
            now,
        }
    };
    now.into_iter().map(one).collect()
}

fn rate(now: u64, before: u64, per: Option<f64>) -> Option<f64> {
    per.filter(|per| *per > 0.0)
        .map(|per| float(now.saturating_sub(before)) / per)
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
