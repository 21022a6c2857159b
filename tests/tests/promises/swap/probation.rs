//! A guest that takes over from another proves itself, or the one before comes back, with nothing lost.

use std::time::Instant;

use weir::sandbox::{FaultReason, Limit};
use weir::slot::{Back, SwapEvent, SwapNotice};
use weir_tests::rig::{Finished, Rig, Setup};
use weir_tests::rows;

use super::{FILTER, SLOT, TRIGGER, notices, settings_of, start, what};

/// Rows of a batch: enough of them that sums say something after a few batches.
const ROWS: u32 = 50;

/// Ten batches, a switch, and thirty more: what became of it, and what was told.
fn run(module: &str, before: &str, after: &str) -> (Finished, Vec<SwapNotice>) {
    let rig = start(module, before);
    let mut pid = 1;
    let mut send = |rig: &Rig, batches: u32| {
        for _ in 0..batches {
            rig.send(rows::processes(pid, ROWS));
            pid += ROWS;
        }
    };
    send(&rig, 10);
    rig.wait_until("the first have had their verdict", |rig, _| {
        rig.slot(SLOT).answered == 10
    });
    rig.switch(SLOT, &settings_of(module, after));
    send(&rig, 30);
    rig.wait_until("all have had theirs", |rig, _| {
        let slot = rig.slot(SLOT);
        slot.queue.delivered.rows == u64::from(40 * ROWS)
            && slot.rows_answered + slot.rows_unanswered >= slot.queue.delivered.rows
    });
    let told = notices(&rig);
    (rig.finish(), told)
}

