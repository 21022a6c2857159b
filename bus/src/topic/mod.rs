//! Topics: what a batch is about, in dot-separated tokens; and patterns that select topics.
//!
//! This folder alone knows the grammar. It doesn't know who publishes or subscribes. The invariant: a
//! [`Topic`] or [`TopicPattern`] that exists is valid, whatever its text came from.

mod error;
pub mod families;
mod matcher;
mod pattern;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use error::TopicError;
pub use families::{default_patterns, kind_of, of_event, suppressed};
pub use matcher::{Matched, TopicMatcher};
pub use pattern::{PatternToken, TopicPattern};

/// The longest topic or pattern, in bytes: one length byte on the wire.
pub const TOPIC_BYTES_MAX: usize = 255;

/// The most tokens of a topic or pattern: the depth of the matcher's trie, and of its recursion.
pub const TOPIC_TOKENS_MAX: usize = 16;

/// A valid topic, as in `events.process.started`: 1 to 16 tokens of `[A-Za-z0-9_-]+`, at most 255 bytes.
///
/// Cheap to clone, and its hash is computed once, so that looking it up touches no text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic {
    text: Arc<str>,
    hash: u64,
}

impl Topic {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// [`TopicError`], with what is wrong, where, and what would be right.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        check_tokens(text, |token| check_literal(text, token))?;
        Ok(Self::from_valid(text))
    }

    /// For texts that are known to be valid; every caller has a test that says so.
    fn from_valid(text: &str) -> Self {
        Self {
            hash: hash_text(text),
            text: Arc::from(text),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The tokens, in order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.text.split('.')
    }

    /// The hash of the text, computed when the topic was made.
    #[inline]
    pub(crate) fn precomputed_hash(&self) -> u64 {
        self.hash
    }
}

/// Good enough for tables whose size is bounded: a stranger who makes texts collide gains a few comparisons.
fn hash_text(text: &str) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// One token of a text that is being checked.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    /// From 1.
    number: usize,
    /// Bytes from the start of the whole text.
    offset: usize,
    last: bool,
}

/// What topics and patterns have in common: their length, the number of tokens, and that none is empty.
fn check_tokens<'a>(
    text: &'a str,
    mut check: impl FnMut(Token<'a>) -> Result<(), TopicError>,
) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong { bytes: text.len() });
    }
    let tokens = text.split('.').count();
    if tokens > TOPIC_TOKENS_MAX {
        return Err(TopicError::TooManyTokens {
            text: text.to_owned(),
            tokens,
        });
    }
    let mut offset = 0;
    for (index, token) in text.split('.').enumerate() {
        let number = index + 1;
        if token.is_empty() {
            return Err(TopicError::EmptyToken {
                text: text.to_owned(),
                token: number,
                offset,
            });
        }
        check(Token {
            text: token,
            number,
            offset,
            last: number == tokens,
        })?;
        offset += token.len() + 1;
    }
    Ok(())
}

/// The first character that no token has, with its byte offset.
fn first_foreign(token: &str) -> Option<(usize, char)> {
    token
        .char_indices()
        .find(|(_, character)| !is_token_char(*character))
}

fn is_token_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

fn check_literal(text: &str, token: Token<'_>) -> Result<(), TopicError> {
    match first_foreign(token.text) {
        None => Ok(()),
        Some((at, wildcard @ ('*' | '>'))) => Err(TopicError::WildcardInTopic {
            text: text.to_owned(),
            wildcard,
            offset: token.offset + at,
        }),
        Some((at, character)) => Err(TopicError::Character {
            text: text.to_owned(),
            character,
            token: token.number,
            offset: token.offset + at,
        }),
    }
}

impl PartialEq for Topic {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for Topic {}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Topic {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", self.as_str())
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Topic {
    type Error = TopicError;

    fn try_from(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Topic {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        Self::parse(&text)
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.text.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests;
