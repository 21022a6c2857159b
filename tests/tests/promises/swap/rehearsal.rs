//! Before a guest takes over, what it says of the slot's last batches is compared with what the one before says.

use weir::slot::Comparison;
use weir_tests::rig::{Rig, Setup};
use weir_tests::{logs, rows};

use super::{FILTER, SLOT, config, settings_of, start};

const ROWS: u32 = 10;
const BATCHES: u32 = 12;

/// A rig whose slot has seen some batches.
fn seasoned(settings: &str, more: &str) -> Rig {
    let text = format!("{more}{}", config(FILTER, settings));
    let rig = Setup::new(text).start();
    let rig = rig.unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    for batch in 0..BATCHES {
        rig.send_through(rows::processes(batch * ROWS + 1, ROWS));
    }
    rig
}

fn rehearse(rig: &Rig, settings: &str) -> Result<Option<Comparison>, String> {
    let guest = rig.prepare(SLOT, &settings_of(FILTER, settings));
    rig.pipeline().slots()[SLOT].rehearse(&guest)
}

#[test]
fn it_tells_on_how_many_of_the_last_rows_two_guests_differ() {
    let rig = seasoned(r#"{ do = "answer" }"#, "");
    let answered = rig.slot(SLOT).answered;
    let all = u64::from(8 * ROWS);
    for (settings, alike) in [
        (r#"{ do = "answer" }"#, all),
        (r#"{ do = "drop-all" }"#, 0),
        // No verdict is another verdict.
        (r#"{ do = "reject" }"#, 0),
    ] {
        let compared = rehearse(&rig, settings)
            .expect("it doesn't break")
            .expect("batches");
        assert_eq!((compared.batches, compared.rows), (8, all), "{settings}");
        assert_eq!(compared.rows_alike, alike, "{settings}");
        assert!(compared.fuel > 0 && compared.fuel_in_force > 0);
    }
    let slot = rig.slot(SLOT);
    assert_eq!(slot.answered, answered, "the slot itself was not asked");
    assert_eq!(slot.generation, 1);
    drop(rig.finish());
}

#[test]
fn a_guest_that_breaks_or_differs_more_than_the_config_allows_is_refused() {
    let rig = seasoned(r#"{ do = "answer" }"#, "[swap]\nmax_difference = 0.1\n");
    for (settings, why) in [
        (
            r#"{ do = "trap" }"#,
            "breaks on a batch that the guest in force has a verdict on: trap: ",
        ),
        (
            r#"{ do = "drop-all" }"#,
            "says something else of 100.0 % of the last 80 rows, and 10.0 % are allowed (swap.max_difference)",
        ),
    ] {
        let refused = rehearse(&rig, settings).expect_err("it is refused");
        assert!(refused.contains(why), "{refused}");
    }
    assert!(rehearse(&rig, r#"{ do = "answer" }"#).is_ok());
    drop(rig.finish());
}

#[test]
fn a_batch_that_breaks_the_guest_in_force_says_nothing_of_another() {
    let rig = seasoned(r#"{ do = "trap", name = "p101" }"#, "");
    let compared = rehearse(&rig, r#"{ do = "answer" }"#).expect("it doesn't break");
    assert_eq!(compared.expect("batches").batches, 7);
    drop(rig.finish());
}

#[test]
fn what_it_does_is_seen_and_heard_nowhere() {
    let rig = seasoned(r#"{ do = "answer" }"#, "");
    let lines = rig.slot(SLOT).log_lines;
    let said = rehearse(&rig, r#"{ do = "flood-log", amount = 10 }"#);
    assert!(said.is_ok(), "{said:?}");
    assert_eq!(rig.slot(SLOT).log_lines, lines);
    assert!(
        logs::of_slot(SLOT)
            .iter()
            .all(|line| !line.contains("flood"))
    );
    drop(rig.finish());
}

#[test]
fn without_batches_there_is_nothing_to_compare() {
    let rig = start(FILTER, r#"{ do = "answer" }"#);
    assert_eq!(rehearse(&rig, r#"{ do = "trap" }"#), Ok(None));
    drop(rig.finish());
    let rig = seasoned(r#"{ do = "answer" }"#, "[swap]\nreplay_batches = 0\n");
    assert_eq!(rehearse(&rig, r#"{ do = "trap" }"#), Ok(None));
    drop(rig.finish());
}
