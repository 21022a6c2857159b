//! Which firings become requests, with real guests and a real queue.

use weir::trigger::{CONDITIONS_SLOT, TriggerCounts};
use weir_bus::CollectionEvent;
use weir_bus::event::{InventoryEvent, ProcessEvent};
use weir_tests::rig::{Rig, Setup};
use weir_tests::rows;

use super::trigger;

/// A stage that finds each row.
const FINDS: &str = "[slots.finds]\nmodule = \"weir_hostile_stage.wasm\"\ngrants = [\"log\", \"state\", \"metrics\", \"inspect\"]\n";

fn start(config: &str) -> Rig {
    let rig = Setup::new(config).start();
    rig.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

/// Processes with an executable each.
fn programs(first: u32, count: u32) -> Vec<ProcessEvent> {
    let mut rows = rows::processes(first, count);
    for row in &mut rows {
        row.executable = Some(format!("/opt/{}", row.name));
    }
    rows
}

fn counts(rig: &Rig, rule: &str) -> TriggerCounts {
    let triggers = rig.fired(CONDITIONS_SLOT);
    let found = triggers.iter().find(|trigger| trigger.rule == rule);
    found.map(|trigger| trigger.counts).unwrap_or_default()
}

#[test]
fn a_flood_of_firings_is_admitted_at_the_rate_and_every_refusal_is_counted() {
    const ROWS: u32 = 25_000;
    let priorities = ["critical", "high", "normal", "low"];
    let triggers = priorities
        .map(|priority| trigger(priority, "pid > 0", &format!("priority = \"{priority}\"")));
    let config = triggers.concat() + FINDS + "[admission]\nrate_max = 100\n";
    let rig = start(&config);
    for batch in 0..ROWS / 1_000 {
        rig.send(programs(batch * 1_000 + 1, 1_000));
    }
    rig.wait_until("all have fired", |rig, _| {
        let fired: u64 = priorities.map(|rule| counts(rig, rule).fired).iter().sum();
        fired == u64::from(ROWS) * 4
    });
    for rule in priorities {
        let counts = counts(&rig, rule);
        // Some allowance comes back while it runs: far less than once the rate.
        assert!((1..=150).contains(&counts.admitted), "{rule}: {counts:?}");
        assert!(counts.balance(), "{rule}: {counts:?}");
        assert!(counts.rate_limited > 20_000, "{rule}: {counts:?}");
    }
    let total = rig.finish().status.triggers.total;
    assert_eq!((total.waiting, total.under_way), (0, 0));
    assert_eq!(
        total.answered + total.cancelled + total.timed_out,
        total.admitted
    );
}

#[test]
fn a_full_queue_refuses_the_low_ones_first_and_is_worked_off_by_urgency() {
    // One at a time, so that the others wait.
    let config = ["low", "normal", "high", "critical"]
        .map(|priority| trigger(priority, "pid > 0", &format!("priority = \"{priority}\"")))
        .concat()
        + FINDS
        + "[admission]\nqueue_requests_max = 100\nrate_max = 1000\n[chains]\nruns_max = 1\n";
    let rig = start(&config);
    rig.send(programs(1, 1_000));
    let rows = 1_000;
    let rules = ["low", "normal", "high", "critical"];
    rig.wait_until("all have fired and been worked off", |rig, _| {
        let all = rules.map(|rule| counts(rig, rule));
        all.iter()
            .all(|counts| counts.fired == rows && counts.waiting + counts.under_way == 0)
    });
    let low = counts(&rig, "low");
    assert!(low.low_priority > 0, "{low:?}");
    let [low, normal, high, critical] = rules.map(|rule| counts(&rig, rule).admitted);
    assert!(low <= normal && low <= high && low <= critical);
    let finished = rig.finish();
    let triggers = &finished.status.triggers;
    assert!(triggers.total.queue_full > 0, "{triggers:?}");
    assert!(triggers.total.balance(), "{triggers:?}");
}

#[test]
fn what_is_said_again_is_suppressed_and_summed_up() {
    let config = trigger("t", "executable LIKE '/opt/%'", "")
        + FINDS
        + "[admission]\nsummary_interval = \"1s\"\n";
    let rig = start(&config);
    for _ in 0..5 {
        rig.send_through(programs(1, 2));
    }
    rig.wait_until("all have fired", |rig, _| counts(rig, "t").fired == 10);
    rig.wait_until("it is summed up", |rig, events| {
        rig.pipeline().triggers().look(std::time::Instant::now());
        suppressed(events).next().is_some()
    });
    let finished = rig.finish();
    assert_eq!(finished.findings("finds").count(), 2);
    let sums: u64 = suppressed(&finished.events)
        .map(|sum| {
            assert_eq!(
                (sum.item.as_str(), sum.attribute.as_str()),
                ("t", "duplicate")
            );
            sum.value.parse::<u64>().expect("a number")
        })
        .sum();
    assert_eq!(sums, finished.status.triggers.total.duplicates);
    assert_eq!(sums, 8);
}

fn suppressed(events: &[CollectionEvent]) -> impl Iterator<Item = &InventoryEvent> {
    events.iter().filter_map(|event| match event {
        CollectionEvent::Inventory(row) if row.class == "suppressed" => Some(row),
        _ => None,
    })
}

#[test]
fn an_exception_keeps_a_known_good_one_silent_and_is_counted() {
    let config = trigger("t", "executable LIKE '/opt/%'", "")
        + FINDS
        + "[[exception]]\ntrigger = \"t\"\ncolumn = \"executable\"\nvalue = \"/opt/p1\"\n";
    let rig = start(&config);
    rig.send(programs(1, 3));
    rig.wait_until("all have fired", |rig, _| counts(rig, "t").fired == 3);
    assert_eq!(counts(&rig, "t").excepted, 1);
    let finished = rig.finish();
    assert_eq!(finished.findings("finds").count(), 2);
}

#[test]
fn findings_that_trigger_themselves_end_at_the_depth_and_it_is_told() {
    let config = trigger("first", "pid = 1", "")
        + &trigger(
            "again",
            "depth >= 0",
            "kind = \"finding\"\ndedup_window = \"0s\"",
        )
        + "[slots.lineage]\nmodule = \"builtin:lineage\"\ngrants = [\"log\", \"inspect\"]\n[admission]\nrate_max = 1000\n";
    let rig = start(&config);
    rig.send(programs(1, 1));
    rig.wait_until("it went too deep", |rig, _| {
        counts(rig, "again").too_deep == 1
    });
    let again = counts(&rig, "again");
    assert_eq!((again.fired, again.admitted), (6, 5), "{again:?}");
    let finished = rig.finish();
    let depths: Vec<u32> = finished.findings("lineage").map(|one| one.depth).collect();
    assert_eq!(depths, [0, 1, 2, 3, 4, 5]);
    let roots: std::collections::BTreeSet<_> = finished
        .findings("lineage")
        .map(|one| one.root_id.clone())
        .collect();
    assert_eq!(roots.len(), 1, "one cascade, one root");
}
