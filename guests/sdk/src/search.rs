//! Searches over whole columns of texts.
//!
//! A needle is looked for in the bytes of all rows at once, and each hit is put back to its row. A
//! null row never matches.
//!
//! Why not `memchr::memmem` all the way: in a sandbox each turn of a loop also pays for fuel and
//! for the epoch. Its loop takes 16 bytes a turn, and the one here 64; the choice of the two bytes
//! to look for first is memchr's.

use crate::mask::gather;
use crate::{Mask, Prefix, TextColumn, TextListColumn};
use memchr::arch::all::packedpair::Pair;
use memchr::memmem::Finder;

/// How many bytes are looked at in one turn: four vectors.
const BLOCK_BYTES: usize = 64;

/// A text to be looked for, prepared once.
#[derive(Clone, Debug)]
pub struct Needle {
    finder: Finder<'static>,
    /// All of it, to be compared with what is at a place.
    whole: Prefix,
    /// Where in the needle its two rarest bytes are, and what they are.
    places: [usize; 2],
    bytes: [u8; 2],
}

impl Needle {
    /// Prepares the search.
    #[must_use]
    pub fn new(needle: &str) -> Self {
        let bytes = needle.as_bytes();
        // A single byte makes no pair with another: it is looked for twice.
        let places = Pair::new(bytes).map_or([0, 0], |pair| [pair.index1(), pair.index2()]);
        let places = places.map(usize::from);
        Self {
            finder: Finder::new(needle).into_owned(),
            whole: Prefix::new(needle),
            places,
            bytes: places.map(|place| bytes.get(place).copied().unwrap_or_default()),
        }
    }

    /// Whether the text contains it.
    #[must_use]
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.finder.find(text).is_some()
    }

    /// Selects the rows whose text contains it.
    pub fn mark(&self, column: &TextColumn, mask: &mut Mask) {
        if self.finder.needle().is_empty() {
            (0..column.rows())
                .filter(|row| column.is_valid(*row))
                .for_each(|row| mask.set(row));
            return;
        }
        let Some((mut at, _)) = column.range(0) else {
            return;
        };
        let Some((_, end)) = column.range(column.rows().saturating_sub(1)) else {
            return;
        };
        let Some(values) = column.values().get(..end) else {
            return;
        };
        let mut hits = Hits {
            column,
            mask,
            row: 0,
            end: at,
        };
        while let Some(mut places) = self.look(values, at) {
            while places != 0 {
                let place = at + places.trailing_zeros() as usize;
                places &= places - 1;
                if place >= hits.end
                    && values
                        .get(place..)
                        .is_some_and(|text| self.whole.starts(text))
                {
                    hits.take(place, self.finder.needle().len());
                }
            }
            at += BLOCK_BYTES;
        }
        // What is left is shorter than a block and the needle.
        while let Some(found) = values.get(at..).and_then(|rest| self.finder.find(rest)) {
            hits.take(at + found, self.finder.needle().len());
            at += found + 1;
        }
    }

    /// At which of the 64 places from `at` on the needle's two rarest bytes are where they belong:
    /// a bit a place. `None` where there is no whole block left.
    #[inline]
    fn look(&self, values: &[u8], at: usize) -> Option<u64> {
        let block = |place| values.get(at + place..)?.first_chunk::<BLOCK_BYTES>();
        let [one, other] = [block(self.places[0])?, block(self.places[1])?];
        // Written so that it is vectors all the way to the question whether there is any.
        let mut flags = [0; BLOCK_BYTES];
        for ((flag, one), other) in flags.iter_mut().zip(one).zip(other) {
            *flag = u8::from(*one == self.bytes[0]) & u8::from(*other == self.bytes[1]);
        }
        let (vectors, _) = flags.as_chunks::<16>();
        if vectors
            .iter()
            .fold(0, |any, vector| any | u128::from_ne_bytes(*vector))
            == 0
        {
            return Some(0);
        }
        let (words, _) = flags.as_chunks::<8>();
        Some(
            words
                .iter()
                .rev()
                .fold(0, |bits, flags| bits << 8 | u64::from(gather(*flags))),
        )
    }

    /// Selects the rows of which at least one text contains it.
    pub fn mark_lists(&self, column: &TextListColumn, mask: &mut Mask) {
        let mut texts = Mask::none(column.texts().rows());
        self.mark(column.texts(), &mut texts);
        let mut row = 0;
        for text in texts.iter() {
            // Texts and lists both rise: no row is looked at twice.
            while row < mask.rows() && column.range(row).is_some_and(|(_, end)| end <= text) {
                row += 1;
            }
            if column.is_valid(row) {
                mask.set(row);
            }
        }
    }
}

