//! What thresholds have counted outlives a fault and a swap.

use weir_guest::{Guest, Memory, settings};

use super::Random;
use super::batch::{columns, text};
use crate::SqlTrigger;
use crate::columns::Cell;
use crate::threshold::{Limit, Windows};

fn trigger(condition: &str, count: u64) -> SqlTrigger {
    let json = format!(
        r#"{{"conditions": [{{"name": "x", "kind": "process", "condition": "{condition}", "threshold": {{"count": {count}, "window_ms": 1000, "by": ["name"]}}}}]}}"#
    );
    SqlTrigger::new(settings(SqlTrigger::DEFAULTS, &json).unwrap()).unwrap()
}

/// How often it fires for some rows of the same process.
fn fired(trigger: &mut SqlTrigger, rows: usize) -> usize {
    let rows = vec![
        vec![
            ("name", text("a")),
            ("pid", Cell::Integer(2)),
            ("timestamp", Cell::Time(5))
        ];
        rows
    ];
    let of_kind = trigger.conditions.of("process").unwrap();
    let columns = columns(of_kind.kind, &rows);
    trigger
        .conditions
        .verdicts(of_kind, &columns, &mut trigger.windows)
        .0
        .firings
        .len()
}

#[test]
fn who_takes_over_goes_on_counting() {
    let mut first = trigger("pid > 1", 3);
    assert_eq!(fired(&mut first, 2), 0);
    let mut second = trigger("pid > 1", 3);
    second.restore(&first.snapshot()).unwrap();
    assert_eq!(fired(&mut second, 1), 1);
    assert_eq!(fired(&mut second, 1), 0);
    // A condition or a threshold that was changed begins anew.
    for mut other in [trigger("pid > 0", 3), trigger("pid > 1", 4)] {
        other.restore(&first.snapshot()).unwrap();
        assert_eq!(fired(&mut other, 2), 0);
    }
}

#[test]
fn a_snapshot_fits_and_leaves_out_the_oldest() {
    let limit = Limit {
        print: 7,
        count: 100,
        window_ns: 1_000,
    };
    let mut windows = Windows::new(60_000);
    for group in 0..60_000_u32 {
        windows.count(limit, &[group.to_le_bytes(), [9; 4]].concat(), 1);
    }
    let snapshot = windows.snapshot();
    assert!(
        snapshot.len() <= 1 << 20 && snapshot.len() > 1_000_000,
        "{}",
        snapshot.len()
    );
    let mut restored = Windows::new(60_000);
    restored.restore(&snapshot, &[limit]).unwrap();
    assert_eq!(restored.snapshot(), snapshot);
    assert_eq!(
        restored.seen(limit, &[59_999_u32.to_le_bytes(), [9; 4]].concat(), 2),
        2
    );
    assert_eq!(
        restored.seen(limit, &[0_u32.to_le_bytes(), [9; 4]].concat(), 2),
        1
    );
}

#[test]
fn bytes_that_are_no_snapshot_change_nothing() {
    let mut trigger = trigger("pid > 1", 3);
    fired(&mut trigger, 2);
    let snapshot = trigger.snapshot();
    let mut random = Random::new(9);
    for length in 0..snapshot.len() {
        if length > 0 {
            assert!(trigger.restore(&snapshot[..length]).is_err());
        }
        let mut bent = snapshot.clone();
        bent[length] ^= 1 << random.below(8);
        let mut other = self::trigger("pid > 1", 3);
        let _ = other.restore(&bent);
        assert!(other.snapshot().len() <= snapshot.len());
    }
    assert_eq!(trigger.snapshot(), snapshot);
    assert_eq!(fired(&mut trigger, 1), 1);
}

#[test]
fn the_settings_of_no_conditions_want_all_kinds_and_no_column() {
    let trigger = SqlTrigger::new(settings(SqlTrigger::DEFAULTS, "").unwrap()).unwrap();
    assert_eq!(trigger.self_test(), Ok(()));
    let wants = format!("{:?}", trigger.wants());
    assert_eq!(wants.matches("[])").count(), 7, "{wants}");
    let wants = format!(
        "{:?}",
        self::trigger("pid > 1 AND parent_name IS NULL", 3).wants()
    );
    assert!(
        wants.contains(r#"("process", ["timestamp", "pid", "parent_name", "name"])"#),
        "{wants}"
    );
    assert!(
        wants.contains(r#"Rule { name: "x", priority: Normal, target: "" }"#),
        "{wants}"
    );
    let error = settings::<crate::settings::Settings>(
        SqlTrigger::DEFAULTS,
        r#"{"conditions": [{"name": "x", "kind": "process", "condition": "true", "colour": 1}]}"#,
    )
    .unwrap_err();
    assert!(
        error.starts_with("settings: conditions[0].colour: unknown field `colour`"),
        "{error}"
    );
    let none = r#"{"windows_max": 0}"#;
    let error = SqlTrigger::new(settings(SqlTrigger::DEFAULTS, none).unwrap()).unwrap_err();
    assert_eq!(error, "settings: windows_max: 0 is not within 1 to 65536");
}
