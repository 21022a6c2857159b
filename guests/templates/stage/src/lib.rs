//! A stage: says of a process that fired what it is, and who started it.
//!
//! It is asked for each firing, with the row that fired and the request that the firing became; the
//! findings that it answers leave by the daemon's sinks.

use serde::Deserialize;
use weir_guest::{
    Batch, EvalError, Finding, Guest, Row, Severity, Stage, TriggerRequest, Upstream, Value, Wants,
    host,
};

/// The columns that it reads; any other is refused.
const COLUMNS: &[&str] = &[
    "pid",
    "ppid",
    "parent_start_time",
    "parent_name",
    "name",
    "executable",
    "command_line",
];

/// What a slot's settings may say; the defaults are in `settings.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Whether the parent is looked up, too.
    with_parent: bool,
}

struct Explain {
    settings: Settings,
}

impl Explain {
    /// The finding about a row; `look` finds another process by pid and start time.
    fn finding(
        &self,
        row: &Row,
        cause: Option<&TriggerRequest>,
        look: impl Fn(u32, i64) -> Option<Row>,
    ) -> Finding {
        let mut evidence = Vec::new();
        let mut tell = |key: &str, text: String| evidence.push((key.to_owned(), text));
        if let Some(cause) = cause {
            tell("rule", format!("{}/{}", cause.trigger, cause.rule));
        }
        if let Some(path) = host::text(row, "executable") {
            tell("executable", path.to_owned());
        }
        if let Some(Value::Texts(arguments)) = host::field(row, "command_line") {
            tell("command_line", arguments.join(" "));
        }
        if let (true, Some(parent)) = (self.settings.with_parent, parent(row, look)) {
            tell("parent", parent);
        }
        let message = cause.and_then(|cause| cause.message.clone());
        Finding {
            severity: severity(cause),
            title: message.unwrap_or_else(|| "a process to look at".to_owned()),
            subject: named(row, "name", "pid"),
            evidence,
        }
    }
}

/// `name[pid]`, as far as the row has them.
fn named(row: &Row, name: &str, pid: &str) -> String {
    let name = host::text(row, name).unwrap_or("?");
    match host::unsigned(row, pid) {
        Some(pid) => format!("{name}[{pid}]"),
        None => name.to_owned(),
    }
}

/// Who started it: out of the daemon's table, or what the row itself says.
fn parent(row: &Row, look: impl Fn(u32, i64) -> Option<Row>) -> Option<String> {
    let pid = u32::try_from(host::unsigned(row, "ppid")?).ok()?;
    let known = host::signed(row, "parent_start_time").and_then(|start| look(pid, start));
    Some(match known {
        Some(parent) => {
            let path = host::text(&parent, "executable").unwrap_or("no executable");
            format!("{} ({path})", named(&parent, "name", "pid"))
        }
        None => named(row, "parent_name", "ppid"),
    })
}

/// A rule's priority as a finding's severity.
fn severity(cause: Option<&TriggerRequest>) -> Severity {
    match cause.map(|cause| cause.priority.as_str()) {
        Some("critical") => Severity::Critical,
        Some("high") => Severity::High,
        Some("normal") => Severity::Medium,
        Some(_) => Severity::Low,
        None => Severity::Info,
    }
}

impl Guest for Explain {
    type Settings = Settings;
    const DEFAULTS: &'static str = include_str!("../settings.json");

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings })
    }

    fn wants(&self) -> Wants {
        Wants::of("process", COLUMNS)
    }
}

impl Stage for Explain {
    fn analyze(
        &mut self,
        event: &Batch<'_>,
        _: Upstream<'_>,
        cause: Option<&TriggerRequest>,
    ) -> Result<Vec<Finding>, EvalError> {
        (0..event.rows())
            .map(|row| Ok(self.finding(&event.row(row)?, cause, host::process)))
            .collect()
    }
}

weir_guest::export!(stage Explain);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_guest::settings;

    #[test]
    fn a_parent_that_is_gone_is_told_as_the_row_knows_it() {
        let guest = Explain::new(settings(Explain::DEFAULTS, "").unwrap()).unwrap();
        let text = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
        let row = vec![
            text("name", "sleep"),
            ("pid".to_owned(), Value::Unsigned(7)),
            text("parent_name", "bash"),
            ("ppid".to_owned(), Value::Unsigned(6)),
            ("parent_start_time".to_owned(), Value::Signed(1)),
        ];
        let finding = guest.finding(&row, None, |_, _| None);
        assert_eq!(finding.subject, "sleep[7]");
        assert_eq!(
            finding.evidence,
            [("parent".to_owned(), "bash[6]".to_owned())]
        );
    }
}
