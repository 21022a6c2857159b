//! Guests as text: what no compiled language does to its host.

use weir::sandbox::{FaultReason, Limit};
use weir::slot::SlotStatistics;
use weir_tests::repository;
use weir_tests::rig::Setup;

use super::check::{run, story};

/// The folder's good guest, with a line in the place of a marker.
fn component(replaced: &[(&str, &str)]) -> Vec<u8> {
    let file = repository::text("guests/hostile/filter.wat");
    // The markers stand in the comment above it, too.
    let lines = file.lines().filter(|line| !line.starts_with(";;"));
    let mut text = lines.collect::<Vec<_>>().join("\n");
    for (marker, line) in replaced {
        assert!(text.contains(marker), "no {marker}");
        text = text.replacen(marker, line, 1);
    }
    wat::parse_str(&text).expect("it is a component")
}

const SLOT: &str = "as-text";
/// Faults of a guest that breaks on every row, in the search through a batch of four: two of the whole, two
/// of its halves, four of its rows.
const FAULTS_OF_BATCH: u64 = 8;

fn setup(component: &[u8], off: &[Limit]) -> Setup {
    let config = format!("[slots.{SLOT}]\nmodule = \"as-text.wasm\"");
    Setup::new(config)
        .with_component("as-text.wasm", component)
        .without(SLOT, off)
}

const MODULE: &str = "(;module;)";
const CALL: &str = "(;call;)";
/// Traps where the table may not grow: otherwise it would live with it.
const GROW: &str = "(if (i32.eq (table.grow $t (ref.null func) (i32.const 20001)) (i32.const -1)) (then unreachable))";

/// Every batch that it was asked about was searched to its end. From the second one on it is paused.
fn breaks_on_every_row(counts: &SlotStatistics, reason: FaultReason, line: &str) {
    let story = format!("{line}: {}", story(counts));
    assert!(counts.faulted >= 2, "{story}");
    let faults = counts.faulted * FAULTS_OF_BATCH;
    assert_eq!(counts.faults, [(reason, faults)].into(), "{story}");
    assert_eq!(counts.rows_unanswered, 16, "{story}");
}

#[test]
fn a_guest_as_text_that_was_built_against_the_first_contract_still_runs() {
    let finished = run(setup(&component(&[]), &[]));
    assert_eq!(finished.pids().len(), 16);
    assert_eq!(finished.slot(SLOT).answered, 4);
}

#[test]
fn more_tables_elements_memory_or_instances_than_allowed_are_refused_at_load() {
    let five_tables = "(table 1 funcref)".repeat(5);
    let instances = format!(
        "(core module $m){}",
        "(core instance (instantiate $m))".repeat(16)
    );
    let memory = [(
        "(memory (export \"memory\") 2)",
        "(memory (export \"memory\") 1025)",
    )];
    for (replaced, reason, limit) in [
        (
            &[(MODULE, five_tables.as_str())][..],
            FaultReason::Tables,
            Some(Limit::Tables),
        ),
        (
            &[(MODULE, "(table 20001 funcref)")],
            FaultReason::Tables,
            Some(Limit::Tables),
        ),
        (&memory, FaultReason::Memory, Some(Limit::Memory)),
        // Counted by wasmtime itself, by what the limiter says of instances: nothing to switch off.
        (
            &[("(;component;)", instances.as_str())],
            FaultReason::Instances,
            None,
        ),
    ] {
        let component = component(replaced);
        let refusal = setup(&component, &[]).refusal();
        let expected = format!("fault in instantiation: {reason}");
        assert!(refusal.contains(&expected), "{expected}: {refusal}");
        if let Some(limit) = limit {
            let finished = run(setup(&component, &[limit]));
            assert_eq!(finished.slot(SLOT).answered, 4, "without {limit:?}");
        }
    }
}

#[test]
fn a_table_that_grows_past_its_elements_is_refused() {
    let component = component(&[(MODULE, "(table $t 1 funcref)"), (CALL, GROW)]);
    let finished = run(setup(&component, &[]));
    let counts = finished.slot(SLOT);
    breaks_on_every_row(counts, FaultReason::Tables, "table.grow");
    assert_eq!(finished.pids().len(), 16);

    let finished = run(setup(&component, &[Limit::Tables]));
    assert_eq!(finished.slot(SLOT).answered, 4);
}

#[test]
fn what_breaks_the_contract_itself_is_a_trap() {
    // wasmtime's own checks of the component model: resource handles, and the bounds of memory.
    for line in [
        // The handle is dropped twice: "unknown handle index".
        "(call $drop (local.get $events))",
        // The handle isn't dropped: "borrow handles still remain at the end of the call".
        "(return (i32.const 448))",
        // The answer lies past the memory's end: "pointer out of bounds".
        "(return (i32.const 131068))",
    ] {
        let finished = run(setup(&component(&[(CALL, line)]), &[]));
        let counts = finished.slot(SLOT);
        breaks_on_every_row(counts, FaultReason::Trap, line);
        assert_eq!(finished.pids().len(), 16, "{line}");
    }
}
