//! From a condition's text to one expression, and nothing but that.
//!
//! sqlparser knows all of SQL. What no condition has is refused before it sees the text (`look`).
//! Whether columns and types fit is not looked at here.

mod look;

use sqlparser::ast::Expr;
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::errors::{Checked, Problem, quoted};
use look::look_over;

/// Bytes of a condition's text.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Levels that the parser goes down: some for each parenthesis and each prefix.
const PARSER_DEPTH_MAX: usize = 64;

/// Plain SQL: no dialect's additions.
#[derive(Debug)]
struct Plain;

impl Dialect for Plain {
    fn is_identifier_start(&self, char: char) -> bool {
        char.is_alphabetic() || char == '_'
    }

    fn is_identifier_part(&self, char: char) -> bool {
        char.is_alphanumeric() || char == '_'
    }

    /// So that the error about it is ours.
    fn supports_in_empty_list(&self) -> bool {
        true
    }
}

/// sqlparser takes ANY behind every operator for its own form of it, and that only behind comparisons.
/// Here it is a function, wherever it stands: `a OR any(b) = 'c'`.
fn as_function(mut token: TokenWithSpan) -> TokenWithSpan {
    if let Token::Word(word) = &mut token.token
        && matches!(word.keyword, Keyword::ANY | Keyword::SOME)
    {
        word.keyword = Keyword::NoKeyword;
    }
    token
}

/// The expression that a text is.
pub(crate) fn parse(text: &str) -> Checked<Expr> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Problem::whole(format!(
            "it has {} bytes, and a condition may have {TEXT_BYTES_MAX}",
            text.len()
        )));
    }
    let mut tokens = Vec::new();
    Tokenizer::new(&Plain, text)
        .tokenize_with_location_into_buf_with_mapper(&mut tokens, as_function)
        .map_err(|error| not_closed(&error.message, error.location))?;
    let end = end_of(text);
    look_over(&tokens, end)?;
    let mut parser = Parser::new(&Plain)
        .with_recursion_limit(PARSER_DEPTH_MAX)
        .with_tokens_with_locations(tokens);
    let expr = parser.parse_expr().map_err(|error| refused(error, end))?;
    let next = parser.peek_token();
    match next.token {
        Token::EOF => Ok(expr),
        token => Err(Problem::at(
            next.span.start,
            format!(
                "`{}` can't follow what is before it; between two tests stands AND or OR",
                quoted(&token.to_string())
            ),
        )),
    }
}

/// The place after the last character.
fn end_of(text: &str) -> Location {
    let last = text.rsplit('\n').next().unwrap_or_default();
    let lines = text.matches('\n').count();
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Location::new(
        number(lines.saturating_add(1)),
        number(last.chars().count().saturating_add(1)),
    )
}

/// A text that ends within quotes or a comment.
fn not_closed(message: &str, at: Location) -> Problem {
    let text = if message.contains("string literal") {
        "the text in quotes that begins here has no end: a ' is missing".to_owned()
    } else if message.contains("EOF") || message.contains("comment") {
        "what begins here has no end: a closing quote or */ is missing".to_owned()
    } else {
        message.to_owned()
    };
    Problem::at(at, text)
}

/// What the parser says, in our words.
fn refused(error: ParserError, end: Location) -> Problem {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return Problem::whole(
                "it is nested too deeply; parentheses that change nothing can go",
            );
        }
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
    };
    let (text, at) = match text.rsplit_once(" at Line: ") {
        Some((text, place)) => (text, location(place)),
        None => (text.as_str(), None),
    };
    let text = if text.contains("after IS") {
        "after IS stands [NOT] NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM".to_owned()
    } else {
        let text = text.replace("Expected: ", "expected ");
        text.replace("found: EOF", "found the end of the text")
            .replace("found: ", "found ")
    };
    Problem::at(at.unwrap_or(end), quoted(&text))
}

fn location(place: &str) -> Option<Location> {
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location::new(line.parse().ok()?, column.parse().ok()?))
}
