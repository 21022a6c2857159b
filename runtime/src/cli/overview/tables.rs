//! An overview as tables. Rates take the place of totals where there are any.

use super::{Connection, Overview, Rated, Slot, Source, Subscriber, float};
use crate::cli::table::{Row, Table, bytes, cell, count, seconds};

/// Every table that has a row.
pub(in crate::cli) fn tables(overview: &Overview) -> Vec<Table> {
    let all = [
        source_table(&overview.sources),
        slot_table(&overview.slots),
        subscriber_table(&overview.subscribers),
        connection_table(&overview.connections),
    ];
    all.into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
}

/// A rate, or nothing where there was no earlier look.
fn a_second(rate: Option<f64>) -> String {
    rate.map(|rate| format!("{}/s", count(rate)))
        .unwrap_or_default()
}

fn rows<T>(all: &[Rated<T>], cells: impl Fn(&Rated<T>) -> Vec<String>) -> Vec<Row> {
    let row = |one: &Rated<T>| Row {
        cells: cells(one),
        is_wrong: one.problem.is_some(),
    };
    all.iter().map(row).collect()
}

fn total(rows: u64) -> String {
    count(float(rows))
}

fn source_table(sources: &[Rated<Source>]) -> Table {
    Table {
        titles: &[
            "SOURCE",
            "HEALTH",
            ">ROWS",
            ">PRODUCED",
            ">PUBLISHED",
            ">REMOVED",
            ">DROPPED",
            ">IN FLIGHT",
        ],
        rows: rows(sources, |one| {
            let now = &one.now;
            vec![
                cell(&now.name),
                cell(&now.health),
                a_second(one.rows_a_second),
                total(now.produced),
                total(now.published),
                total(now.removed),
                total(now.dropped),
                total(now.in_flight),
            ]
        }),
    }
}

/// The slots: what each guest is, does and costs.
pub(in crate::cli) fn slot_table(slots: &[Rated<Slot>]) -> Table {
    Table {
        titles: &[
            "SLOT",
            "WORLD",
            "STATE",
            ">GEN",
            ">ROWS",
            ">ANSWERED",
            ">FUEL/ROW",
            ">P99",
            ">NS/ROW",
            ">P99",
            ">CPU",
            ">TIME",
            ">MEMORY",
            ">QUEUED",
            ">DROPPED",
            ">FAULTS",
            ">POISON",
            "SIGNED BY",
            "MODULE",
        ],
        rows: rows(slots, |one| {
            let now = &one.now;
            let fuel = one
                .fuel_a_row
                .or_else(|| (now.rows > 0).then(|| float(now.fuel) / float(now.rows)));
            let cpu = one.cpu_percent.map(|percent| format!("{percent:.1} %"));
            vec![
                cell(&now.name),
                cell(&now.world),
                if now.on_probation {
                    format!("{} (probation)", cell(&now.state))
                } else {
                    cell(&now.state)
                },
                now.generation.to_string(),
                a_second(one.rows_a_second),
                total(now.rows),
                fuel.map(count).unwrap_or_default(),
                total(now.fuel_p99),
                total(now.ns_p50),
                total(now.ns_p99),
                cpu.unwrap_or_default(),
                seconds(float(now.time_ns) / NS_OF_A_SECOND),
                bytes(now.memory_bytes),
                total(now.queue.queued),
                total(now.queue.dropped),
                total(now.faults),
                total(now.poisonous),
                cell(&now.signed_by),
                cell(&now.module),
            ]
        }),
    }
}

/// What those who watch make of the guests in force, a line each.
pub(in crate::cli) fn shadow_lines(slots: &[Rated<Slot>]) -> Vec<String> {
    let watched = slots.iter().filter(|one| !one.now.shadow.is_empty());
    watched
        .map(|one| format!("{} is watched by {}", one.now.name, one.now.shadow))
        .collect()
}

const NS_OF_A_SECOND: f64 = 1e9;

fn subscriber_table(subscribers: &[Rated<Subscriber>]) -> Table {
    Table {
        titles: &[
            "SUBSCRIBER",
            ">ROWS",
            ">DELIVERED",
            ">QUEUED",
            ">BYTES",
            ">DROPPED",
            "PATTERNS",
        ],
        rows: rows(subscribers, |one| {
            let queue = &one.now.queue;
            vec![
                cell(&one.now.name),
                a_second(one.rows_a_second),
                total(queue.delivered),
                total(queue.queued),
                bytes(queue.queued_bytes),
                total(queue.dropped),
                cell(&one.now.patterns.join(" ")),
            ]
        }),
    }
}

fn connection_table(connections: &[Rated<Connection>]) -> Table {
    Table {
        titles: &[
            "CONNECTION",
            "WHO",
            ">SINCE",
            ">ROWS",
            ">PUBLISHED",
            ">DROPPED",
            ">REFUSED",
            "SUBSCRIPTIONS",
        ],
        rows: rows(connections, |one| {
            let now = &one.now;
            vec![
                cell(&now.name),
                cell(&now.source),
                seconds(now.seconds),
                a_second(one.rows_a_second),
                total(now.published),
                total(now.dropped),
                total(now.refused),
                cell(&now.subscriptions.join(" ")),
            ]
        }),
    }
}
