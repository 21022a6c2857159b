//! From a condition's text to one expression, and nothing but that.
//!
//! sqlparser knows all of SQL. What no condition has is refused before it sees the text, token by
//! token, so that the error has the place and says what would be right; and so that the parser never
//! gets to the parts of it that guess. Whether columns and types fit is not looked at here.

use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use crate::errors::{Checked, Problem, quoted, suggestion};
use crate::functions;

/// Bytes of a condition's text.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Operators of a condition. The tree is that deep at most, and so is what walks it.
const OPERATORS_MAX: usize = 400;
/// Parentheses within each other, CASE too.
const NESTED_MAX: usize = 24;
/// Signs and NOT, one behind the other.
const PREFIXES_MAX: usize = 8;
/// Levels that the parser goes down: some for each parenthesis and each prefix.
const PARSER_DEPTH_MAX: usize = 64;

/// Words before a parenthesis that are no functions.
const WORDS_BEFORE_PARENTHESIS: [Keyword; 19] = [
    Keyword::AND,
    Keyword::OR,
    Keyword::NOT,
    Keyword::IN,
    Keyword::LIKE,
    Keyword::ILIKE,
    Keyword::ESCAPE,
    Keyword::BETWEEN,
    Keyword::IS,
    Keyword::FROM,
    Keyword::ANY,
    Keyword::SOME,
    Keyword::ALL,
    Keyword::CASE,
    Keyword::WHEN,
    Keyword::THEN,
    Keyword::ELSE,
    Keyword::END,
    Keyword::NULL,
];

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

    /// sqlparser takes ANY behind every operator for its own form of it, and that only behind
    /// comparisons. Here it is a function, wherever it stands: `a OR any(b) = 'c'`.
    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let op = binary(&parser.peek_token_ref().token)?;
        let is_any =
            |token: &Token| matches!(token, Token::Word(word) if word.keyword == Keyword::ANY);
        if !is_any(&parser.peek_nth_token_ref(1).token) {
            return None;
        }
        parser.advance_token();
        let right = parser.parse_subexpr(precedence);
        Some(right.map(|right| Expr::BinaryOp {
            left: Box::new(left.clone()),
            op,
            right: Box::new(right),
        }))
    }
}

/// The operator between two expressions that a token is.
fn binary(token: &Token) -> Option<BinaryOperator> {
    Some(match token {
        Token::Eq | Token::DoubleEq => BinaryOperator::Eq,
        Token::Neq => BinaryOperator::NotEq,
        Token::Lt => BinaryOperator::Lt,
        Token::LtEq => BinaryOperator::LtEq,
        Token::Gt => BinaryOperator::Gt,
        Token::GtEq => BinaryOperator::GtEq,
        Token::Plus => BinaryOperator::Plus,
        Token::Minus => BinaryOperator::Minus,
        Token::Mul => BinaryOperator::Multiply,
        Token::Div => BinaryOperator::Divide,
        Token::Mod => BinaryOperator::Modulo,
        Token::StringConcat => BinaryOperator::StringConcat,
        Token::Word(word) if word.keyword == Keyword::AND => BinaryOperator::And,
        Token::Word(word) if word.keyword == Keyword::OR => BinaryOperator::Or,
        _ => return None,
    })
}

/// The expression that a text is.
pub(crate) fn parse(text: &str) -> Checked<Expr> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Problem::whole(format!(
            "it has {} bytes, and a condition may have {TEXT_BYTES_MAX}",
            text.len()
        )));
    }
    let mut tokens = Tokenizer::new(&Plain, text)
        .tokenize_with_location()
        .map_err(|error| not_closed(&error.message, error.location))?;
    let end = end_of(text);
    look_over(&tokens, end)?;
    tell_any_apart(&mut tokens);
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

