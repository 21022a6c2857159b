//! What takes one of several values: coalesce, CASE, and a row's value for each text of its list.

use std::rc::Rc;

use super::strings::TextBuilder;
use super::{Cell, Evaluated, Evaluation, Value};
use crate::bits::Truth;
use crate::faults::{Faults, Reason};
use crate::plan::{NodeId, Number, Shape};

/// Which value a row takes.
enum Pick {
    /// That of a node, at a row of it.
    Of(NodeId, usize),
    Null,
    /// None, for the node could not say.
    Fault(NodeId),
}

impl Evaluation<'_> {
    /// The first value that is none of the nulls.
    pub(super) fn coalesce(&mut self, shape: Shape, nodes: &[NodeId]) -> Evaluated {
        let rows = self.rows_of(nodes);
        self.pick(shape, rows, |evaluation, row| {
            for node in nodes {
                match evaluation.cell(*node, row) {
                    Cell::Null => {}
                    Cell::Fault => return Pick::Fault(*node),
                    _ => return Pick::Of(*node, row),
                }
            }
            Pick::Null
        })
    }

    /// The value behind the first test that is true.
    pub(super) fn case(
        &mut self,
        shape: Shape,
        whens: &[(NodeId, NodeId)],
        otherwise: NodeId,
    ) -> Evaluated {
        let tests: Vec<NodeId> = whens.iter().map(|(when, _)| *when).collect();
        let rows = self.rows_of(&tests);
        self.pick(shape, rows, |evaluation, row| {
            for (when, then) in whens {
                match evaluation.cell(*when, row) {
                    Cell::Truth(true) => return Pick::Of(*then, row),
                    Cell::Fault => return Pick::Fault(*when),
                    _ => {}
                }
            }
            Pick::Of(otherwise, row)
        })
    }

    /// A row's value, for each text of its list.
    pub(super) fn spread(&mut self, list: usize, shape: Shape, node: NodeId) -> Evaluated {
        let Some(lists) = self.columns.texts(list).cloned() else {
            return (Value::None, None);
        };
        let mut owners = vec![0; lists.texts().rows()];
        for row in 0..self.columns.rows() {
            let (from, to) = lists.range(row).unwrap_or_default();
            if let Some(owners) = owners.get_mut(from..to) {
                owners.fill(row);
            }
        }
        self.pick(shape, owners.len(), |_, text| {
            Pick::Of(node, owners.get(text).copied().unwrap_or_default())
        })
    }

    fn pick(
        &mut self,
        shape: Shape,
        rows: usize,
        pick: impl Fn(&Self, usize) -> Pick,
    ) -> Evaluated {
        let mut faults = Faults::none(rows);
        let mut truth = Truth::constant(None, rows);
        let mut numbers = Vec::new();
        let mut texts = TextBuilder::default();
        for row in 0..rows {
            let mut bytes = 0;
            let cell = match pick(self, row) {
                Pick::Null => Cell::Null,
                Pick::Fault(node) => {
                    faults.add(row, self.reason(node, row));
                    Cell::Fault
                }
                Pick::Of(node, at) => {
                    let cell = self.cell(node, at);
                    if cell == Cell::Fault {
                        faults.add(row, self.reason(node, at));
                    }
                    if let Cell::Text(text) = cell {
                        bytes = text.len();
                    }
                    cell
                }
            };
            match (shape, cell) {
                (Shape::Truth, Cell::Truth(value)) => truth.set(row, Some(value)),
                (Shape::Number, Cell::Number(number)) => numbers.push(number),
                (Shape::Number, Cell::Fault) => numbers.push(Number::Fault),
                (Shape::Number, _) => numbers.push(Number::Null),
                (Shape::Text, Cell::Text(text)) if self.budget.text_bytes >= bytes => {
                    texts.push(Some(text));
                }
                (Shape::Text, Cell::Text(_)) => {
                    faults.add(row, Reason::Memory);
                    texts.push(None);
                }
                (Shape::Text, _) => texts.push(None),
                (Shape::Truth, _) => {}
            }
            self.budget.take_bytes(bytes);
        }
        let value = match shape {
            Shape::Truth => Value::Truth(truth),
            Shape::Number => Value::Numbers(numbers.into()),
            Shape::Text => Value::Texts(Rc::new(texts.finish())),
        };
        (value, faults.some())
    }

    fn reason(&self, node: NodeId, row: usize) -> Reason {
        self.fault(node, row).unwrap_or(Reason::Overflow)
    }
}
