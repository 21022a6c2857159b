//! The text of `--where`: `COLUMN OPERATOR LITERAL`.
//!
//! It finds the three parts, and says where a text has none. Whether the column is there and of the literal's type, the
//! bus says better. The invariant: a text becomes one comparison, or an error with a place.

use std::time::{SystemTime, UNIX_EPOCH};

use weir_bus::Kind;
use weir_bus::event::FieldType;
use weir_bus::pubsub::{Comparison, Literal, Operator};

/// What the operators are.
const OPERATORS: &str = "they are =, !=, <, <=, >, >=";

/// Long before short, so that `<=` isn't read as `<`.
const LONG_FIRST: [Operator; 6] = [
    Operator::NotEqual,
    Operator::LessOrEqual,
    Operator::GreaterOrEqual,
    Operator::Equal,
    Operator::Less,
    Operator::Greater,
];

/// What others write for an operator, with ours; a word stands alone.
const MEANT: [(&str, Operator); 12] = [
    ("==", Operator::Equal),
    ("<>", Operator::NotEqual),
    ("=!", Operator::NotEqual),
    ("=<", Operator::LessOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("is", Operator::Equal),
    ("eq", Operator::Equal),
    ("ne", Operator::NotEqual),
    ("lt", Operator::Less),
    ("le", Operator::LessOrEqual),
    ("gt", Operator::Greater),
    ("ge", Operator::GreaterOrEqual),
];

/// Reads a comparison; its literal becomes of the type that the column has in these kinds, or stays a text.
///
/// # Errors
/// What is wrong, where, and what would be right.
pub(super) fn comparison(text: &str, kinds: &[Kind]) -> Result<Comparison, String> {
    let wrong = |at: usize, what: &str| {
        let character = text.get(..at).map_or(0, |before| before.chars().count()) + 1;
        format!(
            "--where: {what}, at character {character} of `{}`; write COLUMN OPERATOR LITERAL, as in `cpu_usage > 50` or `name = 'sh'`",
            text.escape_debug()
        )
    };
    let is_of_column = |one: char| one.is_ascii_alphanumeric() || one == '_';
    let begin = text.len() - text.trim_start().len();
    let rest = text.trim_start();
    let column_end = rest.find(|one| !is_of_column(one)).unwrap_or(rest.len());
    let (column, rest) = rest.split_at(column_end);
    let blank = rest.len() - rest.trim_start().len();
    let at = begin + column_end + blank;
    let rest = rest.trim_start();
    if column.is_empty() {
        return Err(wrong(begin, "there is no column"));
    }
    if let Some((written, meant)) = meant_in(rest) {
        let what = format!("`{written}` is no operator, did you mean `{meant}`?");
        return Err(wrong(at, &format!("{what} ({OPERATORS})")));
    }
    let found = LONG_FIRST
        .into_iter()
        .find_map(|operator| Some((operator, rest.strip_prefix(operator.as_str())?)));
    let Some((operator, literal)) = found else {
        let is_word = rest.starts_with(char::is_alphanumeric);
        let is_more = |one: &char| !one.is_whitespace() && one.is_alphanumeric() == is_word;
        let written: String = rest.chars().take_while(is_more).collect();
        let what = match written.as_str() {
            "" => format!("there is no operator ({OPERATORS})"),
            "!" => format!("`!` alone is no operator ({OPERATORS})"),
            other => format!("`{}` is no operator ({OPERATORS})", other.escape_debug()),
        };
        return Err(wrong(at, &what));
    };
    let at = text.len() - literal.trim_start().len();
    let literal = literal.trim();
    if literal.is_empty() {
        return Err(wrong(at, "there is no literal (an empty text is '')"));
    }
    check_quotes(literal).map_err(|(offset, what)| wrong(at + offset, what))?;
    Ok(Comparison::new(
        column,
        operator,
        literal_of(literal, &types_of(column, kinds)),
    ))
}

/// An operator of another language at the beginning, and ours for it.
fn meant_in(text: &str) -> Option<(&'static str, Operator)> {
    let word: String = text
        .chars()
        .take_while(|one| one.is_ascii_alphabetic())
        .collect();
    let word = word.to_ascii_lowercase();
    MEANT.into_iter().find(|(written, _)| {
        let is_word = written.starts_with(|one: char| one.is_ascii_alphabetic());
        if is_word {
            word == *written
        } else {
            text.starts_with(written)
        }
    })
}

/// A text in quotes ends with the same quote, and nothing stands behind it.
fn check_quotes(literal: &str) -> Result<(), (usize, &'static str)> {
    let Some(quote) = literal
        .chars()
        .next()
        .filter(|one| ['\'', '"'].contains(one))
    else {
        return Ok(());
    };
    let inner = literal.get(1..).unwrap_or_default();
    match inner.rfind(quote) {
        None => Err((0, "a quote that never ends")),
        Some(end) if end + 1 < inner.len() => Err((
            end + 2,
            "something behind the literal (only one comparison can be given; a guest can do more)",
        )),
        Some(_) => Ok(()),
    }
}

/// The types that a column has, in the kinds that are asked for.
fn types_of(column: &str, kinds: &[Kind]) -> Vec<FieldType> {
    let among = if kinds.is_empty() {
        &Kind::ALL[..]
    } else {
        kinds
    };
    let fields = among.iter().flat_map(|kind| kind.fields());
    let named = fields.filter(|field| field.name == column);
    named.map(|field| field.field_type).collect()
}

/// The literal, by the first type that it can be; in quotes it is a text.
fn literal_of(text: &str, types: &[FieldType]) -> Literal {
    for quote in ['\'', '"'] {
        let inner = text.strip_prefix(quote);
        if let Some(inner) = inner.and_then(|rest| rest.strip_suffix(quote)) {
            return inner.into();
        }
    }
    let typed = types.iter().find_map(|field_type| match field_type {
        FieldType::Bool => text.parse().map(Literal::Bool).ok(),
        FieldType::Utf8 => Some(text.into()),
        FieldType::F64 => integer(text).or_else(|| text.parse().map(Literal::Float).ok()),
        FieldType::TimestampNs => integer(text).or_else(|| moment(text)),
        FieldType::ListUtf8 => None,
        FieldType::U16 | FieldType::U32 | FieldType::U64 | FieldType::I32 => integer(text),
    });
    typed.unwrap_or_else(|| text.into())
}

fn integer(text: &str) -> Option<Literal> {
    text.parse().map(Literal::Integer).ok()
}

fn moment(text: &str) -> Option<Literal> {
    let at: SystemTime = humantime::parse_rfc3339_weak(text).ok()?;
    let ns = at.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    i128::try_from(ns).map(Literal::Integer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_of_its_column_s_type() {
        let check = |text: &str, kinds: &[Kind], operator: Operator, literal: Literal| {
            let found = comparison(text, kinds).expect(text);
            assert_eq!(
                (found.operator, found.literal),
                (operator, literal),
                "{text}"
            );
        };
        let text = |text: &str| Literal::Text(text.to_owned());
        check("pid=7", &[], Operator::Equal, Literal::Integer(7));
        check("pid != 7", &[], Operator::NotEqual, Literal::Integer(7));
        check("name=7", &[], Operator::Equal, text("7"));
        check("name='a b'", &[], Operator::Equal, text("a b"));
        check("name=a=b", &[], Operator::Equal, text("a=b"));
        check("accessible=true", &[], Operator::Equal, Literal::Bool(true));
        check(
            "cpu_usage>=1.5",
            &[],
            Operator::GreaterOrEqual,
            Literal::Float(1.5),
        );
        check(
            "timestamp<1970-01-01T00:00:01Z",
            &[],
            Operator::Less,
            Literal::Integer(1_000_000_000),
        );
        check(
            "value<=5",
            &[Kind::Performance],
            Operator::LessOrEqual,
            Literal::Integer(5),
        );
        check("value>5", &[Kind::Inventory], Operator::Greater, text("5"));
        // The bus names what would be right.
        check("pid=sh", &[], Operator::Equal, text("sh"));
        check("pidd=7", &[], Operator::Equal, text("7"));
    }

    #[test]
    fn what_is_no_comparison_is_told_with_its_place() {
        let check = |text: &str, part: &str| {
            let error = comparison(text, &[]).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        };
        check(
            "pid",
            "there is no operator (they are =, !=, <, <=, >, >=), at character 4",
        );
        check("", "there is no column, at character 1");
        check("=7", "there is no column, at character 1");
        check(
            "pid == 7",
            "`==` is no operator, did you mean `=`? (they are =, !=, <, <=, >, >=), at character 5",
        );
        check("pid <> 7", "did you mean `!=`?");
        check("pid=>7", "did you mean `>=`?");
        check("name is sh", "`is` is no operator, did you mean `=`?");
        check("name GE 7", "did you mean `>=`?");
        check("name like 'a%'", "`like` is no operator");
        check(
            "cpu_usage ~ 50",
            "`~` is no operator (they are =, !=, <, <=, >, >=), at character 11",
        );
        check("pid!7", "`!` alone is no operator");
        check("pid~7", "`~` is no operator");
        check("pid ! 7", "`!` alone");
        check(
            "pid =",
            "there is no literal (an empty text is ''), at character 6",
        );
        check("name = 'a", "a quote that never ends, at character 8");
        check("name = 'a' and pid = 1", "something behind the literal");
        check(
            "näme = 'a'",
            "`äme` is no operator (they are =, !=, <, <=, >, >=), at character 2",
        );
    }
}
