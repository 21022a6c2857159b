//! A guest that watches sees live batches, and what it says goes nowhere.

use weir::sandbox::FaultReason;
use weir::slot::ShadowStatus;
use weir_tests::rig::{Rig, Setup};
use weir_tests::rows;

use super::{FILTER, SLOT, TRIGGER, config};

const ROWS: u32 = 10;
const BATCHES: u32 = 20;

/// A rig whose slot is watched by the same module with those settings: both see the same ones.
fn watched(module: &str, settings: &str) -> Rig {
    let text = config(module, settings).replace(
        "[slots.under-test]",
        &format!("[slots.under-test]\nshadow = \"{module}\""),
    );
    let started = Setup::new(text).start();
    started.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

fn shadow(rig: &Rig) -> ShadowStatus {
    rig.slot(SLOT).shadow.expect("somebody watches")
}

fn send(rig: &Rig) {
    for batch in 0..BATCHES {
        rig.send_through(rows::processes(batch * ROWS + 1, ROWS));
    }
}

#[test]
fn it_is_compared_row_by_row_and_nothing_of_it_goes_on() {
    let rig = watched(FILTER, r#"{ do = "answer" }"#);
    send(&rig);
    let all = u64::from(BATCHES * ROWS);
    rig.wait_until("it has seen all", |rig, _| {
        shadow(rig).comparison.rows == all
    });
    let seen = shadow(&rig);
    assert_eq!(seen.comparison.rows_alike, all);
    assert_eq!((seen.rows_skipped, seen.faults.len()), (0, 0));
    assert!(seen.comparison.fuel > 0 && seen.comparison.fuel == seen.comparison.fuel_in_force);
    // Another watches, then nobody.
    let other = rig.prepare(SLOT, &super::settings_of(FILTER, r#"{ do = "drop-all" }"#));
    let slot = &rig.pipeline().slots()[SLOT];
    slot.set_shadow(Some(other)).expect("a thread");
    send(&rig);
    rig.wait_until("it has seen all", |rig, _| {
        shadow(rig).comparison.rows == all
    });
    assert_eq!(shadow(&rig).comparison.rows_alike, 0);
    slot.set_shadow(None).expect("no thread is needed");
    send(&rig);
    assert!(rig.slot(SLOT).shadow.is_none());
    let finished = rig.finish();
    assert_eq!(finished.pids().len(), 3 * BATCHES as usize * ROWS as usize);
}

#[test]
fn one_that_breaks_harms_nobody_and_is_given_up() {
    let rig = watched(FILTER, r#"{ do = "answer" }"#);
    let breaks = rig.prepare(SLOT, &super::settings_of(FILTER, r#"{ do = "trap" }"#));
    let slot = &rig.pipeline().slots()[SLOT];
    slot.set_shadow(Some(breaks)).expect("a thread");
    send(&rig);
    rig.wait_until("it is given up", |rig, _| shadow(rig).given_up);
    let seen = shadow(&rig);
    assert_eq!(seen.faults, [(FaultReason::Trap, 16)].into());
    assert_eq!(seen.comparison.rows, 0);
    let finished = rig.finish();
    let slot = finished.slot(SLOT);
    assert_eq!((slot.faults_total(), slot.rows_unanswered), (0, 0));
    assert_eq!(finished.pids().len(), (BATCHES * ROWS) as usize);
}

#[test]
fn one_of_another_world_is_refused_by_its_key() {
    let text = config(FILTER, r#"{ do = "answer" }"#);
    let shadow = format!("[slots.under-test]\nshadow = \"{TRIGGER}\"");
    let refused = Setup::new(text.replace("[slots.under-test]", &shadow)).refusal();
    assert!(
        refused.starts_with("slots.under-test.shadow: "),
        "{refused}"
    );
    assert!(
        refused.contains("can't watch: it is a trigger"),
        "{refused}"
    );
}

#[test]
fn what_it_writes_is_its_own() {
    let rig = watched(TRIGGER, r#"{ do = "count-in-state" }"#);
    send(&rig);
    let all = u64::from(BATCHES * ROWS);
    rig.wait_until("it has seen all", |rig, _| {
        rig.slot(SLOT).answered == u64::from(BATCHES) && shadow(rig).comparison.rows == all
    });
    assert_eq!(shadow(&rig).comparison.rows_alike, all);
    let finished = rig.finish();
    let counts = finished
        .requests(SLOT)
        .map(|request| request.metadata.join(" "));
    let expected = (1..=BATCHES).map(|count| format!("message={count}"));
    assert_eq!(
        counts.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "counted once each"
    );
}
