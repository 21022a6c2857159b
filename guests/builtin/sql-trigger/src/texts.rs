//! Tests of a text against a constant: what they are, and what they are prepared to.

use std::rc::Rc;

use weir_guest::{Needle, Prefix, same_bytes};

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
    Suffix(Rc<str>),
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
            TextTest::Suffix(text) => Self::Suffix(text.clone()),
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

/// Some texts, to be told from others at a glance.
#[derive(Debug)]
pub(crate) struct Names {
    /// A bit for each length that one of them has; the highest stands for all that are longer.
    lengths: u64,
    /// The first words of all where they are few; the same one again in places that are left.
    few: Option<[u64; FEW]>,
    /// Rising.
    texts: Vec<(u64, Rc<str>)>,
}

/// Bytes that are compared at once.
const WORD_BYTES: usize = 8;
/// Up to so many are compared all at once.
const FEW: usize = 8;

impl Names {
    fn new(texts: &[Rc<str>]) -> Self {
        let lengths = texts
            .iter()
            .fold(0, |lengths, text| lengths | bit_of(text.len()));
        let mut texts: Vec<_> = texts
            .iter()
            .map(|text| (word(text.as_bytes()), text.clone()))
            .collect();
        texts.sort();
        let word_of = |place: usize| texts.get(place).or(texts.first()).map(|(word, _)| *word);
        let few = (texts.len() <= FEW)
            .then(|| std::array::from_fn(|place| word_of(place).unwrap_or_default()));
        Self {
            lengths,
            few,
            texts,
        }
    }

    /// Whether a text, which stands in a column's values, is one of them.
    #[inline]
    pub(crate) fn have(&self, values: &[u8], start: usize, end: usize) -> bool {
        let length = end.saturating_sub(start);
        if self.few.is_none() && self.lengths & bit_of(length) == 0 {
            return false;
        }
        // Read whole where there is a word; what is past the text is masked away.
        let whole = values
            .get(start..)
            .and_then(<[u8]>::first_chunk::<WORD_BYTES>);
        let head = match whole {
            Some(bytes) if length >= WORD_BYTES => u64::from_le_bytes(*bytes),
            Some(bytes) => u64::from_le_bytes(*bytes) & ((1 << (8 * length)) - 1),
            None => word(values.get(start..end).unwrap_or_default()),
        };
        let may_be = self.few.is_none_or(|few| {
            few.iter()
                .fold(false, |found, word| found | (*word == head))
        });
        may_be && self.have_one(head, values.get(start..end).unwrap_or_default())
    }

    fn have_one(&self, head: u64, text: &[u8]) -> bool {
        if self.few.is_some() {
            return self
                .texts
                .iter()
                .any(|(word, other)| *word == head && same_bytes(other.as_bytes(), text));
        }
        self.texts
            .binary_search_by(|(word, other)| {
                word.cmp(&head).then_with(|| other.as_bytes().cmp(text))
            })
            .is_ok()
    }
}

fn bit_of(length: usize) -> u64 {
    1 << length.min(63)
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
