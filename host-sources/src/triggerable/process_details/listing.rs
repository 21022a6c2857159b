//! Many texts as one that a person reads on a line or two.
//!
//! The texts come from whoever made the process. The invariant: what comes out has no control character
//! and at most [`TEXT_CHARS_MAX`] characters of the listed, and says how much isn't in it.

use std::collections::HashSet;

/// Characters of one entry of the evidence.
const TEXT_CHARS_MAX: usize = 900;
/// Characters of one text among others.
const ITEM_CHARS_MAX: usize = 200;
/// Different texts that are told from each other; beyond it they are counted as they come.
const DISTINCT_MAX: usize = 4_096;
/// What stands where a text was cut.
const CUT_MARK: char = '…';

/// Bytes of a process as a text: what isn't a character, or moves a cursor, is written as its code.
pub(super) fn text(bytes: &[u8]) -> String {
    let lossy = String::from_utf8_lossy(bytes);
    let mut told = String::new();
    for (place, character) in lossy.chars().enumerate() {
        if place >= TEXT_CHARS_MAX {
            told.push(CUT_MARK);
            break;
        }
        if character.is_control() {
            told.extend(character.escape_default());
        } else {
            told.push(character);
        }
    }
    told
}

/// A text in few characters.
fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => {
            let mut short = text.get(..end).unwrap_or_default().to_owned();
            short.push(CUT_MARK);
            short
        }
    }
}

/// Different texts, in the order in which they came.
#[derive(Default)]
pub(super) struct Listing {
    seen: HashSet<String>,
    told: String,
    told_chars: usize,
    count: usize,
    left_out: usize,
}

impl Listing {
    /// Adds one, if it isn't there yet.
    pub(super) fn add(&mut self, item: &str) {
        if self.seen.contains(item) {
            return;
        }
        if self.seen.len() < DISTINCT_MAX {
            self.seen.insert(item.to_owned());
        }
        self.count = self.count.saturating_add(1);
        let short = shortened(item, ITEM_CHARS_MAX);
        let chars = short.chars().count().saturating_add(2);
        if self.left_out > 0 || self.told_chars.saturating_add(chars) > TEXT_CHARS_MAX {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        if !self.told.is_empty() {
            self.told.push_str(", ");
        }
        self.told.push_str(&short);
        self.told_chars = self.told_chars.saturating_add(chars);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// `3: a, b and 1 more`; `none`. With `cut` there may be more that wasn't looked at.
    pub(super) fn told(&self, cut: bool) -> String {
        let count = self.count;
        let at_least = if cut { "at least " } else { "" };
        match self.left_out {
            _ if count == 0 => "none".to_owned(),
            0 => format!("{at_least}{count}: {}", self.told),
            more => format!("{at_least}{count}: {} and {more} more", self.told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_tells_each_once_and_how_many_it_leaves_out() {
        let check = |items: &[&str], cut, expected: &str| {
            let mut listing = Listing::default();
            items.iter().for_each(|item| listing.add(item));
            assert_eq!(listing.told(cut), expected);
        };
        check(&[], false, "none");
        check(&["a"], false, "1: a");
        check(&["a", "b", "a"], false, "2: a, b");
        check(&["a"], true, "at least 1: a");
        let mut listing = Listing::default();
        for number in 0..10_000 {
            listing.add(&format!("{number:0100}"));
        }
        let told = listing.told(false);
        assert!(told.chars().count() <= 1_000, "{told}");
        assert!(told.starts_with("10000: 0") && told.ends_with(" and 9992 more"));
        assert_eq!(listing.seen.len(), DISTINCT_MAX);
    }

    #[test]
    fn a_text_has_no_control_characters_and_an_end() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(text(bytes), expected);
        check(b"/usr/bin/x", "/usr/bin/x");
        check("grüße".as_bytes(), "grüße");
        check(b"a\x1b[2Jb\n", "a\\u{1b}[2Jb\\n");
        check(b"\xff", "\u{fffd}");
        assert_eq!(text(&[b'x'; 5_000]).chars().count(), TEXT_CHARS_MAX + 1);
    }
}
