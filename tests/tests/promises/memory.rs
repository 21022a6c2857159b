//! Guests with memory: what they knew is put back after a fault, within the limits of a snapshot.

use weir::sandbox::FaultReason;
use weir_bus::event::ProcessEvent;
use weir_tests::rig::{Finished, Setup};
use weir_tests::rows;

/// More processes than a snapshot of 1 KiB has room for.
const MANY: u32 = 100;
/// A batch that takes more fuel than the slot has, and many times what a batch of a few takes.
const FAR_TOO_MANY: u32 = 3_000;

/// That many processes that run from a folder which the condition is about.
fn suspects(first: u32, count: u32) -> Vec<ProcessEvent> {
    let mut rows = rows::processes(first, count);
    for row in &mut rows {
        row.executable = Some(format!("/tmp/{}", row.name));
    }
    rows
}

/// A condition that fires when a process is seen for the second time, with those limits; each of `batches` is a batch of
/// its own.
fn run(limits: &str, batches: Vec<Vec<ProcessEvent>>) -> Finished {
    // Many additions, each of which costs fuel for every row.
    let sum = ["pid"; 60].join(" + ");
    let config = format!(
        r#"
[collector]
batch_rows_max = 100000
batch_bytes_max = "4MiB"
event_buffer_size = 100000
[slots.sql]
module = "builtin:sql-trigger"
[[slots.sql.settings.conditions]]
name = "temporary"
kind = "process"
condition = "executable LIKE '/tmp/%' AND {sum} > 0"
threshold = {{ count = 2, window_ms = 60000, by = ["pid"] }}
[slots.sql.limits]
{limits}
"#
    );
    let rig = Setup::new(config)
        .start()
        .unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    for batch in batches {
        rig.send(batch);
    }
    rig.finish()
}

#[test]
fn what_a_guest_knew_is_put_back_after_its_fault() {
    let quiet = rows::processes(1_000, FAR_TOO_MANY);
    let batches = vec![suspects(1, 3), quiet, suspects(1, 3)];
    let finished = run("fuel_call = 20000000\nfuel_row = 0", batches);
    let sql = finished.slot("sql");
    // In pieces the large batch is not too large: no row of it is to blame.
    assert!(sql.faults.keys().eq([&FaultReason::Fuel]), "{sql:?}");
    assert_eq!((sql.faulted, sql.rows_unanswered), (1, 0), "{sql:?}");
    assert_eq!(sql.restarts, sql.faults_total());
    // Three were seen before the faults, and for the second time after them.
    assert_eq!(finished.requests("sql").count(), 3);
}

#[test]
fn a_snapshot_that_is_too_large_is_a_fault_once_and_costs_nothing_else() {
    let batches = vec![suspects(1, MANY), suspects(1, MANY), suspects(1, MANY)];
    let finished = run("snapshot_bytes_max = \"1KiB\"", batches);
    let sql = finished.slot("sql");
    assert_eq!(sql.faults, [(FaultReason::Output, 1)].into());
    let fault = sql.last_fault.as_ref().expect("a fault is kept");
    assert!(
        fault.message.contains("limits.snapshot_bytes_max"),
        "{fault}"
    );
    // The instance is as it was: it saw each three times, and told of the second.
    assert_eq!((sql.answered, sql.restarts), (3, 0));
    assert_eq!(finished.requests("sql").count(), MANY as usize);
}
