//! What one guest can learn of another, and what it can do to its output: nothing, and nothing, in whatever
//! order the attacks come.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use weir::config::LoadRequest;
use weir::sandbox::{FaultReason, World};
use weir_bus::CollectionEvent;
use weir_tests::rig::{Finished, Setup};
use weir_tests::{logs, rows};

use super::check::{config, others_as_if_alone, run};

#[test]
fn a_trigger_sees_nothing_of_another_ones_state() {
    let slot = "peeks-at-state";
    let neighbour = "[slots.keeps-a-count]\nmodule = \"weir_hostile_trigger.wasm\"\ngrants = [\"log\", \"state\"]\nsettings = { do = \"count-in-state\" }\n";
    let text = config(World::Trigger, slot, r#"{ do = "state-peek" }"#, "");
    let finished = run(Setup::new(text + neighbour));
    let (kept, _) = finished
        .guests
        .state_size("keeps-a-count")
        .expect("a state");
    assert_eq!(kept, 1);
    assert_eq!(logs::of_slot(slot), ["keys 0 count false"; 4]);
    others_as_if_alone(&finished, slot);
}

#[test]
fn a_guest_finds_nothing_in_its_memory_of_the_one_that_broke_before_it() {
    // The same instance finds what it left itself: it does look.
    let slot = "finds-its-own";
    let finished = run(Setup::new(config(
        World::Filter,
        slot,
        r#"{ do = "secret" }"#,
        "",
    )));
    let expected = ["secrets 0", "secrets 1", "secrets 2", "secrets 3"];
    assert_eq!(logs::of_slot(slot), expected);
    others_as_if_alone(&finished, slot);

    let slot = "finds-none";
    let settings = r#"{ do = "secret-then-trap", name = "p6" }"#;
    let finished = run(Setup::new(config(World::Filter, slot, settings, "")));
    assert_eq!(finished.slot(slot).faults, [(FaultReason::Trap, 4)].into());
    assert_eq!(logs::of_slot(slot), ["secrets 0"; 4]);
    others_as_if_alone(&finished, slot);
}

/// Where the attacker is.
const ATTACKED: [(World, &str); 3] = [
    (World::Filter, "attacks-as-filter"),
    (World::Trigger, "attacks-as-trigger"),
    (World::Stage, "attacks-as-stage"),
];
/// What it does there: each costs milliseconds, and none of them removes a row that is none of its own.
const ATTACKS: [&str; 14] = [
    "answer",
    "trap",
    "panic",
    "exit",
    "loop",
    "burn-fuel",
    "stack-overflow",
    "take-memory",
    "sleep",
    "flood-log",
    "flood-stderr",
    "many-handles",
    "fatal",
    "secret-then-trap",
];
/// How many are done one after the other.
const ATTACKS_MAX: u32 = 6;
/// Sequences of them.
const SEQUENCES: u32 = 8;
/// Rows that are sent between two attacks.
const ROWS: u32 = 4;

/// Slots for an attacker in each world, all of them good until they are switched.
fn all_worlds() -> String {
    let mut text = config(World::Filter, ATTACKED[0].1, r#"{ do = "answer" }"#, LIMITS);
    for (world, slot) in &ATTACKED[1..] {
        let whole = config(*world, slot, r#"{ do = "answer" }"#, LIMITS);
        let begins = whole.find(&format!("[slots.{slot}]")).expect("its table");
        text += &whole[begins..];
    }
    text
}

/// Room for a guest, and little more.
const LIMITS: &str =
    "memory_bytes_max = \"8MiB\"\nfuel_call = 5_000_000\nhandles_max = 64\nlog_burst = 5";

/// Settings of an attack.
fn attack(does: &str, every: u64) -> String {
    format!("{{ do = \"{does}\", amount = 2000, every = {every} }}")
}

/// What the good guests say of these batches, byte for byte but for ids and the time of day.
fn good_output(finished: &Finished) -> String {
    let is_good = |name: &str| name.starts_with("good-");
    let told = finished.events.iter().filter_map(|event| match event {
        CollectionEvent::Process(process) => Some(format!("{process:?}")),
        CollectionEvent::Trigger(one) if is_good(&one.trigger) => Some(format!(
            "{} {} {:?} {:?} {:?} {}",
            one.trigger, one.rule, one.target_pid, one.target_start_time, one.metadata, one.depth
        )),
        CollectionEvent::Finding(one) if is_good(&one.guest) => Some(format!(
            "{} {} {} {} {:?}",
            one.guest, one.severity, one.title, one.subject, one.evidence
        )),
        _ => None,
    });
    // Of each kind in its order; the kinds come on three ways.
    let mut told: Vec<String> = told.collect();
    told.sort_by_key(|line| line.split(' ').next().map(str::to_owned));
    told.join("\n")
}

/// Sends a batch after each attack, and all is drained.
fn attacked(sequence: &[(usize, usize, u64)]) -> Finished {
    let rig = Setup::new(all_worlds()).start();
    let rig = rig.unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    for step in 0..ATTACKS_MAX {
        if let Some((place, does, every)) = sequence.get(step as usize) {
            let (world, slot) = ATTACKED[*place];
            let text = config(world, slot, &attack(ATTACKS[*does], *every), LIMITS);
            let request = LoadRequest {
                embedded_default: &text,
                ..LoadRequest::default()
            };
            let loaded = weir::config::load(&request).expect("a config").config;
            rig.switch(slot, &loaded.slots[slot]);
        }
        rig.send_through(rows::processes(step * ROWS + 1, ROWS));
    }
    rig.finish()
}

/// What the good guests say with nobody beside them who attacks.
fn alone() -> &'static str {
    static ALONE: OnceLock<String> = OnceLock::new();
    ALONE.get_or_init(|| good_output(&attacked(&[])))
}

#[test]
fn whatever_attacks_come_in_whatever_order_good_guests_say_the_same_to_the_byte() {
    let sequence = prop::collection::vec(
        (0..3_usize, 0..ATTACKS.len(), 1..3_u64),
        1..=ATTACKS_MAX as usize,
    );
    let mut runner = TestRunner::new(Config {
        cases: SEQUENCES,
        // A sequence that fails is told; there is no file to keep it in.
        failure_persistence: None,
        max_shrink_iters: 16,
        ..Config::default()
    });
    let lines = alone().lines().count();
    assert_eq!(lines, (3 * ROWS * ATTACKS_MAX) as usize);
    let held = runner.run(&sequence, |sequence| {
        let finished = attacked(&sequence);
        prop_assert_eq!(good_output(&finished), alone());
        for slot in ["good-filter", "good-trigger", "good-stage"] {
            prop_assert_eq!(finished.slot(slot).faults_total(), 0);
        }
        Ok(())
    });
    held.unwrap_or_else(|why| panic!("{why}"));
}
