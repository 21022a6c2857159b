//! Nothing is lost without being counted: both laws hold under load, with faults and with queues
//! that drop; what a guest says of its rows is what happens to them; order is kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir_bus::pubsub::SubscriptionOptions;
use weir_bus::{DropReason, Pace, TopicPattern};
use weir_tests::rig::{Finished, Rig, SOURCE, Setup};
use weir_tests::rows;

/// Batches that are sent when there shall be load.
const BATCHES: u32 = 400;
/// Rows of each.
const ROWS: u32 = 25;
/// How often they are sent until somebody has looked in time.
const SENT_MAX: u64 = 20;
/// Batches after which a test waits until their requests are answered.
const PART: u32 = 40;

fn slot(name: &str, world: &str, settings: &str, more: &str) -> String {
    let grants = match world {
        "filter" => "[\"log\"]",
        "trigger" => "[\"log\", \"state\"]",
        _ => "[\"log\", \"metrics\", \"inspect\"]",
    };
    format!(
        "[slots.{name}]\nmodule = \"weir_hostile_{world}.wasm\"\ngrants = {grants}\nsettings = {settings}\n{more}\n"
    )
}

/// A guest that breaks on one row of every so manieth batch: on it alone, whatever batch it is in.
fn traps(every: u32) -> String {
    let names: Vec<String> = (0..BATCHES)
        .filter(|batch| batch % every == every - 1)
        .map(|batch| format!("p{}", batch * ROWS + 3))
        .collect();
    format!("{{ do = \"trap\", names = {names:?} }}")
}

