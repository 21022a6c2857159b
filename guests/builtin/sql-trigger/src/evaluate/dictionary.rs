//! The distinct values of a text column, so that a dear test runs once for each.
//!
//! It is made only where tests are dear enough together, and given up as soon as the values turn out
//! not to repeat: then it has cost a look at some rows. Among few rows most values are new even where a
//! hundred make up a whole batch, so the first looks give up only where nearly all are.

use weir_guest::{TextColumn, same_bytes};

use super::strings::TextBuilder;

/// Fewer rows aren't worth it.
const ROWS_MIN: usize = 64;
/// After so many rows it is seen for the first time whether values repeat.
const SAMPLED_ROWS: usize = 64;
/// The bits of a hash that a place in a table may be.
const SLOT_BITS: u64 = u32::MAX as u64;
/// Of a row that is null.
const NULL: u32 = u32::MAX;

/// Each row's value as a number, and the values.
#[derive(Debug)]
pub(super) struct Dictionary {
    codes: Vec<u32>,
    values: TextColumn,
}

impl Dictionary {
    /// The values of a column; none where they hardly repeat.
    pub(super) fn of(column: &TextColumn) -> Option<Self> {
        let rows = column.rows();
        if rows < ROWS_MIN {
            return None;
        }
        let slots = rows.next_power_of_two();
        let mut table: Vec<u32> = vec![NULL; slots];
        let mut codes = Vec::with_capacity(rows);
        let mut values = TextBuilder::default();
        let mut firsts: Vec<(u64, usize)> = Vec::new();
        for row in 0..rows {
            if row % SAMPLED_ROWS == 0 && firsts.len() > distinct_max(row, rows) {
                return None;
            }
            let Some(text) = column.bytes(row) else {
                codes.push(NULL);
                continue;
            };
            let hash = hash(text);
            // Cut before it is a place: in the sandbox places have 32 bits.
            let mut slot = usize::try_from(hash & SLOT_BITS).unwrap_or(0) & (slots - 1);
            let code = loop {
                let code = table.get(slot).copied()?;
                if code == NULL {
                    let new = u32::try_from(firsts.len()).ok()?;
                    if let Some(place) = table.get_mut(slot) {
                        *place = new;
                    }
                    firsts.push((hash, row));
                    values.push(Some(text));
                    break new;
                }
                let (other, first) = firsts.get(usize::try_from(code).ok()?).copied()?;
                if other == hash
                    && column
                        .bytes(first)
                        .is_some_and(|first| same_bytes(first, text))
                {
                    break code;
                }
                slot = (slot + 1) & (slots - 1);
            };
            codes.push(code);
        }
        (firsts.len() <= rows / 2).then(|| Self {
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
            .map(|code| usize::try_from(*code).ok().filter(|_| *code != NULL))
    }

    /// Each row's item of a table by value, and the default for nulls.
    pub(super) fn spread<'a>(&'a self, table: &'a [bool]) -> impl Iterator<Item = bool> + 'a {
        self.codes.iter().map(|code| {
            usize::try_from(*code)
                .ok()
                .and_then(|code| table.get(code))
                .copied()
                .unwrap_or_default()
        })
    }
}

/// How many distinct values so many rows may have had, of a column in which in the end half may be: values
/// that are drawn evenly come as new ones less and less often.
fn distinct_max(seen: usize, rows: usize) -> usize {
    let [seen_wide, rows] = [seen, rows].map(|count| u64::try_from(count).unwrap_or(u64::MAX));
    let repeated = seen_wide.saturating_mul(seen_wide) / rows.saturating_mul(2).max(1);
    seen.saturating_sub(usize::try_from(repeated).unwrap_or(usize::MAX))
}

/// Of the length, and of three words: the first, the middle and the last one.
#[inline]
fn hash(text: &[u8]) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let word = |at: usize| {
        text.get(at..)
            .and_then(<[u8]>::first_chunk::<8>)
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let words = if text.len() >= 8 {
        [word(0), word((text.len() - 8) / 2), word(text.len() - 8)]
    } else {
        [
            text.iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte)),
            0,
            0,
        ]
    };
    let mixed = words.into_iter().fold(length, |mixed, word| {
        (mixed ^ word).wrapping_mul(MIX).rotate_left(23)
    });
    mixed ^ mixed >> 32
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
