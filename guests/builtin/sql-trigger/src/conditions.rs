//! The conditions of the settings, compiled: one plan for each kind of events.
//!
//! Invariant: what was compiled can be evaluated; whatever is wrong is told at load, a line for each
//! condition that is, and nothing else is touched by it.

use weir_guest::{Firing, Priority, Undecided, Verdicts};

use crate::check::{self, CheckedCondition, PartId, Shared, Shows};
use crate::columns::{Cell, Columns};
use crate::errors::{Checked, Problem, quoted, shorten, suggestion};
use crate::evaluate::Evaluation;
use crate::kinds::{Column, KINDS, Kind, TIMESTAMP};
use crate::message::Message;
use crate::parse;
use crate::plan::Plan;
use crate::settings::{RawCondition, RawThreshold};
use crate::threshold::{Limit, Windows, print_of};

/// Conditions of a slot.
const CONDITIONS_MAX: usize = 1_000;
/// Bytes of a name, and of a target: what the host takes.
const NAME_BYTES_MAX: usize = 200;
/// Rows that a threshold may count.
const COUNT_MAX: u64 = 10_000;
/// The longest window: a week.
const WINDOW_MS_MAX: u64 = 7 * 86_400_000;
/// Columns that a threshold may group by.
const BY_MAX: usize = 16;
/// Verdicts that the host takes of a batch, for each row.
const VERDICTS_PER_ROW_MAX: usize = 4;
/// Characters of a part that is told of an undecided row.
const PART_CHARS_MAX: usize = 200;

