//! What no condition has, refused token by token before the parser sees it: so the error has the place
//! and says what would be right, and the parser never gets to the parts of it that guess.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use crate::errors::{Checked, Problem, quoted, suggestion};
use crate::functions;

/// Operators of a condition. The tree is that deep at most, and so is what walks it.
const OPERATORS_MAX: usize = 400;
/// Parentheses within each other, CASE too.
const NESTED_MAX: usize = 24;
/// Signs and NOT, one behind the other.
const PREFIXES_MAX: usize = 8;

/// Words before a parenthesis that are no functions.
const WORDS_BEFORE_PARENTHESIS: [Keyword; 17] = [
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
    Keyword::ALL,
    Keyword::CASE,
    Keyword::WHEN,
    Keyword::THEN,
    Keyword::ELSE,
    Keyword::END,
    Keyword::NULL,
];

/// Refuses what no condition has.
pub(super) fn look_over(tokens: &[TokenWithSpan], end: Location) -> Checked<()> {
    let mut open = Vec::new();
    let mut operators = 0_usize;
    let mut prefixes = 0_usize;
    let mut is_behind_like = false;
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
                if is_behind_like && is_any(word) {
                    return Err(Problem::at(
                        at,
                        "there is no LIKE ANY; write several LIKE with OR, or any(list) LIKE 'pattern' to look into a list",
                    ));
                }
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
        is_behind_like = matches!(&token.token, Token::Word(word) if matches!(word.keyword, Keyword::LIKE | Keyword::ILIKE));
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

fn is_any(word: &Word) -> bool {
    ["any", "some", "all"].contains(&word.value.to_lowercase().as_str())
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
        token => matches!(
            token,
            Token::Eq
                | Token::DoubleEq
                | Token::Neq
                | Token::Lt
                | Token::Gt
                | Token::LtEq
                | Token::GtEq
                | Token::Plus
                | Token::Minus
                | Token::Mul
                | Token::Div
                | Token::Mod
                | Token::StringConcat
        ),
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
        Keyword::INTERVAL
        | Keyword::ARRAY
        | Keyword::STRUCT
        | Keyword::MAP
        | Keyword::XOR
        | Keyword::OVERLAPS
        | Keyword::AT
        | Keyword::DIV
        | Keyword::MATCH
        | Keyword::NORMALIZED
        | Keyword::OPERATOR => {
            let text = format!("conditions have no {}", word.value.to_uppercase());
            return Err(Problem::at(at, text));
        }
        Keyword::ALL => {
            return refuse("there is no ALL; write NOT (… = ANY(list)) with the opposite test");
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
