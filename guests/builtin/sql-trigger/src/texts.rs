//! Tests of a text against a constant: what they are, and what they are prepared to.

use std::rc::Rc;

use weir_guest::{Mask, Needle, Prefix, TextColumn, same_bytes};

use crate::cidr::Network;
use crate::errors::Checked;
use crate::like::{Like, Pattern, Piece};
use crate::regex::Regex;
use sqlparser::tokenizer::Location;

/// A test of a text against a constant. Equal ones are one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TextTest {
    Equal(Rc<str>),
    Less(Rc<str>),
    LessOrEqual(Rc<str>),
    /// One of the texts, which rise.
    In(Rc<[Rc<str>]>),
    Prefix(Rc<str>),
    Suffix(Rc<str>),
    Contains(Rc<str>),
    Like(Rc<[Piece]>),
    Regex {
        pattern: Rc<str>,
        flags: Rc<str>,
    },
    Cidr(Network),
}

/// From how dear tests of a text are together, it is seen whether its values repeat.
pub(crate) const DEAR_MIN: u32 = 20;

impl TextTest {
    /// About how many nanoseconds it takes for a text of some 40 bytes.
    pub(crate) fn dear(&self) -> u32 {
        match self {
            Self::Like(pieces) if matches!(pieces.first(), Some(Piece::Text(_))) => 8,
            Self::Equal(_) | Self::Prefix(_) | Self::Suffix(_) => 2,
            Self::Less(_) | Self::LessOrEqual(_) => 5,
            Self::In(_) => 6,
            Self::Contains(_) => 8,
            Self::Like(_) | Self::Cidr(_) => 30,
            Self::Regex { .. } => 60,
        }
    }
}

impl From<Like> for TextTest {
    fn from(like: Like) -> Self {
        match like {
            Like::Equal(text) => Self::Equal(text.into()),
            Like::Prefix(text) => Self::Prefix(text.into()),
            Like::Suffix(text) => Self::Suffix(text.into()),
            Like::Contains(text) => Self::Contains(text.into()),
            Like::Pattern(pieces) => Self::Like(pieces.into()),
        }
    }
}

/// What a test is prepared to.
#[derive(Debug)]
pub(crate) enum Matcher {
    Equal(Prefix, Rc<str>),
    Less(Rc<str>),
    LessOrEqual(Rc<str>),
    In(Names),
    Prefix(Prefix),
    Suffix(Suffix),
    Contains(Needle),
    Like(Pattern),
    Regex(Box<Regex>, Option<Needle>),
    Cidr(Network),
}

impl Matcher {
    /// Prepares a test that stands at `at`.
    pub(crate) fn new(test: &TextTest, at: Location) -> Checked<Self> {
        Ok(match test {
            TextTest::Equal(text) => Self::Equal(Prefix::new(text), text.clone()),
            TextTest::Less(text) => Self::Less(text.clone()),
            TextTest::LessOrEqual(text) => Self::LessOrEqual(text.clone()),
            TextTest::In(texts) => Self::In(Names::new(texts)),
            TextTest::Prefix(text) => Self::Prefix(Prefix::new(text)),
            TextTest::Suffix(text) => Self::Suffix(Suffix::new(text)),
            TextTest::Contains(text) => Self::Contains(Needle::new(text)),
            TextTest::Like(pieces) => Self::Like(Pattern::new(pieces)),
            TextTest::Regex { pattern, flags } => {
                let regex = Regex::new(pattern, flags, at)?;
                let needle = regex.required().map(Needle::new);
                Self::Regex(Box::new(regex), needle)
            }
            TextTest::Cidr(network) => Self::Cidr(*network),
        })
    }
}

/// An end of texts, prepared to be looked for in whole columns.
#[derive(Clone, Debug)]
pub(crate) struct Suffix {
    text: Rc<str>,
    /// Its last eight bytes, where it has as many.
    last: Option<u64>,
}

impl Suffix {
    pub(crate) fn new(text: &str) -> Self {
        let last = text.as_bytes().last_chunk::<WORD_BYTES>();
        Self {
            text: text.into(),
            last: last.map(|bytes| u64::from_le_bytes(*bytes)),
        }
    }

    /// The rows that end so, whatever it says of nulls.
    pub(crate) fn mask(&self, column: &TextColumn) -> Mask {
        let Some(last) = self.last else {
            return self.short_mask(column);
        };
        // Whether the word is this row's is looked at only where it is the right one.
        column.mask(|values, start, end| {
            let word = values.get(..end).and_then(<[u8]>::last_chunk::<WORD_BYTES>);
            word.is_some_and(|bytes| u64::from_le_bytes(*bytes) == last)
                && self.is_whole(values, start, end)
        })
    }

