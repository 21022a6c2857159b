//! Findings and events for a person.

use std::fmt::Write as _;
use std::sync::Arc;

use weir_bus::CollectionEvent;
use weir_bus::batch::Batch;
use weir_bus::event::FindingEvent;
use weir_bus::pubsub::Gap;

use super::{Console, Sink, SinkError};
use crate::printable::is_printable;

/// Prints findings as paragraphs, other events as lines.
pub struct TerminalSink {
    console: Arc<Console>,
    colour: bool,
}

/// Columns of the severity, so that titles stand below each other.
const SEVERITY_WIDTH: usize = 9;
/// Columns of an evidence's name.
const NAME_WIDTH: usize = 14;
/// So much of an evidence is shown, that a finding fits a screen: the whole is in the event.
const EVIDENCE_CHARACTERS_MAX: usize = 200;

impl TerminalSink {
    /// To that console.
    #[must_use]
    pub fn new(console: Arc<Console>) -> Self {
        let colour = console.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { console, colour }
    }

    fn severity(&self, severity: &str) -> String {
        let padded = format!("{:<SEVERITY_WIDTH$}", severity.to_uppercase());
        if !self.colour {
            return padded;
        }
        let code = match severity {
            "critical" | "high" => "1;31",
            "medium" => "1;33",
            _ => "1;36",
        };
        format!("\x1b[{code}m{padded}\x1b[0m")
    }

    fn finding(&self, finding: &FindingEvent) -> String {
        let mut text = format!(
            "{}{} — {}",
            self.severity(&finding.severity),
            printable(&finding.title),
            printable(&finding.subject)
        );
        for evidence in &finding.evidence {
            let (name, value) = evidence.split_once('=').unwrap_or(("", evidence));
            // Writing to a String can't fail.
            let _ = write!(
                text,
                "\n{:SEVERITY_WIDTH$}{:<NAME_WIDTH$} {}",
                "",
                printable(name),
                printable(shortened(value))
            );
            if shortened(value).len() < value.len() {
                let _ = write!(text, "… ({} bytes)", value.len());
            }
        }
        text
    }
}

fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(EVIDENCE_CHARACTERS_MAX);
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// The text without what a terminal would obey. Named attack: a process whose name or arguments
/// hold escape sequences that hide its own finding.
fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if !is_printable(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

impl Sink for TerminalSink {
    fn write(&mut self, batch: &Batch) -> Result<(), SinkError> {
        for event in (0..batch.rows()).filter_map(|row| batch.row(row)) {
            match &event {
                CollectionEvent::Finding(finding) => self.console.line(&self.finding(finding)),
                _ => {
                    let fields = serde_json::to_string(&event).unwrap_or_default();
                    self.console
                        .line(&format!("{} {}", batch.topic(), printable(&fields)));
                }
            }
        }
        Ok(())
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), SinkError> {
        let missed = gap
            .missed
            .map_or_else(|| "unknown".to_owned(), |rows| rows.to_string());
        self.console
            .line(&format!("(gap: {missed} rows dropped, {})", gap.reason));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Output;

    #[test]
    fn a_finding_shows_its_subject_and_evidence_and_obeys_nobody() {
        let sink = TerminalSink {
            console: Arc::new(Console::new(Output::Pretty)),
            colour: false,
        };
        let text = sink.finding(&FindingEvent {
            severity: "high".to_owned(),
            title: "runs from /tmp".to_owned(),
            subject: "evil\u{1b}[2J[7]".to_owned(),
            evidence: vec!["parents=sh[3] < init[1]".to_owned()],
            ..FindingEvent::default()
        });
        let expected =
            "HIGH     runs from /tmp — evil\\u{1b}[2J[7]\n         parents        sh[3] < init[1]";
        assert_eq!(text, expected);
    }
}
