//! The conditions of the settings, compiled: one plan for each kind of events.
//!
//! Invariant: what was compiled can be evaluated; whatever is wrong is told at load, a line for each
//! condition that is, and nothing else is touched by it.

mod compile;

use weir_guest::{Firing, Priority, Undecided, Verdicts};

use crate::check::{CheckedCondition, PartId, Shared, Shows};
use crate::columns::{Cell, Columns};
use crate::errors::quoted;
use crate::evaluate::Evaluation;
use crate::kinds::{Column, KINDS, Kind, TIMESTAMP};
use crate::message::Message;
use crate::plan::Plan;
use crate::settings::RawCondition;
use crate::threshold::{Limit, Windows};
use compile::compile;

/// Conditions of a slot.
const CONDITIONS_MAX: usize = 1_000;
/// Verdicts that the host takes of a batch, for each row.
const VERDICTS_PER_ROW_MAX: usize = 4;

/// A condition, compiled.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) name: String,
    pub(crate) priority: Priority,
    pub(crate) target: String,
    pub(crate) checked: CheckedCondition,
    pub(crate) threshold: Option<Threshold>,
    message: Option<Message>,
}

/// A threshold, checked.
#[derive(Clone, Debug)]
pub(crate) struct Threshold {
    pub(crate) limit: Limit,
    pub(crate) by: Vec<Column>,
}

impl Threshold {
    /// The values by which a row is counted.
    pub(crate) fn values(&self, columns: &Columns, row: usize) -> Vec<u8> {
        let mut values = Vec::new();
        for column in &self.by {
            put(&columns.cell(*column, row), &mut values);
        }
        values
    }
}

/// A kind's conditions, and the plan that they share.
#[derive(Debug)]
pub(crate) struct OfKind {
    pub(crate) kind: &'static Kind,
    pub(crate) plan: Plan,
    /// Places among all conditions.
    pub(crate) rules: Vec<usize>,
    /// The same, the most urgent first.
    urgent: Vec<usize>,
    /// The columns that they read.
    pub(crate) columns: Vec<Column>,
}

/// All conditions.
#[derive(Debug)]
pub(crate) struct Conditions {
    all: Vec<Condition>,
    kinds: Vec<OfKind>,
}

