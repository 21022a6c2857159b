//! What guests answer, in the runtime's own types, checked against the batch that it is about.

use weir_bus::Selection;
use weir_bus::batch::SelectError;

use super::bindings::batches::EvalError;
use super::bindings::{filter, stage, trigger};
use super::fault::{Fault, FaultReason};
use super::limits::{Armed, Limit};

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Outcome<T> {
    /// In an answer.
    Answer(T),
    /// The guest wants to be asked once more.
    Retry(String),
    /// The guest gives these rows no verdict. It isn't a fault.
    Reject(String),
    /// It did not end in an answer.
    Fault(Box<Fault>),
}

/// A row that fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The row's number; within the batch.
    pub row: u32,
    /// The rule's place in the list that `init` gave; there is such a rule.
    pub rule: u32,
    /// What the guest says of it.
    pub message: Option<String>,
}

/// A row that a rule could not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The row's number; within the batch.
    pub row: u32,
    /// The rule's place; there is such a rule.
    pub rule: u32,
    /// The part of the rule that it was.
    pub part: String,
    /// Why.
    pub reason: String,
}

/// What a trigger says of a batch; what it doesn't name, it decided with no.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Rows that fire.
    pub firings: Vec<Firing>,
    /// Rows without a verdict.
    pub undecided: Vec<Undecided>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Odd.
    Low,
    /// Worth a look.
    Medium,
    /// Worth a look now.
    High,
    /// Worth waking somebody.
    Critical,
}

impl Severity {
    /// The severity's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a stage found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// One line for a person.
    pub title: String,
    /// What it is about.
    pub subject: String,
    /// What it rests on, by name.
    pub evidence: Vec<(String, String)>,
}

impl From<&Finding> for stage::Finding {
    fn from(finding: &Finding) -> Self {
        Self {
            severity: match finding.severity {
                Severity::Info => stage::Severity::Info,
                Severity::Low => stage::Severity::Low,
                Severity::Medium => stage::Severity::Medium,
                Severity::High => stage::Severity::High,
                Severity::Critical => stage::Severity::Critical,
            },
            title: finding.title.clone(),
            subject: finding.subject.clone(),
            evidence: finding.evidence.clone(),
        }
    }
}

/// The admitted firing that a stage is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Names the request.
    pub request_id: String,
    /// The trigger's slot.
    pub trigger: String,
    /// The rule that fired.
    pub rule: String,
    /// `critical`, `high`, `normal` or `low`.
    pub priority: String,
    /// What the trigger says of it.
    pub message: Option<String>,
    /// One id for everything that followed from one event.
    pub correlation_id: String,
    /// What the request followed from.
    pub parent_id: Option<String>,
    /// The first request of the cascade.
    pub root_id: String,
    /// How many requests came before it in its cascade.
    pub depth: u32,
    /// More about it, by name.
    pub metadata: Vec<(String, String)>,
}

impl From<&Cause> for stage::TriggerRequest {
    fn from(cause: &Cause) -> Self {
        let cause = cause.clone();
        Self {
            request_id: cause.request_id,
            trigger: cause.trigger,
            rule: cause.rule,
            priority: cause.priority,
            message: cause.message,
            correlation_id: cause.correlation_id,
            parent_id: cause.parent_id,
            root_id: cause.root_id,
            depth: cause.depth,
            metadata: cause.metadata,
        }
    }
}

/// Turns a guest's answer into the runtime's, or into the fault that it is.
pub(super) fn outcome<G, T>(
    limits: &Armed,
    answer: Result<G, EvalError>,
    check: impl FnOnce(G) -> Result<T, Fault>,
) -> Outcome<T> {
    if let Err(EvalError::Retry(why) | EvalError::Reject(why) | EvalError::Fatal(why)) = &answer
        && let Err(fault) = (Size { limits, bytes: 0 }).add(why.len())
    {
        return Outcome::Fault(Box::new(fault));
    }
    match answer.map(check) {
        Ok(Ok(answer)) => Outcome::Answer(answer),
        Ok(Err(fault)) => Outcome::Fault(Box::new(fault)),
        Err(EvalError::Retry(why)) => Outcome::Retry(why),
        Err(EvalError::Reject(why)) => Outcome::Reject(why),
        Err(EvalError::Fatal(why)) => Outcome::Fault(Box::new(Fault::of(FaultReason::Fatal, why))),
    }
}