#[test]
fn a_guest_that_breaks_on_probation_goes_back_and_its_batch_is_judged_by_the_one_before() {
    let all: Vec<u32> = (1..=40 * ROWS).collect();
    for (after, unseen) in [
        (r#"{ do = "trap" }"#, 0),
        (r#"{ do = "trap", every = 20 }"#, 19),
    ] {
        let (finished, told) = run(FILTER, r#"{ do = "answer" }"#, after);
        let slot = finished.slot(SLOT);
        assert_eq!(finished.pids(), all, "{after}");
        assert_eq!((slot.rows_unanswered, slot.rollbacks), (0, 1), "{after}");
        assert_eq!(slot.faults, [(FaultReason::Trap, 1)].into(), "{after}");
        assert_eq!((slot.generation, slot.on_probation), (1, false), "{after}");
        assert!(finished.dead_letters().is_empty(), "{after}");
        assert_eq!(what(&told), [SwapEvent::Swapped, SwapEvent::RolledBack]);
        assert_eq!(told[1].unseen, unseen, "{after}: {told:?}");
        assert_eq!(told[1].digest, slot.digest);
        assert!(told[1].reason.starts_with("trap: "), "{told:?}");
    }
}

#[test]
fn a_guest_that_costs_or_selects_far_more_than_the_one_before_goes_back_by_itself() {
    for (after, why) in [
        (r#"{ do = "burn-fuel", amount = 1 }"#, "fuel a row"),
        (r#"{ do = "drop-all" }"#, "selects 0.0 % of the rows"),
    ] {
        let (finished, told) = run(FILTER, r#"{ do = "answer" }"#, after);
        let slot = finished.slot(SLOT);
        assert_eq!(
            (slot.generation, slot.rollbacks),
            (1, 1),
            "{after}: {slot:?}"
        );
        assert_eq!(what(&told), [SwapEvent::Swapped, SwapEvent::RolledBack]);
        assert!(told[1].reason.contains(why), "{told:?}");
        assert_eq!(told[1].unseen, 4, "as soon as its sums say something");
        assert_eq!(slot.faults_total(), 0);
    }
}

#[test]
fn what_a_guest_wrote_on_probation_is_gone_when_it_goes_back() {
    let rig = start(TRIGGER, r#"{ do = "count-in-state" }"#);
    let mut sent = 0;
    let mut send = |rig: &Rig, batches: u32| {
        for _ in 0..batches {
            sent += 1;
            rig.send(rows::processes(sent * ROWS, ROWS));
        }
        rig.wait_until("they are judged", |rig, _| {
            rig.slot(SLOT).answered == u64::from(sent)
        });
    };
    send(&rig, 3);
    rig.switch(SLOT, &settings_of(TRIGGER, r#"{ do = "count-in-state" }"#));
    send(&rig, 2);
    let back = rig.pipeline().slots()[SLOT].roll_back(Back::tried("the test wants it"));
    rig.wait(back.in_force())
        .expect("there is one to go back to");
    send(&rig, 1);
    let told = notices(&rig);
    let finished = rig.finish();
    let counts: Vec<_> = finished
        .requests(SLOT)
        .map(|request| request.metadata.join(" "))
        .collect();
    // Three, then two on probation, then the fourth once more: the two are forgotten.
    let expected = [1, 2, 3, 4, 5, 4].map(|count| format!("message={count}"));
    assert_eq!(counts, expected);
    assert_eq!(what(&told), [SwapEvent::Swapped, SwapEvent::RolledBack]);
    assert_eq!(
        (told[1].unseen, told[1].reason.as_str()),
        (2, "the test wants it")
    );
}

#[test]
fn a_guest_that_behaves_is_confirmed_and_the_one_before_can_still_be_asked_for() {
    let rig = start(TRIGGER, r#"{ do = "count-in-state" }"#);
    let slot = &rig.pipeline().slots()[SLOT];
    let nobody = rig.wait(slot.roll_back(Back::tried("too early")).in_force());
    assert!(nobody.is_err(), "there is no earlier generation");
    rig.switch(SLOT, &settings_of(TRIGGER, r#"{ do = "count-in-state" }"#));
    assert!(rig.slot(SLOT).on_probation);
    for hundred in 0..10 {
        for number in 1..=100 {
            rig.send(rows::processes(hundred * 100 + number, 1));
        }
        // Within what may wait for it, whoever is slow.
        rig.wait_until("it has judged them", |rig, _| {
            rig.slot(SLOT).answered == u64::from((hundred + 1) * 100)
        });
    }
    rig.wait_until("it is confirmed", |rig, _| !rig.slot(SLOT).on_probation);
    let back = rig.wait(slot.roll_back(Back::tried("all the same")).in_force());
    back.expect("the one before the confirmed one");
    rig.send(rows::processes(9_000, 1));
    rig.wait_until("the last is judged", |rig, _| {
        rig.slot(SLOT).answered == 1_001
    });
    let told = notices(&rig);
    assert_eq!(
        what(&told),
        [
            SwapEvent::Swapped,
            SwapEvent::Confirmed,
            SwapEvent::RolledBack
        ]
    );
    let finished = rig.finish();
    let last = finished.requests(SLOT).last().expect("a request");
    assert_eq!(last.metadata, ["message=1001"], "confirmed state stays");
    assert_eq!(finished.slot(SLOT).generation, 1);
}

#[test]
fn a_guest_takes_over_what_the_one_before_has_in_memory() {
    let suspects = || {
        let mut rows = rows::processes(1, 3);
        for row in &mut rows {
            row.executable = Some(format!("/tmp/{}", row.name));
        }
        rows
    };
    // Fires when a process is seen for the second time.
    let (sql, seen_twice) = (
        "builtin:sql-trigger",
        r#"{ conditions = [{ name = "temporary", kind = "process", condition = "executable LIKE '/tmp/%'", threshold = { count = 2, window_ms = 60000, by = ["pid"] } }] }"#,
    );
    let rig = start(sql, seen_twice);
    rig.send(suspects());
    rig.wait_until("it saw them", |rig, _| rig.slot(SLOT).answered == 1);
    rig.switch(SLOT, &settings_of(sql, seen_twice));
    rig.send(suspects());
    rig.wait_until("it saw them again", |rig, _| rig.slot(SLOT).answered == 2);
    let finished = rig.finish();
    assert_eq!(finished.slot(SLOT).generation, 2);
    assert_eq!(
        finished.requests(SLOT).count(),
        3,
        "seen for the second time"
    );
}

#[test]
fn a_call_on_probation_that_does_not_return_costs_its_batch_and_the_one_before_goes_on() {
    let text = format!(
        "{}[slots.{SLOT}.limits]\ncpu_call = \"20ms\"\nwall_factor = 2\n",
        super::config(FILTER, r#"{ do = "answer" }"#)
    );
    let started = Setup::new(text).without(SLOT, &[Limit::WouldBlock]).start();
    let rig = started.unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    rig.send_through(rows::processes(1, ROWS));
    // It waits in the host for an hour, where neither fuel nor epochs see it.
    rig.switch(
        SLOT,
        &settings_of(FILTER, r#"{ do = "sleep", amount = 3_600 }"#),
    );
    rig.send(rows::processes(2, ROWS));
    rig.wait_until("its thread is given up", |rig, _| {
        rig.pipeline().slots()[SLOT].watch(Instant::now());
        rig.slot(SLOT).abandoned_threads == 1
    });
    rig.send_through(rows::processes(3, ROWS));
    let (told, slot) = (notices(&rig), rig.slot(SLOT));
    assert_eq!(
        (slot.generation, slot.on_probation, slot.rollbacks),
        (1, false, 1)
    );
    assert_eq!(what(&told), [SwapEvent::Swapped, SwapEvent::RolledBack]);
    assert_eq!(told[1].reason, "a call did not return");
    assert_eq!(slot.faults, [(FaultReason::Stalled, 1)].into());
    assert_eq!((slot.answered, slot.rows_passed), (2, u64::from(ROWS)));
    assert_eq!(rig.finish().pids().len(), 3 * ROWS as usize);
}
