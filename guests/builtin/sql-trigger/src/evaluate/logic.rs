//! AND, OR, NOT and their kin over whole bitmaps, and `any` over lists.
//!
//! A fault is what the truth might be anything of: `false AND fault` is false, `true AND fault` and
//! `unknown AND fault` are faults. So a verdict does not depend on the order of a condition's parts.

use super::{Evaluated, Evaluation, Value};
use crate::bits::{Bits, Truth};
use crate::faults::Faults;
use crate::plan::NodeId;
use std::rc::Rc;
use weir_guest::TextListColumn;

impl Evaluation<'_> {
    fn truth_of(&self, node: NodeId) -> Option<&Truth> {
        match self.values.get(node)? {
            Value::Truth(truth) => Some(truth),
            _ => None,
        }
    }

    pub(super) fn and(&self, nodes: &[NodeId]) -> Evaluated {
        let rows = self.rows_of(nodes);
        let (mut yes, mut no) = (Bits::all(rows), Bits::none(rows));
        for truth in nodes.iter().filter_map(|node| self.truth_of(*node)) {
            yes.and(&truth.yes);
            no.or(&truth.no);
        }
        let faults = self.undecided(nodes, &no);
        (Value::Truth(Truth { yes, no }), faults)
    }

    pub(super) fn or(&self, nodes: &[NodeId]) -> Evaluated {
        let rows = self.rows_of(nodes);
        let (mut yes, mut no) = (Bits::none(rows), Bits::all(rows));
        for truth in nodes.iter().filter_map(|node| self.truth_of(*node)) {
            yes.or(&truth.yes);
            no.and(&truth.no);
        }
        let faults = self.undecided(nodes, &yes);
        (Value::Truth(Truth { yes, no }), faults)
    }

    /// The faults of the parts, without the rows that another part decided.
    fn undecided(&self, nodes: &[NodeId], decided: &Bits) -> Option<Rc<Faults>> {
        let faults = self.inherited(nodes)?;
        Rc::unwrap_or_clone(faults).except(decided)
    }

    pub(super) fn not(&self, node: NodeId) -> Evaluated {
        let Some(Truth { yes, no }) = self.truth_of(node).cloned() else {
            return (Value::None, None);
        };
        let value = Value::Truth(Truth { yes: no, no: yes });
        (value, self.faults(node).cloned())
    }

    pub(super) fn is_true(&self, node: NodeId) -> Evaluated {
        let Some(truth) = self.truth_of(node) else {
            return (Value::None, None);
        };
        let mut no = Bits::all(truth.rows());
        no.and_not(&truth.yes);
        let faults = self.faults(node).cloned();
        if let Some(faults) = &faults {
            no.and_not(&faults.bits);
        }
        let yes = truth.yes.clone();
        (Value::Truth(Truth { yes, no }), faults)
    }

    pub(super) fn is_null(&self, node: NodeId) -> Evaluated {
        let rows = self.rows_of(&[node]);
        let no = self.known(node, rows);
        let mut yes = Bits::all(rows);
        yes.and_not(&no);
        let faults = self.faults(node).cloned();
        if let Some(faults) = &faults {
            yes.and_not(&faults.bits);
        }
        (Value::Truth(Truth { yes, no }), faults)
    }

    /// Whether a test is true for one of the texts of each row's list. Of an empty list it is false,
    /// of a null unknown.
    pub(super) fn any(&self, list: usize, test: NodeId) -> Evaluated {
        let rows = self.columns.rows();
        let (Some(lists), Some(truth)) = (self.columns.texts(list), self.truth_of(test)) else {
            return (Value::Truth(Truth::constant(None, rows)), None);
        };
        let inner = self.faults(test);
        if inner.is_none() && truth.is_total() {
            return (Value::Truth(any_of_total(lists, truth, rows)), None);
        }
        let mut all = Truth::constant(None, rows);
        let mut faults = Faults::none(rows);
        for row in (0..rows).filter(|row| lists.is_valid(*row)) {
            let texts = || {
                let (from, to) = lists.range(row).unwrap_or_default();
                from..to
            };
            if texts().any(|text| truth.yes.get(text)) {
                all.yes.set(row);
                continue;
            }
            if texts().all(|text| truth.no.get(text)) {
                all.no.set(row);
            } else if let Some(reason) =
                inner.and_then(|inner| texts().find_map(|text| inner.reason(text)))
            {
                faults.add(row, reason);
            }
        }
        (Value::Truth(all), faults.some())
    }
}

/// As `any`, of a test that is true or false for every text: only the texts that pass are looked at.
fn any_of_total(lists: &TextListColumn, truth: &Truth, rows: usize) -> Truth {
    let mut yes = Bits::none(rows);
    let mut row = 0;
    for text in truth.yes.iter() {
        // Texts and lists both rise: no row is looked at twice.
        while row < rows && lists.range(row).is_some_and(|(_, end)| end <= text) {
            row += 1;
        }
        yes.set(row);
    }
    Truth::of(yes, &Bits::of_validity(lists.validity(), rows))
}
