//! Rows as lines of text: JSON for programs, both ways, and a line for a person.
//!
//! Alone knows how a row of a batch looks outside of one. It reads and writes lines, and knows no file,
//! socket or terminal. The invariant: what [`json_line`] writes, [`RowParser`] reads.

mod line;
mod parse;

pub use line::{gap_json, gap_text, json_line, text_line};
pub use parse::{RowError, RowParser};

#[cfg(test)]
mod tests;
