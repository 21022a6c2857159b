//! Conditions that are none: refused when they are loaded, each with its place, and nothing else is lost by it.

use weir_tests::daemon::Home;

use super::trigger;

/// What `weir check` says of a config, a line each; it must refuse it.
fn refused(config: &str) -> Vec<String> {
    let home = Home::new();
    let path = home.write("weir.toml", config);
    let output = home.run(&["check", "--config", &path.to_string_lossy()]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{config}\n{stderr}");
    stderr.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_no_condition_is_refused_with_its_key_its_place_and_what_would_be_right() {
    let cases = [
        ("pid IN (SELECT 1)", "character 9"),
        ("EXISTS (SELECT 1)", "character 1"),
        ("pid > 1; DROP TABLE x", "character 8"),
        ("cpu > 50", "did you mean `cpu_usage`?"),
        ("lenght(name) > 3", "did you mean `length`?"),
        ("(pid > 1", "character"),
        ("pid > 1)", "character 8"),
        ("name = 'evil", "character 8"),
        ("pid = 'x'", "character"),
        ("name > 5", "character"),
        ("pid", "character"),
        ("count(*) > 1", "character 1"),
        ("pid = ?", "character 7"),
        ("regexp_like(name, '(')", "character"),
        ("name LIKE", "character"),
        (
            "pid > 99999999999999999999999999999999999999999",
            "character",
        ),
    ];
    for (condition, expected) in cases {
        let lines = refused(&trigger("bad", condition, ""));
        assert_eq!(lines.len(), 1, "{condition}: {lines:?}");
        for part in ["weir.toml:", "trigger.bad.condition: ", expected] {
            assert!(
                lines[0].contains(part),
                "{condition}: no `{part}` in {lines:?}"
            );
        }
    }
    let empty = refused(&trigger("bad", "", ""));
    assert!(empty[0].contains("trigger.bad.condition"), "{empty:?}");
}

#[test]
fn every_bad_condition_is_told_at_once_and_the_good_ones_are_not() {
    let config = trigger("one", "colour = 'red'", "")
        + &trigger("good", "pid > 1", "")
        + &trigger("two", "pid >", "")
        + &trigger("three", "name = 'x'", "message = \"{nam}\"");
    let lines = refused(&config);
    assert_eq!(lines.len(), 3, "{lines:?}");
    for key in [
        "trigger.one.condition",
        "trigger.two.condition",
        "trigger.three.message",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(key)),
            "{key}: {lines:?}"
        );
    }
}

#[test]
fn a_bad_condition_changes_nothing_in_a_running_daemon_and_the_next_good_one_is_taken() {
    let home = Home::new();
    let config = |condition: &str| {
        trigger("t", condition, "")
            + "[sources.process]\nkind = \"process\"\ninterval = \"200ms\"\n"
    };
    let path = home.write("weir.toml", config("pid > 0 AND pid < 0"));
    let mut daemon = home.start(&["run", "--config", &path.to_string_lossy()]);
    daemon.wait_for_start();
    home.write("weir.toml", config("pidd > 0"));
    let refused = daemon.wait_for("the bad one is refused", |line| line["type"] == "config");
    assert_eq!(refused["taken"], false, "{refused}");
    let why = refused["message"].as_str().unwrap_or_default();
    assert!(
        why.contains("trigger.t.condition: character 1: no column `pidd`"),
        "{why}"
    );
    home.write("weir.toml", config("pid > 0"));
    let taken = daemon.wait_for("the good one is taken", |line| {
        line["type"] == "config" && line["taken"] == true
    });
    assert!(
        taken["message"]
            .as_str()
            .is_some_and(|why| why.contains("conditions")),
        "{taken}"
    );
    daemon.signal(rustix::process::Signal::TERM);
    let ended = daemon.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.summary()["balanced"], true);
}