impl Conditions {
    /// Compiles conditions.
    ///
    /// # Errors
    /// A line for each condition that doesn't do.
    pub(crate) fn compile(raw: &[RawCondition]) -> Result<Self, String> {
        if raw.len() > CONDITIONS_MAX {
            return Err(format!(
                "trigger: there are {} conditions, and there may be {CONDITIONS_MAX}",
                raw.len()
            ));
        }
        let mut kinds: Vec<OfKind> = KINDS
            .iter()
            .map(|kind| OfKind {
                kind,
                plan: Plan::default(),
                rules: Vec::new(),
                urgent: Vec::new(),
                columns: Vec::new(),
            })
            .collect();
        let mut all: Vec<Condition> = Vec::new();
        let mut errors = Vec::new();
        let mut shared = Shared::default();
        for (place, one) in raw.iter().enumerate() {
            let is_again = raw.iter().take(place).any(|before| before.name == one.name);
            match compile(one, is_again, &mut kinds, &mut shared) {
                Ok(condition) => all.push(condition),
                Err((key, error)) if one.name.is_empty() => {
                    errors.push(format!("trigger[{place}].{key}: {error}"));
                }
                Err((key, error)) => {
                    errors.push(format!("trigger.{}.{key}: {error}", quoted(&one.name)));
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        for of_kind in &mut kinds {
            of_kind.finish(&all);
        }
        Ok(Self { all, kinds })
    }

    pub(crate) fn all(&self) -> &[Condition] {
        &self.all
    }

    pub(crate) fn kinds(&self) -> &[OfKind] {
        &self.kinds
    }

    /// The conditions of a kind; none where there is no such kind.
    pub(crate) fn of(&self, kind: &str) -> Option<&OfKind> {
        self.kinds.iter().find(|of_kind| of_kind.kind.name == kind)
    }

    /// The thresholds of all.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        let thresholds = self
            .all
            .iter()
            .filter_map(|condition| condition.threshold.as_ref());
        thresholds.map(|threshold| threshold.limit).collect()
    }

    /// What the conditions of a kind say of a batch. The second is how many verdicts were left out
    /// because there were more than a batch may have.
    pub(crate) fn verdicts(
        &self,
        of_kind: &OfKind,
        columns: &Columns,
        windows: &mut Windows,
    ) -> (Verdicts, usize) {
        let evaluation = Evaluation::of(&of_kind.plan, columns);
        let most = columns.rows().max(1).saturating_mul(VERDICTS_PER_ROW_MAX);
        let (mut firings, mut undecided, mut left_out) = (Vec::new(), Vec::new(), 0_usize);
        for (number, condition) in self.urgent_first(of_kind) {
            for row in evaluation.truth(condition.checked.root).yes.iter() {
                // What is left out is counted by its threshold all the same.
                if !condition.fires(columns, row, windows) {
                    continue;
                }
                if firings.len() < most {
                    firings.push((row, number));
                } else {
                    left_out = left_out.saturating_add(1);
                }
            }
        }
        let most = most.saturating_sub(firings.len());
        for (number, condition) in self.urgent_first(of_kind) {
            let faults = evaluation.faults(condition.checked.root);
            for row in faults.iter().flat_map(|faults| faults.bits.iter()) {
                if undecided.len() < most {
                    undecided.push((row, number));
                } else {
                    left_out = left_out.saturating_add(1);
                }
            }
        }
        firings.sort_unstable();
        undecided.sort_unstable();
        let condition = |rule: u32| self.all.get(usize::try_from(rule).ok()?);
        let firing = |(row, rule): (usize, u32)| Firing {
            row: u32::try_from(row).unwrap_or(u32::MAX),
            rule,
            message: condition(rule)
                .and_then(|condition| condition.message.as_ref())
                .map(|message| message.fill(columns, row)),
        };
        let undecided_row = |(row, rule): (usize, u32)| {
            let (part, reason) = condition(rule)
                .map(|condition| condition.fault(&evaluation, row))
                .unwrap_or_default();
            Undecided {
                row: u32::try_from(row).unwrap_or(u32::MAX),
                rule,
                part,
                reason,
            }
        };
        let verdicts = Verdicts {
            firings: firings.into_iter().map(firing).collect(),
            undecided: undecided.into_iter().map(undecided_row).collect(),
        };
        (verdicts, left_out)
    }

    /// A kind's conditions with their numbers, the most urgent first.
    fn urgent_first<'a>(
        &'a self,
        of_kind: &'a OfKind,
    ) -> impl Iterator<Item = (u32, &'a Condition)> + 'a {
        let numbered = |rule: &usize| Some((u32::try_from(*rule).ok()?, self.all.get(*rule)?));
        of_kind.urgent.iter().filter_map(numbered)
    }
}

impl OfKind {
    fn finish(&mut self, all: &[Condition]) {
        let conditions = || self.rules.iter().filter_map(|rule| all.get(*rule));
        let roots: Vec<_> = conditions()
            .map(|condition| condition.checked.root)
            .collect();
        let mut columns: Vec<Column> = Vec::new();
        for condition in conditions() {
            columns.extend(condition.message.iter().flat_map(Message::columns));
            if let Some(threshold) = &condition.threshold {
                columns.push(TIMESTAMP);
                columns.extend(&threshold.by);
            }
        }
        self.plan.finish(&roots);
        columns.extend(self.plan.columns());
        columns.sort_unstable();
        columns.dedup();
        self.columns = columns;
        let priority = |rule: &usize| all.get(*rule).map(|condition| condition.priority);
        let mut urgent = self.rules.clone();
        urgent.sort_by_key(|rule| std::cmp::Reverse(priority(rule)));
        self.urgent = urgent;
    }
}

impl Condition {
    /// Whether a row that matches fires.
    fn fires(&self, columns: &Columns, row: usize, windows: &mut Windows) -> bool {
        let Some(threshold) = &self.threshold else {
            return true;
        };
        windows.count(
            threshold.limit,
            &threshold.values(columns, row),
            time_of(columns, row),
        )
    }

    /// The smallest part that could not be evaluated, and why.
    fn fault(&self, evaluation: &Evaluation<'_>, row: usize) -> (String, String) {
        let node = |part: PartId| match self.checked.parts.get(part)?.shows {
            Shows::Node(node) => Some(node),
            Shows::Column(_) => None,
        };
        let reason = |part: PartId| evaluation.fault(node(part)?, row);
        let mut at = self.checked.whole;
        while let Some(part) = self.checked.parts.get(at)
            && let Some(child) = part.children.iter().find(|child| reason(**child).is_some())
        {
            at = *child;
        }
        let part = self
            .checked
            .parts
            .get(at)
            .map_or("", |part| part.text.as_str());
        let reason = reason(at)
            .map(|reason| reason.to_string())
            .unwrap_or_default();
        (part.to_owned(), reason)
    }
}

/// When a row happened.
pub(crate) fn time_of(columns: &Columns, row: usize) -> i64 {
    match columns.cell(TIMESTAMP, row) {
        Cell::Time(time) => time,
        _ => 0,
    }
}

/// A value as bytes, so that no two values are the same bytes.
fn put(cell: &Cell, bytes: &mut Vec<u8>) {
    let put_text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    match cell {
        Cell::Null => bytes.push(0),
        Cell::Integer(value) => {
            bytes.push(1);
            bytes.extend(value.to_le_bytes());
        }
        Cell::Float(value) => {
            bytes.push(2);
            bytes.extend(value.to_bits().to_le_bytes());
        }
        Cell::Bool(value) => bytes.extend([3, u8::from(*value)]),
        Cell::Time(value) => {
            bytes.push(4);
            bytes.extend(value.to_le_bytes());
        }
        Cell::Text(text) => {
            bytes.push(5);
            put_text(bytes, text);
        }
        Cell::Texts(texts) => {
            bytes.push(6);
            bytes.extend(u32::try_from(texts.len()).unwrap_or(u32::MAX).to_le_bytes());
            texts.iter().for_each(|text| put_text(bytes, text));
        }
    }
}
