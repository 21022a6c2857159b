//! Why a condition says what it says of a row: part by part, down to the values that it looks at.
//!
//! It reads what an evaluation of the whole plan left, and changes nothing.

use weir_guest::{Explanation, Step};

use crate::check::{PartId, Shows};
use crate::columns::{Cell as ColumnCell, Columns};
use crate::conditions::{Condition, Conditions, OfKind, time_of};
use crate::errors::shorten;
use crate::evaluate::{Cell, Evaluation};
use crate::plan::{NodeId, Number};
use crate::threshold::Windows;
use crate::time;

/// Characters of a value.
const CHARS_MAX: usize = 200;
/// Steps of one explanation.
const STEPS_MAX: usize = 200;

impl Conditions {
    /// Why each condition of a kind fires for a row, or does not.
    pub(crate) fn explain(
        &self,
        of_kind: &OfKind,
        columns: &Columns,
        row: usize,
        windows: &Windows,
    ) -> Vec<Explanation> {
        let evaluation = Evaluation::of_all(&of_kind.plan, columns);
        let explained = |rule: &usize| {
            let condition = self.all().get(*rule)?;
            let mut steps = Vec::new();
            let explainer = Explainer {
                condition,
                evaluation: &evaluation,
                columns,
                row,
            };
            explainer.add(condition.checked.whole, 0, &mut steps);
            Some(Explanation {
                rule: u32::try_from(*rule).unwrap_or(u32::MAX),
                verdict: explainer.verdict(windows),
                steps,
            })
        };
        of_kind.rules.iter().filter_map(explained).collect()
    }
}

struct Explainer<'a> {
    condition: &'a Condition,
    evaluation: &'a Evaluation<'a>,
    columns: &'a Columns,
    row: usize,
}

impl Explainer<'_> {
    fn verdict(&self, windows: &Windows) -> String {
        let root = self.condition.checked.root;
        match self.evaluation.cell(root, self.row) {
            Cell::Truth(true) => match &self.condition.threshold {
                None => "match".to_owned(),
                Some(threshold) => {
                    let values = threshold.values(self.columns, self.row);
                    let seen =
                        windows.seen(threshold.limit, &values, time_of(self.columns, self.row));
                    let window = duration(threshold.limit.window_ns);
                    format!("match {seen} of {} within {window}", threshold.limit.count)
                }
            },
            Cell::Truth(false) => "no match".to_owned(),
            Cell::Fault => self.could_not(root),
            _ => "unknown".to_owned(),
        }
    }

    fn could_not(&self, node: NodeId) -> String {
        let reason = self.evaluation.fault(node, self.row);
        format!(
            "could not evaluate: {}",
            reason.map(|reason| reason.to_string()).unwrap_or_default()
        )
    }

    fn add(&self, part: PartId, depth: u32, steps: &mut Vec<Step>) {
        let Some(part) = self.condition.checked.parts.get(part) else {
            return;
        };
        if steps.len() >= STEPS_MAX {
            return;
        }
        let value = match part.shows {
            Shows::Column(column) => shown(&self.columns.cell(column, self.row)),
            Shows::Node(node) => match self.evaluation.cell(node, self.row) {
                Cell::Null if self.is_truth(node) => "unknown".to_owned(),
                Cell::Null => "NULL".to_owned(),
                Cell::Fault => self.could_not(node),
                Cell::Truth(truth) => truth.to_string(),
                Cell::Number(Number::Integer(value)) => value.to_string(),
                Cell::Number(Number::Float(value)) => value.to_string(),
                Cell::Number(_) => "NULL".to_owned(),
                Cell::Text(text) => in_quotes(&String::from_utf8_lossy(text)),
            },
        };
        steps.push(Step {
            depth,
            part: part.text.clone(),
            value,
        });
        let mut shown: Vec<(&str, PartId)> = Vec::new();
        for child in &part.children {
            let text = self
                .condition
                .checked
                .parts
                .get(*child)
                .map_or("", |child| child.text.as_str());
            // A column that a test reads twice has one value.
            if !shown.iter().any(|(before, _)| *before == text) {
                shown.push((text, *child));
            }
        }
        for (_, child) in shown {
            self.add(child, depth.saturating_add(1), steps);
        }
    }

    fn is_truth(&self, node: NodeId) -> bool {
        self.evaluation.is_truth(node)
    }
}

/// A column's value as SQL would write it.
fn shown(cell: &ColumnCell) -> String {
    match cell {
        ColumnCell::Null => "NULL".to_owned(),
        ColumnCell::Integer(value) => value.to_string(),
        ColumnCell::Float(value) => value.to_string(),
        ColumnCell::Bool(value) => value.to_string(),
        ColumnCell::Time(nanos) => time::format(*nanos),
        ColumnCell::Text(text) => in_quotes(text),
        ColumnCell::Texts(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| in_quotes(text)).collect();
            shorten(&format!("[{}]", texts.join(", ")), CHARS_MAX)
        }
    }
}

fn in_quotes(text: &str) -> String {
    format!("'{}'", shorten(text, CHARS_MAX))
}

/// A span of time, in the largest unit that says it without a fraction.
fn duration(nanos: i64) -> String {
    const UNITS: [(i64, &str); 4] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
    ];
    // A minute is 60 s to who set it so.
    let fits = |(unit, name): &&(i64, &str)| {
        nanos % unit == 0 && (nanos / unit > 1 || *name == "s" || *name == "ms")
    };
    match UNITS.iter().find(fits) {
        Some((unit, name)) => format!("{}{name}", nanos / unit),
        None => format!("{nanos}ns"),
    }
}
