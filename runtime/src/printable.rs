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

#[cfg(test)]
mod tests {
    use super::*;

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
