//! LIKE: `%` is any run of characters, `_` one character, and all else itself.
//!
//! Most patterns are a text, its beginning, its end or a part of it, and are searched for as such.
//! The others are matched piece by piece from the left. Where a piece has `_` in it, a mismatch goes
//! back to the last `%` only: the work is at most text times pattern, and it is counted.

use memchr::memmem::Finder;
use weir_guest::{Prefix, same_bytes};

use crate::errors::{Checked, Problem};
use crate::texts::Suffix;
use sqlparser::tokenizer::Location;

/// Steps that looking at a piece in one place takes: as long as a regular expression's four bytes.
const PIECE_STEPS: u64 = 4;

/// What a LIKE is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Like {
    /// No wildcard.
    Equal(Box<str>),
    /// `text%`
    Prefix(Box<str>),
    /// `%text`
    Suffix(Box<str>),
    /// `%text%`
    Contains(Box<str>),
    /// All others.
    Pattern(Box<[Piece]>),
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    /// `%`, however many in a row.
    Run,
    /// `_`
    One,
    /// Itself.
    Text(Box<str>),
}

impl Like {
    /// Reads a pattern; `at` is where it stands.
    pub(crate) fn new(pattern: &str, escape: Option<char>, at: Location) -> Checked<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut text = String::new();
        let flush = |text: &mut String, pieces: &mut Vec<Piece>| {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(text).into()));
            }
        };
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            if Some(char) == escape {
                match chars.next() {
                    Some(next) => text.push(next),
                    None => {
                        return Err(Problem::at(
                            at,
                            format!(
                                "the pattern ends in its escape character `{char}`, which needs a character to follow; double it to mean itself"
                            ),
                        ));
                    }
                }
            } else if char == '%' {
                flush(&mut text, &mut pieces);
                if pieces.last() != Some(&Piece::Run) {
                    pieces.push(Piece::Run);
                }
            } else if char == '_' {
                flush(&mut text, &mut pieces);
                pieces.push(Piece::One);
            } else {
                text.push(char);
            }
        }
        flush(&mut text, &mut pieces);
        Ok(match pieces.as_slice() {
            [] => Self::Equal("".into()),
            [Piece::Text(text)] => Self::Equal(text.clone()),
            [Piece::Run] => Self::Prefix("".into()),
            [Piece::Text(text), Piece::Run] => Self::Prefix(text.clone()),
            [Piece::Run, Piece::Text(text)] => Self::Suffix(text.clone()),
            [Piece::Run, Piece::Text(text), Piece::Run] => Self::Contains(text.clone()),
            _ => Self::Pattern(pieces.into()),
        })
    }
}

/// A general pattern, prepared.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// What stands between the `%`: a first and a last one always, which may be empty.
    parts: Vec<Part>,
    /// What every text that is like it begins with, if it is known.
    head: Option<Prefix>,
    /// What it ends with, the same.
    tail: Option<Suffix>,
}

/// What stands between two `%`.
#[derive(Clone, Debug)]
struct Part {
    pieces: Vec<Piece>,
    /// Of the text that it begins with.
    finder: Option<Finder<'static>>,
    /// It is nothing but that text.
    is_text: bool,
    /// The fewest bytes that it takes.
    bytes_min: usize,
}

impl Part {
    fn new(pieces: Vec<Piece>) -> Self {
        let finder = match pieces.first() {
            Some(Piece::Text(text)) => Some(Finder::new(text.as_bytes()).into_owned()),
            _ => None,
        };
        let is_text = matches!(pieces.as_slice(), [Piece::Text(_)]);
        let bytes_min = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Run => 0,
                Piece::One => 1,
                Piece::Text(text) => text.len(),
            })
            .sum();
        Self {
            pieces,
            finder,
            is_text,
            bytes_min,
        }
    }

    /// Where it ends, if it begins at `at`.
    fn end_at(&self, text: &[u8], mut at: usize, steps: &mut u64) -> Option<usize> {
        for piece in &self.pieces {
            *steps = steps.saturating_sub(PIECE_STEPS);
            match piece {
                Piece::Run => {}
                Piece::One => at = next_char(text, at)?,
                Piece::Text(wanted) => {
                    let end = at.saturating_add(wanted.len());
                    if !same_bytes(text.get(at..end)?, wanted.as_bytes()) {
                        return None;
                    }
                    at = end;
                }
            }
        }
        Some(at)
    }

    /// Where it ends at its first place from `at` on.
    fn find(&self, text: &[u8], at: usize, steps: &mut u64) -> Option<usize> {
        let mut from = at;
        loop {
            if let Some(finder) = &self.finder {
                from = from.checked_add(finder.find(text.get(from..)?)?)?;
            }
            if text.len().saturating_sub(from) < self.bytes_min || *steps == 0 {
                return None;
            }
            if let Some(end) = self.end_at(text, from, steps) {
                return Some(end);
            }
            from = next_char(text, from)?;
        }
    }

    /// Whether it ends the text, and begins at `at` or later.
    fn ends(&self, text: &[u8], at: usize, steps: &mut u64) -> bool {
        if self.is_text
            && let Some(finder) = &self.finder
        {
            let wanted = finder.needle();
            let from = text.len().checked_sub(wanted.len());
            return from
                .filter(|from| *from >= at)
                .and_then(|from| text.get(from..))
                .is_some_and(|end| same_bytes(end, wanted));
        }
        // Its characters counted from the end: each `_` goes one back.
        let mut end = text.len();
        for piece in self.pieces.iter().rev() {
            *steps = steps.saturating_sub(PIECE_STEPS);
            let before = match piece {
                Piece::Run => Some(end),
                Piece::One => previous_char(text, end),
                Piece::Text(wanted) => text
                    .get(..end)
                    .filter(|text| text.ends_with(wanted.as_bytes()))
                    .and_then(|_| end.checked_sub(wanted.len())),
            };
            match before {
                Some(before) if before >= at => end = before,
                _ => return false,
            }
        }
        true
    }
}

