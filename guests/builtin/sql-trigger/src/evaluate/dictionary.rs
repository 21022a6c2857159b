//! The distinct values of a text column, so that a dear test runs once for each.
//!
//! It is made only where tests are dear enough together, and given up as soon as the values turn out
//! not to repeat: then it has cost a look at some rows. Among few rows most values are new even where a
//! hundred make up a whole batch, so the first looks give up only where nearly all are.

use weir_guest::{TextColumn, same_bytes};

use super::strings::TextBuilder;
use crate::bits::Bits;

/// Fewer rows aren't worth it.
const ROWS_MIN: usize = 64;
/// After so many rows it is seen for the first time whether values repeat.
const SAMPLED_ROWS: usize = 64;
/// No value's number: of a row that is null, and of a place that is free.
const FREE: u32 = u32::MAX;

/// Each row's value as a number, and the values.
#[derive(Debug)]
pub(super) struct Dictionary {
    codes: Vec<u32>,
    values: TextColumn,
}

/// A value that was seen: where it stands among the column's bytes.
#[derive(Clone, Copy)]
struct First {
    start: usize,
    end: usize,
}

/// What a place of the table holds: the value's hash, and its number; the number `FREE` where there is none.
#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    code: u32,
}

impl Dictionary {
    /// The values of a column; none where they hardly repeat.
    pub(super) fn of(column: &TextColumn) -> Option<Self> {
        let rows = column.rows();
        if rows < ROWS_MIN {
            return None;
        }
        let free = Slot {
            hash: 0,
            code: FREE,
        };
        let mut table = vec![free; rows.next_power_of_two()];
        let mut codes = vec![FREE; rows];
        let mut firsts: Vec<First> = Vec::new();
        let mut row = 0;
        for codes in codes.chunks_mut(SAMPLED_ROWS) {
            if firsts.len() > distinct_max(row, rows) {
                return None;
            }
            for code in codes {
                if column.is_valid(row) {
                    let (start, end) = column.range(row)?;
                    let value = First { start, end };
                    *code = code_of(column.values(), value, &mut table, &mut firsts)?;
                }
                row += 1;
            }
        }
        if firsts.len() > rows / 2 {
            return None;
        }
        let mut values = TextBuilder::default();
        for first in &firsts {
            values.push(column.values().get(first.start..first.end));
        }
        Some(Self {
            codes,
            values: values.finish(),
        })
    }

    /// The distinct values.
    pub(super) fn values(&self) -> &TextColumn {
        &self.values
    }

    /// Each row's value, as its place among the distinct ones; none where the row is null.
    pub(super) fn places(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        self.codes
            .iter()
            .map(|code| usize::try_from(*code).ok().filter(|_| *code != FREE))
    }

    /// The rows whose value is set in a table by value.
    pub(super) fn spread(&self, table: &[bool]) -> Bits {
        let is_set = |code: u32| {
            usize::try_from(code)
                .ok()
                .and_then(|code| table.get(code))
                .copied()
                .unwrap_or_default()
        };
        Bits::of_rows(self.codes.len(), |row| {
            self.codes.get(row).is_some_and(|code| is_set(*code))
        })
    }
}

/// The number of a value; a new one where it wasn't seen before.
#[inline(always)]
fn code_of(
    values: &[u8],
    value: First,
    table: &mut [Slot],
    firsts: &mut Vec<First>,
) -> Option<u32> {
    let text = values.get(value.start..value.end)?;
    let hash = hash(text);
    // Its length is a power of two.
    let mask = table.len().saturating_sub(1);
    let mut place = usize::try_from(hash).unwrap_or(0) & mask;
    loop {
        let slot = table.get_mut(place)?;
        if slot.code == FREE {
            let code = u32::try_from(firsts.len()).ok()?;
            *slot = Slot { hash, code };
            firsts.push(value);
            return Some(code);
        }
        if slot.hash == hash {
            let first = firsts.get(usize::try_from(slot.code).ok()?)?;
            let first = values.get(first.start..first.end)?;
            if same_bytes(first, text) {
                return Some(slot.code);
            }
        }
        place = (place + 1) & mask;
    }
}

/// How many distinct values so many rows may have had, of a column in which in the end half may be: values
/// that are drawn evenly come as new ones less and less often.
fn distinct_max(seen: usize, rows: usize) -> usize {
    let [seen_wide, rows] = [seen, rows].map(|count| u64::try_from(count).unwrap_or(u64::MAX));
    let repeated = seen_wide.saturating_mul(seen_wide) / rows.saturating_mul(2).max(1);
    seen.saturating_sub(usize::try_from(repeated).unwrap_or(usize::MAX))
}

/// Of the length and of two words: the last one, and the one in the middle. Paths begin alike.
#[inline(always)]
fn hash(text: &[u8]) -> u32 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let middle = text.get(text.len().saturating_sub(8) / 2..);
    let middle = middle.and_then(<[u8]>::first_chunk::<8>);
    let (last, middle) = match (text.last_chunk::<8>(), middle) {
        (Some(last), Some(middle)) => (u64::from_le_bytes(*last), u64::from_le_bytes(*middle)),
        _ => (short(text), 0),
    };
    let mixed = (last ^ length).wrapping_mul(MIX).rotate_left(23);
    let [.., a, b, c, d] = (mixed ^ middle).wrapping_mul(MIX).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Fewer than eight bytes as a word.
#[cold]
fn short(text: &[u8]) -> u64 {
    let bytes = text.iter().take(8);
    bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_guest::Column as _;

    #[test]
    fn each_rows_value_is_found_again() {
        let texts = [
            "/usr/bin/a",
            "/usr/bin/b",
            "",
            "x",
            "/usr/bin/a long path of a program",
        ];
        let rows: Vec<Option<&str>> = (0..200_usize)
            .map(|row| (row % 7 != 3).then(|| texts[row % 5]))
            .collect();
        let dictionary = Dictionary::of(&TextColumn::of(&rows)).unwrap();
        assert_eq!(dictionary.values().rows(), texts.len());
        let again: Vec<Option<&str>> = dictionary
            .places()
            .map(|place| place.and_then(|place| dictionary.values().get(place)))
            .collect();
        assert_eq!(again, rows);
    }

    #[test]
    fn values_that_repeat_late_are_seen_to() {
        let mut random = crate::tests::Random::new(5);
        let texts: Vec<String> = (0..1_000)
            .map(|_| format!("/usr/bin/worker-{}", random.below(150)))
            .collect();
        let rows: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
        let dictionary = Dictionary::of(&TextColumn::of(&rows)).unwrap();
        assert!(dictionary.values().rows() <= 150);
    }

    #[test]
    fn values_that_hardly_repeat_make_none() {
        let texts: Vec<String> = (0..1_000).map(|row| format!("worker-{row}")).collect();
        let rows: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
        assert!(Dictionary::of(&TextColumn::of(&rows)).is_none());
        assert!(Dictionary::of(&TextColumn::of(&rows[..10])).is_none());
    }
}
