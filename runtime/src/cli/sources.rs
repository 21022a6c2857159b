//! `weir status --sources`: how often each source looks and for whom, what that costs, and what is kept of it.
//!
//! It reads the reply to `control.status`; what isn't there is left out, whatever version answers.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Value, json};
use weir_sources::tiers::{self, TierReport};

use super::table::{self, Row, Table, bytes, cell, count};

/// The sources of a reply, those that the host can't offer, and nothing else of it.
pub(super) fn only(reply: &Value) -> Value {
    json!({ "sources": reply["sources"], "unavailable": reply["unavailable"] })
}

/// The sources as a table, and below it a line for each that says who asks for it, or what is wrong.
pub(super) fn text(reply: &Value) -> String {
    let sources = reply["sources"].as_array();
    // What comes over the socket is counted among the sources, and is none.
    let is_source = |source: &&Value| !source["state"].is_null();
    let sources: Vec<&Value> = sources.into_iter().flatten().filter(is_source).collect();
    let table = Table {
        titles: &[
            "SOURCE",
            "STATE",
            ">LOOKS EVERY",
            ">RUNS",
            ">FAILED",
            ">READS",
            ">WITHOUT RUN",
            ">ROWS KEPT",
            ">BYTES",
            ">COST",
            ">LAST TOOK",
            ">AGE",
        ],
        rows: sources.iter().map(|source| row(source)).collect(),
    };
    let mut text = table::text(&[table]);
    let mut lines: Vec<String> = sources.iter().flat_map(|source| lines_of(source)).collect();
    lines.extend(left_out(reply));
    if !lines.is_empty() {
        text.push('\n');
    }
    for line in lines {
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {}", table::line(&line));
    }
    text
}

fn row(source: &Value) -> Row {
    let (schedule, kept) = (&source["schedule"], &source["table"]);
    let number = |value: &Value| value.as_u64().map(plain).unwrap_or_default();
    let time = |value: &Value| value.as_u64().map(duration).unwrap_or_default();
    let every = match (schedule.is_null(), schedule["in_force_ms"].as_u64()) {
        (true, _) => String::new(),
        (false, None) => "off".to_owned(),
        (false, Some(ms)) => duration(ms),
    };
    let cost = schedule["cost_share"].as_f64();
    let health = source["health"].as_str().unwrap_or_default();
    Row {
        cells: vec![
            cell(source["name"].as_str().unwrap_or_default()),
            cell(source["state"].as_str().unwrap_or_default()),
            every,
            number(&schedule["runs"]),
            number(&schedule["runs_failed"]),
            number(&kept["reads"]),
            number(&kept["reads_without_run"]),
            number(&kept["rows"]),
            kept["bytes"].as_u64().map(bytes).unwrap_or_default(),
            cost.map(percent).unwrap_or_default(),
            time(&schedule["last"]["took_ms"]),
            time(&kept["age_ms"]),
        ],
        is_wrong: health != "healthy",
    }
}

/// In which ways the sources of a reply reach into the host, a line each.
pub(super) fn all_ways(reply: &Value) -> Vec<String> {
    let sources = reply["sources"].as_array().into_iter().flatten();
    sources.filter_map(ways).collect()
}

/// In which ways a source reaches into the host, and why not in others.
fn ways(source: &Value) -> Option<String> {
    let name = source["name"].as_str().unwrap_or_default();
    let reports = source["tiers"].as_array().into_iter().flatten();
    let reports = reports.filter_map(|report| TierReport::deserialize(report).ok());
    let told = tiers::told(&reports.collect::<Vec<_>>());
    (!told.is_empty()).then(|| format!("{name}: {told}"))
}