    /// The same of one that is shorter than a word: the word before the end is moved until only its bytes are left.
    fn short_mask(&self, column: &TextColumn) -> Mask {
        let length = self.text.len();
        if length == 0 {
            return column.mask(|_, _, _| true);
        }
        let moved = 8 * WORD_BYTES.saturating_sub(length);
        let wanted = word(self.text.as_bytes());
        column.mask(|values, start, end| {
            match values.get(..end).and_then(<[u8]>::last_chunk::<WORD_BYTES>) {
                Some(bytes) => {
                    let ends = u64::from_le_bytes(*bytes) >> moved == wanted;
                    ends & (end.saturating_sub(start) >= length)
                }
                None => self.is_whole(values, start, end),
            }
        })
    }

    #[cold]
    #[inline(never)]
    fn is_whole(&self, values: &[u8], start: usize, end: usize) -> bool {
        let from = end
            .checked_sub(self.text.len())
            .filter(|from| *from >= start);
        from.and_then(|from| values.get(from..end))
            .is_some_and(|end| same_bytes(end, self.text.as_bytes()))
    }
}

/// Some texts, to be told from others at a glance.
#[derive(Debug)]
pub(crate) struct Names {
    /// The places of their first words' hashes.
    places: [u64; PLACES_WORDS],
    /// Rising.
    texts: Vec<(u64, Rc<str>)>,
}

/// Bytes that are compared at once.
const WORD_BYTES: usize = 8;
/// A bit a place: of a hundred names, a tenth of what is none of them has the place of one.
const PLACES_WORDS: usize = 16;
/// Spreads what words differ in to the highest bits: 2^64 by the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

impl Names {
    fn new(texts: &[Rc<str>]) -> Self {
        let mut texts: Vec<_> = texts
            .iter()
            .map(|text| (word(text.as_bytes()), text.clone()))
            .collect();
        texts.sort();
        let mut places = [0; PLACES_WORDS];
        for (head, _) in &texts {
            let (index, bit) = place(*head);
            if let Some(word) = places.get_mut(index) {
                *word |= bit;
            }
        }
        Self { places, texts }
    }

    /// Whether a text, which stands in a column's values, is one of them.
    #[inline(always)]
    pub(crate) fn have(&self, values: &[u8], start: usize, end: usize) -> bool {
        let length = end.saturating_sub(start);
        // Read whole where there is a word; what is past the text is moved out.
        let whole = values
            .get(start..)
            .and_then(<[u8]>::first_chunk::<WORD_BYTES>);
        let head = match whole {
            Some(bytes) if length > 0 => {
                let past = 8 * (WORD_BYTES - length.min(WORD_BYTES));
                u64::from_le_bytes(*bytes) << past >> past
            }
            _ => word(values.get(start..end).unwrap_or_default()),
        };
        let (index, bit) = place(head);
        self.places.get(index).is_some_and(|word| word & bit != 0)
            && self.have_one(head, values.get(start..end).unwrap_or_default())
    }

    #[inline(never)]
    fn have_one(&self, head: u64, text: &[u8]) -> bool {
        self.texts
            .binary_search_by(|(word, other)| {
                word.cmp(&head).then_with(|| other.as_bytes().cmp(text))
            })
            .is_ok()
    }
}

/// Where a word stands among the places: in which word of them, and its bit.
#[inline(always)]
fn place(head: u64) -> (usize, u64) {
    let [.., low, high] = head.wrapping_mul(MIX).to_le_bytes();
    (usize::from(high) % PLACES_WORDS, 1 << (low % 64))
}

/// The first eight bytes, filled up with zeros.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<WORD_BYTES>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Random;

    /// Texts of two letters, of which many are the same or end alike.
    fn texts(random: &mut Random, count: usize) -> Vec<String> {
        let mut one = || {
            let length = random.below(20);
            let letters = (0..length).map(|_| if random.below(4) == 0 { 'b' } else { 'a' });
            letters.collect()
        };
        (0..count).map(|_| one()).collect()
    }

    #[test]
    fn whole_columns_are_looked_through_as_each_text_would_be() {
        let mut random = Random::new(11);
        for count in (0..40).chain([1_000]) {
            let all = texts(&mut random, count);
            let rows: Vec<_> = all.iter().map(|text| Some(text.as_str())).collect();
            let column = TextColumn::of(&rows);
            for wanted in texts(&mut random, 12) {
                let found = Suffix::new(&wanted).mask(&column);
                let expected =
                    Mask::from_bools(count, all.iter().map(|text| text.ends_with(&wanted)));
                assert_eq!(found, expected, "{wanted} of {all:?}");
            }
            let wanted = texts(&mut random, 1 + count);
            let names = wanted.iter().map(|text| Rc::from(text.as_str()));
            let names = Names::new(&names.collect::<Vec<_>>());
            let found = column.mask(|values, start, end| names.have(values, start, end));
            let expected = Mask::from_bools(count, all.iter().map(|text| wanted.contains(text)));
            assert_eq!(found, expected, "{wanted:?} of {all:?}");
        }
    }
}
