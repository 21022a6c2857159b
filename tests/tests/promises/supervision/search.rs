//! The rows that break a guest are found; all others get their verdict, in order.

use weir::sandbox::FaultReason;
use weir_bus::DropReason;
use weir_tests::rig::{Finished, Setup};
use weir_tests::rows;

/// Rows of a batch.
const ROWS: u32 = 1_000;

/// One batch, through a slot whose guest breaks on those rows, and does `does`.
fn run(world: &str, does: &str, poison: &[u32], more: &str) -> Finished {
    let names: Vec<String> = poison.iter().map(|row| format!("p{row}")).collect();
    let grants = match world {
        "trigger" => r#"["log", "state"]"#,
        _ => r#"["log"]"#,
    };
    let rig = Setup::new(format!(
        r#"
[collector]
batch_timeout = "10s"
[slots.breaks]
module = "weir_hostile_{world}.wasm"
grants = {grants}
settings = {{ do = "{does}", names = {names:?} }}
{more}
"#
    ))
    .start()
    .unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    rig.send(rows::processes(1, ROWS));
    rig.finish()
}

#[test]
fn a_row_that_breaks_a_guest_in_the_middle_of_a_thousand_costs_no_other_row_its_verdict() {
    // (rows that do it, most runs for them)
    for (poison, runs_max) in [
        (&[500][..], 24),
        (&[1], 24),
        (&[1_000], 24),
        (&[250, 750], 48),
        (&[1, 1_000], 48),
        (&[500, 501], 48),
    ] {
        let finished = run("filter", "trap", poison, "on_fault = \"drop\"");
        let slot = finished.slot("breaks");
        let left: Vec<u32> = (1..=ROWS).filter(|row| !poison.contains(row)).collect();
        assert_eq!(finished.pids(), left, "{poison:?}");
        assert_eq!(slot.rows_answered, left.len() as u64);
        assert_eq!(slot.rows_poisonous, poison.len() as u64);
        assert_eq!(slot.rows_dropped, slot.rows_unanswered);
        assert_eq!((slot.faulted, slot.retries), (1, 1));
        assert!(1 + slot.retries + slot.search_runs <= runs_max, "{slot:?}");
        let (_, source) = &finished.sources.sources[0];
        let lost = source.dropped.get(DropReason::Fault).rows;
        assert_eq!(lost, poison.len() as u64);
        assert_eq!((slot.dead_letters, slot.dead_letters_lost), (lost, 0));
        let letters = finished.dead_letters();
        let buried: Vec<_> = letters
            .iter()
            .filter_map(|one| one["row"]["pid"].as_u64())
            .collect();
        let expected: Vec<_> = poison.iter().map(|row| u64::from(*row)).collect();
        assert_eq!(buried, expected);
        for letter in letters {
            assert_eq!(letter["why"], "poisonous");
            assert_eq!(letter["slot"], "breaks");
            assert_eq!(letter["digest"], slot.digest.as_str());
            assert_eq!(letter["fault"]["reason"], "trap");
            let frames = letter["fault"]["backtrace"].to_string();
            assert!(frames.contains("keep"), "{frames}");
        }
    }
}

#[test]
fn a_dead_letter_has_the_guests_last_words() {
    let finished = run("filter", "panic", &[500], "");
    let letters = finished.dead_letters();
    let stderr = letters[0]["fault"]["stderr"].as_str().unwrap_or_default();
    assert!(
        stderr.contains("a guest that panics says so"),
        "{letters:?}"
    );
}

#[test]
fn all_rows_without_a_verdict_are_kept_where_the_slot_says_so() {
    for (does, why, count) in [("trap", "poisonous", 1), ("reject", "rejected", ROWS)] {
        let finished = run("filter", does, &[500], "on_fault = \"dead-letter\"");
        let letters = finished.dead_letters();
        assert_eq!(letters.len(), count as usize, "{does}");
        assert!(letters.iter().all(|letter| letter["why"] == why), "{does}");
        let slot = finished.slot("breaks");
        assert_eq!(slot.rows_dead_lettered, u64::from(count), "{does}");
        assert_eq!(slot.dead_letters, u64::from(count), "{does}");
        assert_eq!(finished.pids().len(), (ROWS - count) as usize, "{does}");
    }
}

#[test]
fn a_row_that_breaks_a_guest_passes_where_the_slot_says_so() {
    let finished = run("filter", "trap", &[500], "");
    let all: Vec<u32> = (1..=ROWS).collect();
    assert_eq!(finished.pids(), all);
    assert_eq!(finished.slot("breaks").rows_passed, 1);
}

#[test]
fn what_a_call_wrote_before_it_broke_is_never_seen_again() {
    let finished = run("trigger", "state-then-trap", &[500], "");
    let slot = finished.slot("breaks");
    assert_eq!(slot.rows_poisonous, 1, "{slot:?}");
    assert_eq!(finished.guests.state_size("breaks"), Some((0, 0)));
}

#[test]
fn a_guest_that_always_breaks_costs_96_runs_a_batch() {
    let poison: Vec<u32> = (1..=ROWS).collect();
    let finished = run("filter", "trap", &poison, "");
    let slot = finished.slot("breaks");
    assert_eq!(slot.faults, [(FaultReason::Trap, 96)].into());
    assert_eq!(slot.rows_unanswered, u64::from(ROWS));
    assert_eq!(finished.pids().len(), ROWS as usize);
}
