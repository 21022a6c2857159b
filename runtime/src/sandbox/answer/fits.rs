//! What a guest may answer, and whether it fits the batch that it is about.
//!
//! Knows no engine, so that any answer can be made up for it: `runtime/fuzz` does. Invariant: what fits can
//! be carried and settled by everybody behind, whatever the guest meant by it.

use weir_bus::Selection;

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

/// What an answer may be.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Bounds {
    /// Rows of its batch.
    pub(in super::super) rows: usize,
    /// Firings, rows that can't be decided, findings.
    pub(in super::super) entries_max: usize,
    /// Bytes of its lists and texts together.
    pub(in super::super) bytes_max: usize,
    /// Whether rows and rules must be there: a test switches that off.
    pub(in super::super) must_fit: bool,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Unfit {
    /// It is larger than an answer may be.
    Large(String),
    /// It speaks of rows or rules that aren't there.
    Invalid(String),
}

/// Adds up an answer's size. Named attack: an answer that is small for the guest to give and
/// large for everybody who has to carry it.
struct Size<'a> {
    bounds: &'a Bounds,
    bytes: usize,
}

impl Size<'_> {
    fn add(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.bytes = self.bytes.saturating_add(bytes);
        let most = self.bounds.bytes_max;
        if self.bytes > most {
            return Err(Unfit::Large(format!(
                "an answer of more than {most} bytes (limits.output_bytes_max)"
            )));
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Unfit> {
        self.add(text.len())
    }
}

impl Bounds {
    const fn size(&self) -> Size<'_> {
        Size {
            bounds: self,
            bytes: 0,
        }
    }

    /// Whether a text may be as long as it is.
    pub(in super::super) fn text_fits(&self, text: &str) -> Result<(), Unfit> {
        self.size().text(text)
    }

    fn entries_fit(&self, entries: usize) -> Result<(), Unfit> {
        let (rows, most) = (self.rows, self.entries_max);
        if entries > most {
            return Err(Unfit::Large(format!(
                "an answer of {entries} entries for {rows} rows, and it may have {most} (limits.output_rows_factor)"
            )));
        }
        Ok(())
    }
}

/// Whether a selection can be made of the batch.
pub(in super::super) fn selection_fits(
    bounds: &Bounds,
    selection: &Selection,
) -> Result<(), Unfit> {
    let mut size = bounds.size();
    match selection {
        Selection::All | Selection::None => return Ok(()),
        Selection::Rows(list) => size.add(size_of_val(list.as_slice()))?,
        Selection::Mask(mask) => size.add(mask.len())?,
    }
    match selection.count(bounds.rows) {
        Err(error) if bounds.must_fit => Err(Unfit::Invalid(format!(
            "the selection does not fit its batch: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Whether all that a trigger names is there, and can be carried.
pub(in super::super) fn verdicts_fit(
    bounds: &Bounds,
    rules: usize,
    verdicts: &Verdicts,
) -> Result<(), Unfit> {
    let (firings, undecided) = (&verdicts.firings, &verdicts.undecided);
    bounds.entries_fit(firings.len().saturating_add(undecided.len()))?;
    let rows = bounds.rows;
    let is_there = |row: u32, rule: u32| {
        let row_is = usize::try_from(row).is_ok_and(|row| row < rows);
        let rule_is = usize::try_from(rule).is_ok_and(|rule| rule < rules);
        if (row_is && rule_is) || !bounds.must_fit {
            return Ok(());
        }
        Err(Unfit::Invalid(format!(
            "rule {rule} on row {row}: there are {rules} rules and {rows} rows, from 0"
        )))
    };
    let mut size = bounds.size();
    for firing in firings {
        is_there(firing.row, firing.rule)?;
        size.text(firing.message.as_deref().unwrap_or_default())?;
    }
    for row in undecided {
        is_there(row.row, row.rule)?;
        size.text(&row.part)?;
        size.text(&row.reason)?;
    }
    Ok(())
}

/// Whether findings can be carried.
pub(in super::super) fn findings_fit(bounds: &Bounds, findings: &[Finding]) -> Result<(), Unfit> {
    bounds.entries_fit(findings.len())?;
    let mut size = bounds.size();
    for finding in findings {
        size.text(&finding.title)?;
        size.text(&finding.subject)?;
        for (name, value) in &finding.evidence {
            size.text(name)?;
            size.text(value)?;
        }
    }
    Ok(())
}
