//! One run of one case: a hostile guest in a slot of its own, among good guests in all the others.

use std::fmt::Write as _;

use weir::sandbox::World;
use weir::slot::SlotStatistics;
use weir_bus::DropReason;
use weir_tests::rig::{Finished, SOURCE, Setup};
use weir_tests::{logs, rows};

use super::cases::{Case, Ends, Harm, Without};

/// Batches that go through.
const BATCHES: u32 = 4;
/// Rows of each: a mask's last byte isn't full.
const ROWS: u32 = 4;
/// All rows.
const ROWS_ALL: u32 = BATCHES * ROWS;
/// The rows that make the guest hostile: the second one of the second and of the last batch.
const POISON: [&str; 2] = ["p6", "p14"];
/// So many calls of the first look at every row are hostile, whatever the guest's world.
const HOSTILE_CALLS: u64 = POISON.len() as u64;
/// What the search through a batch of four takes, of which the second row does it: two faults of all, one of
/// the first half, one of the row; answers of the first row and of the second half.
const FAULTS_OF_BATCH: u64 = 4;
/// A batch of one row is its own culprit when it has broken the guest twice.
const FAULTS_OF_ROW: u64 = 2;
/// All guests' memory: what a guest without a limit of its own takes, and no more.
const GUESTS_MEMORY: &str = "64MiB";

/// How many calls a guest of that world gets: a stage is asked about each firing.
fn calls(world: World) -> u64 {
    u64::from(match world {
        World::Stage => ROWS_ALL,
        World::Filter | World::Trigger => BATCHES,
    })
}

/// The good guests, and a slot for a hostile one of the world's package.
pub(super) fn config(world: World, slot: &str, settings: &str, limits: &str) -> String {
    let module = format!("weir_hostile_{}.wasm", world.as_str());
    config_of(world, &module, slot, settings, limits)
}

/// The good guests, and a slot for the hostile one.
pub(super) fn config_of(
    world: World,
    module: &str,
    slot: &str,
    settings: &str,
    limits: &str,
) -> String {
    let mut text = format!(
        r#"
[sandbox]
guests_memory_bytes_max = "{GUESTS_MEMORY}"
[collector]
batch_timeout = "10s"
[sources.binary-hash]
kind = "binary-hash"
[sources.process-details]
kind = "process-details"
[slots.good-filter]
module = "weir_hostile_filter.wasm"
order = 2
settings = {{ do = "answer" }}
[slots.good-trigger]
module = "weir_hostile_trigger.wasm"
grants = ["log", "state"]
settings = {{ do = "fire-all" }}
[slots.good-stage]
module = "weir_hostile_stage.wasm"
grants = ["log", "metrics", "inspect"]
settings = {{ do = "find" }}
triggers = ["good-trigger"]
[slots.{slot}]
order = 1
settings = {settings}
"#
    );
    // Writing to a String can't fail.
    let more = match world {
        World::Filter => "",
        World::Trigger => "grants = [\"log\", \"state\"]",
        World::Stage => {
            "grants = [\"log\", \"metrics\", \"inspect\"]\ntriggers = [\"good-trigger\"]"
        }
    };
    let _ = writeln!(text, "module = \"{module}\"\n{more}");
    let _ = writeln!(text, "[slots.{slot}.limits]\n{limits}");
    text
}

/// The faults of a guest that breaks wherever it is hostile.
const fn faults(world: World) -> u64 {
    HOSTILE_CALLS
        * match world {
            World::Stage => FAULTS_OF_ROW,
            World::Filter | World::Trigger => FAULTS_OF_BATCH,
        }
}

/// The answers that it gives in spite of them: about the first row and the second half of each such batch.
fn answers(world: World) -> u64 {
    let good = calls(world) - HOSTILE_CALLS;
    match world {
        World::Stage => good,
        World::Filter | World::Trigger => good + 2 * HOSTILE_CALLS,
    }
}

fn setup(world: World, case: &Case, slot: &str, amount: u64) -> Setup {
    let settings = format!(
        r#"{{ do = "{}", amount = {amount}, names = {POISON:?} }}"#,
        case.does
    );
    Setup::new(config(world, slot, &settings, case.limits))
}

/// Sends all rows through, and drains.
pub(super) fn run(setup: Setup) -> Finished {
    let rig = setup
        .start()
        .unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    for batch in 0..BATCHES {
        rig.send(rows::processes(batch * ROWS + 1, ROWS));
    }
    rig.finish()
}

