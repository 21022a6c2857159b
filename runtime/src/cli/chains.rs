//! `weir status --chains`: runs with their stages, those under way and the last that ended.
//!
//! Reads what the daemon of another version may have written: what isn't there is nothing.

use std::fmt::Write as _;

use serde_json::Value;

use super::table::{self, Row, Table};

/// What answers with the runs.
pub(super) const CHAINS_TOPIC: &str = "control.chains";

/// So many of the runs that ended are shown; `--json` has all that are kept.
const ENDED_SHOWN: usize = 10;

const TITLES: [&str; 8] = [
    "request / stage",
    "chain / worker",
    "trigger",
    "state",
    ">tries",
    ">time",
    ">fuel",
    "why",
];

/// The states of runs and stages in which something is wrong.
const WRONG: [&str; 2] = ["failed", "timed-out"];

/// The reply as two tables, and the counts.
pub(super) fn text(reply: &Value) -> String {
    let mut text = counts(reply);
    for (key, title) in [("runs", "under way"), ("ended", "ended, the last first")] {
        let runs = reply.get(key).and_then(Value::as_array);
        let mut runs: Vec<&Value> = runs.into_iter().flatten().collect();
        if key == "ended" {
            runs.reverse();
            runs.truncate(ENDED_SHOWN);
        }
        if runs.is_empty() {
            continue;
        }
        let table = Table {
            titles: &TITLES,
            rows: runs.into_iter().flat_map(rows).collect(),
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "\n{title}:");
        for line in table.lines() {
            let mark = if line.look == table::Look::Wrong {
                '!'
            } else {
                ' '
            };
            let _ = writeln!(text, "{mark} {}", line.text);
        }
    }
    text
}

fn counts(reply: &Value) -> String {
    let count = |key: &str| {
        let counts = reply.get("counts").and_then(|counts| counts.get(key));
        counts.and_then(Value::as_u64).unwrap_or_default()
    };
    let runs = reply.get("runs").and_then(Value::as_array);
    let untaken = match count("untaken") {
        0 => String::new(),
        untaken => format!(" ({untaken} without a target that no stage takes)"),
    };
    format!(
        "{} runs under way, {} answered{untaken}, {} failed, {} timed out, {} cancelled\n",
        runs.map_or(0, Vec::len),
        count("answered"),
        count("failed"),
        count("timed_out"),
        count("cancelled")
    )
}

/// A run, and a row for each of its stages.
fn rows(run: &Value) -> Vec<Row> {
    let named = |key| named(run, key);
    let mut rows = vec![row(
        run,
        [
            named("request_id"),
            named("plan"),
            crate::trigger::shown(&named("trigger"), &named("rule")),
        ],
    )];
    let stages = run.get("stages").and_then(Value::as_array);
    rows.extend(stages.into_iter().flatten().map(|stage| {
        let name = format!("  {}", self::named(stage, "stage"));
        row(stage, [name, self::named(stage, "worker"), String::new()])
    }));
    rows
}

fn named(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn row(value: &Value, names: [String; 3]) -> Row {
    let number = |key| value.get(key).and_then(Value::as_u64).unwrap_or_default();
    let tries = match number("attempts") {
        0 | 1 => String::new(),
        tries => tries.to_string(),
    };
    let time = match number("time_us") {
        0 => String::new(),
        #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
        time => format!("{:.1} ms", time as f64 / 1_000.0),
    };
    let fuel = match number("fuel") {
        0 => String::new(),
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        fuel => table::count(fuel as f64),
    };
    let state = named(value, "state");
    let is_wrong = WRONG.contains(&state.as_str());
    let names = names.map(|name| table::cell(&name));
    Row {
        cells: names
            .into_iter()
            .chain([
                state,
                tries,
                time,
                fuel,
                table::cell(&named(value, "reason")),
            ])
            .collect(),
        is_wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_shown_with_its_stages_below_it() {
        let reply = serde_json::json!({
            "counts": { "answered": 1 },
            "runs": [],
            "ended": [{
                "request_id": "1-2-3", "plan": "inspect", "trigger": "conditions", "rule": "temp",
                "state": "answered", "time_us": 12_340, "fuel": 1_500_000,
                "stages": [
                    { "stage": "hash", "worker": "source binary-hash", "state": "done", "attempts": 2, "time_us": 3_000 },
                    { "stage": "who", "worker": "slot lineage", "state": "failed", "attempts": 1, "reason": "trap" },
                ],
            }],
        });
        let text = text(&reply);
        let expected = [
            "0 runs under way, 1 answered, 0 failed, 0 timed out, 0 cancelled",
            "",
            "ended, the last first:",
            "  request / stage  chain / worker      trigger  state     tries     time   fuel  why",
            "  1-2-3            inspect             temp     answered         12.3 ms  1.5 M",
            "    hash           source binary-hash           done          2   3.0 ms",
            "!   who            slot lineage                 failed                           trap",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
