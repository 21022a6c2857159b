//! Typed slices over a column's bytes: texts, and lists of texts.
//!
//! Invariant: offsets never fall and never point past what they point into; this is checked once,
//! when the column is made. That texts are UTF-8 is the host's word; one that isn't reads as null.

use std::rc::Rc;

use crate::Mask;
use crate::column::{Column, ColumnError, RawColumn, Validity, check_length, check_type};

/// The width of an offset in bytes.
const OFFSET_BYTES: usize = 4;

/// Offsets into a buffer, rising, one more than there are items.
#[derive(Clone, Debug)]
struct Offsets(Vec<u8>);

impl Offsets {
    fn new(
        buffer: &'static str,
        bytes: Vec<u8>,
        items: usize,
        limit: usize,
    ) -> Result<Self, ColumnError> {
        // Arrow lets the offsets of no items be missing.
        if items == 0 && bytes.is_empty() {
            return Ok(Self(vec![0; OFFSET_BYTES]));
        }
        check_length(
            buffer,
            &bytes,
            items.saturating_add(1).saturating_mul(OFFSET_BYTES),
        )?;
        let mut offsets = Self(bytes);
        offsets.0.truncate((items + 1) * OFFSET_BYTES);
        if offsets.rise_within(limit) {
            return Ok(offsets);
        }
        Err(ColumnError::Offsets { buffer })
    }

    fn of(lengths: impl Iterator<Item = usize>) -> Self {
        let mut bytes = vec![0; OFFSET_BYTES];
        let mut end = 0_u32;
        for length in lengths {
            end = end.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        Self(bytes)
    }

    fn chunks(&self) -> &[[u8; OFFSET_BYTES]] {
        self.0.as_chunks().0
    }

    /// One pass without branches, so that it is vectors all the way.
    fn rise_within(&self, limit: usize) -> bool {
        let chunks = self.chunks();
        let value = |bytes: &[u8; OFFSET_BYTES]| i32::from_le_bytes(*bytes);
        let falls = chunks
            .iter()
            .zip(chunks.get(1..).unwrap_or_default())
            .fold(0, |falls, (from, to)| {
                falls | i32::from(value(to) < value(from))
            });
        let first = chunks.first().map_or(0, value);
        let last = usize::try_from(chunks.last().map_or(0, value));
        falls == 0 && first >= 0 && last.is_ok_and(|last| last <= limit)
    }

    /// Where an item starts and ends.
    #[inline]
    fn range(&self, item: usize) -> Option<(usize, usize)> {
        // Signed in the contract; that none is negative was checked.
        let at = |item: usize| {
            self.chunks()
                .get(item)
                .map(|bytes| u32::from_le_bytes(*bytes) as usize)
        };
        Some((at(item)?, at(item + 1)?))
    }
}

/// A column of texts: all their bytes in one buffer, and where each starts and ends.
#[derive(Clone, Debug)]
pub struct TextColumn {
    values: Vec<u8>,
    offsets: Offsets,
    validity: Validity,
    rows: usize,
}

impl TextColumn {
    /// A made-up column, for tests and self-tests.
    #[must_use]
    pub fn of(texts: &[Option<&str>]) -> Self {
        let lengths = texts.iter().map(|text| text.unwrap_or_default().len());
        Self {
            values: texts
                .iter()
                .flatten()
                .flat_map(|text| text.bytes())
                .collect(),
            offsets: Offsets::of(lengths),
            validity: Validity::of(texts),
            rows: texts.len(),
        }
    }

    /// The bytes of all texts, one after the other.
    #[must_use]
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// Where a row's text starts and ends in `values`, whether or not the row is null.
    #[inline]
    #[must_use]
    pub fn range(&self, row: usize) -> Option<(usize, usize)> {
        self.offsets.range(row)
    }

    /// Where each row's text starts and ends in `values`, nulls too.
    #[inline]
    pub fn ranges(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let at = |bytes: &[u8; OFFSET_BYTES]| u32::from_le_bytes(*bytes) as usize;
        let chunks = self.offsets.chunks();
        let ends = chunks.get(1..).unwrap_or_default();
        chunks
            .iter()
            .zip(ends)
            .map(move |(from, to)| (at(from), at(to)))
    }

