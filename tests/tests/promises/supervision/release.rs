//! The operator ends a quarantine: `weir release`, asked of the real daemon over its socket.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;
use weir_tests::PATIENCE;
use weir_tests::daemon::Home;

const CONFIG: &str = r#"
[sources.process]
kind = "process"
interval = "50ms"
events = false
[supervision]
restart_pause_min = "1ms"
restart_pause_max = "1ms"
quarantine_pause_min = "1h"
[dead_letters]
path = "dead-letters.jsonl"
[slots.to-be-released]
module = "weir_hostile_filter.wasm"
settings = { do = "trap" }
[slots.works]
module = "weir_hostile_filter.wasm"
"#;

/// A slot as `weir guests` shows it.
fn slot(home: &Home, name: &str) -> Option<Value> {
    let shown = home.run(&["guests", "--json"]);
    let reply: Value = serde_json::from_slice(&shown.stdout).ok()?;
    let slots = reply["guests"].as_array()?;
    slots.iter().find(|slot| slot["slot"] == name).cloned()
}

#[test]
fn the_operator_ends_a_quarantine_and_is_told_what_is_none() {
    let home = Home::new();
    let config = home.write("weir.toml", CONFIG);
    let config = config.to_str().expect("a text");
    // Other daemons of the tests share one; what was left in quarantine there would stay in it.
    let state = format!("sandbox.state_folder={}", home.path("state").display());
    let mut daemon = home.start(&["run", "--config", config, "--set", &state]);
    daemon.wait_for_start();
    let until = Instant::now() + PATIENCE;
    let quarantined = loop {
        assert!(Instant::now() < until, "never in quarantine");
        match slot(&home, "to-be-released") {
            Some(slot) if slot["state"] == "quarantined" => break slot,
            _ => {}
        }
    };
    assert_eq!(quarantined["quarantine"]["reason"], "trap");
    let table = home.run(&["guests"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        table.contains("`weir release to-be-released` ends it"),
        "{table}"
    );
    let letters = std::fs::read_to_string(home.path("dead-letters.jsonl")).expect("dead letters");
    assert!(letters.lines().count() > 0);
    for (name, code, says) in [
        (
            "nobody",
            1,
            "no slot \"nobody\"; there are to-be-released, works",
        ),
        ("works", 1, "slot `works` is not in quarantine: it is "),
        (
            "to-be-released",
            0,
            "slot to-be-released is out of quarantine\n",
        ),
    ] {
        let ran = home.run(&["release", name]);
        let said = [ran.stdout, ran.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(ran.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(says), "{name}: {said}");
    }
    daemon.signal(Signal::TERM);
    drop(daemon.wait());
}
