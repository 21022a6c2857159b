//! What can be wrong with a topic or a pattern, where, and what would be right.
//!
//! Offsets are bytes from the start of the text, tokens are counted from 1. The invariant: an error
//! never carries more text than a topic may have.

use super::{TOPIC_BYTES_MAX, TOPIC_TOKENS_MAX};

/// Why a text isn't a topic, a pattern or a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// There is no text.
    #[error(
        "the topic is empty; write 1 to {TOPIC_TOKENS_MAX} tokens with dots between them, as in `events.process.started`"
    )]
    Empty,
    /// More bytes than a topic may have.
    #[error(
        "the topic has {bytes} bytes, at most {TOPIC_BYTES_MAX} are allowed; shorten its tokens"
    )]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// More tokens than a topic may have.
    #[error(
        "`{text}` has {tokens} tokens, at most {TOPIC_TOKENS_MAX} are allowed; join some with `-` or `_`"
    )]
    TooManyTokens {
        /// The text.
        text: String,
        /// How many it has.
        tokens: usize,
    },
    /// Nothing between two dots, before the first or after the last.
    #[error(
        "token {token} of `{text}` is empty (byte {offset}); take the dot out, or write a token there"
    )]
    EmptyToken {
        /// The text.
        text: String,
        /// Which token, from 1.
        token: usize,
        /// Where it would start.
        offset: usize,
    },
    /// A character that no token has.
    #[error(
        "token {token} of `{text}` has {character:?} at byte {offset}; tokens are made of A-Z, a-z, 0-9, `_` and `-`"
    )]
    Character {
        /// The text.
        text: String,
        /// The character.
        character: char,
        /// Which token, from 1.
        token: usize,
        /// Where it stands.
        offset: usize,
    },
    /// A wildcard in a topic.
    #[error(
        "`{text}` has the wildcard `{wildcard}` at byte {offset}; only patterns have wildcards, a topic names one thing"
    )]
    WildcardInTopic {
        /// The text.
        text: String,
        /// `*` or `>`.
        wildcard: char,
        /// Where it stands.
        offset: usize,
    },
    /// A wildcard beside other characters in one token of a pattern.
    #[error(
        "token {token} of `{text}` mixes `{wildcard}` with other characters (byte {offset}); a wildcard is a token of its own, as in `events.*.started` or `events.>`"
    )]
    MixedWildcard {
        /// The text.
        text: String,
        /// `*` or `>`.
        wildcard: char,
        /// Which token, from 1.
        token: usize,
        /// Where it stands.
        offset: usize,
    },
    /// `>` before the last token of a pattern.
    #[error(
        "`>` is token {token} of `{text}` (byte {offset}) and not its last; use `*` for one token, or end the pattern there"
    )]
    RestNotLast {
        /// The text.
        text: String,
        /// Which token, from 1.
        token: usize,
        /// Where it stands.
        offset: usize,
    },
    /// What should become one token of a topic has what no token has.
    #[error(
        "`{text}` can't be one token of a topic under `{family}`: {character:?} at byte {offset}; tokens are made of A-Z, a-z, 0-9, `_` and `-`"
    )]
    NotOneToken {
        /// The text.
        text: String,
        /// The topic's beginning, as in `control.trigger`.
        family: &'static str,
        /// The character.
        character: char,
        /// Where it stands.
        offset: usize,
    },
    /// What should become one token of a topic is empty.
    #[error("an empty text can't be a token of a topic under `{family}`; give it a name")]
    NoToken {
        /// The topic's beginning, as in `control.trigger`.
        family: &'static str,
    },
}
