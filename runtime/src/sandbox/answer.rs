//! What guests answer, in the runtime's own types, checked against the batch that it is about.

mod fits;

use serde::Serialize;
use weir_bus::Selection;

use super::bindings::batches::EvalError;
use super::bindings::{explain, filter, stage, trigger};
use super::fault::{Fault, FaultReason, words};
use super::limits::{Armed, Limit};
pub(super) use fits::{Bounds, Unfit, findings_fit, selection_fits, verdicts_fit};
pub use fits::{Finding, Firing, Severity, Undecided, Verdicts};

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

impl Cause {
    /// What its texts take while it waits.
    pub(crate) fn bytes(&self) -> u64 {
        let optional = [&self.message, &self.parent_id].into_iter().flatten();
        let metadata = self.metadata.iter().flat_map(|(name, value)| [name, value]);
        [
            &self.request_id,
            &self.trigger,
            &self.rule,
            &self.priority,
            &self.correlation_id,
            &self.root_id,
        ]
        .into_iter()
        .chain(optional)
        .chain(metadata)
        .map(|text| text.len() as u64)
        .sum()
    }
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
        && let Err(unfit) = bounds(limits, 0).text_fits(why)
    {
        return Outcome::Fault(Box::new(unfit.into()));
    }
    match answer.map(check) {
        Ok(Ok(answer)) => Outcome::Answer(answer),
        Ok(Err(fault)) => Outcome::Fault(Box::new(fault)),
        Err(EvalError::Retry(why)) => Outcome::Retry(words(&why)),
        Err(EvalError::Reject(why)) => Outcome::Reject(words(&why)),
        Err(EvalError::Fatal(why)) => {
            Outcome::Fault(Box::new(Fault::of(FaultReason::Fatal, words(&why))))
        }
    }
}

impl From<Unfit> for Fault {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Large(message) => Self::of(FaultReason::Output, message),
            Unfit::Invalid(message) => Self::of(FaultReason::InvalidOutput, message),
        }
    }
}

/// How large an answer over that many rows may be. A check that is switched off lets all pass.
fn bounds(limits: &Armed, rows: usize) -> Bounds {
    let is_bounded = limits.holds(Limit::OutputSize);
    let or_off = |most| if is_bounded { most } else { usize::MAX };
    Bounds {
        rows,
        entries_max: or_off(limits.output_rows(rows)),
        bytes_max: or_off(limits.output_bytes_max),
        must_fit: limits.holds(Limit::OutputFit),
    }
}

pub(super) fn selection(
    limits: &Armed,
    rows: usize,
    answer: filter::Selection,
) -> Result<Selection, Fault> {
    let selection = match answer {
        filter::Selection::All => Selection::All,
        filter::Selection::None => Selection::None,
        filter::Selection::Rows(list) => Selection::Rows(list),
        filter::Selection::Mask(mask) => Selection::Mask(mask),
    };
    selection_fits(&bounds(limits, rows), &selection)?;
    Ok(selection)
}

pub(super) fn verdicts(
    limits: &Armed,
    rows: usize,
    rules: usize,
    answer: trigger::Verdicts,
) -> Result<Verdicts, Fault> {
    let firings = answer.firings.into_iter().map(|firing| Firing {
        row: firing.row,
        rule: firing.rule,
        message: firing.message,
    });
    let undecided = answer.undecided.into_iter().map(|row| Undecided {
        row: row.row,
        rule: row.rule,
        part: row.part,
        reason: row.reason,
    });
    let verdicts = Verdicts {
        firings: firings.collect(),
        undecided: undecided.collect(),
    };
    let bounds = bounds(limits, rows);
    let bounds = Bounds {
        // Each rule may have something to say of each row.
        entries_max: bounds.entries_max.max(rows.saturating_mul(rules)),
        ..bounds
    };
    verdicts_fit(&bounds, rules, &verdicts)?;
    Ok(verdicts)
}

/// A part of a rule, and what it comes out as for a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// How deep it stands in the rule; 0 is the whole.
    pub depth: u32,
    /// The part, as it is written.
    pub part: String,
    /// Its value.
    pub value: String,
}

/// Why a rule fires on a row, or doesn't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The rule's place.
    pub rule: usize,
    /// What comes of it.
    pub verdict: String,
    /// Its parts, each before those that it is made of.
    pub steps: Vec<Step>,
}

/// Explanations, made for people: each text on one line, none longer than people read.
pub(super) fn explanations(
    limits: &Armed,
    rules: usize,
    answer: Vec<explain::Explanation>,
) -> Result<Vec<Explanation>, Fault> {
    let bounds = bounds(limits, 0);
    let mut bytes = 0_usize;
    let mut checked = Vec::with_capacity(answer.len().min(rules));
    for explanation in answer {
        let rule = usize::try_from(explanation.rule).unwrap_or(usize::MAX);
        if rule >= rules {
            let message = format!("an explanation of rule {rule}, and there are {rules}");
            return Err(Unfit::Invalid(message).into());
        }
        let texts = explanation.steps.iter();
        let texts = texts.map(|step| step.part.len().saturating_add(step.value.len()));
        // Named attack: explanations of megabytes, or such as a terminal would obey.
        bytes = texts.fold(bytes, usize::saturating_add);
        if bytes > bounds.bytes_max {
            let most = bounds.bytes_max;
            let message = format!("an answer of more than {most} bytes (limits.output_bytes_max)");
            return Err(Unfit::Large(message).into());
        }
        let steps = explanation.steps.into_iter().map(|step| Step {
            depth: step.depth,
            part: words(&step.part),
            value: words(&step.value),
        });
        checked.push(Explanation {
            rule,
            verdict: words(&explanation.verdict),
            steps: steps.collect(),
        });
    }
    Ok(checked)
}

pub(super) fn findings(
    limits: &Armed,
    rows: usize,
    answer: stage::StageOutput,
) -> Result<Vec<Finding>, Fault> {
    let findings = answer.findings.into_iter().map(|finding| Finding {
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
    let findings: Vec<Finding> = findings.collect();
    findings_fit(&bounds(limits, rows), &findings)?;
    Ok(findings)
}
