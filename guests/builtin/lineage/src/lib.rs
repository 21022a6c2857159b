//! The built-in stage `lineage`: says who started the process that fired, up to init; of an event of another kind, what it
//! says, whose it is, and who started that.
//!
//! It does not judge: that a rule fired is the finding, and its priority the severity. It adds what
//! a person asks first, and what the stages before it found, on one screen.
//!
//! Invariant: a walk has an end (64 steps, and no process twice), and says where it broke; no key of the
//! evidence stands twice.

mod others;
mod upstream;
mod walk;

use serde::Deserialize;
use std::fmt::Write;
use walk::{Ancestor, Chain};
use weir_guest::{
    Batch, EvalError, Finding, Guest, Row, Severity, Stage, TriggerRequest, Upstream, Value, Wants,
    host,
};

/// What the finding tells of the process, besides who it is and who started it.
const FIELDS: &[&str] = &[
    "pid",
    "start_time",
    "ppid",
    "parent_start_time",
    "parent_name",
    "name",
    "executable",
    "command_line",
    "user_id",
    "container_id",
    "executable_hash",
    "hash_algorithm",
];

/// More steps than this nobody reads, and each is a host call.
const STEPS_MAX: usize = 64;
/// The longest command line that fits a finding, with room for all the rest (4 MiB a batch).
const COMMAND_LINE_CHARS_MAX: usize = 100_000;
/// The most that stages before this one may add, which then is no screen any more.
const UPSTREAM_ENTRIES_MAX: usize = 256;
/// The longest text of theirs.
const UPSTREAM_CHARS_MAX: usize = 4_000;

/// What the slot's settings may say; the defaults are in `settings.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// How many ancestors are walked.
    steps_max: usize,
    /// How much of a command line is told.
    command_line_chars_max: usize,
    /// Keys of the evidence of the stages before that aren't told.
    #[serde(default = "upstream::leave_out")]
    leave_out: Vec<String>,
    /// How much of their evidence is told.
    upstream_entries_max: usize,
    /// How much of each text of it.
    upstream_chars_max: usize,
}

/// The stage.
#[derive(Clone, Debug)]
struct Lineage {
    settings: Settings,
}

impl Lineage {
    /// The finding about a process; `look` finds others.
    fn finding(
        &self,
        row: &Row,
        upstream: Upstream<'_>,
        cause: Option<&TriggerRequest>,
        look: impl Fn(u32, i64) -> Option<Row>,
    ) -> Finding {
        let chain = walk::walk(row, self.settings.steps_max, look);
        let mut evidence = message_of(cause);
        evidence.extend(self.of_process(row, &chain));
        self.told(Ancestor::of_row(row).to_string(), evidence, upstream, cause)
    }

    /// The finding about an event of another kind.
    fn finding_of_other(
        &self,
        kind: &str,
        row: &Row,
        upstream: Upstream<'_>,
        cause: Option<&TriggerRequest>,
        look: impl Fn(u32, i64) -> Option<Row>,
    ) -> Finding {
        let mut evidence = message_of(cause);
        evidence.extend(others::evidence(kind, row));
        let owner = others::owner(kind, row).and_then(|(pid, start_time)| look(pid, start_time));
        if let Some(owner) = owner {
            let chain = walk::walk(&owner, self.settings.steps_max, look);
            evidence.push(("process".to_owned(), Ancestor::of_row(&owner).to_string()));
            evidence.extend(self.of_process(&owner, &chain));
        }
        self.told(others::subject(kind, row), evidence, upstream, cause)
    }

    /// The finding, with what the stages before it found.
    fn told(
        &self,
        subject: String,
        mut evidence: Vec<(String, String)>,
        upstream: Upstream<'_>,
        cause: Option<&TriggerRequest>,
    ) -> Finding {
        upstream::add(&mut evidence, upstream, &self.settings);
        let rule = cause.map(|cause| format!("{}/{}", cause.trigger, cause.rule));
        evidence.extend(rule.map(|rule| ("rule".to_owned(), rule)));
        let (severity, title) = match cause {
            Some(cause) => (severity(&cause.priority), cause.rule.replace('-', " ")),
            None => (Severity::Info, "event looked at".to_owned()),
        };
        Finding {
            severity,
            title,
            subject,
            evidence,
        }
    }

