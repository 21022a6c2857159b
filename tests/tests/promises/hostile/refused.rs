//! What is refused before it ever gets an event: modules that are no guests, guests that ask for
//! what there isn't, and guests that break while they are prepared. Each by one line that says why.

use weir::sandbox::World;
use weir_tests::rig::Setup;

use super::check::config;

/// A refusal is a line that a person reads, whatever the guest says.
const LINE_BYTES_MAX: usize = 8 << 10;

fn check(setup: Setup, expected: &[&str]) {
    let refusal = setup.refusal();
    for part in expected {
        assert!(refusal.contains(part), "`{part}` isn't in: {refusal}");
    }
    let is_plain = !refusal.contains(|one: char| one.is_control());
    assert!(is_plain, "a terminal would obey: {refusal:?}");
    assert!(refusal.len() < LINE_BYTES_MAX, "{} bytes", refusal.len());
}

fn guest(world: World, settings: &str, limits: &str) -> Setup {
    Setup::new(config(world, "refused", settings, limits))
}

#[test]
fn a_guest_that_asks_for_what_there_isnt_is_refused() {
    for (world, does, expected) in [
        (World::Filter, "init-error", "this guest wants none"),
        (World::Filter, "wants-nothing", "at least one"),
        (World::Filter, "wants-unknown-column", "shoe_size"),
        (World::Filter, "wants-unknown-kind", "weather"),
        (
            World::Filter,
            "init-error-words",
            "\\u{1b}[2Jcleared\\nforged",
        ),
        (World::Filter, "wants-words", "\\u{1b}[2Jcleared\\nforged"),
        (World::Filter, "no-such-behaviour", "no-such-behaviour"),
        (World::Trigger, "rules-twice", "`seen`"),
    ] {
        let settings = format!("{{ do = \"{does}\", amount = 100_000 }}");
        check(guest(world, &settings, ""), &["slots.refused", expected]);
    }
}

#[test]
fn a_guest_that_breaks_while_it_is_prepared_is_refused_with_the_faults_reason() {
    for (at, during) in [("init", "init"), ("self-test", "self-test")] {
        for (does, limits, reason) in [
            ("trap", "", "trap"),
            ("exit", "", "exit"),
            ("loop", "fuel_call = 10_000_000", "fuel"),
            (
                "loop",
                "cpu_call = \"10ms\"\nfuel_call = 1_000_000_000_000",
                "deadline",
            ),
            ("sleep", "", "would-block"),
            ("stack-overflow", "", "stack"),
            ("take-memory", "memory_bytes_max = \"8MiB\"", "memory"),
        ] {
            for world in [World::Filter, World::Trigger, World::Stage] {
                let settings = format!("{{ do = \"{does}\", at = \"{at}\" }}");
                let expected = format!("fault in {during}: {reason}");
                check(
                    guest(world, &settings, limits),
                    &["slots.refused", &expected],
                );
            }
        }
    }
    let settings = "{ do = \"fatal\", at = \"self-test\" }";
    check(
        guest(World::Filter, settings, ""),
        &["slots.refused", "self-test", "it doesn't work"],
    );
}

#[test]
fn a_component_that_is_no_guest_is_refused_by_what_it_lacks_or_imports() {
    for (module, expected) in [
        ("weir_hostile_plain.wasm", "weir:collector/"),
        ("weir_hostile_sockets.wasm", "wasi:sockets"),
        ("weir_hostile_two_worlds.wasm", "filter"),
    ] {
        check(
            Setup::new(format!("[slots.refused]\nmodule = \"{module}\"")),
            &["slots.refused", module, expected],
        );
    }
}

#[test]
fn a_guest_without_the_grant_for_what_it_imports_is_refused() {
    for (module, grants, expected) in [
        (
            "weir_hostile_trigger.wasm",
            "[\"log\"]",
            "weir:collector/state",
        ),
        (
            "weir_hostile_trigger.wasm",
            "[\"state\"]",
            "weir:collector/log",
        ),
        (
            "weir_hostile_stage.wasm",
            "[\"log\", \"inspect\"]",
            "weir:collector/metrics",
        ),
        (
            "weir_hostile_stage.wasm",
            "[\"log\", \"metrics\"]",
            "weir:collector/inspect",
        ),
    ] {
        let config = format!("[slots.refused]\nmodule = \"{module}\"\ngrants = {grants}");
        check(Setup::new(config), &["slots.refused", expected, "grants"]);
    }
}
