//! The whole table at once, against the daemon as a process, and read from outside of it: every case that
//! ends in a fault is a slot of one daemon, beside the good ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};
use weir::sandbox::{FaultReason, World};
use weir_tests::PATIENCE;
use weir_tests::daemon::{Daemon, Ended, Home};

use super::cases::{COMMON, Case, Ends, FILTERS, STAGES, TRIGGERS};
use super::check::config;

/// Rows that are published at once.
const ROWS: usize = 4;
/// The row of the first batch that makes guests hostile.
const POISON: &str = "p2";
/// What the daemon may have at most, all its guests and their code included. Alone it has a tenth of that.
const RESIDENT_BYTES_MAX: u64 = 1 << 30;
/// Slots of a daemon; good ones are three of them.
const SLOTS_MAX: usize = 64;

/// The cases that end in a fault: of each behaviour the first, as a slot.
fn attackers() -> Vec<(String, World, &'static Case, FaultReason)> {
    let worlds: [(World, &'static [Case]); 4] = [
        (World::Filter, COMMON),
        (World::Filter, FILTERS),
        (World::Trigger, TRIGGERS),
        (World::Stage, STAGES),
    ];
    let mut seen = BTreeSet::new();
    let mut attackers = Vec::new();
    for (world, cases) in worlds {
        for case in cases {
            let Ends::Fault(reason, _) = case.ends else {
                continue;
            };
            if seen.insert((world.as_str(), case.does)) {
                let slot = format!("{}-{}", world.as_str(), case.does);
                attackers.push((slot, world, case, reason));
            }
        }
    }
    assert!(attackers.len() > 30 && attackers.len() <= SLOTS_MAX - 3);
    attackers
}

/// The tables of a slot in a config that has good ones, too.
fn table_of(text: &str, slot: &str) -> String {
    let begins = text.find(&format!("[slots.{slot}]")).expect("its table");
    text[begins..].to_owned()
}

/// Good guests, and beside them those.
fn config_with(attackers: &[(String, World, &Case, FaultReason)]) -> String {
    let nobody = config(World::Filter, "nobody", r#"{ do = "answer" }"#, "");
    let mut text = nobody.replace(&table_of(&nobody, "nobody"), "");
    text = text.replace("\"64MiB\"", "\"1GiB\"");
    for (slot, world, case, _) in attackers {
        let settings = format!(
            r#"{{ do = "{}", amount = {}, name = "{POISON}" }}"#,
            case.does, case.amount
        );
        text += &table_of(&config(*world, slot, &settings, case.limits), slot);
    }
    text += "[sinks.all]\nkind = \"json\"\npatterns = [\"events.>\", \"findings.good-stage\", \"control.trigger.good-trigger\"]\n";
    text
}

/// Rows from that pid on, published by another process.
fn publish(home: &Home, first: usize) {
    let mut lines = String::new();
    for pid in first..first + ROWS {
        let row = json!({"pid": pid, "name": format!("p{pid}"), "start_time": pid, "timestamp": 1});
        writeln!(lines, "{row}").expect("a text grows");
    }
    let path = home.write("rows.jsonl", lines);
    let path = path.to_str().expect("a text");
    let published = home.run(&["pub", "events.process.test", path, "--batch", "4"]);
    assert!(published.status.success(), "{published:?}");
}

/// The slots as the daemon tells them over its socket.
fn slots(home: &Home) -> BTreeMap<String, Value> {
    let shown = home.run(&["guests", "--json"]);
    let reply: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
    let slots = reply["guests"].as_array().cloned().unwrap_or_default();
    let named = slots.into_iter();
    named
        .map(|slot| (slot["slot"].as_str().unwrap_or_default().to_owned(), slot))
        .collect()
}

/// Waits until all slots have done with so many rows, with a verdict or without.
fn wait_for_rows(home: &Home, rows: u64) -> BTreeMap<String, Value> {
    let until = Instant::now() + PATIENCE;
    let number = |slot: &Value, key: &str| slot[key].as_u64().unwrap_or_default();
    loop {
        let slots = slots(home);
        let is_done =
            |slot: &Value| number(slot, "rows_answered") + number(slot, "rows_unanswered") == rows;
        if !slots.is_empty() && slots.values().all(is_done) {
            return slots;
        }
        let late: Vec<_> = slots.values().filter(|slot| !is_done(slot)).collect();
        assert!(
            Instant::now() < until,
            "not done with {rows} rows: {late:#?}"
        );
    }
}

/// What the kernel says that the daemon has had at most.
fn resident_bytes_peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()));
    let status = status.expect("the daemon lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.expect("a peak") << 10
}

