//! A command line as patterns see it, and the way back from places in it to arguments.
//!
//! It knows no pattern. The invariant: as many arguments come out as went in, but for those behind a cut.

use std::ops::Range;

use regex::Captures;

use super::{MARK, Redacted};

/// What stands at the end of a command line that was cut.
pub(crate) const CUT_MARK: &str = "…";

/// Bytes of the name that may stand before a secret in its argument; a bound, so that many secrets in one argument
/// are found in time that is in proportion to its length.
const NAME_BYTES_MAX: usize = 256;

/// Arguments with one blank between them.
pub(super) struct Line {
    pub(super) text: String,
    /// Where each argument stands in the text.
    arguments: Vec<Range<usize>>,
}

impl Line {
    pub(super) fn of(arguments: &[String]) -> Self {
        let text = arguments.join(" ");
        let mut begin = 0;
        let arguments = arguments.iter().map(|argument| {
            let end = begin + argument.len();
            let place = begin..end;
            begin = end + 1;
            place
        });
        Self {
            arguments: arguments.collect(),
            text,
        }
    }

    /// The secret, to the end of its argument if the rest of that can be nothing else: where a blank ended it, and
    /// nothing stands before it in the argument but what it is called.
    pub(super) fn to_its_end(&self, found: &Captures<'_>, secret: Range<usize>) -> Range<usize> {
        let begun = self.arguments.partition_point(|it| it.start < secret.end);
        let Some(index) = begun.checked_sub(1) else {
            return secret;
        };
        let Some(argument) = self.arguments.get(index) else {
            return secret;
        };
        let rest = self.part(secret.end..argument.end);
        if !rest.starts_with(char::is_whitespace) || self.may_be_a_command(index) {
            return secret;
        }
        let found_at = found.get(0).map_or(secret.start, |found| found.start());
        let has_group = found.len() > 1;
        let is_value = has_group || found_at < argument.start;
        let name = argument.start..found_at.max(argument.start);
        let is_first =
            name.len() <= NAME_BYTES_MAX && !self.part(name).contains(char::is_whitespace);
        match is_value && is_first {
            true => secret.start..argument.end,
            false => secret,
        }
    }

    /// Whether an argument may be several words by itself: the title of a process, or what `sh -c` is given.
    fn may_be_a_command(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1) else {
            return true;
        };
        let before = self.arguments.get(before).cloned().unwrap_or_default();
        let before = self.part(before);
        before.starts_with('-') && !before.starts_with("--") && before.ends_with('c')
    }

    /// The arguments with a mark in the place of each secret, as far as they begin within the first `bytes_max`
    /// bytes. The secrets are in order and apart from each other.
    pub(super) fn without(&self, secrets: &[Range<usize>], bytes_max: usize) -> Redacted {
        let end = self.text.floor_char_boundary(bytes_max);
        let mut redacted = Redacted {
            is_cut: end < self.text.len(),
            ..Redacted::default()
        };
        let mut secrets = secrets.iter().peekable();
        for argument in &self.arguments {
            if redacted.is_cut && argument.start >= end {
                break;
            }
            let whole = argument.start..argument.end.min(end);
            let mut text = String::new();
            let mut at = whole.start;
            while let Some(secret) = secrets.peek() {
                let part = secret.start.max(at)..secret.end.min(whole.end);
                if !part.is_empty() {
                    text.push_str(self.part(at..part.start));
                    text.push_str(MARK);
                    redacted.marks += 1;
                    at = part.end;
                }
                // The rest of it belongs to the next argument.
                if secret.end > argument.end {
                    break;
                }
                secrets.next();
            }
            text.push_str(self.part(at..whole.end));
            redacted.arguments.push(text);
        }
        if redacted.is_cut {
            match redacted.arguments.last_mut() {
                Some(last) => last.push_str(CUT_MARK),
                None => redacted.arguments.push(CUT_MARK.to_owned()),
            }
        }
        redacted
    }

    fn part(&self, place: Range<usize>) -> &str {
        self.text.get(place).unwrap_or_default()
    }
}