fn start(config: &str) -> Rig {
    // More batches break a guest here than any healthy one's.
    let supervision = "[supervision]\nquarantine_faults = 10000\n";
    let started = Setup::new(format!("{supervision}{config}")).start();
    started.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

fn send_all(rig: &Rig) {
    for batch in 0..BATCHES {
        rig.send(rows::processes(batch * ROWS + 1, ROWS));
    }
}

/// The law of the fed source, spelled out: `balances` isn't asked.
fn assert_source_law(finished: &Finished) {
    let (name, counts) = &finished.sources.sources[0];
    assert_eq!(name, SOURCE);
    let dropped: u64 = counts.dropped.iter().map(|(_, count)| count.rows).sum();
    let settled = counts.published + counts.removed + dropped + counts.in_flight();
    assert_eq!(counts.produced, settled, "{counts:?}");
    assert_eq!(counts.published, finished.pids().len() as u64, "{counts:?}");
}

/// The law of every queue, spelled out.
fn assert_queue_laws(finished: &Finished) {
    let slots = finished.status.slots.iter().map(|slot| &slot.queue);
    let subscribers = finished
        .status
        .bus
        .subscribers
        .iter()
        .map(|one| &one.counts);
    for counts in slots.chain(subscribers) {
        let dropped: u64 = counts.dropped.iter().map(|(_, count)| count.rows).sum();
        let settled = counts.delivered.rows + dropped + counts.queued.rows;
        assert_eq!(counts.matched.rows, settled, "{counts:?}");
    }
}

#[test]
fn both_laws_hold_under_load_with_faults_and_with_queues_that_drop() {
    for (on_fault, policy) in [
        ("pass", "drop-oldest"),
        ("drop", "drop-newest"),
        ("drop", "drop-oldest"),
    ] {
        let narrow = format!("queue_policy = \"{policy}\"\nqueue_batches_max = 2");
        let config = [
            slot(
                "traps",
                "filter",
                &traps(7),
                &format!("order = 1\non_fault = \"{on_fault}\""),
            ),
            slot(
                "drops",
                "filter",
                r#"{ do = "drop-all", every = 5 }"#,
                "order = 2",
            ),
            slot(
                "slow",
                "trigger",
                r#"{ do = "burn-fuel", amount = 20 }"#,
                &narrow,
            ),
            slot(
                "fires",
                "trigger",
                r#"{ do = "fire-all", name = "p1" }"#,
                &narrow,
            ),
            slot("finds", "stage", r#"{ do = "find" }"#, &narrow),
        ];
        let rig = start(&config.concat());
        send_all(&rig);
        let finished = rig.finish();
        assert_source_law(&finished);
        assert_queue_laws(&finished);
        let (_, counts) = &finished.sources.sources[0];
        let all = u64::from(BATCHES * ROWS);
        let poisonous = finished.slot("traps").rows_poisonous;
        assert_eq!(counts.produced, all);
        assert_eq!(poisonous, u64::from(BATCHES / 7));
        let lost = counts.dropped.get(DropReason::Fault).rows;
        let expected = if on_fault == "drop" { poisonous } else { 0 };
        assert_eq!(lost, expected, "{on_fault}");
        assert!(counts.removed > 0);
        let slow = &finished.slot("slow").queue;
        assert_eq!(slow.matched.rows, counts.published, "{slow:?}");
        assert!(
            slow.dropped.get(DropReason::QueueFull).rows > 0,
            "no load: {slow:?}"
        );
    }
}

#[test]
fn both_laws_hold_at_every_moment_and_not_only_at_the_end() {
    let config = [
        // Slow enough to be looked at while rows are under way.
        slot(
            "slow",
            "filter",
            r#"{ do = "burn-fuel", amount = 1 }"#,
            "order = 1",
        ),
        slot(
            "traps",
            "filter",
            &traps(3),
            "order = 2\non_fault = \"drop\"",
        ),
        slot(
            "fires",
            "trigger",
            r#"{ do = "answer" }"#,
            "queue_batches_max = 2",
        ),
    ];
    let rig = start(&config.concat());
    let looked = AtomicBool::new(false);
    let mut sent = 0;
    // Once more where nobody looked in time: a thread may be kept from its core for that long.
    while !looked.load(Ordering::Relaxed) {
        assert!(sent < SENT_MAX, "nothing was ever under way");
        send_all(&rig);
        sent += 1;
        rig.wait_until("all rows are through", |rig, _| {
            let status = rig.status();
            for source in &status.sources {
                assert!(source.counts.balances(), "{:?}", source.counts);
            }
            for slot in &status.slots {
                assert!(slot.queue.balances(), "{:?}", slot.queue);
            }
            assert!(status.bus.balances(), "{:?}", status.bus);
            let counts = &status.sources[0].counts;
            looked.fetch_or(counts.in_flight() > 0, Ordering::Relaxed);
            counts.produced == sent * u64::from(BATCHES * ROWS) && counts.in_flight() == 0
        });
    }
    let finished = rig.finish();
    assert_source_law(&finished);
    assert_queue_laws(&finished);
}

#[test]
fn rows_come_out_in_the_order_in_which_they_went_in() {
    let config = [
        slot("one", "filter", &traps(4), "order = 1"),
        slot(
            "two",
            "filter",
            r#"{ do = "retry", name = "p30" }"#,
            "order = 2",
        ),
        slot("three", "filter", r#"{ do = "answer" }"#, "order = 3"),
        slot(
            "fires",
            "trigger",
            r#"{ do = "fire-all" }"#,
            "queue_policy = \"block\"\nblock_deadline = \"10s\"",
        ),
        slot(
            "finds",
            "stage",
            r#"{ do = "find" }"#,
            "queue_policy = \"block\"\nblock_deadline = \"10s\"",
        ),
    ];
    let rig = start(&config.concat());
    // In parts: all requests at once would be more bytes than may wait.
    for batch in 0..BATCHES {
        rig.send(rows::processes(batch * ROWS + 1, ROWS));
        let sent = u64::from((batch + 1) * ROWS);
        if !(batch + 1).is_multiple_of(PART) {
            continue;
        }
        rig.wait_until("all requests are answered", |rig, _| {
            let fired = rig.fired("fires");
            fired.iter().map(|of| of.counts.answered).sum::<u64>() == sent
        });
    }
    let finished = rig.finish();
    let expected: Vec<u32> = (1..=BATCHES * ROWS).collect();
    assert_eq!(finished.pids(), expected);
    let fired: Vec<u32> = finished
        .requests("fires")
        .filter_map(|request| request.target_pid)
        .collect();
    assert_eq!(fired, expected);
    let found: Vec<String> = finished
        .findings("finds")
        .map(|finding| finding.subject.clone())
        .collect();
    let names: Vec<String> = expected.iter().map(|pid| format!("p{pid}")).collect();
    assert_eq!(found, names);
}

#[test]
fn draining_loses_nothing_that_was_sent() {
    let block = "queue_policy = \"block\"\nblock_deadline = \"10s\"";
    let config = [
        slot("slow", "filter", r#"{ do = "burn-fuel", amount = 1 }"#, ""),
        slot("fires", "trigger", r#"{ do = "fire-all" }"#, block),
        slot(
            "finds",
            "stage",
            r#"{ do = "burn-fuel", amount = 1 }"#,
            block,
        ),
    ];
    let rig = start(&config.concat());
    for batch in 0..20 {
        rig.send(rows::processes(batch * ROWS + 1, ROWS));
    }
    // At once: nothing of it can have come through.
    let finished = rig.finish();
    let all = 20 * u64::from(ROWS);
    let (_, counts) = &finished.sources.sources[0];
    assert_eq!((counts.produced, counts.published), (all, all));
    assert_eq!(finished.requests("fires").count() as u64, all);
    assert_eq!(finished.findings("finds").count() as u64, all);
    for slot in &finished.status.slots {
        assert!(slot.queue.dropped.is_empty(), "{slot:?}");
        assert_eq!(slot.state, "ended");
    }
}

#[test]
fn what_a_guest_says_of_its_rows_is_what_happens_to_them() {
    // (what the filter says, on_fault) → (answered, rejected, faults, rows out, rows dropped)
    for (does, on_fault, expected) in [
        ("answer", "pass", (2, 0, 0, 8, 0)),
        ("retry-once", "drop", (2, 0, 0, 8, 0)),
        ("retry", "pass", (1, 1, 0, 8, 0)),
        ("retry", "drop", (1, 1, 0, 4, 4)),
        ("reject", "pass", (1, 1, 0, 8, 0)),
        ("reject", "drop", (1, 1, 0, 4, 4)),
        ("fatal", "pass", (3, 0, 4, 8, 0)),
        ("fatal", "drop", (3, 0, 4, 7, 1)),
        ("drop-all", "drop", (2, 0, 0, 4, 0)),
    ] {
        let settings = format!("{{ do = \"{does}\", name = \"p2\" }}");
        let more = format!("on_fault = \"{on_fault}\"");
        let rig = start(&slot("says", "filter", &settings, &more));
        rig.send(rows::processes(1, 4));
        rig.send(rows::processes(5, 4));
        let finished = rig.finish();
        let says = finished.slot("says");
        let (_, counts) = &finished.sources.sources[0];
        let found = (
            says.answered,
            says.rejected,
            says.faults_total(),
            finished.pids().len(),
            counts.dropped.get(DropReason::Fault).rows
                + counts.dropped.get(DropReason::Rejected).rows,
        );
        assert_eq!(found, expected, "{does}, {on_fault}: {counts:?}");
    }
}

#[test]
fn a_guest_is_switched_between_two_batches_and_no_row_is_lost() {
    let old = slot("switches", "filter", r#"{ do = "answer" }"#, "");
    let rig = start(&old);
    for batch in 0..BATCHES {
        rig.send(rows::processes(batch * ROWS + 1, ROWS));
        if batch % 50 == 25 {
            // The last one waits, so that the one before has surely had its batches.
            if batch + 50 > BATCHES {
                rig.wait_until("all rows so far are through", |rig, _| {
                    let counts = &rig.status().sources[0].counts;
                    counts.produced == u64::from((batch + 1) * ROWS) && counts.in_flight() == 0
                });
            }
            // Every other generation removes all that it gets.
            let does = if batch % 100 == 25 {
                "drop-all"
            } else {
                "answer"
            };
            let new = slot("switches", "filter", &format!("{{ do = \"{does}\" }}"), "");
            let request = weir::config::LoadRequest {
                embedded_default: &new,
                ..weir::config::LoadRequest::default()
            };
            let config = weir::config::load(&request).expect("a config").config;
            let settings = &config.slots["switches"];
            rig.switch("switches", settings);
        }
    }
    let finished = rig.finish();
    let slot = finished.slot("switches");
    let (_, counts) = &finished.sources.sources[0];
    assert_eq!(slot.answered, u64::from(BATCHES));
    assert_eq!(counts.produced, u64::from(BATCHES * ROWS));
    assert_eq!(
        counts.published + counts.removed,
        counts.produced,
        "{counts:?}"
    );
    assert!(
        counts.removed > 0 && counts.published > 0,
        "{counts:?} {slot:?}"
    );
    assert_eq!(counts.published, finished.pids().len() as u64);
    assert_eq!(
        counts.published % u64::from(ROWS),
        0,
        "a batch was cut in two"
    );
}

#[test]
fn a_gap_stands_where_rows_were_dropped_and_says_how_many() {
    let rig = start(&slot("keeps", "filter", r#"{ do = "answer" }"#, ""));
    let limits = weir_bus::pubsub::QueueLimits {
        items_max: 3,
        bytes_max: 1 << 20,
    };
    let options = SubscriptionOptions::new("narrow")
        .pattern(TopicPattern::parse("events.>").expect("a pattern"))
        .limits(limits);
    let subscriber = rig
        .pipeline()
        .bus()
        .subscribe(options)
        .expect("a subscription");
    for batch in 0..10 {
        rig.send(rows::processes(batch * 4 + 1, 4));
    }
    rig.wait_until("all rows are through", |_, events| {
        rows::pids(events).len() == 40
    });
    let narrow = weir::testing::CapturingSink::of(subscriber);
    let kept = narrow.events(Duration::ZERO);
    assert_eq!(rows::pids(&kept), (29..=40).collect::<Vec<u32>>());
    assert_eq!(narrow.gaps(), [Some(28)]);
    let finished = rig.finish();
    assert_queue_laws(&finished);
}

#[test]
fn a_realtime_source_over_its_threshold_loses_its_newest_rows_counted() {
    let config = format!(
        "[collector]\nevent_buffer_size = 100\nbackpressure_threshold = 0.5\n{}",
        slot("slow", "filter", r#"{ do = "burn-fuel", amount = 3 }"#, "")
    );
    let rig = Setup::new(config).with_pace(Pace::Realtime).start();
    let rig = rig.unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    for batch in 0..100 {
        rig.send(rows::processes(batch * ROWS + 1, ROWS));
    }
    let finished = rig.finish();
    assert_source_law(&finished);
    let (_, counts) = &finished.sources.sources[0];
    let lost = counts.dropped.get(DropReason::Backpressure).rows;
    assert!(lost > 0, "no load: {counts:?}");
    assert_eq!(counts.published + lost, 100 * u64::from(ROWS), "{counts:?}");
    let pids = finished.pids();
    assert!(pids.is_sorted(), "what is left is in order");
}
