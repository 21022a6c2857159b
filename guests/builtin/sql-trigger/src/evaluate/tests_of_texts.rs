//! Tests of a text column against a constant: whole columns at once where there is a way, else row by
//! row, and once for each distinct value where values repeat.

use std::rc::Rc;

use weir_guest::{Mask, TextColumn};

use super::dictionary::Dictionary;
use super::{Budget, Evaluated, Evaluation, Value};
use crate::bits::{Bits, Truth};
use crate::cidr;
use crate::errors::shorten;
use crate::faults::{Faults, Reason};
use crate::plan::NodeId;
use crate::texts::{DEAR_MIN, Matcher};

/// Bytes that a search looks at in a step.
const SEARCHED_BYTES_PER_STEP: u64 = 16;
/// The most characters of a text that a reason quotes.
const QUOTED_CHARS_MAX: usize = 60;

impl Evaluation<'_> {
    pub(super) fn test_text(&mut self, id: NodeId, text: NodeId) -> Evaluated {
        let plan = self.plan;
        let Some(matcher) = plan.matcher(id) else {
            return (Value::None, None);
        };
        let Some(Value::Texts(column)) = self.values.get(text) else {
            return self.test_constant(matcher, text);
        };
        let column = column.clone();
        let rows = column.rows();
        let valid = Bits::of_validity(column.validity(), rows);
        let (yes, own) = match self.dictionary(text, &column, matcher) {
            Some(dictionary) => {
                let (yes, faults) = test(matcher, dictionary.values(), &mut self.budget);
                spread(&dictionary, &yes, faults.as_ref(), rows)
            }
            None => test(matcher, &column, &mut self.budget),
        };
        let mut truth = Truth::of(yes, &valid);
        let inherited = self.faults(text).cloned();
        let faults = match (inherited, own) {
            (Some(mut all), Some(own)) => {
                Rc::make_mut(&mut all).merge(&own);
                Some(all)
            }
            (all, own) => all.or(own.map(Rc::new)),
        };
        if let Some(faults) = &faults {
            truth.yes.and_not(&faults.bits);
            truth.no.and_not(&faults.bits);
        }
        (Value::Truth(truth), faults)
    }

    /// Of a text that is the same for all rows.
    fn test_constant(&mut self, matcher: &Matcher, text: NodeId) -> Evaluated {
        let rows = self.columns.rows();
        let Some(Value::Text(Some(text))) = self.values.get(text) else {
            return (Value::Truth(Truth::constant(None, rows)), None);
        };
        let one = TextColumn::of(&[Some(text)]);
        let (yes, faults) = test(matcher, &one, &mut self.budget);
        let Some(faults) = faults else {
            return (Value::Truth(Truth::constant(Some(yes.get(0)), rows)), None);
        };
        let mut all = Faults::none(rows);
        if let Some(reason) = faults.reason(0) {
            (0..rows).for_each(|row| all.add(row, reason.clone()));
        }
        (Value::Truth(Truth::constant(None, rows)), all.some())
    }

    /// The distinct values of a text, where they repeat and the tests are worth it.
    fn dictionary(
        &mut self,
        text: NodeId,
        column: &TextColumn,
        matcher: &Matcher,
    ) -> Option<Rc<Dictionary>> {
        if self.plan.dear(text) < DEAR_MIN
            || matches!(
                matcher,
                Matcher::Equal(..) | Matcher::Prefix(_) | Matcher::Suffix(_)
            )
        {
            return None;
        }
        let slot = self.dictionaries.get_mut(text)?;
        slot.get_or_insert_with(|| Dictionary::of(column).map(Rc::new))
            .clone()
    }
}

/// What was found of the distinct values, for all rows.
fn spread(
    dictionary: &Dictionary,
    yes: &Bits,
    faults: Option<&Faults>,
    rows: usize,
) -> (Bits, Option<Faults>) {
    let table: Vec<bool> = (0..yes.rows()).map(|place| yes.get(place)).collect();
    let yes = dictionary.spread(&table);
    let Some(faults) = faults else {
        return (yes, None);
    };
    let mut all = Faults::none(rows);
    for (row, place) in dictionary.places().enumerate() {
        if let Some(reason) = place.and_then(|place| faults.reason(place)) {
            all.add(row, reason);
        }
    }
    (yes, Some(all))
}

