//! The daemon as its users have it: the real binary on the real machine.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use weir_tests::daemon::{Ended, Home};
use weir_tests::{PATIENCE, hostile_guests};

/// From a process's start to the finding about it.
const FINDING_WITHIN: Duration = Duration::from_secs(2);

/// A config with a source that looks often, a filter that keeps all, and all events on stdout.
fn config(filter: &str) -> String {
    format!(
        r#"
[sources.process]
kind = "process"
interval = "50ms"
events = false
[slots.keeps]
module = "weir_hostile_filter.wasm"
settings = {{ do = "{filter}" }}
[sinks.all]
kind = "json"
patterns = ["events.>"]
"#
    )
}

/// Both laws, from the numbers in the closing summary alone.
fn assert_balanced(ended: &Ended) {
    let number = |value: &Value| {
        value
            .as_u64()
            .unwrap_or_else(|| panic!("no number: {value}"))
    };
    let dropped = |dropped: &Value| -> u64 {
        let reasons = dropped.as_object().expect("drops by reason");
        reasons.values().map(|count| number(&count["rows"])).sum()
    };
    let summary = ended.summary();
    assert_eq!(summary["balanced"], true, "{summary:#}");
    for source in summary["sources"].as_array().expect("sources") {
        let settled = number(&source["published"])
            + number(&source["removed"])
            + dropped(&source["dropped"])
            + number(&source["in_flight"]);
        assert_eq!(number(&source["produced"]), settled, "{source:#}");
    }
    let slots = summary["slots"].as_array().expect("slots").iter();
    let subscribers = summary["subscribers"]
        .as_array()
        .expect("subscribers")
        .iter();
    let queues = slots.map(|slot| &slot["queue"]);
    for counts in queues.chain(subscribers.map(|one| &one["counts"])) {
        let settled = number(&counts["delivered"]["rows"])
            + dropped(&counts["dropped"])
            + number(&counts["queued"]["rows"]);
        assert_eq!(number(&counts["matched"]["rows"]), settled, "{counts:#}");
    }
}

