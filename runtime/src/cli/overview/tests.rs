//! Promises of the overview: what two replies say together.

use serde_json::{Value, json};

use super::*;
use crate::cli::table;

/// A reply after so many seconds: everything grows evenly, but what `slow` loses.
fn reply(seconds: u64, slow: u64) -> Value {
    let count = |rows: u64| json!({"rows": rows, "batches": rows / 10});
    let queue = |dropped: u64| {
        json!({
            "matched": count(seconds * 100), "delivered": count(seconds * 50), "queued": count(30),
            "queued_bytes": 4096, "dropped": {"queue-full": count(dropped)},
        })
    };
    json!({
        "component": "weir", "version": "0.1.0", "pid": 7, "seconds": seconds,
        "sources": [{
            "name": "process", "health": {"status": "healthy"}, "produced": seconds * 1000,
            "published": seconds * 900, "removed": 10, "dropped": {}, "in_channel": 5, "in_batcher": 2,
        }],
        "slots": [{
            "slot": "watch", "world": "trigger", "state": "running", "module": "builtin:sql-trigger", "generation": 1,
            "rows_answered": seconds * 200, "fuel": seconds * 20_000, "cpu_ns": seconds * 30_000_000,
            "faults": {}, "queue": queue(0),
        }],
        "bus": {
            "published": count(seconds * 900),
            "subscribers": [
                {"id": 1, "name": "quick", "patterns": [">"], "counts": queue(5)},
                {"id": 2, "name": "laggard", "patterns": ["findings.>"], "counts": queue(slow)},
            ],
        },
        "broker": {"connections": [{
            "name": "tap", "source": "uid:0,pid:9", "subscriptions": ["laggard"], "seconds": 3.5,
            "published": {"published": seconds, "dropped": {}}, "refused_rows": 0,
        }]},
    })
}

#[test]
fn rates_come_from_two_replies_of_one_daemon_and_who_is_slow_is_named() {
    let before = Reply::of(&reply(10, 5));
    let overview = Overview::of(Reply::of(&reply(12, 47)), Some(&before));
    assert_eq!(overview.published_a_second, Some(900.0));
    assert_eq!(overview.sources[0].rows_a_second, Some(1_000.0));
    assert_eq!(overview.sources[0].now.in_flight, 7);
    let slot = &overview.slots[0];
    assert_eq!(
        (slot.rows_a_second, slot.fuel_a_row, slot.cpu_percent),
        (Some(200.0), Some(100.0), Some(3.0))
    );
    assert_eq!(overview.subscribers[1].rows_a_second, Some(50.0));
    assert_eq!(overview.connections[0].rows_a_second, Some(1.0));
    assert_eq!(
        overview.problems,
        ["subscriber laggard is slow: 42 rows dropped"]
    );
}

#[test]
fn a_daemon_that_was_started_again_has_no_rates_yet() {
    let before = Reply::of(&reply(10, 5));
    let mut again = reply(2, 0);
    again["pid"] = json!(8);
    let overview = Overview::of(Reply::of(&again), Some(&before));
    assert_eq!(overview.published_a_second, None);
    assert_eq!(overview.slots[0].rows_a_second, None);
    // The first look tells what was lost ever.
    assert_eq!(
        overview.problems,
        ["subscriber quick is slow: 5 rows dropped"]
    );
}

#[test]
fn a_reply_of_another_version_never_fails() {
    let check = |value: Value, problems: &[&str]| {
        let overview = Overview::of(Reply::of(&value), None);
        assert_eq!(overview.problems, problems, "{value}");
        drop(table::text(&tables(&overview)));
    };
    check(json!(null), &[]);
    check(
        json!({"sources": {"a": 1}, "bus": [], "slots": [1, {}]}),
        &[],
    );
    check(
        json!({"sources": [{"name": "a", "health": {"status": "degraded", "reason": "why"}}]}),
        &["source a is degraded: why"],
    );
    check(
        json!({"slots": [{"slot": "s", "faults": {"trap": 2, "fuel": 1}, "last_fault": {"reason": "trap"}}]}),
        &["slot s has 3 faults, the last trap"],
    );
    check(
        json!({"slots": [{"slot": "s", "state": "stalled"}]}),
        &["slot s is stalled"],
    );
    check(
        json!({"bus": {"subscribers": [{"name": "b", "counts": {"queued": {"rows": 9000, "batches": 900}}}]}}),
        &["subscriber b is slow: 9000 rows wait"],
    );
}

#[test]
fn tables_are_aligned_and_numbers_are_for_the_eye() {
    let before = Reply::of(&reply(10, 5));
    let overview = Overview::of(Reply::of(&reply(12, 47)), Some(&before));
    let text = table::text(&tables(&overview));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        &lines[..2],
        [
            "  SOURCE   HEALTH     ROWS  PRODUCED  PUBLISHED  REMOVED  DROPPED  IN FLIGHT",
            "  process  healthy  1000/s    12.0 k     10.8 k       10        0          7",
        ]
    );
    assert!(
        text.contains("\n! laggard     50/s        600      30  4.0 KiB       47  findings.>"),
        "{text}"
    );
}
