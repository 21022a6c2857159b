//! Characters that a terminal or a log shows as they are. Named attack: texts of guests, processes
//! and files that make a reader see what nobody wrote.

/// Whether a character only shows itself: it commands no terminal, breaks no line, and turns no
/// other character around.
pub(crate) fn is_printable(character: char) -> bool {
    let turns_or_breaks = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !turns_or_breaks && !character.is_control()
}

/// What marks a text that was cut.
const CUT: &str = "…";

/// A text on one line of at most `bytes_max` bytes, and the mark where it was cut: what commands a
/// terminal, or breaks the line, is escaped.
pub(crate) fn one_line(text: &str, bytes_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for character in text.trim_end_matches(['\n', '\r']).chars() {
        let before = line.len();
        if is_printable(character) {
            line.push(character);
        } else {
            line.extend(character.escape_default());
        }
        if line.len() > bytes_max {
            line.truncate(before);
            line.push_str(CUT);
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_and_its_control_characters_are_escaped() {
        let table = [
            ("plain", 10, "plain"),
            ("plain\n", 10, "plain"),
            ("a\u{1b}[2Jb", 20, "a\\u{1b}[2Jb"),
            ("a\u{1b}[2Jb", 4, "a…"),
            ("two\nlines", 20, "two\\nlines"),
            ("abcdef", 3, "abc…"),
            ("äöü", 3, "ä…"),
            ("a\u{202e}b", 20, "a\\u{202e}b"),
        ];
        for (text, bytes_max, expected) in table {
            assert_eq!(one_line(text, bytes_max), expected);
        }
    }

    #[test]
    fn letters_show_themselves_and_commands_do_not() {
        assert!("aß字 –\u{301}".chars().all(is_printable));
        assert!(
            "\u{1b}\n\u{9b}\u{202e}\u{2066}\u{2028}"
                .chars()
                .all(|one| !is_printable(one))
        );
    }
}
