//! What a slot may use in the long run: CPU time, memory, and its thread's priority.

use std::time::Instant;

use weir::sandbox::FaultReason;
use weir_tests::rig::{Rig, Setup};
use weir_tests::rows;

fn start(slot: &str, settings: &str, limits: &str, more: &str) -> Rig {
    let config = format!(
        r#"
[collector]
batch_timeout = "10s"
[slots.{slot}]
module = "weir_hostile_filter.wasm"
settings = {settings}
[slots.{slot}.limits]
{limits}
{more}
"#
    );
    let started = Setup::new(config).start();
    started.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

#[test]
fn a_slot_over_its_share_of_the_cpu_waits_and_loses_nothing() {
    let burns = r#"{ do = "burn-fuel", amount = 20 }"#;
    let rig = start("burns", burns, "cpu_share = 0.001", "");
    let mut sent = 0;
    // A hundredth of a second at once, and then a thousandth of a core.
    while rig.slot("burns").state != "throttled" {
        rig.send_through(vec![rows::process(sent, "one")]);
        sent += 1;
    }
    for _ in 0..3 {
        rig.send(vec![rows::process(sent, "late")]);
        sent += 1;
    }
    // The end doesn't wait for the share.
    let finished = rig.finish();
    assert_eq!(finished.pids().len(), sent as usize);
    let slot = finished.slot("burns");
    assert_eq!(slot.rows_answered, u64::from(sent));
    assert!(!slot.throttled.is_zero(), "{slot:?}");
}

#[test]
fn without_a_share_nobody_waits() {
    let burns = r#"{ do = "burn-fuel", amount = 20 }"#;
    let rig = start("burns-on", burns, "cpu_share = 0", "");
    for number in 0..20 {
        rig.send_through(vec![rows::process(number, "one")]);
    }
    let finished = rig.finish();
    assert!(finished.slot("burns-on").throttled.is_zero());
}

#[test]
fn an_instance_whose_memory_has_grown_is_made_anew_before_it_breaks() {
    let holds = format!("{{ do = \"hold-memory\", amount = {} }}", 2 << 20);
    let rig = start("holds", &holds, "memory_bytes_max = \"16MiB\"", "");
    for number in 0..40 {
        rig.send_through(vec![rows::process(number, "one")]);
    }
    let finished = rig.finish();
    let slot = finished.slot("holds");
    assert_eq!((slot.answered, slot.faults_total()), (40, 0), "{slot:?}");
    assert!(slot.recycled >= 4, "{slot:?}");
    assert_eq!(slot.restarts, 0, "{slot:?}");
    assert!(slot.memory_bytes_peak < 16 << 20, "{slot:?}");
}

/// The nice values of this process's threads of that name, in order.
#[cfg(target_os = "linux")]
fn nice_values_of(thread: &str) -> Vec<i32> {
    /// Its place behind the name, in `proc_pid_stat(5)`.
    const NICE: usize = 16;
    let tasks = std::fs::read_dir("/proc/self/task").expect("its own threads");
    let mut values: Vec<i32> = tasks
        .filter_map(|task| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            let (name, rest) = stat.rsplit_once(") ")?;
            name.ends_with(&format!("({thread}"))
                .then(|| rest.split(' ').nth(NICE)?.parse().ok())?
        })
        .collect();
    values.sort_unstable();
    values
}

#[cfg(target_os = "linux")]
#[test]
fn a_slot_that_burnt_a_deadline_is_nice_until_it_has_behaved() {
    let burns = r#"{ do = "loop", name = "bad" }"#;
    let limits = "cpu_call = \"10ms\"\nwall_factor = 1000\nfuel_call = 1_000_000_000_000";
    let healthy = "[supervision]\nhealthy_after = \"3s\"";
    let rig = start("nice", burns, limits, healthy);
    rig.send_through(vec![rows::process(1, "good")]);
    assert_eq!(nice_values_of("slot-nice"), [0]);
    rig.send_through(vec![rows::process(2, "bad")]);
    assert_eq!(nice_values_of("slot-nice"), [10]);
    // The one that is to take over has the usual priority: who watches makes it.
    rig.pipeline().slots()["nice"].watch(Instant::now());
    rig.wait_until("it is there", |_, _| nice_values_of("slot-nice") == [0, 10]);
    let faults = rig.slot("nice").faults;
    assert!(faults.keys().eq([&FaultReason::Deadline]), "{faults:?}");
    rig.wait_until("a fresh thread", |rig, _| {
        rig.send_through(vec![rows::process(3, "good")]);
        nice_values_of("slot-nice") == [0]
    });
    let before = rig.slot("nice");
    rig.send_through(vec![rows::process(4, "good")]);
    let after = rig.slot("nice");
    assert_eq!(after.answered, before.answered + 1);
    assert!(after.cpu >= before.cpu, "CPU time of all its threads");
    drop(rig.finish());
}