/// The rows that pass, whatever it says of nulls, and those that could not be tested.
fn test(matcher: &Matcher, column: &TextColumn, budget: &mut Budget) -> (Bits, Option<Faults>) {
    let rows = column.rows();
    let bytes = u64::try_from(column.values().len()).unwrap_or(u64::MAX);
    let text_of =
        |(start, end): (usize, usize)| column.values().get(start..end).unwrap_or_default();
    let by_row = |says: &dyn Fn(&[u8]) -> bool| {
        Bits::of_bools(rows, column.ranges().map(|range| says(text_of(range))))
    };
    let bits = match matcher {
        Matcher::Equal(head, text) => {
            let mut mask = Mask::none(rows);
            head.mark(column, &mut mask);
            let is_whole = |row: &usize| {
                column
                    .bytes(*row)
                    .is_some_and(|found| found.len() == text.len())
            };
            let mut bits = Bits::none(rows);
            mask.iter().filter(is_whole).for_each(|row| bits.set(row));
            bits
        }
        Matcher::Prefix(prefix) => {
            let mut mask = Mask::none(rows);
            prefix.mark(column, &mut mask);
            mask.into()
        }
        Matcher::Suffix(suffix) => suffix.mask(column).into(),
        Matcher::Less(text) => by_row(&|found| found < text.as_bytes()),
        Matcher::LessOrEqual(text) => by_row(&|found| found <= text.as_bytes()),
        Matcher::In(names) => column
            .mask(|values, start, end| names.have(values, start, end))
            .into(),
        Matcher::Contains(needle) => {
            if !budget.take(bytes / SEARCHED_BYTES_PER_STEP) {
                return (Bits::none(rows), Some(used_up(column, 0..rows)));
            }
            let mut mask = Mask::none(rows);
            needle.mark(column, &mut mask);
            mask.into()
        }
        Matcher::Like(pattern) => {
            let says = |text: &[u8], steps: &mut u64| pattern.matches(text, steps);
            let Some(head) = pattern.head() else {
                return each(column, 0..rows, budget, says);
            };
            let mut mask = Mask::none(rows);
            head.mark(column, &mut mask);
            if let Some(tail) = pattern.tail() {
                mask.and(tail.mask(column).bits());
            }
            return each(column, mask.iter(), budget, says);
        }
        Matcher::Regex(regex, None) => {
            return each(column, 0..rows, budget, |text, steps| {
                regex.matches(text, steps)
            });
        }
        Matcher::Regex(regex, Some(needle)) => {
            if !budget.take(bytes / SEARCHED_BYTES_PER_STEP) {
                return (Bits::none(rows), Some(used_up(column, 0..rows)));
            }
            let mut mask = Mask::none(rows);
            needle.mark(column, &mut mask);
            return each(column, mask.iter(), budget, |text, steps| {
                regex.matches(text, steps)
            });
        }
        Matcher::Cidr(network) => {
            let mut yes = Bits::none(rows);
            let mut faults = Faults::none(rows);
            for row in 0..rows {
                let Some(text) = column.bytes(row) else {
                    continue;
                };
                match cidr::address(text) {
                    Some(address) if network.has(address) => yes.set(row),
                    Some(_) => {}
                    None => {
                        let text = String::from_utf8_lossy(text);
                        let text = shorten(&text, QUOTED_CHARS_MAX);
                        faults.add(row, Reason::Address(text.into()));
                    }
                }
            }
            return (yes, Some(faults).filter(|faults| !faults.bits.is_empty()));
        }
    };
    (bits, None)
}

/// Tests some rows one by one, as long as there is budget.
fn each(
    column: &TextColumn,
    rows: impl Iterator<Item = usize>,
    budget: &mut Budget,
    mut says: impl FnMut(&[u8], &mut u64) -> bool,
) -> (Bits, Option<Faults>) {
    let mut yes = Bits::none(column.rows());
    let mut left = Vec::new();
    for row in rows {
        let Some(text) = column.bytes(row) else {
            continue;
        };
        let says = says(text, &mut budget.steps);
        if budget.steps == 0 {
            left.push(row);
        } else if says {
            yes.set(row);
        }
    }
    let faults = (!left.is_empty()).then(|| used_up(column, left.into_iter()));
    (yes, faults)
}

/// The rows for which no budget was left.
fn used_up(column: &TextColumn, rows: impl Iterator<Item = usize>) -> Faults {
    let mut faults = Faults::none(column.rows());
    for row in rows.filter(|row| column.is_valid(*row)) {
        faults.add(row, Reason::Steps);
    }
    faults
}