/// What came out, byte for byte but for ids, the time of day and who published.
fn output(ended: &Ended) -> Vec<String> {
    const OWN: [&str; 9] = [
        "request_id",
        "correlation_id",
        "parent_id",
        "root_id",
        "finding_id",
        "timestamp",
        "source",
        "sequence",
        "generation",
    ];
    let mut lines: Vec<String> = ended
        .of_type("event")
        .map(|line| {
            let mut event = line["event"].clone();
            for (_, fields) in event.as_object_mut().into_iter().flatten() {
                for key in OWN {
                    fields.as_object_mut().map(|fields| fields.remove(key));
                }
            }
            for key in OWN {
                event.as_object_mut().map(|event| event.remove(key));
            }
            format!("{} {event}", line["topic"])
        })
        .collect();
    // Of each topic in its order; the topics come on ways of their own.
    lines.sort_by_key(|line| line.split(' ').next().map(str::to_owned));
    lines
}

/// A daemon with those slots and the good ones gets two batches; what it was then, and how it ended.
fn run(attackers: &[(String, World, &Case, FaultReason)]) -> (BTreeMap<String, Value>, Ended) {
    let home = Home::new();
    let path = home.write("weir.toml", config_with(attackers));
    let path = path.to_str().expect("a text");
    let letters = format!("dead_letters.path={}", home.path("letters").display());
    let mut daemon = home.start(&["run", "--config", path, "--set", &letters]);
    daemon.wait_for_start();
    publish(&home, 1);
    let after_the_attack = wait_for_rows(&home, ROWS as u64);
    publish(&home, 1 + ROWS);
    wait_for_rows(&home, 2 * ROWS as u64);
    let peak = resident_bytes_peak(&daemon);
    assert!(peak < RESIDENT_BYTES_MAX, "{peak} bytes");
    daemon.signal(Signal::TERM);
    (after_the_attack, daemon.wait())
}

#[test]
fn the_daemon_lives_through_all_attacks_at_once_and_its_good_guests_say_the_same_to_the_byte() {
    let attackers = attackers();
    let (slots, ended) = run(&attackers);
    let summary = ended.summary();
    assert_eq!(summary["balanced"], true, "{summary:#}");
    let mut wrong = Vec::new();
    for (slot, _, _, reason) in &attackers {
        let told = &slots[slot];
        let reasons = told["faults"].as_object().expect("faults by reason");
        let is_right = reasons.keys().eq([reason.as_str()])
            && told["last_fault"]["reason"] == reason.as_str()
            && told["rows_poisonous"] == 1
            && told["rows_answered"] == 3;
        // The next batch is none that it breaks on, and it is asked.
        let after = summary["slots"].as_array().into_iter().flatten();
        let after = after.into_iter().find(|one| one["slot"] == slot.as_str());
        let answered = after.and_then(|one| one["rows_answered"].as_u64());
        if !is_right || answered < Some(4) {
            wrong.push(format!("{slot}: {reason}, not {}: {told}", told["faults"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (_, alone) = run(&[]);
    let (beside, alone) = (output(&ended), output(&alone));
    assert_eq!(alone.len(), 3 * 2 * ROWS, "{alone:#?}");
    assert_eq!(beside, alone);
}
