//! What an operator asks of triggers and chains, on the command line.

use serde_json::Value;
use weir_tests::daemon::Home;

use super::trigger;

const EVENTS: &str = "{\"kind\":\"process\",\"pid\":4321,\"name\":\"evil.exe\",\"cpu_usage\":99.0}\n\
                      {\"kind\":\"process\",\"pid\":7,\"name\":\"evil.sh\"}\n";

#[test]
fn explain_says_part_by_part_why_a_condition_holds() {
    let home = Home::new();
    let config = trigger("busy", "cpu_usage > 50 AND name LIKE 'evil%'", "");
    let config = home.write("weir.toml", config);
    let events = home.write("events.jsonl", EVENTS);
    let run = |more: &[&str]| {
        let fixed = [
            "explain",
            &*events.to_string_lossy(),
            "--config",
            &*config.to_string_lossy(),
        ]
        .map(str::to_owned);
        let all: Vec<&str> = fixed
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        let output = home.run(&all);
        let (code, stderr) = (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr),
        );
        (
            code,
            String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr.into_owned(),
        )
    };
    let (code, told, stderr) = run(&[]);
    assert_eq!(code, Some(0), "{stderr}");
    for part in [
        "  busy: match\n",
        "    cpu_usage > 50 AND name LIKE 'evil%' = true\n",
        "      cpu_usage > 50 = true\n",
        "        cpu_usage = 99",
        "  busy: unknown\n",
        "        cpu_usage = NULL",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
    let (_, second, _) = run(&["--row", "2", "--json"]);
    let line: Value = serde_json::from_str(&second).expect("a line of JSON");
    assert_eq!(line["conditions"][0]["trigger"], "busy");
    assert_eq!(line["conditions"][0]["verdict"], "unknown");
    for (arguments, expected) in [
        (&["--row", "3"][..], "the file has 2 events"),
        (
            &["--trigger", "bussy"],
            "there is no such trigger; there are busy",
        ),
    ] {
        let (code, _, stderr) = run(arguments);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn status_shows_triggers_and_chains_and_request_cancels() {
    let home = Home::new();
    let config = trigger("all", "pid > 0", "target = \"look\"")
        + "[sources.process]\nkind = \"process\"\ninterval = \"100ms\"\n\
           [sources.hash]\nkind = \"binary-hash\"\n[chain.look.stages.hash]\n[bus]\nkind = \"broker\"\n";
    let file = home.write("weir.toml", config);
    let mut daemon = home.start(&["run", "--config", &file.to_string_lossy()]);
    daemon.wait_for_start();
    let ask = |arguments: &[&str]| {
        let output = home.run(arguments);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code(),
            stdout,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let until = std::time::Instant::now() + weir_tests::PATIENCE;
    let runs = loop {
        let (_, told, _) = ask(&["status", "--chains"]);
        if told.contains("source hash") {
            break told;
        }
        assert!(std::time::Instant::now() < until, "{told}");
    };
    assert!(runs.contains("look"), "{runs}");
    let (_, triggers, _) = ask(&["status", "--triggers"]);
    assert!(
        triggers.contains("all") && triggers.contains("total"),
        "{triggers}"
    );
    let (_, counts, _) = ask(&["status", "--triggers", "--json"]);
    let counts: Value = serde_json::from_str(&counts).expect("JSON");
    assert!(counts["total"]["fired"].as_u64() > Some(0), "{counts}");
    let (code, _, stderr) = ask(&["request", "cancel", "no-such-request"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("no run `no-such-request` is under way"),
        "{stderr}"
    );
    let (code, _, stderr) = ask(&["request", "cancel"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("weir request cancel ID"), "{stderr}");
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.wait().code, Some(0));
}
