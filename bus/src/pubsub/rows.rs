//! Selecting rows: filters as bits over a batch's columns.
//!
//! A row of a kind that doesn't have the column asked for is not selected. The invariant: one bit for
//! each row of the batch, whatever its kind.

use std::cmp::Reverse;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, StringArray};
use arrow_buffer::BooleanBuffer;

use super::compare::{Comparison, each};
use super::filter::{
    CorrelationFilter, EventFilter, FILTER_PIDS_MAX, FILTER_TEXT_BYTES_MAX, FilterError, Priority,
};
use crate::batch::Batch;
use crate::event::Kind;

/// Where each kind has the process that it is about.
const PID_COLUMNS: [&str; 2] = ["pid", "target_pid"];
const PRIORITY_COLUMN: &str = "priority";
const CORRELATION_COLUMN: &str = "correlation_id";
const ROOT_COLUMN: &str = "root_id";

/// The part of the filters that selects rows, checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RowFilter {
    /// In order, each once; empty: not asked.
    pids: Vec<u32>,
    priority_min: Option<Priority>,
    comparison: Option<Comparison>,
    correlation: CorrelationFilter,
}

impl RowFilter {
    /// `None` where nothing is asked of rows.
    pub(super) fn new(
        filter: &EventFilter,
        correlation: &CorrelationFilter,
    ) -> Result<Option<Self>, FilterError> {
        if filter.pids.len() > FILTER_PIDS_MAX {
            return Err(FilterError::TooManyPids {
                pids: filter.pids.len(),
            });
        }
        for (what, text) in correlation.texts() {
            if text.is_empty() || text.len() > FILTER_TEXT_BYTES_MAX {
                return Err(FilterError::TextLength {
                    what,
                    bytes: text.len(),
                });
            }
        }
        if let Some(comparison) = &filter.comparison {
            check_comparison(comparison, &filter.kinds)?;
        }
        let mut pids = filter.pids.clone();
        pids.sort_unstable();
        pids.dedup();
        let rows = Self {
            pids,
            priority_min: filter.priority_min,
            comparison: filter.comparison.clone(),
            correlation: correlation.clone(),
        };
        for kind in &filter.kinds {
            if let Some(what) = rows.never_selects(*kind) {
                return Err(FilterError::NeverSelected { kind: *kind, what });
            }
        }
        let asks = !rows.pids.is_empty()
            || rows.priority_min.is_some()
            || rows.comparison.is_some()
            || rows.correlation != CorrelationFilter::new();
        Ok(asks.then_some(rows))
    }

    /// What is asked for and the kind doesn't have.
    fn never_selects(&self, kind: Kind) -> Option<&'static str> {
        let lacks = |column: &str| kind.field_index(column).is_none();
        if !self.pids.is_empty() && PID_COLUMNS.into_iter().all(lacks) {
            return Some("pid");
        }
        if self.priority_min.is_some() && lacks(PRIORITY_COLUMN) {
            return Some("priority");
        }
        let correlated = self.correlation != CorrelationFilter::new();
        (correlated && (lacks(CORRELATION_COLUMN) || lacks(ROOT_COLUMN)))
            .then_some("correlation id")
    }

    /// One bit for each row of the batch.
    pub(super) fn mask(&self, batch: &Batch) -> BooleanBuffer {
        let mut mask: Option<BooleanBuffer> = None;
        let mut and = |part: Option<BooleanBuffer>| {
            let part = part.unwrap_or_else(|| BooleanBuffer::new_unset(batch.rows()));
            mask = Some(match &mask {
                None => part,
                Some(mask) => mask & &part,
            });
        };
        if !self.pids.is_empty() {
            and(self.pids_mask(batch));
        }
        if let Some(priority_min) = self.priority_min {
            and(texts_mask(batch, PRIORITY_COLUMN, |text| {
                text.parse()
                    .is_ok_and(|priority: Priority| priority >= priority_min)
            }));
        }
        if let Some(comparison) = &self.comparison {
            let column = batch.column(&comparison.column);
            and(column.map(|column| comparison.mask(column)));
        }
        if let Some(id) = &self.correlation.id {
            and(texts_mask(batch, CORRELATION_COLUMN, |text| text == id));
        }
        if let Some(glob) = &self.correlation.glob {
            and(texts_mask(batch, CORRELATION_COLUMN, |text| {
                glob_matches(glob, text)
            }));
        }
        if let Some(root) = &self.correlation.root {
            and(texts_mask(batch, ROOT_COLUMN, |text| text == root));
        }
        mask.unwrap_or_else(|| BooleanBuffer::new_set(batch.rows()))
    }

    fn pids_mask(&self, batch: &Batch) -> Option<BooleanBuffer> {
        let column = PID_COLUMNS
            .into_iter()
            .find_map(|name| batch.column(name))?;
        let array = column.as_primitive_opt::<UInt32Type>()?;
        let wanted = |pid: &u32| self.pids.binary_search(pid).is_ok();
        let bits = BooleanBuffer::from_iter(array.values().iter().map(wanted));
        Some(match array.nulls() {
            Some(valid) => &bits & valid.inner(),
            None => bits,
        })
    }
}

