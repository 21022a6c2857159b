//! Texts that are made: lower, upper, basename and ||, and what is asked of two texts.
//!
//! Only the letters of ASCII have another case here, as in SQLite.

use std::rc::Rc;

use memchr::memmem;
use weir_guest::{Column as _, RawColumn, TextColumn};

use super::{Evaluated, Evaluation, Value};
use crate::bits::{Bits, Truth};
use crate::faults::{Faults, Reason};
use crate::like::is_continued;
use crate::plan::{NodeId, Number, Within};

/// Collects texts into a column.
#[derive(Debug, Default)]
pub(super) struct TextBuilder {
    values: Vec<u8>,
    ends: Vec<u8>,
    valid: Vec<bool>,
}

impl TextBuilder {
    pub(super) fn push(&mut self, text: Option<&[u8]>) {
        self.values.extend_from_slice(text.unwrap_or_default());
        let end = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.ends.extend_from_slice(&end.to_le_bytes());
        self.valid.push(text.is_some());
    }

    /// The column. The budget for texts keeps it within what offsets can say.
    pub(super) fn finish(self) -> TextColumn {
        let rows = self.valid.len();
        let mut offsets = vec![0; size_of::<u32>()];
        offsets.extend(self.ends);
        let valid = Bits::of_bools(rows, self.valid.into_iter());
        column(self.values, offsets, valid.bytes().to_vec(), rows)
    }
}

/// A column of its buffers; of ones that don't fit, one of nothing but nulls.
fn column(values: Vec<u8>, offsets: Vec<u8>, validity: Vec<u8>, rows: usize) -> TextColumn {
    let raw = RawColumn {
        type_name: TextColumn::TYPE.to_owned(),
        values,
        offsets,
        list_offsets: Vec::new(),
        validity,
    };
    TextColumn::from_raw(raw, rows).unwrap_or_else(|_| TextColumn::of(&vec![None; rows]))
}

impl Evaluation<'_> {
    /// The same texts in another case.
    pub(super) fn recase(&mut self, text: NodeId, recase: fn(&mut [u8])) -> Evaluated {
        let inherited = self.faults(text).cloned();
        let texts = match self.values.get(text) {
            Some(Value::Texts(texts)) => texts.clone(),
            Some(Value::Text(Some(text))) => {
                let mut text = String::from(&**text).into_bytes();
                recase(&mut text);
                let text = String::from_utf8_lossy(&text);
                return (Value::Text(Some(text.as_ref().into())), inherited);
            }
            _ => return (Value::Text(None), inherited),
        };
        let rows = texts.rows();
        if !self.budget.take_bytes(texts.values().len()) {
            return no_room(&texts, inherited);
        }
        let mut values = texts.values().to_vec();
        recase(&mut values);
        let mut offsets = Vec::with_capacity((rows + 1) * size_of::<u32>());
        let first = texts.range(0).map_or(0, |(start, _)| start);
        for offset in std::iter::once(first).chain(texts.ranges().map(|(_, end)| end)) {
            offsets.extend(u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes());
        }
        let validity = texts.validity().map(<[u8]>::to_vec).unwrap_or_default();
        (
            Value::Texts(Rc::new(column(values, offsets, validity, rows))),
            inherited,
        )
    }

    /// What stands behind the last slash.
    pub(super) fn base_names(&mut self, text: NodeId) -> Evaluated {
        self.make(&[text], |evaluation, row| {
            let text = evaluation.text(text, row)?;
            let after = memchr::memrchr(b'/', text).map_or(0, |slash| slash + 1);
            Some((text.get(after..)?, &[]))
        })
    }

    /// Both, one behind the other.
    pub(super) fn concat(&mut self, left: NodeId, right: NodeId) -> Evaluated {
        self.make(&[left, right], |evaluation, row| {
            Some((evaluation.text(left, row)?, evaluation.text(right, row)?))
        })
    }

    /// Makes a text a row, of two parts.
    fn make<F>(&mut self, parts: &[NodeId], text: F) -> Evaluated
    where
        F: for<'b> Fn(&'b Self, usize) -> Option<(&'b [u8], &'b [u8])>,
    {
        let rows = self.rows_of(parts);
        let mut faults = Faults::none(rows);
        let mut made = TextBuilder::default();
        let mut joined = Vec::new();
        for row in 0..rows {
            joined.clear();
            let is_some = match text(self, row) {
                Some((one, other)) => {
                    joined.extend_from_slice(one);
                    joined.extend_from_slice(other);
                    true
                }
                None => false,
            };
            if is_some && !self.budget.take_bytes(joined.len()) {
                faults.add(row, Reason::Memory);
                made.push(None);
            } else {
                made.push(is_some.then_some(joined.as_slice()));
            }
        }
        if let Some(inherited) = self.inherited(parts) {
            faults.merge(&inherited);
        }
        (Value::Texts(Rc::new(made.finish())), faults.some())
    }

    /// How many characters.
    pub(super) fn length(&self, text: NodeId) -> Evaluated {
        let rows = self.rows_of(&[text]);
        let length = |row| {
            let text = self.text(text, row)?;
            let chars = text.iter().filter(|byte| !is_continued(**byte)).count();
            Some(Number::Integer(chars.try_into().ok()?))
        };
        let numbers = (0..rows)
            .map(|row| length(row).unwrap_or(Number::Null))
            .collect();
        (Value::Numbers(numbers), self.faults(text).cloned())
    }

    /// Whether a text has another one at its beginning, at its end, or anywhere.
    pub(super) fn within(&mut self, within: Within, text: NodeId, part: NodeId) -> Evaluated {
        let parts = [text, part];
        let rows = self.rows_of(&parts);
        let mut truth = Truth::constant(None, rows);
        let mut faults = Faults::none(rows);
        for row in 0..rows {
            let (Some(whole), Some(wanted)) = (self.text(text, row), self.text(part, row)) else {
                continue;
            };
            let is = match within {
                Within::Starts => whole.starts_with(wanted),
                Within::Ends => whole.ends_with(wanted),
                Within::Contains => memmem::find(whole, wanted).is_some(),
            };
            let steps = u64::try_from(whole.len()).unwrap_or(u64::MAX) / 4;
            if within == Within::Contains && !self.budget.take(steps) {
                faults.add(row, Reason::Steps);
                continue;
            }
            truth.set(row, Some(is));
        }
        if let Some(inherited) = self.inherited(&parts) {
            faults.merge(&inherited);
        }
        (Value::Truth(truth), faults.some())
    }
}

/// A column that there is no room for: a fault where there is a text.
fn no_room(texts: &TextColumn, inherited: Option<Rc<Faults>>) -> Evaluated {
    let rows = texts.rows();
    let mut faults = inherited.map_or_else(|| Faults::none(rows), Rc::unwrap_or_clone);
    for row in (0..rows).filter(|row| texts.is_valid(*row)) {
        faults.add(row, Reason::Memory);
    }
    let nulls = TextColumn::of(&vec![None; rows]);
    (Value::Texts(Rc::new(nulls)), faults.some())
}
