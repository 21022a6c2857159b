//! Guests with memory that break when it is taken or put back: it costs them what they knew, and nobody
//! else anything.

use weir::sandbox::FaultReason::{Deadline, Exit, Fuel, Memory, Output, Stack, Trap, WouldBlock};
use weir::sandbox::{FaultReason, Limit, World};
use weir_tests::rig::{Finished, Setup};

use super::check::{config_of, others_as_if_alone, run, story};

/// Fuel and time are out of each other's reach; a snapshot is small.
const LITTLE_FUEL: &str = "fuel_call = 10_000_000\nwall_factor = 1000";
const LITTLE_TIME: &str =
    "snapshot_time_max = \"10ms\"\nwall_factor = 1000\nfuel_call = 1_000_000_000_000";
const SMALL: &str = "snapshot_bytes_max = \"16KiB\"";
const LITTLE_HANDED: &str = "host_bytes_call_max = \"16KiB\"";
const LITTLE_MEMORY: &str = "memory_bytes_max = \"8MiB\"";

fn setup(slot: &str, settings: &str, limits: &str) -> Setup {
    let module = "weir_hostile_memory.wasm";
    Setup::new(config_of(World::Filter, module, slot, settings, limits))
}

/// What breaks when memory is taken or put back.
const BREAKS: [(&str, &str, FaultReason); 8] = [
    ("trap", "", Trap),
    ("panic", "", Trap),
    ("loop", LITTLE_FUEL, Fuel),
    ("burn-cpu", LITTLE_TIME, Deadline),
    ("sleep", "", WouldBlock),
    ("exit", "", Exit),
    ("stack-overflow", "", Stack),
    ("take-memory", LITTLE_MEMORY, Memory),
];

#[test]
fn a_guest_that_breaks_when_its_memory_is_taken_is_not_asked_for_it_again() {
    for (does, limits, reason) in BREAKS {
        let slot = format!("snapshot-{does}");
        let settings = format!("{{ do = \"{does}\", at = \"snapshot\", amount = 60 }}");
        let finished = run(setup(&slot, &settings, limits));
        let counts = finished.slot(&slot);
        assert_eq!(counts.faults, [(reason, 1)].into(), "{}", story(counts));
        // No row has to do with it, and each is judged.
        assert_eq!((counts.answered, counts.faulted), (4, 0), "{slot}");
        others_as_if_alone(&finished, &slot);
    }
}

#[test]
fn a_guest_that_breaks_when_its_memory_is_put_back_goes_on_without_it() {
    for (does, limits, reason) in BREAKS {
        let slot = format!("restore-{does}");
        let settings =
            format!("{{ do = \"{does}\", at = \"restore\", amount = 60, names = [\"p6\"] }}");
        let finished = run(setup(&slot, &settings, limits));
        let counts = finished.slot(&slot);
        let found = counts.faults.get(&reason).copied().unwrap_or_default();
        let own = u64::from(reason == Trap);
        assert!(found > own, "{}", story(counts));
        // Of the four rows of that batch some have no verdict; all others do.
        let range = 12..=15;
        assert!(range.contains(&counts.rows_answered), "{}", story(counts));
        assert_eq!(counts.faulted, 1, "{}", story(counts));
        others_as_if_alone(&finished, &slot);
    }
}

#[test]
fn a_guest_that_refuses_what_it_knew_itself_goes_on_without_it() {
    let slot = "refuses-its-own";
    let settings = r#"{ do = "refuse", names = ["p6"] }"#;
    let finished = run(setup(slot, settings, ""));
    let counts = finished.slot(slot);
    assert_eq!(counts.faults, [(Trap, 4)].into(), "{}", story(counts));
    assert_eq!(counts.rows_answered, 15, "{}", story(counts));
    others_as_if_alone(&finished, slot);
}

/// A snapshot of 64 KiB.
fn huge(slot: &str, limits: &str, off: &[Limit]) -> Finished {
    let settings = r#"{ do = "snapshot-huge", amount = 65536 }"#;
    let finished = run(setup(slot, settings, limits).without(slot, off));
    assert_eq!(
        finished.slot(slot).answered,
        4,
        "{}",
        story(finished.slot(slot))
    );
    others_as_if_alone(&finished, slot);
    finished
}

#[test]
fn a_snapshot_over_either_limit_is_no_snapshot_and_its_guest_goes_on() {
    for (kind, limits, says) in [
        ("small", SMALL, "limits.snapshot_bytes_max"),
        ("handed", LITTLE_HANDED, "limits.host_bytes_call_max"),
    ] {
        let slot = format!("snapshot-huge-{kind}");
        let finished = huge(&slot, limits, &[]);
        let counts = finished.slot(&slot);
        assert_eq!(counts.faults, [(Output, 1)].into(), "{}", story(counts));
        let fault = counts.last_fault.as_ref().expect("a fault is kept");
        assert!(fault.message.contains(says), "{fault}");
    }
    let finished = huge("snapshot-huge-off", SMALL, &[Limit::OutputSize]);
    assert_eq!(finished.slot("snapshot-huge-off").faults_total(), 0);
}
