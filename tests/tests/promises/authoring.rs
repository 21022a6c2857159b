//! `weir guest`: projects that stand alone, trials that show every difference, and errors of one
//! line.

use std::fs;
use std::path::Path;

use serde_json::Value;
use weir_bus::batch::RecordingWriter;
use weir_bus::event::ProcessEvent;
use weir_bus::{Batch, CollectionEvent, Kind, Timestamp};
use weir_tests::author::{Author, Done};
use weir_tests::build::hostile_module;
use weir_tests::repository;

/// Two events that a condition about folders tells apart.
const EVENTS: &str = r#"{"kind":"process","pid":7,"start_time":1,"name":"good","executable":"/usr/bin/good","accessible":true,"lifecycle":"started"}
{"kind":"process","pid":8,"start_time":1,"name":"bad","executable":"/tmp/bad","accessible":true,"lifecycle":"started"}
"#;

/// One line on stderr that says these, and exit code 2.
fn refused(done: &Done, parts: &[&str]) {
    done.ended(2);
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{}", done.stderr);
    for part in parts {
        assert!(
            done.stderr.contains(part),
            "{part:?} is not in {}",
            done.stderr
        );
    }
}

fn json(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {}", done.stdout))
}

fn texts_under(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            texts_under(&path, texts);
        } else {
            texts.push(fs::read_to_string(&path).expect("a text"));
        }
    }
}

fn check_world(author: &Author, world: &str) {
    let name = format!("promised-{world}");
    let made = author.weir(["guest", "new", &name, "--world", world]);
    assert!(made.ended(0).contains(&format!("is a new {world}")));
    let mut texts = Vec::new();
    texts_under(&author.folder().join(&name), &mut texts);
    let repository = repository::root().to_str().expect("a path");
    assert!(
        texts
            .iter()
            .all(|text| !text.contains(repository) && !text.contains("{{"))
    );

    let built = author.weir(["guest", "build", &name]);
    assert!(
        built.ended(0).contains(&format!("world      {world}\n")),
        "{}",
        built.stdout
    );
    assert!(!built.stderr.contains("warning"), "{}", built.stderr);
    let tested = author.weir(["guest", "test", &name]);
    assert!(
        tested.ended(0).contains("as expected: "),
        "{}",
        tested.stdout
    );
    // The lock file that was written is the one that cargo wants.
    let mut cargo = author.command("cargo");
    cargo
        .current_dir(author.folder().join(&name))
        .env(
            "CARGO_TARGET_DIR",
            weir_tests::build::target_folder().join("authoring"),
        )
        .args(["test", "--quiet", "--locked", "--target", "host-tuple"]);
    let logic: Done = cargo.output().expect("cargo").into();
    assert!(logic.ended(0).contains("1 passed"), "{}", logic.stdout);
}

#[test]
fn a_new_project_of_each_world_stands_alone_and_its_own_tests_pass() {
    let author = Author::new();
    for world in ["filter", "trigger", "stage"] {
        check_world(&author, world);
    }
}

#[test]
fn a_bad_name_and_a_folder_that_is_there_are_refused_and_nothing_is_written() {
    let author = Author::new();
    author.write("there/file", "kept");
    let new = |name: &str, path: &str| {
        author.weir(["guest", "new", name, "--world", "stage", "--path", path])
    };
    refused(
        &new("there", "there"),
        &["there is there already", "--path"],
    );
    for name in ["Upper", "a b", "../up", "fn", "serde", "1st"] {
        let done = new(name, "never");
        assert_eq!(done.code, Some(2), "{name}: {}", done.stderr);
        assert!(
            done.stderr.contains("is no name for a guest"),
            "{}",
            done.stderr
        );
    }
    assert!(!author.folder().join("never").exists());
    assert_eq!(
        fs::read_to_string(author.folder().join("there/file")).expect("kept"),
        "kept"
    );
    let world = author.weir(["guest", "new", "good", "--world", "sink"]);
    assert_eq!(world.code, Some(2));
}

/// Settings of the built-in trigger with one condition: the executable lies below that folder.
fn below(folder: &str) -> String {
    let condition = format!("executable LIKE '{folder}/%'");
    let settings = serde_json::json!({
        "conditions": [{ "name": "below", "kind": "process", "condition": condition }],
    });
    settings.to_string()
}

