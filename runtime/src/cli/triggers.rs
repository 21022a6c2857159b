//! `weir status --triggers`: each trigger, and what became of its firings.
//!
//! Reads what the daemon of another version may have written: what isn't there is nothing.

use serde_json::Value;

use super::table::{self, Row, Table};

/// What answers with the triggers.
pub(super) const TRIGGERS_TOPIC: &str = "control.triggers";

const TITLES: [&str; 13] = [
    "trigger",
    ">fired",
    ">undecided",
    ">duplicate",
    ">excepted",
    ">over rate",
    ">no room",
    ">refused",
    ">admitted",
    ">open",
    ">answered",
    ">failed",
    ">cancelled",
];

/// What is added up below each title but the first.
const SUMS: [&[&str]; TITLES.len() - 1] = [
    &["fired"],
    &["undecided"],
    &["duplicates"],
    &["excepted"],
    &["rate_limited"],
    &["low_priority", "queue_full"],
    &["invalid", "too_deep", "no_target"],
    &["admitted"],
    &["waiting", "under_way"],
    &["answered"],
    &["failed", "timed_out"],
    &["cancelled"],
];

/// The reply as a table, and a line about what all share.
pub(super) fn text(reply: &Value) -> String {
    let triggers = reply.get("triggers").and_then(Value::as_array);
    let rows = triggers.into_iter().flatten().map(|trigger| {
        let named = |key| trigger.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = crate::trigger::shown(named("slot"), named("rule"));
        row(&name, trigger)
    });
    let mut rows: Vec<Row> = rows.collect();
    if let Some(total) = reply.get("total") {
        rows.push(row("total", total));
    }
    let table = Table {
        titles: &TITLES,
        rows,
    };
    let number = |key| reply.get(key).and_then(Value::as_u64).unwrap_or_default();
    format!(
        "{}\nat most {} requests wait; {} subjects are known again, {} were forgotten before their time\n",
        table::text(&[table]).trim_end(),
        number("requests_max"),
        number("dedup_entries"),
        number("dedup_forgotten")
    )
}

fn row(name: &str, counts: &Value) -> Row {
    let sum = |keys: &[&str]| -> u64 {
        let values = keys.iter().map(|key| counts.get(*key));
        values
            .map(|value| value.and_then(Value::as_u64).unwrap_or(0))
            .sum()
    };
    let cells = SUMS.iter().map(|keys| match sum(keys) {
        0 => String::new(),
        number => number.to_string(),
    });
    Row {
        cells: std::iter::once(table::cell(name)).chain(cells).collect(),
        is_wrong: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_of_a_trigger_stands_in_one_column() {
        use crate::trigger::TriggerCounts;
        let counts = serde_json::to_value(TriggerCounts::default()).unwrap();
        for key in counts.as_object().unwrap().keys() {
            let columns = SUMS.iter().filter(|keys| keys.contains(&key.as_str()));
            assert_eq!(columns.count(), 1, "{key}");
        }
    }

    #[test]
    fn triggers_are_told_by_name_and_what_did_not_happen_is_left_out() {
        let reply = serde_json::json!({
            "triggers": [
                { "slot": "conditions", "rule": "temp", "fired": 3, "duplicates": 2, "admitted": 1, "answered": 1 },
                { "slot": "own", "rule": "r", "fired": 1, "low_priority": 1 },
            ],
            "total": { "fired": 4, "duplicates": 2, "low_priority": 1, "admitted": 1, "answered": 1 },
            "requests_max": 1000, "dedup_entries": 1, "dedup_forgotten": 0,
        });
        let expected = [
            "  trigger  fired  duplicate  no room  admitted  answered",
            "  temp         3          2                  1         1",
            "  own/r        1                   1",
            "  total        4          2        1         1         1",
            "at most 1000 requests wait; 1 subjects are known again, 0 were forgotten before their time",
        ];
        assert_eq!(text(&reply).lines().collect::<Vec<_>>(), expected);
    }
}