    /// The rows of which `says` is true; it is given the bytes of all texts, and where the row's text starts
    /// and ends in them. Nulls are asked about, too.
    ///
    /// Eight rows a turn: in a sandbox each turn of a loop also pays for fuel and for the epoch.
    #[inline(always)]
    #[must_use]
    pub fn mask(&self, says: impl Fn(&[u8], usize, usize) -> bool) -> Mask {
        let mut mask = Mask::none(self.rows);
        let (mut start, _) = self.range(0).unwrap_or_default();
        let mut of_eight = |ends: &[[u8; OFFSET_BYTES]]| {
            let mut bits = 0;
            for (row, end) in ends.iter().enumerate() {
                let end = u32::from_le_bytes(*end) as usize;
                bits |= u8::from(says(&self.values, start, end)) << row;
                start = end;
            }
            bits
        };
        let (eights, rest) = self.ends().as_chunks::<8>();
        for (byte, ends) in eights.iter().enumerate() {
            mask.set_byte(byte, of_eight(ends));
        }
        mask.set_byte(eights.len(), of_eight(rest));
        mask
    }

    /// Where each row's text ends in `values`, as bytes: it starts where the one before it ends.
    #[inline]
    pub(crate) fn ends(&self) -> &[[u8; OFFSET_BYTES]] {
        self.offsets.chunks().get(1..).unwrap_or_default()
    }

    /// A row's text as bytes: what `get` gives, without looking whether it is UTF-8.
    #[inline]
    #[must_use]
    pub fn bytes(&self, row: usize) -> Option<&[u8]> {
        if !self.is_valid(row) {
            return None;
        }
        let (start, end) = self.offsets.range(row)?;
        self.values.get(start..end)
    }

    /// Whether the row has a text.
    #[inline]
    #[must_use]
    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.is_valid(row)
    }

    /// One bit a row, least significant first, where there is a text; `None`: every row has one.
    #[must_use]
    pub fn validity(&self) -> Option<&[u8]> {
        self.validity.bits()
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl Column for TextColumn {
    const TYPE: &'static str = "utf8";
    type Value<'a> = &'a str;

    fn from_raw(raw: RawColumn, rows: usize) -> Result<Self, ColumnError> {
        check_type(&raw, Self::TYPE)?;
        let offsets = Offsets::new("offsets", raw.offsets, rows, raw.values.len())?;
        let validity = Validity::new(raw.validity, rows)?;
        Ok(Self {
            values: raw.values,
            offsets,
            validity,
            rows,
        })
    }

    #[inline]
    fn get(&self, row: usize) -> Option<&str> {
        self.bytes(row).and_then(|bytes| str::from_utf8(bytes).ok())
    }
}

/// A column of lists of texts.
#[derive(Clone, Debug)]
pub struct TextListColumn {
    texts: Rc<TextColumn>,
    lists: Offsets,
    validity: Validity,
}

impl TextListColumn {
    /// A made-up column, for tests and self-tests.
    #[must_use]
    pub fn of(lists: &[Option<&[&str]>]) -> Self {
        let texts: Vec<Option<&str>> = lists
            .iter()
            .flatten()
            .flat_map(|list| list.iter())
            .map(|text| Some(*text))
            .collect();
        Self {
            texts: Rc::new(TextColumn::of(&texts)),
            lists: Offsets::of(lists.iter().map(|list| list.map_or(0, <[&str]>::len))),
            validity: Validity::of(lists),
        }
    }

    /// The texts of all lists, one after the other.
    #[must_use]
    pub fn texts(&self) -> &TextColumn {
        &self.texts
    }

    /// The same texts, kept as long as they are needed without a copy.
    #[must_use]
    pub fn shared_texts(&self) -> Rc<TextColumn> {
        Rc::clone(&self.texts)
    }

    /// One bit a row, least significant first, where there is a list; `None`: every row has one.
    #[must_use]
    pub fn validity(&self) -> Option<&[u8]> {
        self.validity.bits()
    }

    /// Whether the row has a list.
    #[inline]
    #[must_use]
    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.is_valid(row)
    }

    /// Which of `texts` are a row's: from, to (not included). Whether or not the row is null.
    #[inline]
    #[must_use]
    pub fn range(&self, row: usize) -> Option<(usize, usize)> {
        self.lists.range(row)
    }
}

impl Column for TextListColumn {
    const TYPE: &'static str = "list-utf8";
    type Value<'a> = Texts<'a>;