#[test]
fn only_blessing_writes_what_is_expected_and_every_difference_is_shown_by_its_event() {
    let author = Author::new();
    author.write("events.jsonl", EVENTS);
    author.write("temporary.json", below("/tmp"));
    let test = |more: &[&str]| {
        let all = [
            "guest",
            "test",
            "builtin:sql-trigger",
            "--events",
            "events.jsonl",
            "--settings",
            "temporary.json",
        ];
        author.weir(all.iter().chain(more))
    };
    let expected = author.folder().join("expected.json");

    let shown = test(&[]);
    let told = shown.ended(0);
    assert!(
        told.contains("     1  no match   process started good[7] /usr/bin/good\n"),
        "{told}"
    );
    assert!(
        told.contains("     2  match      process started bad[8] /tmp/bad\n"),
        "{told}"
    );
    assert!(told.contains(" fuel a row, "), "{told}");

    let missing = test(&["--expected", "expected.json"]);
    missing.ended(1);
    assert!(
        missing.stderr.contains("expected.json isn't there"),
        "{}",
        missing.stderr
    );
    assert!(missing.stdout.contains("2  match"), "{}", missing.stdout);
    assert!(!expected.exists());

    test(&["--expected", "expected.json", "--bless"]).ended(0);
    let blessed = fs::read_to_string(&expected).expect("what was blessed");
    assert!(
        test(&["--expected", "expected.json"])
            .ended(0)
            .contains("as expected")
    );

    author.write("events.jsonl", EVENTS.replace("/tmp/bad", "/opt/bad"));
    let different = test(&["--expected", "expected.json"]);
    let told = different.ended(1);
    assert!(told.contains("     2  no match "), "{told}");
    assert!(told.contains("≠ expected match\n"), "{told}");
    assert!(told.contains("not as expected: 1 event "), "{told}");
    let report = json(&test(&["--expected", "expected.json", "--json"]));
    assert_eq!(report["comparison"]["as_expected"], false);
    assert_eq!(report["comparison"]["differences"][0]["event"], 2);
    assert_eq!(report["events"][1]["verdict"], "no-match");
    assert_eq!(
        fs::read_to_string(&expected).expect("what was blessed"),
        blessed
    );
}

#[test]
fn a_trial_has_the_settings_grants_and_limits_of_the_slot_that_it_is_given() {
    let author = Author::new();
    author.write("events.jsonl", EVENTS);
    author.write(
        "settings.toml",
        "[[conditions]]\nname = \"r\"\nkind = \"process\"\ncondition = \"executable LIKE '/usr/bin/%'\"\n",
    );
    author.write(
        "weir.toml",
        "[slots.w]\nmodule = \"builtin:sql-trigger\"\n[[slots.w.settings.conditions]]\nname = \"r\"\n\
         kind = \"process\"\ncondition = \"executable LIKE '/usr/%'\"\n\
         [slots.poor]\nmodule = \"builtin:sql-trigger\"\nlimits = { fuel_call = 1, fuel_row = 0 }\n",
    );
    let verdicts = |more: &[&str]| {
        let all = [
            "guest",
            "test",
            "builtin:sql-trigger",
            "--events",
            "events.jsonl",
            "--json",
            "--config",
            "weir.toml",
        ];
        let report = json(&author.weir(all.iter().chain(more)));
        [0, 1].map(|event| {
            report["events"][event]["verdict"]
                .as_str()
                .map(str::to_owned)
        })
    };
    let told = |first: &str, second: &str| [Some(first.to_owned()), Some(second.to_owned())];
    assert_eq!(verdicts(&[]), told("no-match", "no-match"));
    assert_eq!(
        verdicts(&["--settings", "settings.toml"]),
        told("match", "no-match")
    );
    assert_eq!(verdicts(&["--slot", "w"]), told("match", "no-match"));
    let poor = author.weir([
        "guest",
        "test",
        "builtin:sql-trigger",
        "--events",
        "events.jsonl",
        "--config",
        "weir.toml",
        "--slot",
        "poor",
    ]);
    poor.ended(1);
    assert!(poor.stderr.contains("fuel"), "{}", poor.stderr);
}