fn texts_mask(batch: &Batch, column: &str, wanted: impl Fn(&str) -> bool) -> Option<BooleanBuffer> {
    let array: &StringArray = batch.column(column)?.as_string_opt::<i32>()?;
    Some(each(array.len(), |row| {
        array.is_valid(row) && wanted(array.value(row))
    }))
}

/// The column must be there and comparable: in each kind that is named, or in one where none is.
fn check_comparison(comparison: &Comparison, kinds: &[Kind]) -> Result<(), FilterError> {
    let column = comparison.column.as_str();
    let unknown = |whose: String, among: &[Kind]| FilterError::UnknownColumn {
        whose,
        column: column.to_owned(),
        nearest: nearest_column(column, among),
    };
    let field_type = |kind: Kind| {
        let index = kind.field_index(column)?;
        kind.fields().get(index).map(|field| field.field_type)
    };
    for &kind in kinds {
        let Some(found) = field_type(kind) else {
            return Err(unknown(format!("{kind} events have no"), &[kind]));
        };
        comparison.check_type(kind, found)?;
    }
    if !kinds.is_empty() {
        return Ok(());
    }
    let mut checked = Err(unknown("no kind of event has a".to_owned(), &Kind::ALL));
    for kind in Kind::ALL {
        if let Some(found) = field_type(kind) {
            checked = comparison.check_type(kind, found);
            if checked.is_ok() {
                break;
            }
        }
    }
    checked
}

fn nearest_column(column: &str, kinds: &[Kind]) -> &'static str {
    kinds
        .iter()
        .flat_map(|kind| kind.fields())
        .map(|field| field.name)
        .min_by_key(|name| {
            // The first of equals, and a common beginning counts for more than equal length.
            let shared = name.bytes().zip(column.bytes()).take_while(|(a, b)| a == b);
            (
                strsim::damerau_levenshtein(name, column),
                Reverse(shared.count()),
            )
        })
        .unwrap_or("timestamp")
}

/// `*` is any text, `?` one character. Goes back to the last `*` only: at most glob × text steps.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (mut glob, mut text) = (glob.chars(), text.chars());
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        match (glob.next(), text.clone().next()) {
            (None, None) => return true,
            (Some('*'), _) => retry = Some((glob.clone(), text.clone())),
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                text.next();
            }
            _ => {
                let Some((after_star, mut from)) = retry.take() else {
                    return false;
                };
                if from.next().is_none() {
                    return false;
                }
                glob = after_star.clone();
                text = from.clone();
                retry = Some((after_star, from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_matches_what_it_says() {
        let check = |glob: &str, text: &str, expected: bool| {
            assert_eq!(glob_matches(glob, text), expected, "{glob} {text}");
        };
        check("", "", true);
        check("a", "a", true);
        check("a", "ab", false);
        check("ab", "a", false);
        check("*", "", true);
        check("*", "anything", true);
        check("a*", "ba", false);
        check("a*c", "abbc", true);
        check("a*c", "abbd", false);
        check("*ab*ab", "abxabab", true);
        check("?", "é", true);
        check("?", "", false);
        check("a?c*", "abcdef", true);
        check("**", "x", true);
        check(&"*a".repeat(100), &"b".repeat(200), false);
    }
}