impl Pattern {
    pub(crate) fn new(pieces: &[Piece]) -> Self {
        let parts = pieces.split(|piece| *piece == Piece::Run);
        let head = match pieces.first() {
            Some(Piece::Text(text)) => Some(Prefix::new(text)),
            _ => None,
        };
        let tail = match pieces.last() {
            Some(Piece::Text(text)) => Some(Suffix::new(text)),
            _ => None,
        };
        Self {
            parts: parts.map(|part| Part::new(part.to_vec())).collect(),
            head,
            tail,
        }
    }

    /// What every text that is like it begins with: whole columns are looked through for that first.
    pub(crate) fn head(&self) -> Option<&Prefix> {
        self.head.as_ref()
    }

    /// What it ends with, the same.
    pub(crate) fn tail(&self) -> Option<&Suffix> {
        self.tail.as_ref()
    }

    /// Whether the text is like it. What it takes is taken off `steps`; where that comes to 0, the
    /// answer means nothing.
    pub(crate) fn matches(&self, text: &[u8], steps: &mut u64) -> bool {
        // What is searched for text goes over it once, sixteen bytes a step.
        let searched = u64::try_from(text.len() / 16).unwrap_or(u64::MAX);
        *steps = steps.saturating_sub(searched.saturating_add(1));
        let Some((first, rest)) = self.parts.split_first() else {
            return text.is_empty();
        };
        let Some(mut at) = first.end_at(text, 0, steps) else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return at == text.len();
        };
        // The first place where a part fits leaves the most for those that follow.
        for part in middle {
            match part.find(text, at, steps) {
                Some(end) => at = end,
                None => return false,
            }
        }
        last.ends(text, at, steps)
    }
}

/// Where the character after the one at `at` begins; none at the end.
fn next_char(text: &[u8], at: usize) -> Option<usize> {
    text.get(at)?;
    let rest = text.get(at.checked_add(1)?..)?;
    let more = rest.iter().take_while(|byte| is_continued(**byte)).count();
    at.checked_add(1)?.checked_add(more)
}

/// Where the character before `end` begins; none at the start.
fn previous_char(text: &[u8], end: usize) -> Option<usize> {
    let before = text.get(..end)?;
    let more = before
        .iter()
        .rev()
        .take_while(|byte| is_continued(**byte))
        .count();
    end.checked_sub(more)?.checked_sub(1)
}

/// Whether a byte is not a character's first.
pub(crate) const fn is_continued(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str, pattern: &str, escape: Option<char>) -> bool {
        let text = text.as_bytes();
        match Like::new(pattern, escape, Location::empty()).unwrap() {
            Like::Equal(other) => text == other.as_bytes(),
            Like::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            Like::Suffix(suffix) => text.ends_with(suffix.as_bytes()),
            Like::Contains(part) => Finder::new(part.as_bytes()).find(text).is_some(),
            Like::Pattern(pieces) => Pattern::new(&pieces).matches(text, &mut 1_000_000),
        }
    }

    /// What LIKE means, written down as it is defined.
    fn defined(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|at| defined(&text[at..], rest)),
            ['_', rest @ ..] => !text.is_empty() && defined(&text[1..], rest),
            [char, rest @ ..] => text.first() == Some(char) && defined(&text[1..], rest),
        }
    }

    #[test]
    fn a_pattern_matches_what_its_definition_says() {
        let mut random = crate::tests::Random::new(7);
        let letters = ['a', 'b', 'é', '日', '%', '_'];
        for _ in 0..20_000 {
            let mut some = |most| -> Vec<char> {
                (0..random.below(most))
                    .map(|_| letters[random.below(6)])
                    .collect()
            };
            let (text, pattern) = (some(8), some(7));
            let [one, other] = [&text, &pattern].map(|chars| chars.iter().collect::<String>());
            assert_eq!(
                like(&one, &other, None),
                defined(&text, &pattern),
                "'{one}' LIKE '{other}'"
            );
        }
    }

    #[test]
    fn an_escaped_wildcard_is_itself() {
        for (text, pattern, expected) in [
            ("50%", "50!%", true),
            ("500", "50!%", false),
            ("a_b", "a!_b", true),
            ("axb", "a!_b", false),
            ("a!b", "a!!b", true),
            ("ab", "!ab", true),
            ("x50%y", "%50!%_", true),
        ] {
            assert_eq!(like(text, pattern, Some('!')), expected, "{text} {pattern}");
        }
        assert!(Like::new("a!", Some('!'), Location::empty()).is_err());
    }

    #[test]
    fn the_work_is_never_more_than_text_times_pattern() {
        let text = "a".repeat(10_000);
        let pattern = format!("%{}b", "a_%".repeat(30));
        let Like::Pattern(pieces) = Like::new(&pattern, None, Location::empty()).unwrap() else {
            panic!("no pattern");
        };
        let most = 10_000 * 91 * PIECE_STEPS;
        let mut steps = most;
        let pattern = Pattern::new(&pieces);
        assert!(!pattern.matches(text.as_bytes(), &mut steps));
        assert!(steps > 0, "more than {most}");
        let mut few = (most - steps) / 2;
        pattern.matches(text.as_bytes(), &mut few);
        assert_eq!(few, 0);
    }
}