#[test]
fn a_fault_is_told_with_its_reason_frames_and_last_words_and_the_next_batch_has_its_verdict() {
    let author = Author::new();
    let module = hostile_module("filter");
    author.write("events.jsonl", EVENTS);
    author.write("settings.json", r#"{"do": "panic", "name": "bad"}"#);
    let test = |more: &[&str]| {
        let all = [
            "guest",
            "test",
            module.to_str().expect("a path"),
            "--events",
            "events.jsonl",
        ];
        let settings = ["--settings", "settings.json", "--batch-rows", "1"];
        author.weir(all.iter().chain(&settings).chain(more))
    };
    let done = test(&["--expected", "expected.json", "--bless"]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(
        !author.folder().join("expected.json").exists(),
        "a fault was blessed"
    );
    let told = test(&[]);
    let told = told.ended(1);
    assert!(told.contains("     1  kept "), "{told}");
    assert!(told.contains("     2  fault "), "{told}");
    assert!(told.contains("fault over event 2: trap: "), "{told}");
    assert!(told.contains("    at "), "{told}");
    assert!(told.contains("    stderr: "), "{told}");
}

#[test]
fn recordings_and_the_lines_of_a_json_sink_are_events_too() {
    let author = Author::new();
    let row = |pid: u32, executable: &str| {
        CollectionEvent::from(ProcessEvent {
            timestamp: Timestamp(1),
            pid,
            start_time: Timestamp(1),
            executable: Some(executable.to_owned()),
            accessible: true,
            lifecycle: "started".to_owned(),
            ..ProcessEvent::default()
        })
    };
    let topic = weir_bus::topic::of_event(Kind::Process, "started");
    let rows = [row(1, "/usr/bin/a"), row(2, "/tmp/b")];
    let batch = Batch::of_events(topic, "recorded", 0, &rows).expect("a batch");
    let path = author.folder().join("events.arrow");
    let mut writer = RecordingWriter::create(&path, Kind::Process).expect("a recording");
    writer.write(&batch).expect("a batch");
    writer.finish().expect("a recording");
    let lines: String = rows
        .iter()
        .map(|row| {
            let event = serde_json::to_value(row).expect("JSON");
            let topic = "events.process.started";
            let line = serde_json::json!({
                "type": "event", "topic": topic, "source": "s", "sequence": 0, "event": event,
            });
            format!("{line}\n{{\"type\":\"gap\",\"missed\":1}}\n")
        })
        .collect();
    author.write("lines.jsonl", lines);
    author.write("temporary.json", below("/tmp"));
    for events in ["events.arrow", "lines.jsonl"] {
        let report = json(&author.weir([
            "guest",
            "test",
            "builtin:sql-trigger",
            "--events",
            events,
            "--settings",
            "temporary.json",
            "--json",
        ]));
        let verdicts: Vec<_> = report["events"]
            .as_array()
            .expect("a list")
            .iter()
            .collect();
        assert_eq!(verdicts.len(), 2, "{events}");
        assert_eq!(verdicts[0]["verdict"], "no-match", "{events}");
        assert_eq!(verdicts[1]["verdict"], "match", "{events}");
    }
}

#[test]
fn inspect_says_what_a_guest_imports_exports_and_wants() {
    let author = Author::new();
    let told = json(&author.weir(["guest", "inspect", "builtin:lineage", "--json"]));
    assert_eq!(told["world"], "stage");
    assert_eq!(told["name"], "weir-builtin-lineage");
    assert_eq!(told["wants"]["kinds"][0]["kind"], "process");
    assert_eq!(told["grants"], serde_json::json!(["inspect"]));
    assert_eq!(told["sha256"].as_str().map(str::len), Some(64));
    let pretty = author.weir(["guest", "inspect", "builtin:sql-trigger"]);
    assert!(
        pretty.ended(0).contains("trigger, with snapshots"),
        "{}",
        pretty.stdout
    );
}

#[test]
fn a_component_that_is_no_guest_is_shown_and_refused_by_what_it_lacks() {
    let author = Author::new();
    let inspect = |path: &Path| author.weir([Path::new("guest"), Path::new("inspect"), path]);
    let sockets = inspect(&hostile_module("sockets"));
    refused(&sockets, &["wasi:sockets/", "no network"]);
    assert!(sockets.stdout.contains("imports "), "{}", sockets.stdout);
    assert!(
        sockets.stdout.contains("wasi:sockets/"),
        "{}",
        sockets.stdout
    );
    refused(&inspect(&hostile_module("plain")), &["exports none of"]);
    let text = author.write("text.wasm", "no component");
    refused(
        &inspect(&text),
        &["text.wasm is no component: it is a text"],
    );
    refused(&inspect(Path::new("gone.wasm")), &["can't read gone.wasm"]);
    refused(
        &inspect(Path::new("builtin:gone")),
        &["no built-in guest", "sql-trigger"],
    );
}

#[test]
fn what_can_not_be_tried_is_refused_in_one_line_that_says_what_would_be_right() {
    let author = Author::new();
    author.write("good.jsonl", EVENTS);
    author.write(
        "bad.jsonl",
        format!("{EVENTS}{{\"kind\":\"process\",\"pidd\":7}}\n"),
    );
    author.write("empty.jsonl", "\n");
    author.write("list.json", "[]");
    author.write("wrong.json", r#"{"condition": []}"#);
    author.write("garbled.json", "{");
    author.write("no-events.arrow", "text");
    let check = |arguments: &[&str], parts: &[&str]| {
        let all = ["guest", "test", "builtin:sql-trigger"];
        refused(&author.weir(all.iter().chain(arguments)), parts);
    };
    check(&[], &["--events FILE"]);
    check(&["--events", "gone.jsonl"], &["gone.jsonl"]);
    check(&["--events", "bad.jsonl"], &["bad.jsonl:3:", "pidd"]);
    check(&["--events", "empty.jsonl"], &["there is none", "kind"]);
    check(&["--events", "no-events.arrow"], &["no-events.arrow"]);
    check(&["--events", "good.jsonl", "--bless"], &["--expected FILE"]);
    let with = |flag, file| ["--events", "good.jsonl", flag, file];
    check(&with("--settings", "gone.json"), &["gone.json"]);
    check(
        &with("--settings", "list.json"),
        &["list.json", "not an object"],
    );
    check(&with("--settings", "wrong.json"), &["condition"]);
    check(
        &with("--expected", "garbled.json"),
        &["garbled.json", "--bless"],
    );
    check(&with("--slot", "gone"), &["--slot gone", "no such slot"]);
    refused(
        &author.weir(["guest", "build", "."]),
        &["Cargo.toml", "weir guest new"],
    );
}
