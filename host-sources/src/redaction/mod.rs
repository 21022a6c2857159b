//! Secrets in command lines, replaced before anybody else sees the line.
//!
//! It alone knows what secrets look like, and reads nothing. A pattern sees a command line as people write it, its
//! arguments with one blank between them. The invariant: who holds a line that went through here holds no text that
//! a pattern replaces, not even the beginning of one that was cut off.

mod builtin;
mod line;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};

pub use builtin::BUILTIN_PATTERNS;
#[cfg(test)]
pub(crate) use line::CUT_MARK;
use line::Line;

/// What stands where a secret stood.
pub const MARK: &str = "***";
/// Patterns of one's own: more than a site has sorts of secrets.
pub const PATTERNS_MAX: usize = 64;
/// Bytes of a pattern: some hundred words in turns.
pub const PATTERN_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the program that a pattern is compiled to; a repetition of thousands of characters has more.
pub const PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Bytes of the program that all patterns are compiled to together, with those that come with the daemon.
pub const PROGRAM_BYTES_MAX: usize = 8 << 20;
/// Bytes that a search may keep of the states that it has met; where it meets more it begins again.
const STATES_BYTES_MAX: usize = 1 << 20;
/// Bytes of the longest secret that is found where a line is cut: so many are looked at behind the cut. Tokens
/// and private keys have up to three thousand.
pub const SECRET_BYTES_MAX: usize = 4 * 1024;

/// A list of patterns that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedactionError {
    /// It is no regular expression.
    #[error("`{pattern}` is no regular expression: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// In the words of who parses it.
        problem: String,
    },
    /// One pattern is too long.
    #[error("a pattern of {bytes} bytes is longer than {PATTERN_BYTES_MAX}: make two of it")]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// One pattern is too large once compiled.
    #[error(
        "`{pattern}` needs more than {PATTERN_PROGRAM_BYTES_MAX} bytes once compiled: repeat less often, or a smaller class"
    )]
    TooLarge {
        /// The pattern.
        pattern: String,
    },
    /// All of them are.
    #[error(
        "all patterns together need more than {PROGRAM_BYTES_MAX} bytes once compiled: take out some"
    )]
    AllTooLarge,
    /// There are too many.
    #[error(
        "{count} patterns are more than the {PATTERNS_MAX} that there may be: join some of them"
    )]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// Replaces secrets. Clones share everything.
#[derive(Clone, Debug)]
pub struct Redaction(Arc<Patterns>);

#[derive(Debug)]
struct Patterns {
    /// All at once: a line without secrets is looked at by nothing else.
    any: RegexSet,
    /// Each by itself, in the same order: where its matches are.
    each: Vec<Regex>,
    /// For [`Redaction::fingerprint`].
    keys: RandomState,
}

/// A command line without its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redacted {
    /// The arguments.
    pub arguments: Vec<String>,
    /// Marks that stand in them now.
    pub marks: usize,
    /// Whether the end is missing.
    pub is_cut: bool,
}

impl Redaction {
    /// The patterns that come with the daemon.
    #[must_use]
    pub fn builtin() -> Self {
        static BUILTIN: LazyLock<Redaction> = LazyLock::new(|| {
            Redaction::compiled(true, &[]).expect("the built-in patterns compile: a test says so")
        });
        BUILTIN.clone()
    }

