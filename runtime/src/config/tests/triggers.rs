//! `[[trigger]]`, `[[exception]]` and what becomes of them.

use super::faults::check;
use super::*;
use crate::trigger::CONDITIONS_SLOT;

fn config(text: &str) -> Config {
    load_text(text).expect("a config").config
}

const TWO: &str = r#"
[[trigger]]
name = "second"
condition = "pid > 1"

[[trigger]]
name = "first"
kind = "network"
condition = "destination_port = 4444"
priority = "high"
message = "to {destination_address}"
threshold = { count = 3, window = "10s", by = ["pid"] }
"#;

#[test]
fn triggers_become_the_settings_of_the_slot_that_evaluates_them() {
    let config = config(TWO);
    let slot = config.slots.get(CONDITIONS_SLOT).expect("the slot");
    assert_eq!(slot.module.to_string(), "builtin:sql-trigger");
    let expected = serde_json::json!({ "conditions": [
        {
            "name": "first", "kind": "network", "condition": "destination_port = 4444",
            "priority": "high", "target": "", "message": "to {destination_address}",
            "threshold": { "count": 3, "window_ms": 10_000, "by": ["pid"] },
        },
        {
            "name": "second", "kind": "process", "condition": "pid > 1",
            "priority": "normal", "target": "",
        },
    ]});
    assert_eq!(slot.settings, expected);
}

#[test]
fn without_triggers_there_is_no_slot_and_with_all_switched_off_there_is_one() {
    assert!(!config("").slots.contains_key(CONDITIONS_SLOT));
    let off = config("[trigger.t]\ncondition = \"true\"\nenabled = false\n");
    let slot = off.slots.get(CONDITIONS_SLOT).expect("the slot");
    assert_eq!(slot.settings, serde_json::json!({ "conditions": [] }));
}

#[test]
fn the_slot_of_the_conditions_may_have_limits_of_its_own() {
    let config = config(
        "[slots.conditions.limits]\nmemory_bytes_max = \"32MiB\"\n[trigger.t]\ncondition = \"true\"\n",
    );
    let slot = config.slots.get(CONDITIONS_SLOT).expect("the slot");
    assert_eq!(slot.limits.memory_bytes_max, 32 << 20);
    assert_eq!(slot.module.to_string(), "builtin:sql-trigger");
}

#[test]
fn triggers_and_exceptions_can_change_in_a_running_daemon() {
    let new = format!(
        "{TWO}[[exception]]\ntrigger = \"first\"\ncolumn = \"pid\"\nvalue = \"7\"\n[admission]\nrate_max = 5\n"
    );
    let (old, new) = (config(TWO), config(&new));
    assert_ne!(old, new);
    assert_eq!(old.changes_needing_restart(&new), Vec::<String>::new());
}

#[test]
fn exceptions_need_no_name_and_the_same_one_twice_is_told() {
    let one = "[[exception]]\ntrigger = \"first\"\ncolumn = \"pid\"\nvalue = \"7\"\n";
    let other = one.replace('7', "8");
    let config = config(&format!("{TWO}{one}{other}"));
    let mut values: Vec<&str> = config
        .exception
        .values()
        .map(|exception| exception.value.as_str())
        .collect();
    values.sort_unstable();
    assert_eq!(values, ["7", "8"]);
    let error = one_error(load_text(&format!("{TWO}{one}{one}")));
    assert!(error.contains("there is another of this name"), "{error}");
}

#[test]
fn an_analysis_that_nobody_offers_is_told() {
    let config = |target: &str| {
        format!(
            "[sources.hash]\nkind = \"binary-hash\"\n[slots.a]\nmodule = \"a\"\n[chain.c.stages.a]\n[trigger.t]\ncondition = \"true\"\ntarget = \"{target}\"\nanalysis = \"md5\"\n"
        )
    };
    check(
        &config("hash"),
        &[
            "embedded default:9:12: trigger.t.analysis = \"md5\": the target offers \"binary-hash\", and no other analysis",
        ],
    );
    check(
        &config("c"),
        &[
            "embedded default:9:12: trigger.t.analysis = \"md5\": only a source offers analyses; take it out, or name a source as target",
        ],
    );
    assert!(load_text(&config("hash").replace("md5", "binary-hash")).is_ok());
}

#[test]
fn what_triggers_and_exceptions_name_must_be_there() {
    check(
        r#"
[trigger.t]
condition = "true"
dedup_by = ["executabel", "colour"]
target = "chane"
[trigger.t.threshold]
by = ["pidd"]
[chain.chain.stages.a]
slot = "a"
[slots.a]
module = "a.wasm"
[exception.e]
trigger = "tt"
column = "pid"
value = "1"
[exception.f]
trigger = "t"
column = "nam"
value = "x"
"#,
        &[
            "embedded default:4:12: trigger.t.dedup_by = \"executabel\": no column of process events; did you mean \"executable\"?",
            "embedded default:4:12: trigger.t.dedup_by = \"colour\": no column of process events; there are timestamp, source, sequence, pid, start_time, ppid, parent_start_time, parent_name, parent_executable, name, executable, executable_deleted, command_line, cpu_usage, memory_bytes, user_id, cgroup, container_id, executable_hash, hash_algorithm, hash_baseline, accessible, file_exists, lifecycle, exit_code, lifetime_ns, state, lossy_text",
            "embedded default:7:6: trigger.t.threshold.by = \"pidd\": no column of process events; did you mean \"pid\"?",
            "embedded default:5:10: trigger.t.target = \"chane\": no chain and no source that answers requests; there are chain",
            "embedded default:13:11: exception.e.trigger = \"tt\": there is no trigger of this name, did you mean \"t\"?",
            "embedded default:18:10: exception.f.column = \"nam\": no column of process events; did you mean \"name\"?",
        ],
    );
}
