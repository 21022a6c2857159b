//! Patterns: topics in which `*` stands for exactly one token, and a last `>` for one or more.
//!
//! A pattern by itself answers for one topic at a time; many patterns together are a
//! [`TopicMatcher`](super::TopicMatcher). The invariant: `>` only stands last, and a wildcard is a token of its own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Token, Topic, TopicError, check_tokens, first_foreign};

/// A valid pattern, as in `events.*.started` or `events.process.>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPattern {
    text: Arc<str>,
}

/// One token of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternToken<'a> {
    /// This token.
    Literal(&'a str),
    /// `*`: any one token.
    AnyOne,
    /// `>`: one or more tokens, up to the end.
    Rest,
}

impl TopicPattern {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// [`TopicError`], with what is wrong, where, and what would be right.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        check_tokens(text, |token| check_pattern_token(text, token))?;
        Ok(Self::from_valid(text))
    }

    /// For texts that are known to be valid; every caller has a test that says so.
    pub(super) fn from_valid(text: &str) -> Self {
        Self {
            text: Arc::from(text),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The tokens, in order.
    pub fn tokens(&self) -> impl Iterator<Item = PatternToken<'_>> {
        self.text.split('.').map(|token| match token {
            "*" => PatternToken::AnyOne,
            ">" => PatternToken::Rest,
            literal => PatternToken::Literal(literal),
        })
    }

    /// Whether `topic` is one of those that the pattern selects.
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut topic_tokens = topic.tokens();
        for pattern_token in self.tokens() {
            match (pattern_token, topic_tokens.next()) {
                (_, None) => return false,
                (PatternToken::Rest, Some(_)) => return true,
                (PatternToken::AnyOne, Some(_)) => {}
                (PatternToken::Literal(wanted), Some(found)) if wanted == found => {}
                (PatternToken::Literal(_), Some(_)) => return false,
            }
        }
        topic_tokens.next().is_none()
    }

    /// The pattern that selects just what both select; none where there is nothing.
    ///
    /// In this grammar what two patterns select in common is always one pattern, no longer than the longer.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        use PatternToken::{AnyOne, Literal, Rest};
        let (mut mine, mut theirs) = (self.tokens(), other.tokens());
        let mut both: Vec<&str> = Vec::new();
        loop {
            let (rest, last) = match (mine.next(), theirs.next()) {
                (None, None) => break,
                (None, _) | (_, None) => return None,
                (Some(Rest), Some(last)) => (theirs, last),
                (Some(last), Some(Rest)) => (mine, last),
                (Some(Literal(one)), Some(Literal(two))) if one != two => return None,
                (Some(Literal(one)), _) | (_, Some(Literal(one))) => {
                    both.push(one);
                    continue;
                }
                (Some(AnyOne), Some(AnyOne)) => {
                    both.push("*");
                    continue;
                }
            };
            // One of them takes whatever the other still asks for.
            both.push(last.as_str());
            both.extend(rest.map(PatternToken::as_str));
            break;
        }
        Some(Self::from_valid(&both.join(".")))
    }
}

impl<'a> PatternToken<'a> {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        match self {
            Self::Literal(text) => text,
            Self::AnyOne => "*",
            Self::Rest => ">",
        }
    }
}

fn check_pattern_token(text: &str, token: Token<'_>) -> Result<(), TopicError> {
    if token.text == "*" || (token.text == ">" && token.last) {
        return Ok(());
    }
    if token.text == ">" {
        return Err(TopicError::RestNotLast {
            text: text.to_owned(),
            token: token.number,
            offset: token.offset,
        });
    }
    match first_foreign(token.text) {
        None => Ok(()),
        Some((at, wildcard @ ('*' | '>'))) => Err(TopicError::MixedWildcard {
            text: text.to_owned(),
            wildcard,
            token: token.number,
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

/// Every topic is a pattern that selects itself.
impl From<&Topic> for TopicPattern {
    fn from(topic: &Topic) -> Self {
        Self {
            text: Arc::clone(&topic.text),
        }
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicPattern({:?})", self.as_str())
    }
}

impl FromStr for TopicPattern {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for TopicPattern {
    type Error = TopicError;

    fn try_from(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for TopicPattern {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        Self::parse(&text)
    }
}

impl From<TopicPattern> for String {
    fn from(pattern: TopicPattern) -> Self {
        pattern.text.as_ref().to_owned()
    }
}
