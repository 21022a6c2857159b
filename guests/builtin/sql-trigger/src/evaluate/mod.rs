//! Evaluates a plan over a batch: each node once, whole columns at a time.
//!
//! Invariant: a row is in at most one of a truth's `yes`, its `no`, and the node's faults; a row in
//! none of them is unknown. What a condition says of a row does not depend on the order in which
//! nodes are evaluated.

mod dictionary;
mod either;
mod logic;
mod numbers;
mod strings;
mod tests_of_texts;

use std::rc::Rc;

use weir_guest::TextColumn;

use crate::bits::{Bits, Truth};
use crate::columns::{ColumnData, Columns};
use crate::faults::{Faults, Reason};
use crate::plan::{Node, NodeId, Number, Plan, Shape};
use dictionary::Dictionary;
pub(crate) use numbers::{calculated, order_exact, rounded, truncated};

/// Steps of text tests that a batch may take besides those of its rows: a step is a byte that a
/// regular expression looks at, or sixteen that a search does, and costs 15 to 40 units of fuel.
const STEPS_MAX: u64 = 8_000_000;
/// Steps for each row, as a call's fuel grows with them, too.
const STEPS_PER_ROW: u64 = 4_000;
/// Bytes of texts that a batch may make (lower, upper, basename, ||, coalesce, CASE).
const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a node says of all rows.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Not evaluated, or needed no more.
    None,
    Truth(Truth),
    Numbers(Rc<[Number]>),
    Texts(Rc<TextColumn>),
    /// The same for all rows.
    Number(Number),
    Text(Option<Rc<str>>),
}

/// The value of one row; it borrows a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Fault,
    Truth(bool),
    Number(Number),
    Text(&'a [u8]),
}

/// What is left for a batch's texts.
#[derive(Debug)]
struct Budget {
    steps: u64,
    text_bytes: usize,
}

impl Budget {
    /// Takes so many steps, if there are as many.
    fn take(&mut self, steps: u64) -> bool {
        let left = self.steps.checked_sub(steps);
        self.steps = left.unwrap_or(0);
        left.is_some()
    }

    /// Takes so many bytes of texts, if there are as many.
    fn take_bytes(&mut self, bytes: usize) -> bool {
        let left = self.text_bytes.checked_sub(bytes);
        self.text_bytes = left.unwrap_or(self.text_bytes);
        left.is_some()
    }
}

/// An evaluation of a plan over a batch, and what came out.
#[derive(Debug)]
pub(crate) struct Evaluation<'a> {
    plan: &'a Plan,
    columns: &'a Columns,
    values: Vec<Value>,
    faults: Vec<Option<Rc<Faults>>>,
    dictionaries: Vec<Option<Option<Rc<Dictionary>>>>,
    budget: Budget,
}

/// What evaluating a node gives.
type Evaluated = (Value, Option<Rc<Faults>>);

impl<'a> Evaluation<'a> {
    /// Evaluates what the conditions need.
    pub(crate) fn of(plan: &'a Plan, columns: &'a Columns) -> Self {
        let mut evaluation = Self::new(plan, columns);
        let mut held: Vec<NodeId> = Vec::new();
        for node in plan.order() {
            evaluation.evaluate(*node);
            // Truths are small, and asked for; the others are 16 bytes a row and more.
            if plan.shape(*node) != Shape::Truth {
                held.push(*node);
            }
            held.retain(|kept| {
                let needed = plan.last_use(*kept) > *node;
                if !needed && let Some(value) = evaluation.values.get_mut(*kept) {
                    *value = Value::None;
                }
                needed
            });
        }
        evaluation
    }

    /// Evaluates everything, so that each part can be shown.
    pub(crate) fn of_all(plan: &'a Plan, columns: &'a Columns) -> Self {
        let mut evaluation = Self::new(plan, columns);
        for node in 0..plan.len() {
            evaluation.evaluate(node);
        }
        evaluation
    }

