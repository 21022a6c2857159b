//! What the table can't say: good guests beside which the hostile ones are judged, what a fault
//! tells, rows lost behind a filter, and a call that hangs where nothing of wasm is looked at.

use std::time::{Duration, Instant};

use weir::config::LoadRequest;
use weir::sandbox::{FaultReason, Limit, World};
use weir_bus::DropReason;
use weir_tests::rig::{SOURCE, Setup};
use weir_tests::{logs, rows};

use super::check::{config, others_answer, others_as_if_alone, run, story};

fn setup(world: World, slot: &str, settings: &str) -> Setup {
    Setup::new(config(world, slot, settings, ""))
}

#[test]
fn a_call_that_is_answered_takes_effect_once() {
    let slot = "counts-in-state";
    let finished = run(setup(World::Trigger, slot, r#"{ do = "count-in-state" }"#));
    let told: Vec<_> = finished
        .requests(slot)
        .map(|one| one.metadata.clone())
        .collect();
    let expected: Vec<_> = (1..=4)
        .map(|count| vec![format!("message={count}")])
        .collect();
    assert_eq!(told, expected);
    assert_eq!(finished.guests.state_size(slot), Some((1, 13)));

    let slot = "counts-in-metrics";
    let finished = run(setup(World::Stage, slot, r#"{ do = "count-in-metrics" }"#));
    assert_eq!(
        finished.slot(slot).counters,
        [("calls".to_owned(), 16)].into()
    );
    others_as_if_alone(&finished, slot);
}

#[test]
fn counters_that_are_counted_too_far_stay_at_the_last_number() {
    let slot = "counts-too-far";
    let settings = r#"{ do = "metrics-overflow" }"#;
    let finished = run(setup(World::Stage, slot, settings));
    let counts = finished.slot(slot);
    assert_eq!(counts.counters, [("calls".to_owned(), u64::MAX)].into());
    assert_eq!(counts.answered, 16, "{}", story(counts));
    others_as_if_alone(&finished, slot);
}

#[test]
fn what_a_guest_keeps_in_its_state_outlives_the_guest() {
    let slot = "keeps-its-count";
    let text = config(World::Trigger, slot, r#"{ do = "count-in-state" }"#, "");
    let request = LoadRequest {
        embedded_default: &text,
        ..LoadRequest::default()
    };
    let settings = weir::config::load(&request).expect("a config").config.slots[slot].clone();
    let rig = Setup::new(text).start().expect("it starts");
    for generation in 0..4 {
        rig.send(rows::processes(generation * 4 + 1, 4));
        rig.wait_until("the batch's count", |rig, _| {
            rig.guests().state_size(slot) == Some((1, 13))
                && rig.pipeline().slots()[slot].statistics().answered == u64::from(generation + 1)
        });
        rig.switch(slot, &settings);
    }
    let finished = rig.finish();
    let told: Vec<_> = finished
        .requests(slot)
        .filter_map(|one| one.metadata.first())
        .collect();
    assert_eq!(told, ["message=1", "message=2", "message=3", "message=4"]);
    assert_eq!(finished.slot(slot).generation, 5);
}

#[test]
fn rows_that_a_trigger_cant_decide_are_counted_as_such() {
    let slot = "undecided";
    let finished = run(setup(World::Trigger, slot, r#"{ do = "undecided-all" }"#));
    let counts = finished.slot(slot);
    assert_eq!(counts.rows_undecided, 16, "{}", story(counts));
    assert_eq!(finished.requests(slot).count(), 0);
    others_as_if_alone(&finished, slot);
}

#[test]
fn rows_behind_a_hostile_filter_are_lost_counted_where_its_slot_says_drop() {
    let poison = 6..=6;
    for (does, faults, reason, lost) in [
        ("trap", 4, FaultReason::Trap, poison.clone()),
        ("loop", 4, FaultReason::Fuel, poison.clone()),
        ("rows-out-of-range", 4, FaultReason::InvalidOutput, poison),
        ("reject", 0, FaultReason::Trap, 5..=8),
    ] {
        let slot = format!("drops-{does}");
        let settings = format!("{{ do = \"{does}\", name = \"p6\" }}\non_fault = \"drop\"");
        let limits = "fuel_call = 10_000_000";
        let finished = run(Setup::new(config(World::Filter, &slot, &settings, limits)));
        let counts = finished.slot(&slot);
        let found = counts.faults.get(&reason).copied().unwrap_or_default();
        assert_eq!(found, faults, "{}", story(counts));
        let left: Vec<u32> = (1..=16).filter(|row| !lost.contains(row)).collect();
        let lost = lost.count() as u64;
        assert_eq!(finished.pids(), left, "{does}");
        others_answer(&finished, &slot, &left);
        let (_, source) = &finished.sources.sources[0];
        assert_eq!(
            source.dropped.get(DropReason::Fault).rows,
            lost,
            "{does}: {source:?}"
        );
        assert_eq!(
            (source.produced, source.published),
            (16, 16 - lost),
            "{does}: {source:?}"
        );
    }
}

#[test]
fn what_a_filter_removes_is_counted_as_removed_and_not_as_dropped() {
    let slot = "drops-all";
    let finished = run(setup(
        World::Filter,
        slot,
        r#"{ do = "drop-all", every = 2 }"#,
    ));
    let (name, source) = &finished.sources.sources[0];
    assert_eq!(name, SOURCE);
    assert_eq!((source.published, source.removed), (8, 8), "{source:?}");
    assert!(source.dropped.is_empty(), "{source:?}");
}

#[test]
fn a_fault_tells_the_guests_last_words_and_its_frames() {
    let slot = "last-words";
    let settings = r#"{ do = "stderr-then-trap", amount = 20_000, every = 2 }"#;
    let limits = "host_calls_batch_max = 200_000";
    let finished = run(Setup::new(config(World::Filter, slot, settings, limits)));
    let fault = finished.slot(slot).last_fault.as_ref().expect("a fault");
    assert!(fault.stderr.ends_with("the last words\n"), "{fault:?}");
    assert_eq!(fault.stderr.len(), 16 << 10);
    assert!(
        fault.backtrace.iter().any(|frame| frame.contains("keep")),
        "{fault:?}"
    );

    let slot = "panics";
    let finished = run(setup(World::Filter, slot, r#"{ do = "panic", every = 2 }"#));
    let fault = finished.slot(slot).last_fault.as_ref().expect("a fault");
    assert!(
        fault.stderr.contains("a guest that panics says so"),
        "{fault:?}"
    );
}

#[test]
fn a_replay_shows_a_guest_the_same_random_numbers_and_clocks() {
    let lines = |slot: &str| {
        let finished = run(setup(
            World::Filter,
            slot,
            r#"{ do = "random-and-clocks" }"#,
        ));
        assert_eq!(finished.slot(slot).faults_total(), 0);
        logs::of_slot(slot)
    };
    let first = lines("replay-one");
    assert_eq!(first.len(), 12, "{first:?}");
    assert_eq!(first, lines("replay-two"));
}

#[test]
fn a_guest_sees_no_environment_no_arguments_and_no_files() {
    let slot = "peeks";
    let finished = run(setup(World::Filter, slot, r#"{ do = "peek", every = 4 }"#));
    assert_eq!(finished.slot(slot).faults_total(), 0);
    let seen = logs::of_slot(slot);
    let expected = [
        "environment 0",
        "arguments 0",
        "path / nothing",
        "path . nothing",
        "path /etc/hostname nothing",
        "stdin 0",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_call_that_hangs_in_the_host_is_given_up_and_its_slot_goes_on() {
    // Only without the check `would-block` can a guest's call hang in the host at all.
    let slot = "hangs";
    let settings = r#"{ do = "sleep", amount = 1, name = "p5" }"#;
    let rig = setup(World::Filter, slot, settings)
        .without(slot, &[Limit::WouldBlock])
        .start()
        .expect("it starts");
    for batch in 0..4 {
        rig.send(rows::processes(batch * 4 + 1, 4));
    }
    let a_day_later = Duration::from_hours(24);
    rig.wait_until("the thread is given up", |rig, events| {
        // The first batch is out: the second one is the guest's.
        if rows::pids(events).len() < 4 {
            return false;
        }
        let handle = &rig.pipeline().slots()[slot];
        handle.watch(Instant::now() + a_day_later);
        handle.statistics().faults_total() > 0
    });
    let finished = rig.finish();
    let counts = finished.slot(slot);
    assert!(
        counts.faults.contains_key(&FaultReason::Stalled),
        "{}",
        story(counts)
    );
    others_as_if_alone(&finished, slot);
}