    /// No pattern: every line stays as it is.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new(Patterns {
            any: RegexSet::empty(),
            each: Vec::new(),
            keys: RandomState::new(),
        }))
    }

    /// These patterns, and with `builtin` those that come with the daemon.
    ///
    /// # Errors
    /// Every [`RedactionError`].
    pub fn new(builtin: bool, patterns: &[String]) -> Result<Self, RedactionError> {
        if patterns.len() > PATTERNS_MAX {
            return Err(RedactionError::TooMany {
                count: patterns.len(),
            });
        }
        match (builtin, patterns) {
            (true, []) => Ok(Self::builtin()),
            (false, []) => Ok(Self::none()),
            _ => Self::compiled(builtin, patterns),
        }
    }

    fn compiled(builtin: bool, patterns: &[String]) -> Result<Self, RedactionError> {
        let builtin = BUILTIN_PATTERNS.iter().take(match builtin {
            true => BUILTIN_PATTERNS.len(),
            false => 0,
        });
        let own = patterns.iter().map(String::as_str);
        let all: Vec<&str> = builtin.map(|known| known.pattern).chain(own).collect();
        let each: Result<Vec<Regex>, RedactionError> =
            all.iter().map(|pattern| compile(pattern)).collect();
        let any = RegexSetBuilder::new(&all)
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(STATES_BYTES_MAX)
            .build();
        Ok(Self(Arc::new(Patterns {
            each: each?,
            any: any.map_err(|_| RedactionError::AllTooLarge)?,
            keys: RandomState::new(),
        })))
    }

    /// The arguments with [`MARK`] in the place of each secret: of what a pattern's first group matched that took
    /// part, or of all that the pattern matched where it has none.
    ///
    /// A secret may have blanks in it where an argument ends and not where it is cut off by one: a value that begins
    /// an argument, or stands behind the option's name in it, is replaced to the argument's end. Not so in what may be a
    /// command of its own: behind an option such as `-c`, and in a title that a process gave itself.
    #[must_use]
    pub fn redact(&self, arguments: Vec<String>) -> Redacted {
        self.redact_and_cut(arguments, usize::MAX)
    }

    /// The same, and what lies behind that many bytes is cut off after it was looked at.
    pub(crate) fn redact_and_cut(&self, arguments: Vec<String>, bytes_max: usize) -> Redacted {
        let line = Line::of(&arguments);
        let secrets = self.secrets(&line);
        if secrets.is_empty() && line.text.len() <= bytes_max {
            return Redacted {
                arguments,
                ..Redacted::default()
            };
        }
        line.without(&secrets, bytes_max)
    }

    /// A number that stands for bytes which can't be kept, to know them again. It is another in each process.
    pub(crate) fn fingerprint(&self, bytes: &[u8]) -> u64 {
        self.0.keys.hash_one(bytes)
    }

    /// Where secrets are, in order and apart from each other.
    fn secrets(&self, line: &Line) -> Vec<Range<usize>> {
        let mut secrets: Vec<Range<usize>> = Vec::new();
        for pattern in self.0.any.matches(&line.text) {
            let Some(pattern) = self.0.each.get(pattern) else {
                continue;
            };
            for found in pattern.captures_iter(&line.text) {
                secrets.extend(secret(&found).map(|secret| line.to_its_end(&found, secret)));
            }
        }
        secrets.sort_unstable_by_key(|secret| secret.start);
        secrets.dedup_by(|next, before| {
            let touches = next.start <= before.end;
            if touches {
                before.end = before.end.max(next.end);
            }
            touches
        });
        secrets
    }
}

impl Default for Redaction {
    fn default() -> Self {
        Self::builtin()
    }
}

/// Whether a pattern is one.
///
/// # Errors
/// [`RedactionError::Pattern`], [`RedactionError::TooLong`], [`RedactionError::TooLarge`].
pub fn check_pattern(pattern: &str) -> Result<(), RedactionError> {
    compile(pattern).map(drop)
}

fn compile(pattern: &str) -> Result<Regex, RedactionError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(RedactionError::TooLong {
            bytes: pattern.len(),
        });
    }
    let compiled = RegexBuilder::new(pattern)
        .size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .dfa_size_limit(STATES_BYTES_MAX)
        .build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => RedactionError::TooLarge {
            pattern: pattern.to_owned(),
        },
        error => RedactionError::Pattern {
            pattern: pattern.to_owned(),
            problem: in_a_word(&error.to_string()),
        },
    })
}

/// The last line of what may be a drawing of the pattern.
fn in_a_word(problem: &str) -> String {
    let last = problem.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// What is replaced of a match; none if that is nothing.
fn secret(found: &Captures<'_>) -> Option<Range<usize>> {
    let mut groups = found.iter().skip(1);
    // Of a pattern like `a|b(c)` none takes part where `a` matches.
    let replaced = groups.find_map(|group| group).or_else(|| found.get(0));
    replaced
        .map(|replaced| replaced.range())
        .filter(|replaced| !replaced.is_empty())
}

/// What one source replaces, and in how many command lines it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redacting {
    redaction: Redaction,
    lines: Arc<AtomicU64>,
}

impl Redacting {
    /// Nothing is counted yet.
    pub(crate) fn by(redaction: Redaction) -> Self {
        Self {
            redaction,
            lines: Arc::default(),
        }
    }

    /// The same for another source, which counts its own.
    pub(crate) fn for_another(&self) -> Self {
        Self::by(self.redaction.clone())
    }

    /// Command lines in which something was replaced.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// As [`Redaction::redact_and_cut`], and counted.
    pub(crate) fn redact_and_cut(&self, arguments: Vec<String>, bytes_max: usize) -> Redacted {
        let redacted = self.redaction.redact_and_cut(arguments, bytes_max);
        if redacted.marks > 0 {
            self.lines.fetch_add(1, Ordering::Relaxed);
        }
        redacted
    }

    /// As [`Redaction::fingerprint`].
    pub(crate) fn fingerprint(&self, bytes: &[u8]) -> u64 {
        self.redaction.fingerprint(bytes)
    }
}
