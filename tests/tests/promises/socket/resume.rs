//! Clients that lose a real broker, or are lost by it, and go on: processes on both sides.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};
use weir_tests::PATIENCE;
use weir_tests::broker::Verb;
use weir_tests::daemon::Home;

/// A broker as a process, which is killed with this.
struct Broker(Child);

impl Broker {
    fn start(home: &Home) -> Self {
        let mut command = home.command(&["bus", "--heartbeat", "100ms"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let broker = Self(child.expect("a broker can be started"));
        until("it serves", || {
            UnixStream::connect(home.path("weir.sock")).is_ok()
        });
        broker
    }

    /// As `kill -9` does: it says goodbye to nobody.
    fn kill(&mut self) {
        // Of one that has ended neither is an error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::yield_now();
    }
}

/// The subscribers that the broker tells of.
fn subscribers(home: &Home) -> Vec<Value> {
    let output = home.run(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let subscribers = status["bus"]["subscribers"].as_array();
    subscribers.cloned().unwrap_or_default()
}

fn publish(home: &Home, pids: std::ops::RangeInclusive<u32>) {
    let mut command = home.command(&["pub", "tests.rows"]);
    let child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("a verb can be started");
    let mut stdin = child.stdin.take().expect("its stdin");
    for pid in pids {
        let row = json!({"kind": "process", "pid": pid, "start_time": 0, "name": "p"});
        writeln!(stdin, "{row}").expect("it reads");
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

fn tap(home: &Home, count: &str) -> Verb {
    let tap = Verb::start(home.command(&["tap", "tests.>", "--json", "--count", count]));
    until("it is subscribed", || subscribers(home).len() == 1);
    tap
}

#[test]
fn after_a_broker_was_killed_its_clients_go_on_with_the_next_behind_a_gap_that_names_both() {
    let home = Home::new();
    let mut first = Broker::start(&home);
    let tap = tap(&home, "2");
    publish(&home, 1..=1);
    assert_eq!(tap.json()["pid"], 1);
    first.kill();
    let _second = Broker::start(&home);
    until("it is back", || subscribers(&home).len() == 1);
    publish(&home, 2..=2);
    let gap = tap.json()["gap"].take();
    assert_eq!(gap["missed"], Value::Null, "{gap}");
    assert_eq!(gap["reason"], "disconnected", "{gap}");
    let life = |name: &str| gap["incarnations"][name].as_str().map(str::to_owned);
    assert_eq!(life("old").map(|text| text.len()), Some(32), "{gap}");
    assert_eq!(life("new").map(|text| text.len()), Some(32), "{gap}");
    assert_ne!(life("old"), life("new"));
    assert_eq!(tap.json()["pid"], 2);
    assert_eq!(tap.wait().code, Some(0));
}

#[test]
fn a_client_that_was_stopped_for_longer_than_the_broker_waits_goes_on_where_it_was() {
    let home = Home::new();
    let _broker = Broker::start(&home);
    let tap = tap(&home, "41");
    publish(&home, 1..=1);
    assert_eq!(tap.json()["pid"], 1);
    tap.signal(Signal::STOP);
    until("it is lost", || {
        subscribers(&home).iter().any(|one| one["away"] == true)
    });
    publish(&home, 2..=20);
    publish(&home, 21..=41);
    let waiting = subscribers(&home);
    // The first may not have been confirmed before it was stopped; it isn't sent again all the same.
    let rows = waiting[0]["counts"]["queued"]["rows"].as_u64();
    assert!(matches!(rows, Some(40 | 41)), "{waiting:#?}");
    tap.signal(Signal::CONT);
    for pid in 2..=41 {
        assert_eq!(tap.json()["pid"], pid);
    }
    assert_eq!(tap.wait().code, Some(0));
    until("it has gone", || subscribers(&home).is_empty());
}