pub(super) fn selection(
    limits: &Armed,
    rows: usize,
    answer: filter::Selection,
) -> Result<Selection, Fault> {
    let mut size = Size { limits, bytes: 0 };
    match &answer {
        filter::Selection::All | filter::Selection::None => {}
        filter::Selection::Rows(list) => size.add(size_of_val(list.as_slice()))?,
        filter::Selection::Mask(mask) => size.add(mask.len())?,
    }
    let selection = match answer {
        filter::Selection::All => return Ok(Selection::All),
        filter::Selection::None => return Ok(Selection::None),
        filter::Selection::Rows(list) => Selection::Rows(list),
        filter::Selection::Mask(mask) => Selection::Mask(mask),
    };
    match selection.count(rows) {
        Err(error) if limits.holds(Limit::OutputFit) => Err(does_not_fit(&error)),
        _ => Ok(selection),
    }
}

fn does_not_fit(error: &SelectError) -> Fault {
    Fault::of(
        FaultReason::InvalidOutput,
        format!("the selection does not fit its batch: {error}"),
    )
}

/// Adds up an answer's size. Named attack: an answer that is small for the guest to give and
/// large for everybody who has to carry it.
struct Size<'a> {
    limits: &'a Armed,
    bytes: usize,
}

impl Size<'_> {
    fn entries(&self, entries: usize, rows: usize) -> Result<(), Fault> {
        let most = self.limits.output_rows(rows);
        if entries > most && self.limits.holds(Limit::OutputSize) {
            return Err(Fault::of(
                FaultReason::Output,
                format!(
                    "an answer of {entries} entries for {rows} rows, and it may have {most} (limits.output_rows_factor)"
                ),
            ));
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        self.add(text.len())
    }

    fn add(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.output_bytes_max && self.limits.holds(Limit::OutputSize) {
            return Err(Fault::of(
                FaultReason::Output,
                format!(
                    "an answer of more than {} bytes (limits.output_bytes_max)",
                    self.limits.output_bytes_max
                ),
            ));
        }
        Ok(())
    }
}

pub(super) fn verdicts(
    limits: &Armed,
    rows: usize,
    rules: usize,
    answer: trigger::Verdicts,
) -> Result<Verdicts, Fault> {
    let mut size = Size { limits, bytes: 0 };
    size.entries(
        answer.firings.len().saturating_add(answer.undecided.len()),
        rows,
    )?;
    let fits = |row: u32, rule: u32| {
        let row_fits = usize::try_from(row).is_ok_and(|row| row < rows);
        let rule_fits = usize::try_from(rule).is_ok_and(|rule| rule < rules);
        if (row_fits && rule_fits) || !limits.holds(Limit::OutputFit) {
            return Ok(());
        }
        Err(Fault::of(
            FaultReason::InvalidOutput,
            format!("rule {rule} on row {row}: there are {rules} rules and {rows} rows, from 0"),
        ))
    };
    let mut verdicts = Verdicts::default();
    for firing in answer.firings {
        fits(firing.row, firing.rule)?;
        size.text(firing.message.as_deref().unwrap_or_default())?;
        verdicts.firings.push(Firing {
            row: firing.row,
            rule: firing.rule,
            message: firing.message,
        });
    }
    for row in answer.undecided {
        fits(row.row, row.rule)?;
        size.text(&row.part)?;
        size.text(&row.reason)?;
        verdicts.undecided.push(Undecided {
            row: row.row,
            rule: row.rule,
            part: row.part,
            reason: row.reason,
        });
    }
    Ok(verdicts)
}

pub(super) fn findings(
    limits: &Armed,
    rows: usize,
    answer: stage::StageOutput,
) -> Result<Vec<Finding>, Fault> {
    let mut size = Size { limits, bytes: 0 };
    size.entries(answer.findings.len(), rows)?;
    let mut findings = Vec::with_capacity(answer.findings.len());
    for finding in answer.findings {
        size.text(&finding.title)?;
        size.text(&finding.subject)?;
        for (name, value) in &finding.evidence {
            size.text(name)?;
            size.text(value)?;
        }
        findings.push(Finding {
            severity: match finding.severity {
                stage::Severity::Info => Severity::Info,
                stage::Severity::Low => Severity::Low,
                stage::Severity::Medium => Severity::Medium,
                stage::Severity::High => Severity::High,
                stage::Severity::Critical => Severity::Critical,
            },
            title: finding.title,
            subject: finding.subject,
            evidence: finding.evidence,
        });
    }
    Ok(findings)
}
