//! The reply to `control.status`, read.

use serde::Serialize;
use serde_json::Value;

use super::float;

/// Why a queue drops that isn't read fast enough.
const OVERRUNS: [&str; 3] = ["queue-full", "blocked", "too-large"];

/// What a daemon says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct Reply {
    pub(super) component: String,
    pub(super) version: String,
    pub(super) pid: u64,
    pub(super) seconds: f64,
    pub(super) published: u64,
    /// Why the config as it is now was not taken.
    pub(super) config_refused: String,
    pub(super) sources: Vec<Source>,
    pub(super) slots: Vec<Slot>,
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) connections: Vec<Connection>,
}

/// A source; counts are rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::cli) struct Source {
    pub(super) name: String,
    pub(super) health: String,
    pub(super) reason: String,
    pub(super) produced: u64,
    pub(super) published: u64,
    pub(super) removed: u64,
    pub(super) dropped: u64,
    pub(super) in_flight: u64,
}

/// A slot and its guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::cli) struct Slot {
    pub(super) name: String,
    pub(super) world: String,
    pub(super) module: String,
    pub(super) digest: String,
    /// Empty where nobody signed it.
    pub(super) signed_by: String,
    pub(super) state: String,
    pub(super) generation: u64,
    pub(super) answered: u64,
    pub(super) rows: u64,
    pub(super) undecided: u64,
    pub(super) faults: u64,
    pub(super) last_fault: String,
    pub(super) restarts: u64,
    pub(super) poisonous: u64,
    pub(super) fuel_p50: u64,
    pub(super) fuel_p99: u64,
    pub(super) ns_p50: u64,
    pub(super) ns_p99: u64,
    pub(super) on_probation: bool,
    /// How it compares; empty where nobody watches.
    pub(super) shadow: String,
    pub(super) quarantine: String,
    pub(super) fuel: u64,
    pub(super) time_ns: u64,
    pub(super) cpu_ns: u64,
    pub(super) memory_bytes: u64,
    pub(super) queue: Queue,
}

/// A subscriber's or a slot's queue; counts are rows where they say nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::cli) struct Queue {
    pub(super) matched: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    /// Dropped because it isn't read fast enough.
    pub(super) overrun: u64,
    pub(super) queued: u64,
    pub(super) queued_batches: u64,
    pub(super) queued_bytes: u64,
}

/// A subscriber.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::cli) struct Subscriber {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) patterns: Vec<String>,
    pub(super) queue: Queue,
}

/// A connection to the socket; counts are rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::cli) struct Connection {
    pub(super) name: String,
    pub(super) source: String,
    pub(super) subscriptions: Vec<String>,
    pub(super) seconds: f64,
    pub(super) published: u64,
    pub(super) dropped: u64,
    pub(super) refused: u64,
}

impl Reply {
    /// Reads what is there of it.
    pub(in crate::cli) fn of(reply: &Value) -> Self {
        Self {
            component: text(reply, "component"),
            version: text(reply, "version"),
            pid: number(reply, &["pid"]),
            seconds: seconds(reply),
            published: number(reply, &["bus", "published", "rows"]),
            config_refused: text(reply, "config_refused"),
            sources: list(reply, &["sources"], source),
            slots: slots_of(reply, "slots"),
            subscribers: list(reply, &["bus", "subscribers"], subscriber),
            connections: list(reply, &["broker", "connections"], connection),
        }
    }
}

/// The slots in a reply, below that key.
pub(in crate::cli) fn slots_of(reply: &Value, key: &str) -> Vec<Slot> {
    list(reply, &[key], slot)
}

fn source(value: &Value) -> Source {
    let health = &value["health"];
    let status = health.as_str().or_else(|| health["status"].as_str());
    let under_way = ["in_channel", "in_batcher", "in_filters"];
    let in_flight = under_way.iter().map(|key| number(value, &[key])).sum();
    Source {
        name: text(value, "name"),
        health: status.unwrap_or_default().to_owned(),
        reason: text(health, "reason"),
        produced: number(value, &["produced"]),
        published: number(value, &["published"]),
        removed: number(value, &["removed"]),
        dropped: dropped(value, |_| true),
        in_flight,
    }
}