/// A slot's name that no other case has: what its guest says in the log is told by it.
fn slot_name(world: World, case: &Case, kind: &str) -> String {
    let number = super::cases::place(case);
    format!("{}-{}-{number}-{kind}", world.as_str(), case.does)
}

/// With all limits: the rows that do it are lost, and nothing else.
pub(super) fn check(world: World, case: &Case) {
    let slot = slot_name(world, case, "on");
    let finished = run(setup(world, case, &slot, case.amount));
    let hostile = finished.slot(&slot);
    let text = format!("{slot}: {}", story(hostile));
    match case.ends {
        Ends::Fault(reason, says) => {
            assert_eq!(hostile.faults, [(reason, faults(world))].into(), "{text}");
            let fault = hostile.last_fault.as_ref().expect("a fault is kept");
            assert!(fault.message.contains(says), "{says}: {text}");
            // After each of them somebody was asked: nobody was asked on what it had left.
            assert_eq!(hostile.restarts, faults(world), "{text}");
            assert_eq!(hostile.faulted, HOSTILE_CALLS, "{text}");
            assert_eq!(hostile.retries, HOSTILE_CALLS, "{text}");
            assert_eq!(hostile.rejected, 0, "{text}");
            assert_eq!(hostile.answered, answers(world), "{text}");
            let poison = POISON.len() as u64;
            let lost = (hostile.rows_unanswered, hostile.rows_poisonous);
            assert_eq!(lost, (poison, poison), "{text}");
        }
        Ends::NoVerdict => {
            assert!(hostile.faults.is_empty(), "{text}");
            assert_eq!(hostile.rejected, HOSTILE_CALLS, "{text}");
            assert_eq!(hostile.answered, calls(world) - HOSTILE_CALLS, "{text}");
            let rows = HOSTILE_CALLS * u64::from(ROWS_ALL) / calls(world);
            assert_eq!(hostile.rows_unanswered, rows, "{text}");
        }
        Ends::Answer(says) => {
            assert!(hostile.faults.is_empty(), "{text}");
            assert_eq!(hostile.answered, calls(world), "{text}");
            let said = logs::of_slot(&slot);
            let is_said = says.is_empty() || said.iter().any(|line| line.contains(says));
            assert!(is_said, "{says}: {said:?}");
        }
    }
    no_effect(world, case, &slot, &finished);
    others_as_if_alone(&finished, &slot);
}

/// What the slot's calls may have changed outside of its guest.
fn no_effect(world: World, case: &Case, slot: &str, finished: &Finished) {
    let hostile = finished.slot(slot);
    let is_answered = matches!(case.ends, Ends::Answer(_));
    // A hostile trigger fires where it is told why the store refused it, and nowhere else.
    let refused = if is_answered && case.does.starts_with("state-") {
        2
    } else {
        0
    };
    assert_eq!(finished.requests(slot).count(), refused, "{slot}");
    for request in finished.requests(slot) {
        let told = request.metadata.first().expect("the store's answer");
        assert!(told.contains("limits.state_"), "{told}");
    }
    let found = match world {
        World::Stage if is_answered => calls(world),
        World::Stage => calls(world) - HOSTILE_CALLS,
        World::Filter | World::Trigger => 0,
    };
    assert_eq!(finished.findings(slot).count() as u64, found, "{slot}");
    assert!(
        hostile.counters.is_empty(),
        "{slot}: {:?}",
        hostile.counters
    );
    let (keys, bytes) = finished.guests.state_size(slot).expect("its state");
    assert!(
        keys <= 64 && bytes <= 128 << 10,
        "{slot}: {keys} keys, {bytes} bytes"
    );
    if !is_answered {
        assert_eq!((keys, bytes), (0, 0), "{slot}: what it wrote must not stay");
    }
    // Floods are cut: the burst, and what a busy machine lets by at one a second.
    if case.limits.contains("log_burst") {
        assert!(hostile.log_lines < 100, "{slot}: {}", story(hostile));
        assert!(hostile.log_dropped > 0, "{slot}: {}", story(hostile));
    }
    if case.limits.contains("memory_bytes_max") {
        assert!(
            hostile.memory_bytes_peak <= 8 << 20,
            "{slot}: {}",
            story(hostile)
        );
    }
}

/// Every row comes out, in order, and every other guest gets it and answers for it.
pub(super) fn others_as_if_alone(finished: &Finished, hostile: &str) {
    let expected: Vec<u32> = (1..=ROWS_ALL).collect();
    assert_eq!(finished.pids(), expected, "{hostile}");
    others_answer(finished, hostile, &expected);
}

