//! What a slot has is there again after a restart: its state, its memory, and the guest that proved itself.

use std::path::Path;

use weir_tests::rig::{Finished, Rig, Setup};
use weir_tests::rows;

use super::{FILTER, SLOT, TRIGGER, config, settings_of};

const COUNT: &str = r#"{ do = "count-in-state" }"#;

fn start_with(module: &str, settings: &str, folder: &Path) -> Rig {
    let setup = Setup::new(config(module, settings)).with_state_folder(folder);
    let started = setup.start();
    started.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

/// The same trigger under another name and with another digest.
fn start_other(settings: &str, folder: &Path) -> Rig {
    let bytes = std::fs::read(weir_tests::hostile_guests().join(TRIGGER)).expect("it is built");
    let setup = Setup::new(config("other.wasm", settings))
        .with_state_folder(folder)
        .with_component("other.wasm", &padded(&bytes));
    let started = setup.start();
    started.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

/// A component with an empty custom section more: it does the same, and is another.
fn padded(component: &[u8]) -> Vec<u8> {
    let mut bytes = component.to_vec();
    bytes.extend([0, 2, 1, b'x']);
    bytes
}

fn messages(finished: &Finished) -> Vec<String> {
    let requests = finished.requests(SLOT);
    requests.map(|request| request.metadata.join(" ")).collect()
}

fn send(rig: &Rig, batches: u32) {
    let before = rig.slot(SLOT).answered;
    for number in 1..=batches {
        rig.send(rows::processes(number, 1));
    }
    rig.wait_until("they are judged", |rig, _| {
        rig.slot(SLOT).answered == before + u64::from(batches)
    });
}

#[test]
fn state_is_there_again_and_the_generation_goes_on_counting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (run, expected) in [
        (1, ["message=1", "message=2"]),
        (2, ["message=3", "message=4"]),
    ] {
        let rig = start_with(TRIGGER, COUNT, folder.path());
        send(&rig, 2);
        let finished = rig.finish();
        assert_eq!(messages(&finished), expected, "run {run}");
        assert_eq!(finished.slot(SLOT).generation, 1, "run {run}");
    }
    // Another guest of the same slot takes the state over, and is a generation of its own.
    let rig = start_other(COUNT, folder.path());
    send(&rig, 1);
    let finished = rig.finish();
    assert_eq!(messages(&finished), ["message=5"]);
    assert_eq!(finished.slot(SLOT).generation, 2);
    assert!(finished.slot(SLOT).on_probation, "it was never confirmed");
}

#[test]
fn what_was_on_probation_at_the_end_begins_anew_from_what_was_confirmed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rig = start_with(TRIGGER, COUNT, folder.path());
    send(&rig, 2);
    let confirmed = rig.slot(SLOT).digest;
    drop(rig.finish());
    for _ in 0..2 {
        // Its probation never ends: what it writes is never kept.
        let rig = start_other(COUNT, folder.path());
        send(&rig, 1);
        let told = super::notices(&rig);
        assert_eq!(told[0].other, confirmed, "what was confirmed began");
        let finished = rig.finish();
        assert_eq!(messages(&finished), ["message=3"]);
    }
}

#[test]
fn a_guest_that_went_back_is_not_tried_again_before_the_config_asks_for_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rig = start_with(FILTER, r#"{ do = "answer" }"#, folder.path());
    send(&rig, 1);
    rig.switch(SLOT, &settings_of(FILTER, r#"{ do = "trap" }"#));
    rig.send_through(rows::processes(5, 1));
    assert_eq!(rig.slot(SLOT).rollbacks, 1);
    drop(rig.finish());
    let rig = start_with(FILTER, r#"{ do = "trap" }"#, folder.path());
    rig.send_through(rows::processes(6, 1));
    let finished = rig.finish();
    let slot = finished.slot(SLOT);
    assert_eq!(
        (slot.faults_total(), slot.swaps, slot.generation),
        (0, 0, 1)
    );
    assert_eq!(finished.pids(), [6]);
}

/// Fires when a process is seen for the second time.
const SEEN_TWICE: &str = r#"{ conditions = [{ name = "temporary", kind = "process", condition = "executable LIKE '/tmp/%'", threshold = { count = 2, window_ms = 60000, by = ["pid"] } }] }"#;

#[test]
fn what_a_guest_has_in_memory_is_there_again() {
    let suspects = || {
        let mut rows = rows::processes(1, 3);
        for row in &mut rows {
            row.executable = Some(format!("/tmp/{}", row.name));
        }
        rows
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (run, told) in [(1, 0), (2, 3)] {
        let rig = start_with("builtin:sql-trigger", SEEN_TWICE, folder.path());
        rig.send(suspects());
        rig.wait_until("it saw them", |rig, _| rig.slot(SLOT).answered == 1);
        let finished = rig.finish();
        assert_eq!(finished.requests(SLOT).count(), told, "run {run}");
    }
}

#[test]
fn a_store_that_cannot_be_read_keeps_nobody_from_starting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("slots.redb"), vec![7; 4_096]).expect("a file");
    let rig = start_with(TRIGGER, COUNT, folder.path());
    send(&rig, 1);
    assert_eq!(messages(&rig.finish()), ["message=1"]);
}
