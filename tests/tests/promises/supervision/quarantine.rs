//! A module that breaks again and again is not called any more, until somebody lets it go or it has
//! shown that it works.

use std::path::Path;

use weir::config::{LoadRequest, SlotSettings};
use weir_tests::rig::{Rig, Setup};
use weir_tests::{repository, rows};

/// The slot whose guest breaks on a row named `bad`.
const SLOT: &str = "breaks";
/// So many batches are sent at most for something to happen that five should bring.
const BATCHES_MAX: u32 = 10_000;

/// Pauses that a test doesn't notice, and whatever `more` says of quarantine.
fn config(more: &str, module: &str) -> String {
    format!(
        r#"
[collector]
batch_timeout = "10s"
[supervision]
restart_pause_min = "1ms"
restart_pause_max = "1ms"
{more}
[slots.{SLOT}]
module = "{module}"
settings = {{ do = "trap", name = "bad" }}
"#
    )
}

fn start(more: &str, state_folder: &Path) -> Rig {
    let setup = Setup::new(config(more, "weir_hostile_filter.wasm"));
    let text = repository::text("guests/hostile/filter.wat");
    let other = wat::parse_str(&text).expect("it is a component");
    let started = setup
        .with_state_folder(state_folder)
        .with_component("other.wasm", &other)
        .start();
    started.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

/// Sends rows of that name, one a batch, until the slot's state is that. How many it took.
fn send_until(rig: &Rig, name: &str, state: &str) -> u32 {
    for number in 1..BATCHES_MAX {
        rig.send_through(vec![rows::process(number, name)]);
        if rig.slot(SLOT).state == state {
            return number;
        }
    }
    panic!("never {state}: {:?}", rig.slot(SLOT));
}

#[test]
fn five_faulted_batches_are_quarantine_and_what_comes_then_passes_uncalled() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rig = start("", folder.path());
    let sent = send_until(&rig, "bad", "quarantined");
    let before = rig.slot(SLOT);
    assert_eq!(before.faulted, 5);
    let quarantine = before.quarantine.expect("a quarantine");
    assert_eq!(quarantine.why.faults, 5);
    assert_eq!(quarantine.why.digest, before.digest);
    assert_eq!(quarantine.why.reason.as_str(), "trap");
    assert!(quarantine.tried_in_ms > 1_000, "{quarantine:?}");
    rig.send_through(rows::processes(1, 100));
    let finished = rig.finish();
    let after = finished.slot(SLOT);
    assert_eq!(after.fuel, before.fuel, "it was called");
    assert_eq!(after.rows_passed, before.rows_passed + 100);
    assert_eq!(finished.pids().len(), sent as usize + 100);
}

#[test]
fn a_quarantine_outlives_the_daemon_until_the_operator_ends_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rig = start("", folder.path());
    send_until(&rig, "bad", "quarantined");
    drop(rig.finish());

    let rig = start("", folder.path());
    rig.send_through(rows::processes(1, 10));
    let slot = rig.slot(SLOT);
    assert_eq!((slot.state.as_str(), slot.answered), ("quarantined", 0));
    let handle = &rig.pipeline().slots()[SLOT];
    assert!(handle.release(), "it was in quarantine");
    assert!(!handle.release(), "and is no more");
    rig.send_through(rows::processes(1, 10));
    let slot = rig.slot(SLOT);
    assert_eq!((slot.state.as_str(), slot.rows_answered), ("running", 10));
    drop(rig.finish());

    let rig = start("", folder.path());
    assert_eq!(rig.slot(SLOT).state, "running");
    drop(rig.finish());
}

#[test]
fn another_module_ends_a_quarantine_and_the_same_one_does_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rig = start("", folder.path());
    send_until(&rig, "bad", "quarantined");
    for (module, state) in [
        ("weir_hostile_filter.wasm", "quarantined"),
        ("other.wasm", "running"),
    ] {
        rig.switch(SLOT, &settings(module));
        assert_eq!(rig.slot(SLOT).state, state, "{module}");
    }
    drop(rig.finish());
}

fn settings(module: &str) -> SlotSettings {
    let request = LoadRequest {
        embedded_default: &config("", module),
        ..LoadRequest::default()
    };
    let config = weir::config::load(&request).expect("a config").config;
    config.slots[SLOT].clone()
}

#[test]
fn a_module_that_works_again_comes_out_by_itself_and_one_that_does_not_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pauses = "quarantine_pause_min = \"10ms\"\nquarantine_pause_max = \"10ms\"";
    let rig = start(pauses, folder.path());
    send_until(&rig, "bad", "quarantined");
    let before = rig.slot(SLOT);
    rig.wait_until("a try that breaks", |rig, _| {
        rig.send_through(vec![rows::process(1, "bad")]);
        rig.slot(SLOT).faulted > before.faulted
    });
    let tried = rig.slot(SLOT);
    assert_eq!(tried.state, "quarantined");
    assert_eq!(tried.retries, before.retries, "a try is one call");
    assert!(tried.quarantine.is_some_and(|one| one.why.faults > 5));
    send_until(&rig, "good", "running");
    assert_eq!(rig.slot(SLOT).answered, 3);
    drop(rig.finish());
}

#[test]
fn a_file_that_is_no_ledger_keeps_nobody_from_starting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("quarantine.json"), "{ not JSON").expect("a file");
    let rig = start("", folder.path());
    assert_eq!(rig.slot(SLOT).state, "running");
    send_until(&rig, "bad", "quarantined");
    drop(rig.finish());
    let rig = start("", folder.path());
    assert_eq!(rig.slot(SLOT).state, "quarantined");
    drop(rig.finish());
}
