//! What a firing says: a text with columns' values in it.

use sqlparser::tokenizer::Location;

use crate::columns::{Cell, Columns};
use crate::errors::{Checked, Problem, quoted};
use crate::kinds::{Column, Kind};
use crate::time;

/// Characters of a message.
const CHARS_MAX: usize = 1_000;
/// Bytes of a template.
const TEMPLATE_BYTES_MAX: usize = 4_096;

/// A template, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Column(Column),
}

impl Message {
    /// Reads a template: `{column}` is the column's value, `{{` and `}}` are braces.
    pub(crate) fn parse(template: &str, kind: &Kind) -> Checked<Self> {
        if template.len() > TEMPLATE_BYTES_MAX {
            return Err(Problem::whole(format!(
                "it has {} bytes, and a message may have {TEMPLATE_BYTES_MAX}",
                template.len()
            )));
        }
        let mut pieces = Vec::new();
        let mut text = String::new();
        let (mut line, mut column) = (1, 0);
        let mut chars = template.chars().peekable();
        while let Some(char) = chars.next() {
            column += 1;
            let at = Location::new(line, column);
            match char {
                '\n' => {
                    (line, column) = (line + 1, 0);
                    text.push(char);
                }
                '{' | '}' if chars.peek() == Some(&char) => {
                    chars.next();
                    column += 1;
                    text.push(char);
                }
                '}' => {
                    return Err(Problem::at(
                        at,
                        "this } closes nothing; for a brace write }}",
                    ));
                }
                '{' => {
                    let mut name = String::new();
                    let mut is_closed = false;
                    for char in chars.by_ref() {
                        column += 1;
                        is_closed = char == '}';
                        if is_closed || char == '\n' {
                            break;
                        }
                        name.push(char);
                    }
                    if !is_closed {
                        return Err(Problem::at(at, "this { has no }; for a brace write {{"));
                    }
                    let Some(found) = kind.column(name.trim()) else {
                        return Err(Problem::at(at, kind.no_column(&quoted(name.trim()))));
                    };
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Column(found));
                }
                char => text.push(char),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self(pieces))
    }

    /// The columns that it shows.
    pub(crate) fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Column(column) => Some(*column),
            Piece::Text(_) => None,
        })
    }

    /// The message of a row.
    pub(crate) fn fill(&self, columns: &Columns, row: usize) -> String {
        let mut message = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => message.push_str(text),
                Piece::Column(column) => message.push_str(&plain(&columns.cell(*column, row))),
            }
        }
        match message.char_indices().nth(CHARS_MAX) {
            Some(_) => {
                let mut cut: String = message.chars().take(CHARS_MAX.saturating_sub(1)).collect();
                cut.push('…');
                cut
            }
            None => message,
        }
    }
}

/// A value as a message shows it.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Null => "unknown".to_owned(),
        Cell::Integer(value) => value.to_string(),
        Cell::Float(value) => value.to_string(),
        Cell::Bool(value) => value.to_string(),
        Cell::Time(nanos) => time::format(*nanos),
        Cell::Text(text) => text.clone(),
        Cell::Texts(texts) => texts.join(" "),
    }
}