/// What the host can't offer, a line each.
pub(super) fn left_out(reply: &Value) -> Vec<String> {
    let left_out = reply["unavailable"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    left_out
        .map(|one| format!("without {}: {}", text(&one["source"]), text(&one["reason"])))
        .collect()
}

/// What is wrong with a source, how it reaches into the host, and who asks for it.
fn lines_of(source: &Value) -> Vec<String> {
    let name = source["name"].as_str().unwrap_or_default();
    let schedule = &source["schedule"];
    let mut lines = Vec::new();
    let health = source["health"].as_str().unwrap_or_default();
    if !["healthy", ""].contains(&health) {
        lines.push(format!("{name} is {health}"));
    }
    if let Some(size) = source["table"]["too_large"].as_u64() {
        lines.push(format!(
            "{name}: its table is not kept, {} are too much",
            bytes(size)
        ));
    }
    lines.extend(ways(source));
    if schedule.is_null() {
        return lines;
    }
    let askers = schedule["askers"].as_array().into_iter().flatten();
    let askers: Vec<String> = askers
        .map(|asker| {
            let every = asker["every_ms"].as_u64().map(duration).unwrap_or_default();
            format!(
                "{} every {every}",
                asker["name"].as_str().unwrap_or_default()
            )
        })
        .collect();
    lines.push(if askers.is_empty() {
        format!("{name}: nobody asks")
    } else {
        format!("{name}: asked for by {}", askers.join(", "))
    });
    if schedule["stretched"].as_bool().unwrap_or_default() {
        let most = schedule["cost_share_max"].as_f64().unwrap_or_default();
        lines.push(format!(
            "{name}: its budget of {} of a core decides",
            percent(most)
        ));
    }
    lines
}

fn duration(ms: u64) -> String {
    table::seconds(Duration::from_millis(ms).as_secs_f64())
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
fn plain(number: u64) -> String {
    count(number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_shown_with_who_asks_what_it_costs_and_what_is_kept() {
        let reply = json!({"sources": [
            {
                "name": "process", "state": "running", "health": "degraded: costs more than its share",
                "schedule": {
                    "askers": [
                        {"name": "config", "every_ms": 10_000},
                        {"name": "weir-tap/tap", "every_ms": 1_000},
                    ],
                    "in_force_ms": 2_100, "stretched": true, "cost_share": 0.01, "cost_share_max": 0.01,
                    "runs": 12, "runs_failed": 1, "last": {"took_ms": 21},
                },
                "table": {"rows": 400, "bytes": 200_000, "reads": 30, "reads_without_run": 18, "age_ms": 900},
            },
            {
                "name": "off", "state": "running", "health": "healthy",
                "schedule": {"askers": [], "in_force_ms": null, "runs": 0},
                "table": {"rows": 0, "bytes": 0, "reads": 0, "reads_without_run": 0, "too_large": 100_000_000},
            },
            {
                "name": "events", "state": "running", "health": "healthy", "schedule": null, "table": null,
                "tiers": [
                    {"name": "one", "used": false, "reason": "needs more"},
                    {"name": "two", "used": true, "reason": null},
                    {"name": "of another version"},
                ],
            },
            {"name": "socket:", "state": null, "health": "healthy"},
        ], "unavailable": [{"source": "files", "reason": "needs CAP_X: run as root"}]});
        let shown = text(&reply);
        let expected = [
            "  SOURCE   STATE    LOOKS EVERY  RUNS  FAILED  READS  WITHOUT RUN  ROWS KEPT      BYTES    COST  LAST TOOK     AGE",
            "! process  running        2.1 s    12       1     30           18        400  195.3 KiB  1.00 %      21 ms  900 ms",
            "  off      running          off     0              0            0          0        0 B",
            "  events   running",
            "",
            "  process is degraded: costs more than its share",
            "  process: asked for by config every 10.0 s, weir-tap/tap every 1.0 s",
            "  process: its budget of 1.00 % of a core decides",
            "  off: its table is not kept, 95.4 MiB are too much",
            "  off: nobody asks",
            "  events: by two; not one: needs more",
            "  without files: needs CAP_X: run as root",
        ];
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{shown}");
        assert_eq!(only(&reply), reply);
        assert_eq!(text(&json!({})).lines().count(), 1);
    }
}