fn slot(value: &Value) -> Slot {
    let faults = value["faults"].as_object().into_iter().flatten();
    Slot {
        name: text(value, "slot"),
        world: text(value, "world"),
        module: text(value, "module"),
        digest: text(value, "digest"),
        signed_by: text(value, "signed_by"),
        state: text(value, "state"),
        generation: number(value, &["generation"]),
        answered: number(value, &["answered"]),
        rows: number(value, &["rows_answered"]),
        undecided: number(value, &["rows_undecided"]),
        faults: faults.filter_map(|(_, count)| count.as_u64()).sum(),
        last_fault: text(&value["last_fault"], "reason"),
        restarts: number(value, &["restarts"]),
        poisonous: number(value, &["rows_poisonous"]),
        fuel_p50: number(value, &["fuel_of_row", "p50"]),
        fuel_p99: number(value, &["fuel_of_row", "p99"]),
        ns_p50: number(value, &["time_of_row_ns", "p50"]),
        ns_p99: number(value, &["time_of_row_ns", "p99"]),
        on_probation: value["on_probation"].as_bool().unwrap_or_default(),
        shadow: shadow(&value["shadow"]),
        quarantine: quarantine(&value["quarantine"]),
        fuel: number(value, &["fuel"]),
        time_ns: number(value, &["time_ns"]),
        cpu_ns: number(value, &["cpu_ns"]),
        memory_bytes: number(value, &["memory_bytes"]),
        queue: queue(&value["queue"]),
    }
}

/// How a guest that watches compares with the one in force; empty where none does.
fn shadow(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let faults = value["faults"].as_object().into_iter().flatten();
    let faults: u64 = faults.filter_map(|(_, count)| count.as_u64()).sum();
    let per_row = |key: &str| float(number(value, &[key])) / float(number(value, &["rows"]).max(1));
    let state = if value["given_up"].as_bool().unwrap_or_default() {
        ", given up"
    } else {
        ""
    };
    format!(
        "{}: the same verdict on {} of {} rows, {} not seen; fuel a row {:.0} (in force {:.0}), time a row {:.0} ns ({:.0} ns); {faults} faults{state}",
        text(value, "module"),
        number(value, &["rows_alike"]),
        number(value, &["rows"]),
        number(value, &["rows_skipped"]),
        per_row("fuel"),
        per_row("fuel_in_force"),
        per_row("time_ns"),
        per_row("time_in_force_ns"),
    )
}

/// Why a module is in quarantine; empty where it is in none.
fn quarantine(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let seconds = number(value, &["tried_in_ms"]).div_ceil(1_000);
    format!(
        "{} faults, the last {}; tried in {seconds} s",
        number(value, &["faults"]),
        text(value, "reason")
    )
}

fn queue(counts: &Value) -> Queue {
    Queue {
        matched: number(counts, &["matched", "rows"]),
        delivered: number(counts, &["delivered", "rows"]),
        dropped: dropped(counts, |_| true),
        overrun: dropped(counts, |reason| OVERRUNS.contains(&reason)),
        queued: number(counts, &["queued", "rows"]),
        queued_batches: number(counts, &["queued", "batches"]),
        queued_bytes: number(counts, &["queued_bytes"]),
    }
}

fn subscriber(value: &Value) -> Subscriber {
    Subscriber {
        id: number(value, &["id"]),
        name: text(value, "name"),
        patterns: texts(value, "patterns"),
        queue: queue(&value["counts"]),
    }
}

fn connection(value: &Value) -> Connection {
    Connection {
        name: text(value, "name"),
        source: text(value, "source"),
        subscriptions: texts(value, "subscriptions"),
        seconds: seconds(value),
        published: number(&value["published"], &["published"]),
        dropped: dropped(&value["published"], |_| true),
        refused: number(value, &["refused_rows"]),
    }
}

/// Rows that were dropped, for the reasons that are wanted.
fn dropped(counts: &Value, wanted: impl Fn(&str) -> bool) -> u64 {
    let reasons = counts["dropped"].as_object().into_iter().flatten();
    let rows = reasons.filter(|(reason, _)| wanted(reason));
    rows.map(|(_, count)| number(count, &["rows"])).sum()
}

fn list<T>(value: &Value, path: &[&str], one: impl Fn(&Value) -> T) -> Vec<T> {
    let items = at(value, path).as_array().into_iter().flatten();
    items.map(one).collect()
}

fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| &value[*key])
}

fn number(value: &Value, path: &[&str]) -> u64 {
    at(value, path).as_u64().unwrap_or_default()
}

fn seconds(value: &Value) -> f64 {
    value["seconds"].as_f64().unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let items = value[key].as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}
