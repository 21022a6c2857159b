//! What conditions say of events, in the sandbox that the daemon has for them.

use weir::trigger::{CONDITIONS_SLOT, TriggerCounts};
use weir_bus::Kind;
use weir_bus::event::ProcessEvent;
use weir_tests::rig::{Finished, Setup};
use weir_tests::rows;

use super::trigger;

/// The conditions, named by their place, after one row.
fn judged(conditions: &[&str], row: ProcessEvent) -> Finished {
    let triggers = conditions.iter().enumerate();
    let config: String = triggers
        .map(|(place, condition)| trigger(&format!("t{place}"), condition, ""))
        .collect();
    let rig = Setup::new(config).start();
    let rig = rig.unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    rig.send(vec![row]);
    rig.wait_until("the row is judged", |rig, _| {
        rig.slot(CONDITIONS_SLOT).answered == 1
    });
    rig.finish()
}

fn counts(finished: &Finished, rule: &str) -> TriggerCounts {
    let mut triggers = finished.status.triggers.triggers.iter();
    let found = triggers.find(|trigger| trigger.rule == rule);
    found.map(|trigger| trigger.counts).unwrap_or_default()
}

/// Pid 4321, name `evil.exe`, at 99 % of a core; its executable isn't known.
fn evil() -> ProcessEvent {
    ProcessEvent {
        cpu_usage: Some(99.0),
        ..rows::process(4_321, "evil.exe")
    }
}

#[test]
fn a_condition_matches_where_sql_says_true_and_nowhere_else() {
    let cases = [
        ("pid > 1000", true),
        ("name LIKE 'evil%'", true),
        ("cpu_usage > 50.0", true),
        ("name = 'evil.exe'", true),
        ("NOT (cpu_usage <= 50 OR name ILIKE 'GOOD%')", true),
        ("name LIKE '%from%'", false),
        ("name = 'selector'", false),
        // Nobody knows its executable: neither is true.
        ("executable LIKE '/tmp/%'", false),
        ("NOT executable LIKE '/tmp/%'", false),
        ("executable IS NULL", true),
        ("'evil.exe' = ANY(command_line)", true),
        ("pid IN (1, 2, 4321) AND basename('/a/b') = 'b'", true),
    ];
    let conditions = cases.map(|(condition, _)| condition);
    let finished = judged(&conditions, evil());
    for (place, (condition, matches)) in cases.into_iter().enumerate() {
        let counts = counts(&finished, &format!("t{place}"));
        assert_eq!(counts.fired, u64::from(matches), "{condition}");
        assert_eq!(counts.undecided, 0, "{condition}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_neither_a_match_nor_silent() {
    let finished = judged(
        &[
            "cidr_contains('10.0.0.0/8', name)",
            "pid > 1000 OR cidr_contains('10.0.0.0/8', name)",
            "pid < 1000 AND cidr_contains('10.0.0.0/8', name)",
        ],
        evil(),
    );
    let of = |rule| {
        let counts = counts(&finished, rule);
        (counts.fired, counts.undecided)
    };
    assert_eq!(of("t0"), (0, 1), "a name is no address");
    assert_eq!(of("t1"), (1, 0), "true OR anything is true");
    assert_eq!(of("t2"), (0, 0), "false AND anything is false");
    assert_eq!(finished.slot(CONDITIONS_SLOT).rows_undecided, 1);
    assert_eq!(finished.slot(CONDITIONS_SLOT).faults_total(), 0);
}

#[test]
fn every_column_of_every_kind_is_known_to_conditions() {
    for kind in Kind::ALL {
        let columns = kind.fields().iter().map(|field| field.name);
        let config: String = columns
            .map(|column| {
                let kind = format!("kind = \"{kind}\"");
                trigger(column, &format!("{column} IS NOT NULL"), &kind)
            })
            .collect();
        if let Err(error) = Setup::new(config).start() {
            panic!("{kind}: {error}");
        }
    }
}