    fn of_process(&self, row: &Row, chain: &Chain) -> Vec<(String, String)> {
        let text = |name| host::text(row, name).map(ToOwned::to_owned);
        let pairs = [
            ("executable", text("executable")),
            ("command_line", self.command_line(row)),
            (
                "user",
                host::unsigned(row, "user_id").map(|user| user.to_string()),
            ),
            ("container", text("container_id")),
            (
                text_or(row, "hash_algorithm", "hash"),
                text("executable_hash"),
            ),
            ("parents", Some(chain.to_string())),
        ];
        pairs
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect()
    }

    fn command_line(&self, row: &Row) -> Option<String> {
        let Some(Value::Texts(arguments)) = host::field(row, "command_line") else {
            return None;
        };
        if arguments.is_empty() {
            return None;
        }
        let line = arguments.join(" ");
        match line
            .char_indices()
            .nth(self.settings.command_line_chars_max)
        {
            Some((at, _)) => {
                let mut cut = line.get(..at).unwrap_or_default().to_owned();
                // Writing to a text can't fail.
                let _ = write!(cut, "… ({} bytes)", line.len());
                Some(cut)
            }
            None => Some(line),
        }
    }
}

fn message_of(cause: Option<&TriggerRequest>) -> Vec<(String, String)> {
    let message = cause.and_then(|cause| cause.message.clone());
    message
        .map(|message| ("message".to_owned(), message))
        .into_iter()
        .collect()
}

fn text_or<'a>(row: &'a Row, name: &str, otherwise: &'a str) -> &'a str {
    host::text(row, name).unwrap_or(otherwise)
}

/// A trigger's priority as a finding's severity.
fn severity(priority: &str) -> Severity {
    match priority {
        "critical" => Severity::Critical,
        "high" => Severity::High,
        "normal" => Severity::Medium,
        _ => Severity::Low,
    }
}

impl Guest for Lineage {
    type Settings = Settings;
    const DEFAULTS: &'static str = include_str!("../settings.json");

    fn new(settings: Settings) -> Result<Self, String> {
        let within = |key: &str, value: usize, max: usize| match value {
            1.. if value <= max => Ok(()),
            _ => Err(format!("settings: {key}: {value} is not within 1 to {max}")),
        };
        within("steps_max", settings.steps_max, STEPS_MAX)?;
        within(
            "command_line_chars_max",
            settings.command_line_chars_max,
            COMMAND_LINE_CHARS_MAX,
        )?;
        within(
            "upstream_entries_max",
            settings.upstream_entries_max,
            UPSTREAM_ENTRIES_MAX,
        )?;
        within(
            "upstream_chars_max",
            settings.upstream_chars_max,
            UPSTREAM_CHARS_MAX,
        )?;
        Ok(Self { settings })
    }

    fn wants(&self) -> Wants {
        others::and_wants(Wants::of("process", FIELDS))
    }

    fn self_test(&self) -> Result<(), String> {
        let finding = self.finding(&sample::row(7, "sh", Some(1)), &[], None, sample::init_only);
        let parents = finding.evidence.iter().find(|(key, _)| key == "parents");
        match parents {
            Some((_, parents)) if parents == "init[1]" => Ok(()),
            other => Err(format!("the parents of init's child are told as {other:?}")),
        }
    }
}

impl Stage for Lineage {
    fn analyze(
        &mut self,
        event: &Batch<'_>,
        upstream: Upstream<'_>,
        cause: Option<&TriggerRequest>,
    ) -> Result<Vec<Finding>, EvalError> {
        let kind = event.kind();
        let finding = |row: Row| match kind.as_str() {
            "process" => self.finding(&row, upstream, cause, host::process),
            kind => self.finding_of_other(kind, &row, upstream, cause, host::process),
        };
        (0..event.rows())
            .map(|row| Ok(finding(event.row(row)?)))
            .collect()
    }
}

weir_guest::export!(stage Lineage);

mod sample;
#[cfg(test)]
mod tests;