/// A program that does nothing for long, by a name of a test's own, run from `/tmp`.
struct Sleeper {
    child: Child,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Sleeper {
    fn start() -> Self {
        let path = std::env::var_os("PATH").expect("there are programs");
        let sleep = std::env::split_paths(&path)
            .map(|folder| folder.join("sleep"))
            .find(|program| program.is_file())
            .expect("there is a `sleep`");
        let folder = tempfile::tempdir_in("/tmp").expect("a folder in /tmp");
        let path = folder.path().join("sleep");
        std::fs::copy(sleep, &path).expect("a copy");
        let child = Command::new(&path).arg("600").stdin(Stdio::null()).spawn();
        Self {
            child: child.expect("it starts"),
            path,
            _folder: folder,
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // Of one that has ended neither is an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_program_started_from_tmp_is_found_with_its_parents_within_two_seconds() {
    let home = Home::new();
    let mut daemon = home.start(&["run"]);
    daemon.wait_for_start();
    let sleeper = Sleeper::start();
    let started = Instant::now();
    let (pid, path) = (
        sleeper.child.id(),
        sleeper.path.to_string_lossy().into_owned(),
    );
    let finding = daemon.wait_for("the finding", |line| {
        line["event"]["kind"] == "finding" && line.to_string().contains(&path)
    });
    let took = started.elapsed();
    assert!(took < FINDING_WITHIN, "it took {took:?}");
    let text = finding.to_string();
    assert!(text.contains("sleep"), "{finding:#}");
    assert!(text.contains(&pid.to_string()), "{finding:#}");
    // Its parent is this test, and the last one is init.
    let evidence = finding["event"]["evidence"].as_array().expect("evidence");
    let parents = evidence
        .iter()
        .filter_map(Value::as_str)
        .find(|text| text.contains(&format!("[{}]", std::process::id())));
    let parents = parents.unwrap_or_else(|| panic!("no parents: {finding:#}"));
    assert!(parents.contains("[1]"), "not up to init: {parents}");
    daemon.signal(Signal::TERM);
    let ended = daemon.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_balanced(&ended);
}

#[test]
fn a_run_of_the_default_prints_json_only_and_its_counts_balance() {
    let home = Home::new();
    let daemon = home.start(&["run", "--for", "3s"]);
    // A line that is no JSON fails here.
    let ended = daemon.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let start = ended.of_type("start").next().expect("a first line");
    assert_eq!(
        start["slots"].as_array().map(Vec::len),
        Some(3),
        "{start:#}"
    );
    assert_balanced(&ended);
    let summary = ended.summary();
    for name in ["inventory", "performance", "process"] {
        let sources = summary["sources"].as_array().into_iter().flatten();
        let mut sources = sources.filter(|source| source["name"] == name);
        let source = sources.next().expect("it is in the default");
        // More than two processes, measurements and facts.
        assert!(source["produced"].as_u64() > Some(2), "{source:#}");
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[test]
fn a_signal_drains_in_order_and_every_row_comes_out() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let config = home.write("weir.toml", config("answer"));
        let mut daemon = home.start(&["run", "--config", &config.to_string_lossy()]);
        daemon.wait_for("a row", |line| line["type"] == "event");
        daemon.signal(signal);
        let ended = daemon.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_balanced(&ended);
        let produced = ended.summary()["sources"][0]["produced"].as_u64();
        assert_eq!(produced, Some(ended.of_type("event").count() as u64));
        let last = ended.lines.last().expect("lines");
        assert_eq!(last["type"], "summary", "something came after the summary");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let home = Home::new();
    // A minute of CPU time is within its limits: a drain would take as long.
    let endless = config("loop").replace(
        "[sinks.all]",
        "limits = { fuel_call = 1_000_000_000_000, cpu_call = \"60s\" }\n[sinks.all]",
    );
    let config = home.write(
        "weir.toml",
        format!("[collector]\nshutdown_timeout = \"5m\"\n{endless}"),
    );
    let mut daemon = home.start(&["run", "--config", &config.to_string_lossy()]);
    daemon.wait_for_start();
    // Two different ones: two of the same may be delivered as one.
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::INT);
    let started = Instant::now();
    let ended = daemon.wait();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(started.elapsed() < Duration::from_secs(20));
}

/// Whether a process has a child that compiles.
fn compiles(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let children = tasks.flatten().flat_map(|task| {
        let children = std::fs::read_to_string(task.path().join("children"));
        let children = children.unwrap_or_default();
        children
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let mut names = children.map(|child| std::fs::read_to_string(format!("/proc/{child}/comm")));
    names.any(|name| name.is_ok_and(|name| name.trim() == "weir-compile"))
}

#[test]
fn a_signal_while_guests_are_compiled_ends_at_once() {
    let home = Home::new();
    let mut command = home.command(&["run"]);
    command
        // Nothing is there of what was compiled before.
        .env("WEIR_SANDBOX__CACHE_FOLDER", home.path("new-cache"))
        .env("WEIR_SANDBOX__STATE_FOLDER", home.path("new-state"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut daemon = command.spawn().expect("the daemon can be started");
    let until = Instant::now() + PATIENCE;
    while !compiles(daemon.id()) {
        assert!(Instant::now() < until, "it never compiles");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, Signal::TERM).expect("it is there");
    assert_eq!(daemon.wait().expect("it ends").code(), Some(130));
}

/// Runs a verb that must fail with one line, and nothing started.
fn check_refused(home: &Home, arguments: &[&str], expected: &[&str]) {
    let output = home.run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(
        stderr.trim_end().lines().count(),
        1,
        "more than a line: {stderr}"
    );
    for part in expected {
        assert!(stderr.contains(part), "`{part}` isn't in: {stderr}");
    }
    assert!(
        output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn a_bad_config_is_one_line_that_names_the_key_and_what_would_be_right() {
    let hostile = |name: &str| {
        let path = hostile_guests().join(name);
        format!("[slots.bad]\nmodule = {:?}", path.to_string_lossy())
    };
    let home = Home::new();
    home.write("text.wasm", "this is no component");
    home.write("core.wasm", b"\0asm\x01\0\0\0");
    home.write("empty.wasm", "");
    let own = |name: &str| {
        format!(
            "[slots.bad]\nmodule = {:?}",
            home.path(name).to_string_lossy()
        )
    };
    let cases: [(String, &[&str]); 13] = [
        (
            "[collector]\nbatch_rows_mx = 5".to_owned(),
            &["collector.batch_rows_mx", "batch_rows_max"],
        ),
        (
            "[collecter]\nbatch_rows_max = 5".to_owned(),
            &["collecter", "collector"],
        ),
        (
            "[collector]\nbatch_rows_max = \"many\"".to_owned(),
            &["collector.batch_rows_max", "many", "expected"],
        ),
        (
            "[collector]\nbatch_rows_max = 0".to_owned(),
            &["collector.batch_rows_max", "1"],
        ),
        (
            "[collector]\nbatch_timeout = \"soon\"".to_owned(),
            &["collector.batch_timeout", "soon"],
        ),
        ("[collector".to_owned(), &["weir.toml", "TOML"]),
        (own("missing.wasm"), &["slots.bad", "missing.wasm"]),
        (
            own("text.wasm"),
            &["slots.bad", "text.wasm", "it is a text"],
        ),
        (
            own("core.wasm"),
            &["slots.bad", "core module", "wasm32-wasip2"],
        ),
        (own("empty.wasm"), &["slots.bad", "empty"]),
        (
            hostile("weir_hostile_plain.wasm"),
            &["slots.bad", "weir:collector/"],
        ),
        (
            hostile("weir_hostile_sockets.wasm"),
            &["slots.bad", "wasi:sockets"],
        ),
        (
            hostile("weir_hostile_two_worlds.wasm"),
            &["slots.bad", "filter", "trigger"],
        ),
    ];
    for (text, expected) in cases {
        let config = home.write("weir.toml", &text);
        let config = config.to_string_lossy();
        check_refused(&home, &["run", "--config", &config], expected);
        check_refused(&home, &["check", "--config", &config], expected);
    }
    let missing = home.path("no-such.toml");
    check_refused(
        &home,
        &["run", "--config", &missing.to_string_lossy()],
        &["no-such.toml"],
    );
    check_refused(
        &home,
        &["run", "--set", "bus.kind=locl"],
        &["bus.kind", "local"],
    );
}

#[test]
fn wrong_usage_is_exit_code_two() {
    let home = Home::new();
    for arguments in [
        &["--no-such-flag"][..],
        &["no-such-verb"],
        &["run", "--for", "soon"],
    ] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let output = home.run(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
}

/// When a line's event was observed, in ns since the epoch; 0 where it is none.
fn time_ns(line: &Value) -> u128 {
    line["event"]["timestamp"].as_u64().map_or(0, u128::from)
}

fn now_ns() -> u128 {
    let since = std::time::UNIX_EPOCH.elapsed();
    since.expect("it is after 1970").as_nanos()
}

#[test]
fn a_broken_edit_changes_nothing_and_a_good_one_switches_the_guest_with_no_row_lost() {
    let home = Home::new();
    let path = home.write("weir.toml", config("answer"));
    let mut daemon = home.start(&["run", "--config", &path.to_string_lossy()]);
    daemon.wait_for("a row", |line| line["type"] == "event");
    let is_told = |line: &Value| line["type"] == "config";
    for (broken, expected) in [
        (
            config("answer") + "[collector]\nno_such_key = 1\n",
            "collector.no_such_key",
        ),
        (config("no-such-behaviour"), "slots.keeps"),
        (
            config("trap").replace("\"trap\"", "\"trap\", at = \"init\""),
            "fault in init",
        ),
        (
            config("answer").replace("weir_hostile_filter", "no-such-guest"),
            "no-such-guest",
        ),
        (
            config("answer").replace("weir_hostile_filter", "weir_hostile_trigger"),
            "slots.keeps",
        ),
        (config("answer").replace("50ms", "60ms"), "restart"),
    ] {
        home.write("weir.toml", broken);
        let told = daemon.wait_for("a refusal", is_told);
        assert_eq!(told["taken"], false, "{told:#}");
        let message = told["message"].as_str().unwrap_or_default();
        assert!(message.contains(expected), "{expected}: {message}");
        daemon.wait_for("a row all the same", |line| line["type"] == "event");
    }
    // A good one, by the changed file: the guest says in the log what it gets, and keeps all.
    home.write("weir.toml", config("count"));
    let told = daemon.wait_for("the change", is_told);
    assert_eq!(told["taken"], true, "{told:#}");
    let first_switch = now_ns();
    daemon.wait_for("a row of the new guest", |line| {
        time_ns(line) > first_switch
    });
    // And one by a signal: this one removes all that it gets.
    home.write("weir.toml", config("drop-all"));
    daemon.signal(Signal::HUP);
    let told = daemon.wait_for("the change", is_told);
    assert_eq!(told["taken"], true, "{told:#}");
    let switched = now_ns();
    daemon.signal(Signal::TERM);
    let ended = daemon.wait();
    let late = ended
        .of_type("event")
        .filter(|line| time_ns(line) > switched);
    assert_eq!(late.count(), 0, "the last guest keeps none");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("rows "),
        "the new guest was asked: {}",
        ended.stderr
    );
    assert_balanced(&ended);
    let summary = ended.summary();
    let source = &summary["sources"][0];
    // Rows of one look are in a batch for each topic: they come out in the order of the looks.
    let before = ended
        .of_type("event")
        .filter(|line| time_ns(line) <= first_switch);
    let mut sequences: Vec<u64> = before
        .map(|line| line["sequence"].as_u64().expect("a number"))
        .collect();
    sequences.sort_unstable();
    let all: Vec<u64> = (0..sequences.len() as u64).collect();
    assert!(
        sequences == all,
        "one is missing, or came twice: {sequences:?}"
    );
    let out = ended.of_type("event").count() as u64;
    assert_eq!(source["published"].as_u64(), Some(out), "{source:#}");
    let removed = source["removed"].as_u64().unwrap_or_default();
    assert_eq!(
        source["produced"].as_u64(),
        Some(out + removed),
        "a row was lost: {source:#}"
    );
    assert_eq!(
        summary["slots"][0]["faults"],
        serde_json::json!({}),
        "{summary:#}"
    );
}
