//! Searches over whole columns of texts.
//!
//! A needle is looked for in the bytes of all rows at once (vectors all the way), and each hit is
//! put back to its row; a prefix is compared eight bytes at a time. A null row never matches.

use crate::{Mask, TextColumn, TextListColumn};
use memchr::memmem::Finder;

/// A text to be looked for, prepared once.
#[derive(Clone, Debug)]
pub struct Needle(Finder<'static>);

impl Needle {
    /// Prepares the search.
    #[must_use]
    pub fn new(needle: &str) -> Self {
        Self(Finder::new(needle).into_owned())
    }

    /// Whether the text contains it.
    #[must_use]
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.0.find(text).is_some()
    }

    /// Selects the rows whose text contains it.
    pub fn mark(&self, column: &TextColumn, mask: &mut Mask) {
        if self.0.needle().is_empty() {
            (0..column.rows())
                .filter(|row| column.is_valid(*row))
                .for_each(|row| mask.set(row));
            return;
        }
        let Some((mut at, _)) = column.range(0) else {
            return;
        };
        let Some((_, last)) = column.range(column.rows().saturating_sub(1)) else {
            return;
        };
        let mut rows = column.ranges().enumerate();
        while let Some(found) = column
            .values()
            .get(at..last)
            .and_then(|bytes| self.0.find(bytes))
        {
            let hit = at + found;
            // The row that the hit starts in: rows before it are done with.
            let Some((row, (_, end))) = rows.find(|(_, (_, end))| hit < *end) else {
                return;
            };
            // A hit that runs over into the next row is none, and neither is any later one in this row.
            if hit + self.0.needle().len() <= end && column.is_valid(row) {
                mask.set(row);
            }
            at = end;
        }
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

/// How many bytes of a prefix are compared at once.
const WORD_BYTES: usize = 8;

/// A prefix to be looked for, prepared once.
#[derive(Clone, Debug)]
pub struct Prefix {
    /// Its first bytes, and which bits of a word they are.
    head: u64,
    head_bits: u64,
    /// What is past the first word.
    tail: Vec<u8>,
    length: usize,
}

impl Prefix {
    /// Prepares the comparison.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let (head, tail) = prefix.as_bytes().split_at(prefix.len().min(WORD_BYTES));
        Self {
            head: word(head),
            head_bits: word(&[u8::MAX; WORD_BYTES][..head.len()]),
            tail: tail.to_vec(),
            length: prefix.len(),
        }
    }

    /// Whether the text starts with it.
    #[inline]
    #[must_use]
    pub fn starts(&self, text: &[u8]) -> bool {
        self.starts_at(text, 0, text.len())
    }

    /// Whether the text from `start` to `end` of `values` starts with it.
    #[inline]
    fn starts_at(&self, values: &[u8], start: usize, end: usize) -> bool {
        if end.saturating_sub(start) < self.length {
            return false;
        }
        let Some(text) = values.get(start..) else {
            return false;
        };
        // A word is read where one is left in the buffer: what is past the text is masked away.
        let head = match text.first_chunk::<WORD_BYTES>() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => word(text),
        };
        head & self.head_bits == self.head
            && (self.tail.is_empty()
                || text
                    .get(WORD_BYTES..)
                    .is_some_and(|rest| rest.starts_with(&self.tail)))
    }

    /// Selects the rows whose text starts with it.
    pub fn mark(&self, column: &TextColumn, mask: &mut Mask) {
        let mut ranges = column.ranges();
        let values = column.values();
        for byte in 0..column.rows().div_ceil(8) {
            let mut bits = 0;
            for (row, (start, end)) in ranges.by_ref().take(8).enumerate() {
                bits |= u8::from(self.starts_at(values, start, end)) << row;
            }
            let valid = column.validity().map_or(u8::MAX, |valid| {
                valid.get(byte).copied().unwrap_or_default()
            });
            mask.set_byte(byte, bits & valid);
        }
    }
}

/// Up to eight bytes as a little-endian word, filled up with zeros.
fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(WORD_BYTES)
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
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
    fn an_empty_column_has_no_hits() {
        let mut mask = Mask::none(0);
        Needle::new("a").mark(&TextColumn::of(&[]), &mut mask);
        Prefix::new("").mark(&TextColumn::of(&[]), &mut mask);
        assert_eq!(mask.count(), 0);
    }
}
