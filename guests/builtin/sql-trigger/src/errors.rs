//! What is wrong with a condition: the words, where in its text, and what was probably meant.
//!
//! Invariant: an error is one line, whatever stood in the text that it quotes.

use sqlparser::tokenizer::Location;

/// The most characters of somebody's text that an error quotes.
const QUOTED_CHARS_MAX: usize = 80;
/// The most characters of a name that is compared with other names.
const COMPARED_CHARS_MAX: usize = 64;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    at: Option<Location>,
    text: String,
}

/// What a check gives.
pub(crate) type Checked<T> = Result<T, Problem>;

impl Problem {
    /// At a place in the text.
    pub(crate) fn at(at: Location, text: impl Into<String>) -> Self {
        Self {
            // sqlparser gives the zeroth line where it knows none.
            at: (at.line > 0).then_some(at),
            text: text.into(),
        }
    }

    /// With the whole of the text.
    pub(crate) fn whole(text: impl Into<String>) -> Self {
        Self {
            at: None,
            text: text.into(),
        }
    }

    /// One line; the line's number stands in it only where the text has several.
    pub(crate) fn render(&self, source: &str) -> String {
        let place = match self.at {
            Some(at) if source.contains('\n') => {
                format!("line {}, character {}: ", at.line, at.column)
            }
            Some(at) => format!("character {}: ", at.column),
            None => String::new(),
        };
        one_line(&format!("{place}{}", self.text))
    }
}

/// The text without what would break or disturb a line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

/// The text, cut to so many characters.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// As it is quoted in an error.
pub(crate) fn quoted(text: &str) -> String {
    shorten(text, QUOTED_CHARS_MAX)
}

/// What to say after a name that isn't there: the one that was probably meant, or all.
pub(crate) fn suggestion<'a>(name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, names.clone()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; there are {}", names.collect::<Vec<_>>().join(", ")),
    }
}

/// The name that was probably meant: few letters apart, or one a part of the other.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = shorten(&name.to_lowercase(), COMPARED_CHARS_MAX);
    let chars = name.chars().count();
    let allowed = (chars / 3).max(1);
    names
        .filter_map(|candidate| {
            let distance = distance(&name, candidate);
            let is_part = chars >= 3 && (candidate.contains(&name) || name.contains(candidate));
            (distance <= allowed || is_part).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added, taken away or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    let mut last = None;
    for (row, char) in one.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, theirs) in other.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX);
            let changed = at(&above, column).saturating_add(usize::from(char != *theirs));
            let shorter = at(&above, column + 1).saturating_add(1);
            let longer = at(&line, column).saturating_add(1);
            let mut least = changed.min(shorter).min(longer);
            let neighbour = column.checked_sub(1).and_then(|place| other.get(place));
            if last == Some(*theirs) && neighbour == Some(&char) {
                least = least.min(at(&before, column.saturating_sub(1)).saturating_add(1));
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
        last = Some(char);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_the_nearest_one() {
        let names = [
            "pid",
            "ppid",
            "cpu_usage",
            "name",
            "parent_name",
            "executable",
        ];
        let cases = [
            ("cpu", Some("cpu_usage")),
            ("CPU_USGAE", Some("cpu_usage")),
            ("pdi", Some("pid")),
            ("nam", Some("name")),
            ("executables", Some("executable")),
            ("colour", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, names.into_iter()), expected, "{name}");
        }
    }

    #[test]
    fn an_error_is_one_line_and_names_the_line_only_where_there_are_several() {
        let problem = Problem::at(Location::new(2, 7), "no `a\nb`");
        assert_eq!(problem.render("x"), "character 7: no `a b`");
        assert_eq!(problem.render("x\ny"), "line 2, character 7: no `a b`");
    }
}