/// Puts hits, which come in order, back to their rows.
struct Hits<'a> {
    column: &'a TextColumn,
    mask: &'a mut Mask,
    /// The row after the last one that had a hit.
    row: usize,
    /// Where that one ended: hits before it say nothing new.
    end: usize,
}

impl Hits<'_> {
    fn take(&mut self, start: usize, length: usize) {
        if start < self.end {
            return;
        }
        let ends = self.column.ends();
        let passed = |ends: &[[u8; 4]]| {
            // Ends rise: those that are not past the hit come first, so counting finds the row.
            ends.iter()
                .map(|end| usize::from(u32::from_le_bytes(*end) as usize <= start))
                .sum()
        };
        let mut row = self.row;
        while let Some(eight) = ends.get(row..).and_then(|ends| ends.first_chunk::<8>()) {
            let passed: usize = passed(eight);
            row += passed;
            if passed < eight.len() {
                break;
            }
        }
        if ends.len().saturating_sub(row) < 8 {
            row += passed(ends.get(row..).unwrap_or_default());
        }
        let Some((_, end)) = self.column.range(row) else {
            return;
        };
        // One that runs over into the next row is none, and neither is any later one in this row.
        if start + length <= end && self.column.is_valid(row) {
            self.mask.set(row);
        }
        self.row = row + 1;
        self.end = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &[Option<&str>] = &[
        Some("/tmp/sleep"),
        None,
        Some("aab"),
        Some(""),
        Some("aa"),
        Some("b/tm"),
        Some("p/"),
        Some("/tmp"),
        Some("/tmp/a/longer/path"),
        Some("/tmp/"),
    ];

    /// What the loop over rows that one would write says.
    fn rows(says: impl Fn(&str) -> bool) -> Vec<usize> {
        (0..TEXTS.len())
            .filter(|row| TEXTS[*row].is_some_and(&says))
            .collect()
    }

    #[test]
    fn a_search_over_the_column_says_what_a_loop_over_rows_says() {
        let column = TextColumn::of(TEXTS);
        for needle in [
            "/tmp/",
            "aab",
            "aa",
            "b",
            "",
            "/tmp/a/longer/path",
            "nowhere",
            "p/",
        ] {
            let mut mask = Mask::none(TEXTS.len());
            Needle::new(needle).mark(&column, &mut mask);
            assert_eq!(
                mask.iter().collect::<Vec<_>>(),
                rows(|text| text.contains(needle)),
                "{needle}"
            );

            let mut mask = Mask::none(TEXTS.len());
            Prefix::new(needle).mark(&column, &mut mask);
            assert_eq!(
                mask.iter().collect::<Vec<_>>(),
                rows(|text| text.starts_with(needle)),
                "{needle}"
            );
        }
    }

    #[test]
    fn a_search_over_lists_selects_the_rows_of_the_texts() {
        let column = TextListColumn::of(&[
            Some(&[]),
            Some(&["sh", "-c"]),
            None,
            Some(&["curl | sh"]),
            Some(&["c", "url"]),
            Some(&["a", "shells"]),
        ]);
        let mut mask = Mask::none(6);
        Needle::new("sh").mark_lists(&column, &mut mask);
        assert_eq!(mask.iter().collect::<Vec<_>>(), [1, 3, 5]);
    }

    #[test]
    fn a_search_over_many_blocks_says_what_a_loop_over_rows_says() {
        // Rows of all lengths, so that hits fall on every place of a block, and over its borders.
        let texts: Vec<String> = (0..500)
            .map(|row: usize| {
                let text =
                    "abc".repeat(row % 37) + &"ab".repeat(row % 5) + &"needle".repeat(row % 3 % 2);
                text.chars().rev().collect::<String>() + &text
            })
            .collect();
        let rows: Vec<Option<&str>> = texts
            .iter()
            .enumerate()
            .map(|(row, text)| (row % 7 != 3).then_some(text.as_str()))
            .collect();
        let column = TextColumn::of(&rows);
        for needle in [
            "needle",
            "a",
            "cabc",
            "bcabcabab",
            "eldeen",
            &"abc".repeat(36),
            "needleeldeen",
        ] {
            let mut mask = Mask::none(rows.len());
            Needle::new(needle).mark(&column, &mut mask);
            let has = |row: &usize| rows[*row].is_some_and(|text| text.contains(needle));
            let expected: Vec<_> = (0..rows.len()).filter(has).collect();
            assert_eq!(mask.iter().collect::<Vec<_>>(), expected, "{needle}");
        }
    }

    #[test]
    fn an_empty_column_has_no_hits() {
        let mut mask = Mask::none(0);
        Needle::new("a").mark(&TextColumn::of(&[]), &mut mask);
        Prefix::new("").mark(&TextColumn::of(&[]), &mut mask);
        assert_eq!(mask.count(), 0);
    }
}