    fn new(plan: &'a Plan, columns: &'a Columns) -> Self {
        let rows = u64::try_from(columns.rows()).unwrap_or(u64::MAX);
        Self {
            plan,
            columns,
            values: vec![Value::None; plan.len()],
            faults: vec![None; plan.len()],
            dictionaries: vec![None; plan.len()],
            budget: Budget {
                steps: STEPS_MAX.saturating_add(rows.saturating_mul(STEPS_PER_ROW)),
                text_bytes: TEXT_BYTES_MAX,
            },
        }
    }

    /// What a truth says of the rows; nothing known where the node is none.
    pub(crate) fn truth(&self, node: NodeId) -> Truth {
        match self.values.get(node) {
            Some(Value::Truth(truth)) => truth.clone(),
            _ => Truth::constant(None, self.columns.rows()),
        }
    }

    /// The rows that a node could not evaluate.
    pub(crate) fn faults(&self, node: NodeId) -> Option<&Rc<Faults>> {
        self.faults.get(node)?.as_ref()
    }

    /// Why a node could not evaluate a row.
    pub(crate) fn fault(&self, node: NodeId, row: usize) -> Option<Reason> {
        self.faults(node)?.reason(row)
    }

    /// A node's value of a row.
    pub(crate) fn cell(&self, node: NodeId, row: usize) -> Cell<'_> {
        if self.faults(node).is_some_and(|faults| faults.bits.get(row)) {
            return Cell::Fault;
        }
        match self.values.get(node) {
            None | Some(Value::None) => Cell::Null,
            Some(Value::Truth(truth)) => truth.get(row).map_or(Cell::Null, Cell::Truth),
            Some(Value::Numbers(_) | Value::Number(_)) => match self.number(node, row) {
                Number::Null => Cell::Null,
                Number::Fault => Cell::Fault,
                number => Cell::Number(number),
            },
            Some(Value::Texts(_) | Value::Text(_)) => {
                self.text(node, row).map_or(Cell::Null, Cell::Text)
            }
        }
    }

    /// Whether a node says something true or false.
    pub(crate) fn is_truth(&self, node: NodeId) -> bool {
        self.plan.shape(node) == Shape::Truth
    }

    #[inline]
    fn number(&self, node: NodeId, row: usize) -> Number {
        match self.values.get(node) {
            Some(Value::Numbers(numbers)) => numbers.get(row).copied().unwrap_or(Number::Null),
            Some(Value::Number(number)) => *number,
            _ => Number::Null,
        }
    }

    #[inline]
    fn text(&self, node: NodeId, row: usize) -> Option<&[u8]> {
        match self.values.get(node)? {
            Value::Texts(texts) => texts.bytes(row),
            Value::Text(text) => text.as_ref().map(|text| text.as_bytes()),
            _ => None,
        }
    }

    /// How many rows a node's parts have: those of the batch, or the texts of a list.
    fn rows_of(&self, parts: &[NodeId]) -> usize {
        let rows = |part: &NodeId| match self.values.get(*part)? {
            Value::Truth(truth) => Some(truth.rows()),
            Value::Numbers(numbers) => Some(numbers.len()),
            Value::Texts(texts) => Some(texts.rows()),
            _ => None,
        };
        parts.iter().find_map(rows).unwrap_or(self.columns.rows())
    }

    /// The faults of all parts.
    fn inherited(&self, parts: &[NodeId]) -> Option<Rc<Faults>> {
        let mut all: Option<Rc<Faults>> = None;
        for faults in parts.iter().filter_map(|part| self.faults(*part)) {
            match &mut all {
                None => all = Some(faults.clone()),
                Some(all) => Rc::make_mut(all).merge(faults),
            }
        }
        all
    }

    /// The rows of which a node has a value, neither null nor a fault.
    fn known(&self, node: NodeId, rows: usize) -> Bits {
        match self.values.get(node) {
            Some(Value::Truth(truth)) => {
                let mut known = truth.yes.clone();
                known.or(&truth.no);
                known
            }
            Some(Value::Numbers(numbers)) => Bits::of_bools(
                rows,
                numbers
                    .iter()
                    .map(|number| !matches!(number, Number::Null | Number::Fault)),
            ),
            Some(Value::Texts(texts)) => Bits::of_validity(texts.validity(), rows),
            Some(Value::Number(number)) if *number != Number::Null => Bits::all(rows),
            Some(Value::Text(Some(_))) => Bits::all(rows),
            _ => Bits::none(rows),
        }
    }

    fn evaluate(&mut self, id: NodeId) {
        let plan = self.plan;
        let Some(node) = plan.node(id) else {
            return;
        };
        let (value, faults) = self.evaluated(id, node);
        if let Some(slot) = self.values.get_mut(id) {
            *slot = value;
        }
        if let Some(slot) = self.faults.get_mut(id) {
            *slot = faults;
        }
    }

    fn evaluated(&mut self, id: NodeId, node: &Node) -> Evaluated {
        let rows = self.columns.rows();
        let sound = |value| (value, None);
        match node {
            Node::Truth(value) => sound(Value::Truth(Truth::constant(*value, rows))),
            Node::BoolColumn(column) => sound(Value::Truth(self.bools(*column))),
            Node::IntegerRange { column, low, high } => {
                sound(Value::Truth(self.integers_within(*column, *low, *high)))
            }
            Node::IntegerSet { column, values } => {
                sound(Value::Truth(self.integers_among(*column, values)))
            }
            Node::FloatRange { column, low, high } => {
                let range = f64::from_bits(*low)..=f64::from_bits(*high);
                sound(Value::Truth(self.floats_within(*column, &range)))
            }
            Node::TextTest { text, .. } => self.test_text(id, *text),
            Node::Compare {
                comparison,
                left,
                right,
            } => self.compare(*comparison, *left, *right),
            Node::Within { within, text, part } => self.within(*within, *text, *part),
            Node::And(nodes) => self.and(nodes),
            Node::Or(nodes) => self.or(nodes),
            Node::Not(node) => self.not(*node),
            Node::IsNull(node) => self.is_null(*node),
            Node::IsTrue(node) => self.is_true(*node),
            Node::Any { list, test } => self.any(*list, *test),
            Node::Integer(value) => sound(Value::Number(Number::Integer(*value))),
            Node::Float(bits) => sound(Value::Number(Number::Float(f64::from_bits(*bits)))),
            Node::NumberColumn(column) => sound(Value::Numbers(self.numbers(*column))),
            Node::Arithmetic {
                operator,
                left,
                right,
            } => self.calculate(*operator, *left, *right),
            Node::Length(text) => self.length(*text),
            Node::ListLength(column) => sound(Value::Numbers(self.list_lengths(*column))),
            Node::Text(text) => sound(Value::Text(Some(text.clone()))),
            Node::TextColumn(column) => match self.columns.text(*column) {
                Some(texts) => sound(Value::Texts(texts.clone())),
                None => sound(Value::Text(None)),
            },
            Node::Elements(column) => match self.columns.texts(*column) {
                Some(lists) => sound(Value::Texts(lists.shared_texts())),
                None => sound(Value::Text(None)),
            },
            Node::Lower(text) => self.recase(*text, <[u8]>::make_ascii_lowercase),
            Node::Upper(text) => self.recase(*text, <[u8]>::make_ascii_uppercase),
            Node::BaseName(text) => self.base_names(*text),
            Node::Concat(left, right) => self.concat(*left, *right),
            Node::Null(Shape::Truth) => sound(Value::Truth(Truth::constant(None, rows))),
            Node::Null(Shape::Number) => sound(Value::Number(Number::Null)),
            Node::Null(Shape::Text) => sound(Value::Text(None)),
            Node::Coalesce(shape, nodes) => self.coalesce(*shape, nodes),
            Node::Case {
                shape,
                whens,
                otherwise,
            } => self.case(*shape, whens, *otherwise),
            Node::Spread { list, shape, node } => self.spread(*list, *shape, *node),
        }
    }

    /// A column of booleans.
    fn bools(&self, column: usize) -> Truth {
        use weir_guest::Column as _;
        let rows = self.columns.rows();
        let Some(ColumnData::Bool(bools)) = self.columns.get(column) else {
            return Truth::constant(None, rows);
        };
        Truth {
            yes: Bits::of_rows(rows, |row| bools.get(row) == Some(true)),
            no: Bits::of_rows(rows, |row| bools.get(row) == Some(false)),
        }
    }
}
