//! Tables of text: aligned columns, numbers for the eye.

use std::fmt::Write as _;

use crate::printable::is_printable;

/// A title that begins so is of a column of numbers, and stands at its right.
const RIGHT: char = '>';

/// The longest cell; the last column may be longer.
const CELL_CHARACTERS_MAX: usize = 40;

/// What stands between two columns.
const SPACE: &str = "  ";

/// Rows under titles.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// The titles of the columns; with a `>` those of numbers.
    pub(super) titles: &'static [&'static str],
    /// The rows.
    pub(super) rows: Vec<Row>,
}

/// A row of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// A cell for each title.
    pub(super) cells: Vec<String>,
    /// Whether something is wrong with what it is about.
    pub(super) is_wrong: bool,
}

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What it says.
    pub(super) text: String,
    /// What it is.
    pub(super) look: Look,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Titles.
    Title,
    /// A row.
    Plain,
    /// A row that something is wrong with.
    Wrong,
}

/// The tables as text; a row with something wrong begins with `!`, and comes first.
pub(super) fn text(tables: &[Table]) -> String {
    let mut text = String::new();
    for (index, table) in tables.iter().enumerate() {
        let mut table = table.clone();
        table.rows.sort_by_key(|row| !row.is_wrong);
        let between = if index == 0 { "" } else { "\n" };
        text.push_str(between);
        for line in table.lines() {
            let mark = if line.look == Look::Wrong { '!' } else { ' ' };
            // Writing to a String can't fail.
            let _ = writeln!(text, "{mark} {}", line.text);
        }
    }
    text
}