/// `any(list)` is a function but behind a comparison: without this the parser takes the OR in `a OR any(list) LIKE 'x'`
/// for one of those.
fn tell_any_apart(tokens: &mut [TokenWithSpan]) {
    let mut compares = false;
    for token in tokens {
        match &mut token.token {
            Token::Whitespace(_) => {}
            Token::Word(word) => {
                if word.keyword == Keyword::ANY && !compares {
                    word.keyword = Keyword::NoKeyword;
                }
                compares = matches!(word.keyword, Keyword::LIKE | Keyword::ILIKE);
            }
            Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq => {
                compares = true;
            }
            _ => compares = false,
        }
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

/// Refuses what no condition has.
fn look_over(tokens: &[TokenWithSpan], end: Location) -> Checked<()> {
    let mut open = Vec::new();
    let mut operators = 0_usize;
    let mut prefixes = 0_usize;
    let mut tokens = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
        .peekable();
    if tokens.peek().is_none() {
        return Err(Problem::whole(
            "it is empty; a condition is a test such as pid > 1000",
        ));
    }
    while let Some(token) = tokens.next() {
        let at = token.span.start;
        operators += usize::from(is_operator(&token.token));
        if operators > OPERATORS_MAX {
            let text = format!(
                "more than {OPERATORS_MAX} operators; make several conditions of it, or use IN"
            );
            return Err(Problem::at(at, text));
        }
        prefixes = if is_prefix(&token.token) {
            prefixes + 1
        } else {
            0
        };
        if prefixes > PREFIXES_MAX {
            let text = format!("more than {PREFIXES_MAX} of NOT, - and + in a row");
            return Err(Problem::at(at, text));
        }
        match &token.token {
            Token::LParen => open.push((at, "(")),
            Token::RParen => match open.pop() {
                Some((_, "(")) => {}
                Some(_) => return Err(Problem::at(at, "a CASE before this ) has no END")),
                None => return Err(Problem::at(at, "this ) closes nothing; a ( is missing")),
            },
            Token::Word(word) if word.quote_style.is_none() => {
                let before_parenthesis = tokens
                    .peek()
                    .is_some_and(|next| next.token == Token::LParen);
                look_at_word(word, at, before_parenthesis)?;
                match word.keyword {
                    Keyword::CASE => open.push((at, "CASE")),
                    Keyword::END if open.pop().is_none_or(|(_, what)| what != "CASE") => {
                        return Err(Problem::at(at, "this END ends no CASE"));
                    }
                    _ => {}
                }
            }
            token => look_at(token, at)?,
        }
        if open.len() > NESTED_MAX {
            let text = format!("more than {NESTED_MAX} within each other, parentheses and CASE");
            return Err(Problem::at(at, text));
        }
    }
    match open.pop() {
        Some((at, what)) => {
            let missing = if what == "(" { ")" } else { "END" };
            Err(Problem::at(
                at,
                format!(
                    "this {what} has no {missing} before the text ends at character {}",
                    end.column
                ),
            ))
        }
        None => Ok(()),
    }
}

fn is_prefix(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword == Keyword::NOT,
        token => matches!(token, Token::Minus | Token::Plus),
    }
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::WHEN
        ),
        token => binary(token).is_some(),
    }
}

/// Refuses words that begin what a condition can't have, and functions that there are not.
fn look_at_word(word: &Word, at: Location, before_parenthesis: bool) -> Checked<()> {
    let refuse = |text: &str| Err(Problem::at(at, text));
    match word.keyword {
        Keyword::SELECT | Keyword::EXISTS | Keyword::WITH => {
            return refuse("a condition has no subqueries: it looks at one row of one kind");
        }
        Keyword::OVER => return refuse("a condition has no window functions: it looks at one row"),
        Keyword::SIMILAR | Keyword::RLIKE | Keyword::REGEXP | Keyword::GLOB => {
            return refuse(
                "there is no such operator; write LIKE, ILIKE or regexp_like(text, 'pattern')",
            );
        }
        Keyword::COLLATE => {
            return refuse("there are no collations: texts are compared byte by byte");
        }
        _ => {}
    }
    let name = word.value.to_lowercase();
    if !before_parenthesis
        || functions::is_one(&name)
        || WORDS_BEFORE_PARENTHESIS.contains(&word.keyword)
    {
        return Ok(());
    }
    if matches!(
        name.as_str(),
        "count" | "sum" | "avg" | "min" | "max" | "total"
    ) {
        return refuse(
            "a condition has no aggregate functions: it looks at one row; a `threshold` counts rows",
        );
    }
    let meant = suggestion(&name, functions::NAMES.iter().copied());
    Err(Problem::at(
        at,
        format!("no function `{}`{meant}", quoted(&word.value)),
    ))
}

/// Refuses signs and literals that no condition has.
fn look_at(token: &Token, at: Location) -> Checked<()> {
    let text = match token {
        Token::Number(_, false)
        | Token::SingleQuotedString(_)
        | Token::Word(_)
        | Token::Comma
        | Token::Period => return Ok(()),
        token if is_operator(token) => return Ok(()),
        Token::SemiColon => {
            "a condition is one expression: nothing stands behind it, no `;` either".to_owned()
        }
        Token::Placeholder(_) | Token::Colon | Token::AtSign | Token::Question => {
            format!("`{token}`: a condition has no placeholders; write the value")
        }
        Token::DoubleQuotedString(_) => "a text stands in single quotes".to_owned(),
        Token::Tilde | Token::TildeAsterisk | Token::ExclamationMarkTilde => {
            format!("there is no operator `{token}`; write regexp_like(text, 'pattern')")
        }
        Token::ExclamationMark => "there is no operator `!`; write NOT".to_owned(),
        Token::Overlap => "there is no operator `&&`; write AND".to_owned(),
        Token::DoubleColon => "there are no casts".to_owned(),
        token => format!(
            "`{}` has no place in a condition",
            quoted(&token.to_string())
        ),
    };
    Err(Problem::at(at, text))
}
