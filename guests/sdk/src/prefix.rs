//! Prefixes of a whole column's texts, compared eight bytes at a time. A null row never matches.
//!
//! Of a longer prefix its last eight bytes are looked at first: paths begin alike, and differ further on.

use crate::{Mask, TextColumn, same_bytes};

/// How many bytes are compared at once.
const WORD_BYTES: usize = 8;

/// A prefix to be looked for, prepared once.
#[derive(Clone, Debug)]
pub struct Prefix {
    /// Its last bytes, up to a word, and which bits of a word they are.
    word: u64,
    word_bits: u64,
    /// What is before that word.
    before: Vec<u8>,
    length: usize,
}

impl Prefix {
    /// Prepares the comparison.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let place = prefix.len().saturating_sub(WORD_BYTES);
        let (before, last) = prefix.as_bytes().split_at(place);
        Self {
            word: word(last),
            word_bits: word(&[u8::MAX; WORD_BYTES][..last.len()]),
            before: before.to_vec(),
            length: prefix.len(),
        }
    }

    /// Whether the text starts with it.
    #[inline]
    #[must_use]
    pub fn starts(&self, text: &[u8]) -> bool {
        text.len() >= self.length && self.word_fits(text) && self.before_fits(text)
    }

    /// Whether the word fits. It is read whole where the buffer has one: what is past the prefix is
    /// masked away, so it may be another row's.
    #[inline]
    fn word_fits(&self, values: &[u8]) -> bool {
        let Some(values) = values.get(self.before.len()..) else {
            return false;
        };
        let word = match values.first_chunk::<WORD_BYTES>() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => last_word(values),
        };
        word & self.word_bits == self.word
    }

    #[inline]
    fn before_fits(&self, values: &[u8]) -> bool {
        self.before.is_empty()
            || values
                .get(..self.before.len())
                .is_some_and(|before| same_bytes(before, &self.before))
    }

    /// Selects the rows whose text starts with it.
    pub fn mark(&self, column: &TextColumn, mask: &mut Mask) {
        let Some((mut start, _)) = column.range(0) else {
            return;
        };
        let (eights, rest) = column.ends().as_chunks::<8>();
        for (byte, ends) in eights.iter().enumerate() {
            let bits = self.words(column.values(), &mut start, ends);
            mask.set_byte(byte, self.checked(column, byte, bits));
        }
        let bits = self.words(column.values(), &mut start, rest);
        mask.set_byte(eights.len(), self.checked(column, eights.len(), bits));
    }

    /// Of up to eight rows, those that are long enough and whose word fits.
    #[inline(always)]
    fn words(&self, values: &[u8], start: &mut usize, ends: &[[u8; 4]]) -> u8 {
        let mut bits = 0;
        for (row, end) in ends.iter().enumerate() {
            let end = u32::from_le_bytes(*end) as usize;
            let fits = values
                .get(*start..)
                .is_some_and(|text| self.word_fits(text));
            bits |= u8::from(fits & (end - *start >= self.length)) << row;
            *start = end;
        }
        bits
    }

    /// Of eight rows, those that have a text, and all of the prefix.
    #[inline]
    fn checked(&self, column: &TextColumn, byte: usize, mut bits: u8) -> u8 {
        if let Some(valid) = column.validity() {
            bits &= valid.get(byte).copied().unwrap_or_default();
        }
        if bits == 0 || self.before.is_empty() {
            return bits;
        }
        (0..8)
            .filter(|row| bits >> row & 1 == 1)
            .fold(0, |checked, row| {
                let text = column.bytes(byte * 8 + row).unwrap_or_default();
                checked | u8::from(self.before_fits(text)) << row
            })
    }
}

/// A word at the buffer's end: once a column, so it is kept out of the loop.
#[cold]
#[inline(never)]
fn last_word(bytes: &[u8]) -> u64 {
    word(bytes)
}

/// Up to eight bytes as a little-endian word, filled up with zeros.
fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(WORD_BYTES)
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}
