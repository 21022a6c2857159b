//! What happens on this machine shows up on the bus of a daemon on its defaults: processes, connections and files, each
//! with whose it is; and what the host doesn't allow is told.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Signal, geteuid};
use serde_json::Value;
use weir_tests::PATIENCE;
use weir_tests::broker::Verb;
use weir_tests::daemon::{Daemon, Home};

/// The sources of the default that send something by themselves, in the order of their names.
const SOURCES: [&str; 6] = [
    "filesystem",
    "inventory",
    "network",
    "performance",
    "process",
    "process-events",
];

/// A process that does nothing for long.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let child = Command::new("sleep")
            .arg("613")
            .stdin(Stdio::null())
            .spawn();
        Self(child.expect("there is a `sleep`"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // Of one that has ended neither is an error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the daemon answers to `weir status`.
fn status(home: &Home, flags: &[&str]) -> Value {
    let shown = home.run(&[&["status", "--json"][..], flags].concat());
    serde_json::from_slice(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {shown:?}"))
}

fn source<'a>(status: &'a Value, name: &str) -> &'a Value {
    let sources = status["sources"].as_array().into_iter().flatten();
    let mut sources = sources.filter(|source| source["name"] == name);
    sources
        .next()
        .unwrap_or_else(|| panic!("no {name}: {status:#}"))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

/// Listens to all events, once the daemon knows that somebody does.
fn tap(home: &Home) -> Verb {
    let tap = Verb::start(home.command(&["tap", "events.>", "--json"]));
    wait_until("the tap is subscribed", || {
        let status = status(home, &[]);
        let mut all = status["bus"]["subscribers"]
            .as_array()
            .into_iter()
            .flatten();
        all.any(|one| {
            one["name"]
                .as_str()
                .is_some_and(|name| name.contains("tap"))
        })
    });
    tap
}

/// The next row that is so.
fn row(tap: &Verb, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let row = tap.json();
        if is_it(&row) {
            return row;
        }
    }
    panic!("never came: {what}");
}

/// One table of processes, as who asks for it sees it.
fn table(home: &Home) -> String {
    let table = home.run(&[
        "tap",
        "events.process.>",
        "--every",
        "1h",
        "--tables",
        "1",
        "--json",
    ]);
    String::from_utf8_lossy(&table.stdout).into_owned()
}

/// A daemon on its defaults, but that it looks at sockets often, and watches a folder of the test's own.
fn start_default(home: &Home, folder: &std::path::Path) -> Daemon {
    let folders = format!(
        "sources.filesystem.folders=[{:?}]",
        folder.display().to_string()
    );
    let set = [
        "sources.network.interval=100ms",
        "sources.filesystem.merge_window=50ms",
        &folders,
    ];
    let set = set.into_iter().flat_map(|set| ["--set", set]);
    let arguments: Vec<&str> = std::iter::once("run").chain(set).collect();
    let mut daemon = home.start(&arguments);
    let start = daemon.wait_for_start();
    let names = |list: &str, key: &str| -> Vec<String> {
        let list = start[list].as_array().into_iter().flatten();
        list.filter_map(|one| Some(one[key].as_str()?.to_owned()))
            .collect()
    };
    let left_out = names("unavailable", "source");
    let mut all = [names("sources", "name"), left_out.clone()].concat();
    all.sort();
    assert_eq!(all, SOURCES, "{start:#}");
    assert!(left_out.is_empty() || !geteuid().is_root(), "{start:#}");
    daemon
}

#[test]
fn a_process_a_connection_and_a_file_show_up_on_a_tap_with_whose_they_are() {
    let home = Home::new();
    let folder = home.path("watched");
    std::fs::create_dir(&folder).expect("a folder");
    let daemon = start_default(&home, &folder);
    wait_until("files are watched", || {
        source(&status(&home, &[]), "filesystem")["state"] == "running"
    });
    let tap = tap(&home);

    let sleeper = Sleeper::start();
    let started = row(&tap, "the process", |row| {
        row["topic"] == "events.process.started" && row["pid"] == sleeper.0.id()
    });
    assert_eq!(started["ppid"], std::process::id(), "{started:#}");
    let told = started["command_line"].as_array().map(Vec::len);
    assert_eq!(told, Some(2), "{started:#}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let peer = listener.local_addr().expect("an address");
    let client = TcpStream::connect(peer).expect("a connection");
    let port = client.local_addr().expect("an address").port();
    let opened = row(&tap, "the connection", |row| {
        row["topic"] == "events.network.opened" && row["source_port"] == port
    });
    assert_eq!(opened["destination_port"], peer.port(), "{opened:#}");
    assert_eq!(opened["pid"], std::process::id(), "{opened:#}");
    drop((client, listener));
    row(&tap, "its end", |row| {
        row["topic"] == "events.network.closed" && row["connection_id"] == opened["connection_id"]
    });

    let file = folder.join("saved");
    std::fs::write(&file, "something").expect("it can be written");
    let created = row(&tap, "the file", |row| {
        row["topic"] == "events.filesystem.create" && row["path"] == file.to_str().expect("a text")
    });
    if geteuid().is_root() {
        assert_eq!(created["pid"], std::process::id(), "{created:#}");
    }

    let pid = sleeper.0.id();
    drop(sleeper);
    let exited = row(&tap, "its end", |row| {
        row["topic"] == "events.process.exited" && row["pid"] == pid
    });
    if geteuid().is_root() {
        // A signal that kills, as a shell tells it.
        assert_eq!(exited["exit_code"], 128 + 9, "{exited:#}");
    }
    drop(tap);
    daemon.signal(Signal::TERM);
    let ended = daemon.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.summary()["balanced"], true, "{:#}", ended.summary());
}

/// What nobody shall see: by the built-in patterns, by one of the config's own, and cut out of an address.
const SECRETS: [&str; 3] = ["hunter2-613", "7391-6042", "s3cr3t-613"];

/// A process that says nothing for long, with secrets in its command line.
fn start_with_secrets() -> Sleeper {
    let mut command = Command::new("sh");
    // The script ends with its input.
    command.args([
        "-c",
        "read line",
        "sh",
        &format!("--password={}", SECRETS[0]),
    ]);
    command.args([
        "--pin",
        SECRETS[1],
        &format!("https://me:{}@host/", SECRETS[2]),
    ]);
    Sleeper(
        command
            .stdin(Stdio::piped())
            .spawn()
            .expect("there is a `sh`"),
    )
}

#[test]
fn no_secret_of_a_command_line_is_seen_by_who_listens_records_or_asks() {
    let home = Home::new();
    let recording = home.path("events.arrow");
    let file = home.write(
        "weir.toml",
        format!(
            "redact.patterns = ['--pin[= ](\\S+)']\n[sources.process]\nkind = \"process\"\ninterval = \"50ms\"\n\
             [sinks.file]\nkind = \"recording\"\npath = {:?}\npatterns = [\"events.process.>\"]\n",
            recording.display().to_string()
        ),
    );
    // There before the daemon is, and begun while it runs: looks see the one, events the other.
    let before = start_with_secrets();
    let mut daemon = home.start(&["run", "--config", &file.to_string_lossy()]);
    daemon.wait_for_start();
    let tap = tap(&home);
    let after = start_with_secrets();
    let kept = [
        "sh",
        "-c",
        "read line",
        "sh",
        "--password=***",
        "--pin",
        "***",
        "https://me:***@host/",
    ];
    for process in [&before, &after] {
        let seen = row(&tap, "the process", |row| {
            let is_its = row["pid"] == process.0.id();
            let text = row.to_string();
            let is_secret = SECRETS.iter().any(|secret| text.contains(secret));
            // A fork is a copy of its parent, until it runs the shell.
            assert!(!is_secret, "{row:#}");
            is_its && row["name"] == "sh"
        });
        assert_eq!(seen["command_line"], serde_json::json!(kept), "{seen:#}");
    }
    let table = table(&home);
    assert!(
        table.contains(&format!("\"pid\":{}", after.0.id())),
        "{table}"
    );
    let status = status(&home, &[]);
    let redacted = |name| {
        source(&status, name)["redacted"]
            .as_u64()
            .unwrap_or_default()
    };
    assert!(
        redacted("process") + redacted("process-events") >= 2,
        "{status:#}"
    );
    drop((before, after, tap));
    daemon.signal(Signal::TERM);
    let ended = daemon.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let recorded = std::fs::read(home.path("events.process.arrow")).expect("a recording");
    let is_in = |text: &str, bytes: &[u8]| {
        let mut parts = bytes.windows(text.len());
        parts.any(|part| part == text.as_bytes())
    };
    assert!(is_in("--password=***", &recorded), "they are recorded");
    for secret in SECRETS {
        assert!(!is_in(secret, table.as_bytes()), "{secret} in the table");
        assert!(!is_in(secret, &recorded), "{secret} in the recording");
    }
}

#[test]
fn a_pattern_that_is_none_is_refused_with_its_place_and_the_parsers_words() {
    let home = Home::new();
    let file = home.write("weir.toml", "[redact]\npatterns = [\"a(b\"]\n");
    let checked = home.run(&["check", "--config", &file.to_string_lossy()]);
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(!checked.status.success(), "{told}");
    let expected =
        ":2:13: redact.patterns = \"a(b\": no regular expression: unclosed group; expected";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn the_status_says_in_which_ways_each_source_reaches_into_the_host_and_what_is_left_out() {
    let home = Home::new();
    let folder = home.path("watched");
    std::fs::create_dir(&folder).expect("a folder");
    let daemon = start_default(&home, &folder);
    wait_until("sockets are looked at", || {
        source(&status(&home, &[]), "network")["tiers"]
            .as_array()
            .is_some_and(|tiers| {
                let named = |tier: &Value| tier["name"] == "all network namespaces";
                // Which there are is known after the first look.
                tiers.iter().any(named)
            })
    });
    let shown = status(&home, &["--sources"]);
    for name in ["process", "network", "filesystem"] {
        let tiers = source(&shown, name)["tiers"].as_array().expect("its ways");
        let is_used = tiers.iter().any(|tier| tier["used"] == true);
        assert!(is_used, "{name}: {shown:#}");
        for tier in tiers {
            assert_eq!(tier["used"] == true, tier["reason"].is_null(), "{tier}");
        }
    }
    for flags in [&["status"][..], &["status", "--sources"]] {
        let text = home.run(flags).stdout;
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(text.matches("\n  process: by ").count(), 1, "{text}");
        let left_out = shown["unavailable"].as_array().map_or(0, Vec::len);
        assert_eq!(text.matches("\n  without ").count(), left_out, "{text}");
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code, Some(0));
}

#[test]
fn a_source_that_is_off_looks_only_when_somebody_asks() {
    let home = Home::new();
    let file = home.write(
        "weir.toml",
        "[sources.process]\nkind = \"process\"\ninterval = \"off\"\nevents = false\n",
    );
    let mut daemon = home.start(&["run", "--config", &file.to_string_lossy()]);
    daemon.wait_for_start();
    let runs = || source(&status(&home, &[]), "process")["schedule"].clone();
    assert_eq!(runs()["runs"], 0, "{:#}", runs());
    assert!(runs()["in_force_ms"].is_null(), "{:#}", runs());
    let table = table(&home);
    let own = format!("\"pid\":{}", std::process::id());
    assert!(table.contains(&own), "not in {table}");
    assert_eq!(runs()["runs"], 1, "{:#}", runs());
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code, Some(0));
}