impl Table {
    /// The table's lines, its titles first. Columns in which nothing stands are left out.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.lines_within(usize::MAX, &[])
    }

    /// The same, none longer than so many characters: columns with these titles go first, in their order, as many as
    /// must; then lines are cut, and end with `…`.
    pub(super) fn lines_within(&self, width_max: usize, first_to_go: &[&str]) -> Vec<Line> {
        let mut shown: Vec<usize> = (0..self.titles.len())
            .filter(|&at| self.rows.iter().any(|row| !cell_of(row, at).is_empty()))
            .collect();
        for title in first_to_go {
            if self.width_of(&shown) <= width_max {
                break;
            }
            shown.retain(|&at| self.titles.get(at).is_none_or(|own| bare(own) != *title));
        }
        let mut lines = self.lines_of(&shown);
        for line in &mut lines {
            cut(&mut line.text, width_max);
        }
        lines
    }

    /// The characters of a line with these columns.
    fn width_of(&self, shown: &[usize]) -> usize {
        let widths = shown.iter().map(|&at| self.width(at));
        widths.sum::<usize>() + SPACE.len() * shown.len().saturating_sub(1)
    }

    fn width(&self, at: usize) -> usize {
        let title = self
            .titles
            .get(at)
            .map_or(0, |title| bare(title).chars().count());
        let cells = self.rows.iter().map(|row| cell_of(row, at).chars().count());
        cells.max().unwrap_or_default().max(title)
    }

    fn lines_of(&self, shown: &[usize]) -> Vec<Line> {
        let titles = Row {
            cells: self
                .titles
                .iter()
                .map(|title| bare(title).to_owned())
                .collect(),
            is_wrong: false,
        };
        let columns: Vec<(usize, usize)> = shown.iter().map(|&at| (at, self.width(at))).collect();
        let line = |row: &Row| {
            let cells = columns.iter().map(|&(at, width)| {
                let (cell, title) = (cell_of(row, at), self.titles.get(at));
                if title.is_some_and(|title| title.starts_with(RIGHT)) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            cells.collect::<Vec<_>>().join(SPACE).trim_end().to_owned()
        };
        let mut lines = vec![Line {
            text: line(&titles),
            look: Look::Title,
        }];
        lines.extend(self.rows.iter().map(|row| Line {
            text: line(row),
            look: if row.is_wrong {
                Look::Wrong
            } else {
                Look::Plain
            },
        }));
        lines
    }
}

fn bare(title: &str) -> &str {
    title.strip_prefix(RIGHT).unwrap_or(title)
}

fn cell_of(row: &Row, at: usize) -> &str {
    row.cells.get(at).map_or("", String::as_str)
}

/// Cuts a text to so many characters; one that was cut ends with `…`.
pub(super) fn cut(text: &mut String, characters_max: usize) {
    let Some((at, _)) = text.char_indices().nth(characters_max) else {
        return;
    };
    text.truncate(at);
    text.pop();
    if characters_max > 0 {
        text.push('…');
    }
}

/// A text as a cell: one line, not too long, without what a terminal would obey.
pub(super) fn cell(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(CELL_CHARACTERS_MAX)
        .map(|one| if is_printable(one) { one } else { '?' })
        .collect();
    if text.chars().nth(CELL_CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// A text as a line of its own: whole, without what a terminal would obey.
pub(super) fn line(text: &str) -> String {
    let printable = |one| if is_printable(one) { one } else { '?' };
    text.chars().map(printable).collect()
}

/// From here on a number is written in thousands; below, every digit is worth its place.
const WHOLE_BELOW: f64 = 10_000.0;

/// A number: `950`, `12.3 k`, `1.2 M`.
pub(super) fn count(number: f64) -> String {
    if number < WHOLE_BELOW {
        let is_small = number > 0.0 && number < 10.0 && number.fract() > 0.0;
        return if is_small {
            format!("{number:.1}")
        } else {
            format!("{number:.0}")
        };
    }
    scaled(number, 1_000.0, &["k", "M", "G", "T", "P"])
}

/// Bytes: `512 B`, `4.0 KiB`.
pub(super) fn bytes(number: u64) -> String {
    const KIB: f64 = 1_024.0;
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    let number = number as f64;
    if number < KIB {
        return format!("{number:.0} B");
    }
    scaled(number, KIB, &["KiB", "MiB", "GiB", "TiB", "PiB"])
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let (mut scaled, mut unit) = (number, "");
    for next in units {
        if scaled < step && !unit.is_empty() {
            break;
        }
        (scaled, unit) = (scaled / step, next);
    }
    format!("{scaled:.1} {unit}")
}

/// A time: `12 ms`, `3.5 s`, `2 h 05 m`.
pub(super) fn seconds(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    let two = |big: f64, unit: &str, small: f64, small_unit: &str| {
        format!(
            "{} {unit} {:02.0} {small_unit}",
            (seconds / big).floor(),
            (seconds % big / small).floor()
        )
    };
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < MINUTE {
        format!("{seconds:.1} s")
    } else if seconds < HOUR {
        two(MINUTE, "m", 1.0, "s")
    } else if seconds < DAY {
        two(HOUR, "h", MINUTE, "m")
    } else {
        two(DAY, "d", HOUR, "h")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_too_wide_loses_what_matters_least_and_then_its_ends() {
        let table = Table {
            titles: &["NAME", ">ROWS", ">BYTES", "MODULE"],
            rows: vec![Row {
                cells: ["process", "12", "4.0 KiB", "builtin:a"]
                    .map(str::to_owned)
                    .to_vec(),
                is_wrong: false,
            }],
        };
        let check = |width: usize, expected: [&str; 2]| {
            let lines = table.lines_within(width, &["MODULE", "BYTES"]);
            let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            assert_eq!(texts, expected, "{width}");
        };
        let all = [
            "NAME     ROWS    BYTES  MODULE",
            "process    12  4.0 KiB  builtin:a",
        ];
        check(usize::MAX, all);
        check(33, all);
        check(32, ["NAME     ROWS    BYTES", "process    12  4.0 KiB"]);
        check(21, ["NAME     ROWS", "process    12"]);
        check(10, ["NAME     …", "process  …"]);
        check(1, ["…", "…"]);
        check(0, ["", ""]);
    }

    #[test]
    fn numbers_are_for_the_eye() {
        let check = |text: String, expected: &str| assert_eq!(text, expected);
        check(count(0.0), "0");
        check(count(1.25), "1.2");
        check(count(9_999.0), "9999");
        check(count(12_345.0), "12.3 k");
        check(count(3_500_000.0), "3.5 M");
        check(bytes(0), "0 B");
        check(bytes(4_096), "4.0 KiB");
        check(bytes(50 << 20), "50.0 MiB");
        check(seconds(0.0121), "12 ms");
        check(seconds(3.5), "3.5 s");
        check(seconds(125.0), "2 m 05 s");
        check(seconds(7_500.0), "2 h 05 m");
        check(seconds(100_000.0), "1 d 03 h");
        check(cell("a\u{1b}[2J\nb"), "a?[2J?b");
        assert_eq!(
            cell(&"x".repeat(60)).chars().count(),
            CELL_CHARACTERS_MAX + 1
        );
    }
}
