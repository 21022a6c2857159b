//! `weir swap`, `weir rollback` and a config with a mistake, asked of the real daemon.

use serde_json::Value;
use weir_tests::daemon::Home;
use weir_tests::hostile_guests;

use super::FILTER;

fn config(more: &str) -> String {
    format!(
        r#"
[sources.process]
kind = "process"
interval = "50ms"
events = false
# Counting costs more than a bare answer, and is not what goes back here.
[swap]
fuel_factor_max = 1_000_000
[slots.by-hand]
grants = ["log", "state"]
module = "{FILTER}"
[slots.other]
module = "{FILTER}"
{more}"#
    )
}

/// A slot as `weir guests` shows it.
fn slot(home: &Home, name: &str) -> Value {
    let shown = home.run(&["guests", "--json"]);
    let reply: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let slots = reply["guests"].as_array().expect("slots");
    let slot = slots.iter().find(|slot| slot["slot"] == name);
    slot.cloned().expect("the slot")
}

/// Runs a verb: its exit code, and what it said.
fn said(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let ran = home.run(arguments);
    let text = [ran.stdout, ran.stderr].concat();
    (
        ran.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn a_guest_is_swapped_by_hand_and_stays_until_the_config_asks_for_another() {
    let home = Home::new();
    let path = home.write("weir.toml", config(""));
    // The same guest with an empty section more: it does the same, and is another.
    let mut bytes = std::fs::read(hostile_guests().join(FILTER)).expect("it is built");
    bytes.extend([0, 2, 1, b'x']);
    let other = home.write("mended.wasm", bytes);
    let (other, path) = (
        other.to_str().expect("a text"),
        path.to_str().expect("a text"),
    );
    let mut daemon = home.start(&["run", "--config", path]);
    daemon.wait_for_start();
    let first = slot(&home, "by-hand")["digest"].clone();
    for (arguments, code, says) in [
        (
            ["swap", "nobody", FILTER],
            1,
            "no slot \"nobody\"; there are by-hand, other",
        ),
        (["swap", "by-hand", "not-there.wasm"], 1, "not-there.wasm"),
        (
            ["swap", "by-hand", "weir_hostile_trigger.wasm"],
            1,
            "and the slot is a filter's",
        ),
        (["swap", "by-hand", other], 0, "slots.by-hand runs "),
    ] {
        let (found, text) = said(&home, &arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
    let swapped = slot(&home, "by-hand");
    assert_ne!(swapped["digest"], first);
    assert_eq!(
        (&swapped["generation"], &swapped["on_probation"]),
        (&2.into(), &true.into())
    );
    // A config that asks for nothing else of this slot leaves it alone.
    home.write("weir.toml", config("settings = { do = \"count\" }\n"));
    daemon.wait_for("the config to be taken", |line| {
        line["type"] == "config" && line["taken"] == true
    });
    assert_eq!(slot(&home, "by-hand")["digest"], swapped["digest"]);
    assert_eq!(slot(&home, "other")["generation"], 2);

    let (code, text) = said(&home, &["rollback", "by-hand"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.starts_with("slots.by-hand runs weir_hostile_filter.wasm"),
        "{text}"
    );
    assert_eq!(slot(&home, "by-hand")["digest"], first);
    let (code, text) = said(&home, &["rollback", "by-hand"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("there is no earlier generation to go back to"),
        "{text}"
    );
    daemon.wait_for("the way back to be told", |line| {
        line["type"] == "swap" && line["notice"]["what"] == "rolled-back"
    });
    daemon.kill();
}

#[test]
fn a_config_with_one_good_and_one_bad_guest_changes_nothing_and_says_so_everywhere() {
    let home = Home::new();
    let path = home.write("weir.toml", config(""));
    let mut daemon = home.start(&["run", "--config", path.to_str().expect("a text")]);
    daemon.wait_for_start();
    let before = (slot(&home, "by-hand"), slot(&home, "other"));
    for (text, says) in [
        ("[slots.by-hand\n".to_owned(), "weir.toml:1:"),
        (
            config("setting = {}\n"),
            "did you mean slots.other.settings?",
        ),
        (
            config("settings = { do = \"count\" }\n").replacen(FILTER, "not-there.wasm", 1),
            "slots.by-hand.module",
        ),
        (
            config("settings = { do = \"init-error\" }\n").replace(
                "[slots.other]",
                "settings = { do = \"count\" }\n[slots.other]",
            ),
            "slots.other.settings",
        ),
        // One that breaks on what the slot has seen.
        (
            config("settings = { do = \"trap\" }\n").replace(
                "[slots.other]",
                "settings = { do = \"count\" }\n[slots.other]",
            ),
            "slots.other: weir_hostile_filter.wasm breaks on a batch",
        ),
    ] {
        home.write("weir.toml", text);
        let refused = daemon.wait_for("the refusal", |line| {
            line["type"] == "config" && line["taken"] == false
        });
        assert!(
            refused["message"]
                .as_str()
                .is_some_and(|text| text.contains(says)),
            "{refused}"
        );
        for (name, before) in [("by-hand", &before.0), ("other", &before.1)] {
            let now = slot(&home, name);
            assert_eq!(
                (&now["digest"], &now["generation"]),
                (&before["digest"], &before["generation"])
            );
        }
        let (_, status) = said(&home, &["status"]);
        assert!(status.contains("config not taken"), "{status}");
    }
    home.write("weir.toml", config("settings = { do = \"count\" }\n"));
    daemon.wait_for("the next good one", |line| {
        line["type"] == "config" && line["taken"] == true
    });
    assert_eq!(slot(&home, "other")["generation"], 2);
    let (_, status) = said(&home, &["status"]);
    assert!(!status.contains("config not taken"), "{status}");
    daemon.kill();
}

#[test]
fn several_guests_change_together_or_not_at_all_and_memory_is_forgotten_only_where_the_slot_says_so()
 {
    let config = |good: &str, keeps: &str, more: &str| {
        format!(
            r#"
[sources.process]
kind = "process"
interval = "50ms"
events = false
# Counting costs more than a bare answer, and is not what goes back here.
[swap]
fuel_factor_max = 1_000_000
[slots.a-good]
module = "{FILTER}"
settings = {{ do = "{good}" }}
[slots.b-keeps]
module = "weir_hostile_memory.wasm"
settings = {{ do = "{keeps}" }}
{more}"#
        )
    };
    let home = Home::new();
    let path = home.write("weir.toml", config("answer", "answer", ""));
    let mut daemon = home.start(&["run", "--config", path.to_str().expect("a text")]);
    daemon.wait_for_start();
    // One of them can't take over, which only the cut shows: the other goes back.
    home.write("weir.toml", config("count", "refuse", ""));
    let refused = daemon.wait_for("the refusal", |line| line["type"] == "config");
    let why = refused["message"].as_str().unwrap_or_default();
    assert!(
        why.contains("slots.b-keeps: weir_hostile_memory.wasm can't take over")
            && why.contains("slots.b-keeps.state = \"reset\" lets it begin without"),
        "{why}"
    );
    let good = slot(&home, "a-good");
    assert_eq!(
        (&good["generation"], &good["rollbacks"]),
        (&1.into(), &1.into())
    );
    // It was never tried: a config that asks for it alone gets it.
    home.write("weir.toml", config("count", "answer", ""));
    daemon.wait_for("the good half", |line| {
        line["type"] == "config" && line["taken"] == true
    });
    assert_eq!(slot(&home, "a-good")["generation"], 3);
    home.write(
        "weir.toml",
        config("count", "refuse", "state = \"reset\"\n"),
    );
    daemon.wait_for("the other half", |line| {
        line["type"] == "config" && line["taken"] == true
    });
    let keeps = slot(&home, "b-keeps");
    assert_eq!(keeps["generation"], 2);
    let why = keeps["last_swap"]["reason"].as_str().unwrap_or_default();
    assert!(
        why.starts_with("it begins without what the one before had in memory"),
        "{why}"
    );
    daemon.kill();
}