/// The good guests have got those rows, and only those.
pub(super) fn others_answer(finished: &Finished, hostile: &str, expected: &[u32]) {
    let fired: Vec<u32> = finished
        .requests("good-trigger")
        .filter_map(|request| request.target_pid)
        .collect();
    assert_eq!(fired, expected, "{hostile}");
    let found: Vec<String> = finished
        .findings("good-stage")
        .map(|finding| finding.subject.clone())
        .collect();
    let names: Vec<String> = expected.iter().map(|pid| format!("p{pid}")).collect();
    assert_eq!(found, names, "{hostile}");
    for good in ["good-filter", "good-trigger", "good-stage"] {
        let good = finished.slot(good);
        assert_eq!(good.faults_total(), 0, "beside {hostile}: {}", story(good));
        assert_eq!(
            good.rows_answered,
            expected.len() as u64,
            "beside {hostile}: {}",
            story(good)
        );
    }
}

/// Without the limit: the harm that it kept away.
pub(super) fn check_without_limits(world: World, case: &Case) {
    let Without::Limits(off, harm) = case.without else {
        return;
    };
    let slot = slot_name(world, case, "off");
    let setup = setup(world, case, &slot, case.amount_without);
    let finished = run(setup.without(&slot, off));
    let hostile = finished.slot(&slot);
    let text = format!("{slot} without {off:?}: {}", story(hostile));
    match harm {
        Harm::Answered => is_answered(world, hostile, &text),
        Harm::Takes(time) => {
            is_answered(world, hostile, &text);
            let least = time * u32::try_from(HOSTILE_CALLS).unwrap_or(u32::MAX);
            assert!(hostile.time >= least, "{text}");
        }
        Harm::RunsInto(reason, says) => {
            assert_eq!(hostile.faults, [(reason, faults(world))].into(), "{text}");
            let fault = hostile.last_fault.as_ref().expect("a fault is kept");
            assert!(fault.message.contains(says), "{text}");
        }
        Harm::Memory(bytes) => assert!(hostile.memory_bytes_peak >= bytes, "{text}"),
        Harm::LogLines(lines) => assert!(hostile.log_lines >= lines, "{text}"),
        Harm::LosesRows => {
            let (_, source) = finished
                .sources
                .sources
                .iter()
                .find(|(name, _)| name == SOURCE)
                .expect("the source");
            let lost = source.dropped.get(DropReason::Invalid).rows;
            assert_eq!(lost, HOSTILE_CALLS * u64::from(ROWS), "{text}");
        }
        Harm::Requests(most) => {
            is_answered(world, hostile, &text);
            assert_eq!(finished.requests(&slot).count(), most, "{text}");
        }
        Harm::Firings(most) => {
            is_answered(world, hostile, &text);
            let triggers = finished.status.triggers.triggers.iter();
            let own = triggers.filter(|trigger| trigger.slot == slot);
            let invalid: u64 = own.map(|trigger| trigger.counts.invalid).sum();
            assert_eq!(invalid, most, "{text}");
        }
        Harm::Findings(most) => {
            let good = calls(world) - HOSTILE_CALLS;
            let found = finished.findings(&slot).count() as u64;
            assert_eq!(found - good, most as u64, "{text}");
        }
        Harm::Refused(_) => panic!("{text}: it runs"),
        Harm::State(keys, bytes) => {
            let size = finished.guests.state_size(&slot).expect("its state");
            assert!(size.0 >= keys && size.1 >= bytes, "{size:?}: {text}");
        }
    }
}

/// A slot's counts, as short as a person wants them.
pub(super) fn story(slot: &SlotStatistics) -> String {
    let fault = slot.last_fault.as_ref().map(ToString::to_string);
    format!(
        "answered {}, rejected {}, faults {:?}, poisonous {}, restarts {}, {} bytes, {} lines, last: {}",
        slot.answered,
        slot.rejected,
        slot.faults,
        slot.rows_poisonous,
        slot.restarts,
        slot.memory_bytes,
        slot.log_lines,
        fault.unwrap_or_default()
    )
}

fn is_answered(world: World, hostile: &SlotStatistics, text: &str) {
    assert!(hostile.faults.is_empty(), "{text}");
    assert_eq!(hostile.answered + hostile.rejected, calls(world), "{text}");
}