const PRIORITIES: [Priority; 4] = [
    Priority::Critical,
    Priority::High,
    Priority::Normal,
    Priority::Low,
];

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
        let mut firings = Vec::new();
        let mut undecided = Vec::new();
        for rule in &of_kind.rules {
            let Some(condition) = self.all.get(*rule) else {
                continue;
            };
            let number = u32::try_from(*rule).unwrap_or(u32::MAX);
            for row in evaluation.truth(condition.checked.root).yes.iter() {
                if condition.fires(columns, row, windows) {
                    firings.push((row, number));
                }
            }
            for row in evaluation
                .faults(condition.checked.root)
                .iter()
                .flat_map(|faults| faults.reasons.keys())
            {
                undecided.push((*row, number));
            }
        }
        let most = columns.rows().max(1).saturating_mul(VERDICTS_PER_ROW_MAX);
        let left_out = self.cut(&mut firings, &mut undecided, most);
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

    /// Leaves the most urgent where there are too many, and orders by row; how many it left out.
    fn cut(
        &self,
        firings: &mut Vec<(usize, u32)>,
        undecided: &mut Vec<(usize, u32)>,
        most: usize,
    ) -> usize {
        let total = firings.len().saturating_add(undecided.len());
        if total > most {
            let priority = |rule: u32| {
                let place = usize::try_from(rule).unwrap_or(usize::MAX);
                self.all.get(place).map(|condition| condition.priority)
            };
            for verdicts in [&mut *firings, undecided] {
                verdicts.sort_by_key(|(row, rule)| (std::cmp::Reverse(priority(*rule)), *row));
            }
            firings.truncate(most);
            undecided.truncate(most.saturating_sub(firings.len()));
        }
        firings.sort_unstable();
        undecided.sort_unstable();
        total.saturating_sub(most)
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
        let reason = reason(at).map(ToString::to_string).unwrap_or_default();
        (shorten(part, PART_CHARS_MAX), reason)
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

/// The key that doesn't do, and why.
type Refused = (&'static str, String);

fn compile(
    raw: &RawCondition,
    is_again: bool,
    kinds: &mut [OfKind],
    shared: &mut Shared,
) -> Result<Condition, Refused> {
    let named = |key, source: &str| {
        let source = source.to_owned();
        move |problem: Problem| (key, problem.render(&source))
    };
    name_fits(&raw.name, is_again).map_err(named("name", ""))?;
    let kind = Kind::named(&raw.kind).map_err(named("kind", ""))?;
    let priority = priority(raw.priority.as_deref()).map_err(named("priority", ""))?;
    if raw.target.len() > NAME_BYTES_MAX {
        return Err((
            "target",
            format!(
                "it has {} bytes, and a target may have {NAME_BYTES_MAX}",
                raw.target.len()
            ),
        ));
    }
    let message = raw
        .message
        .as_deref()
        .map(|message| Message::parse(message, kind).map_err(named("message", message)));
    let message = message.transpose()?;
    let threshold = raw
        .threshold
        .as_ref()
        .map(|raw_threshold| threshold(raw, raw_threshold, kind));
    let threshold = threshold.transpose()?;
    let (rule, of_kind) = {
        let rule = kinds.iter().map(|of_kind| of_kind.rules.len()).sum();
        let of_kind = kinds
            .iter_mut()
            .find(|of_kind| of_kind.kind.name == kind.name);
        (rule, of_kind.ok_or(("kind", "no such kind".to_owned()))?)
    };
    let checked = parse::parse(&raw.condition)
        .and_then(|expr| check::check(&expr, kind, &mut of_kind.plan, shared))
        .map_err(named("condition", &raw.condition))?;
    of_kind.rules.push(rule);
    Ok(Condition {
        name: raw.name.clone(),
        priority,
        target: raw.target.clone(),
        checked,
        threshold,
        message,
    })
}

fn name_fits(name: &str, is_again: bool) -> Checked<()> {
    if name.trim().is_empty() {
        return Err(Problem::whole("it is empty; a trigger has a name"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Problem::whole(format!(
            "it has {} bytes, and a name may have {NAME_BYTES_MAX}",
            name.len()
        )));
    }
    if is_again {
        return Err(Problem::whole(
            "another trigger is called that already; each has a name of its own",
        ));
    }
    Ok(())
}

fn priority(name: Option<&str>) -> Checked<Priority> {
    let Some(name) = name else {
        return Ok(Priority::Normal);
    };
    PRIORITIES
        .into_iter()
        .find(|priority| priority.as_str() == name)
        .ok_or_else(|| {
            let meant = suggestion(name, PRIORITIES.iter().map(|priority| priority.as_str()));
            Problem::whole(format!("no priority `{}`{meant}", quoted(name)))
        })
}

fn threshold(
    raw: &RawCondition,
    threshold: &RawThreshold,
    kind: &Kind,
) -> Result<Threshold, Refused> {
    if !(1..=COUNT_MAX).contains(&threshold.count) {
        return Err((
            "threshold.count",
            format!("{} is not within 1 to {COUNT_MAX}", threshold.count),
        ));
    }
    if !(1..=WINDOW_MS_MAX).contains(&threshold.window_ms) {
        return Err((
            "threshold.window_ms",
            format!("{} is not within 1 to {WINDOW_MS_MAX}", threshold.window_ms),
        ));
    }
    if threshold.by.len() > BY_MAX {
        return Err((
            "threshold.by",
            format!("{} columns, and there may be {BY_MAX}", threshold.by.len()),
        ));
    }
    let by = threshold.by.iter().map(|name| {
        kind.column(name).ok_or_else(|| {
            let problem = Problem::whole(kind.no_column(&quoted(name)));
            ("threshold.by", problem.render(""))
        })
    });
    let by: Vec<Column> = by.collect::<Result<_, _>>()?;
    let numbers = format!("{} {} {by:?}", threshold.count, threshold.window_ms);
    let parts = [&raw.name, &raw.kind, &raw.condition, &numbers].map(|part| part.as_bytes());
    Ok(Threshold {
        limit: Limit {
            print: print_of(&parts),
            count: usize::try_from(threshold.count).unwrap_or(usize::MAX),
            window_ns: i64::try_from(threshold.window_ms.saturating_mul(1_000_000))
                .unwrap_or(i64::MAX),
        },
        by,
    })
}