    fn from_raw(raw: RawColumn, rows: usize) -> Result<Self, ColumnError> {
        check_type(&raw, Self::TYPE)?;
        let items = (raw.offsets.len() / OFFSET_BYTES).saturating_sub(1);
        let texts = TextColumn {
            offsets: Offsets::new("offsets", raw.offsets, items, raw.values.len())?,
            values: raw.values,
            validity: Validity::default(),
            rows: items,
        };
        let lists = Offsets::new("list offsets", raw.list_offsets, rows, items)?;
        Ok(Self {
            texts: Rc::new(texts),
            lists,
            validity: Validity::new(raw.validity, rows)?,
        })
    }

    #[inline]
    fn get(&self, row: usize) -> Option<Texts<'_>> {
        if !self.validity.is_valid(row) {
            return None;
        }
        let (next, end) = self.lists.range(row)?;
        Some(Texts {
            column: &self.texts,
            next,
            end,
        })
    }
}

/// The texts of one row's list, in order.
#[derive(Clone, Debug)]
pub struct Texts<'a> {
    column: &'a TextColumn,
    next: usize,
    end: usize,
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        if self.next >= self.end {
            return None;
        }
        let text = self.column.get(self.next).unwrap_or_default();
        self.next += 1;
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Texts<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(values: &[i32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    fn raw(type_name: &str, values: &str, texts: &[i32], lists: &[i32]) -> RawColumn {
        RawColumn {
            type_name: type_name.to_owned(),
            values: values.as_bytes().to_vec(),
            offsets: offsets(texts),
            list_offsets: offsets(lists),
            validity: Vec::new(),
        }
    }

    #[test]
    fn a_text_column_gives_each_row_its_text_or_null() {
        let column = TextColumn::of(&[Some("ab"), None, Some(""), Some("é")]);
        let texts: Vec<_> = (0..5).map(|row| column.get(row)).collect();
        assert_eq!(texts, [Some("ab"), None, Some(""), Some("é"), None]);
        // A column that was cut out of a longer one starts past its buffer's start.
        let column = TextColumn::from_raw(raw("utf8", "xxab", &[2, 3, 4], &[]), 2).unwrap();
        assert_eq!((column.get(0), column.get(1)), (Some("a"), Some("b")));
    }

    #[test]
    fn a_list_column_gives_each_row_its_texts() {
        let column = TextListColumn::of(&[Some(&["a", "bc"]), None, Some(&[])]);
        let lists: Vec<Option<Vec<&str>>> = (0..4)
            .map(|row| column.get(row).map(Iterator::collect))
            .collect();
        assert_eq!(lists, [Some(vec!["a", "bc"]), None, Some(vec![]), None]);
        let column =
            TextListColumn::from_raw(raw("list-utf8", "abc", &[0, 1, 3], &[0, 2, 2]), 2).unwrap();
        assert_eq!(
            column.get(0).map(Iterator::collect::<Vec<_>>),
            Some(vec!["a", "bc"])
        );
        assert_eq!(column.get(1).map(|texts| texts.len()), Some(0));
    }

    #[test]
    fn offsets_that_lie_are_an_error_and_never_a_trap() {
        let cases: &[(&[i32], usize)] = &[
            (&[0, 2, 1], 2),
            (&[0, 1, 4], 2),
            (&[-1, 1, 2], 2),
            (&[0, 1], 2),
            (&[], 1),
        ];
        for (texts, rows) in cases {
            let result = TextColumn::from_raw(raw("utf8", "abc", texts, &[]), *rows);
            assert!(result.is_err(), "{texts:?}");
        }
        for lists in [&[0, 3][..], &[1, 0], &[-1, 0]] {
            let result = TextListColumn::from_raw(raw("list-utf8", "ab", &[0, 1, 2], lists), 1);
            assert!(result.is_err(), "{lists:?}");
        }
        assert!(TextColumn::from_raw(raw("utf8", "", &[], &[]), 0).is_ok());
    }
}
