//! The distribution: `os-release`, which is written as a shell reads assignments.

use std::path::PathBuf;

use super::{FILE_BYTES_MAX, Hand, Part};
use crate::kernel_files::text::{lines, lossy, trimmed};
use crate::kernel_files::{Roots, read_once};

/// Attribute, and its variable.
const NAMES: [(&str, &str); 9] = [
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("version", "VERSION"),
    ("version_id", "VERSION_ID"),
    ("codename", "VERSION_CODENAME"),
    ("variant_id", "VARIANT_ID"),
    ("build_id", "BUILD_ID"),
];

/// The assignments, with quotes and escapes undone; what isn't one is skipped.
pub(in crate::inventory) fn assignments(bytes: &[u8]) -> impl Iterator<Item = (String, String)> {
    lines(bytes).filter_map(|line| {
        let line = lossy(trimmed(line)).into_owned();
        let (name, value) = line.split_once('=')?;
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then(|| (name.to_owned(), unquoted(value)))
    })
}

fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        let inner = value
            .strip_prefix(quote)
            .and_then(|value| value.strip_suffix(quote));
        let Some(inner) = inner else {
            continue;
        };
        if quote == '\'' {
            return inner.to_owned();
        }
        let mut text = String::with_capacity(inner.len());
        let mut characters = inner.chars();
        while let Some(character) = characters.next() {
            // Behind a backslash everything stands for itself.
            let next = (character == '\\').then(|| characters.next()).flatten();
            text.push(next.unwrap_or(character));
        }
        return text;
    }
    value.to_owned()
}

pub(super) struct OsRelease {
    /// The first that is there counts.
    paths: [PathBuf; 2],
}

impl OsRelease {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            paths: [
                roots.root.join("etc/os-release"),
                roots.root.join("usr/lib/os-release"),
            ],
        }
    }
}

impl Part for OsRelease {
    fn name(&self) -> &'static str {
        "os-release"
    }

    fn look(&mut self, hand: &mut Hand<'_>) {
        for path in &self.paths {
            match read_once(path, FILE_BYTES_MAX, hand.buffer) {
                Ok(contents) => {
                    for (name, value) in assignments(contents.bytes) {
                        let attribute = NAMES.iter().find(|(_, of)| *of == name);
                        if let Some((attribute, _)) = attribute {
                            hand.facts.say("os", "os", attribute, &value);
                        }
                    }
                    if let Some(cut) = contents.cut {
                        hand.note(cut);
                    }
                    return;
                }
                // A machine that doesn't say has none.
                Err(error) if error.is_missing() => {}
                Err(error) => return hand.note(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_as_a_shell_does() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let found = assignments(line.as_bytes()).next();
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(found, expected, "{line}");
        };
        check("ID=debian", Some(("ID", "debian")));
        check(
            "PRETTY_NAME=\"Debian 12 (x)\"",
            Some(("PRETTY_NAME", "Debian 12 (x)")),
        );
        check("NAME='a \"b\" \\c'", Some(("NAME", "a \"b\" \\c")));
        check(
            r#"NAME="a \"b\" \$c \\ d""#,
            Some(("NAME", r#"a "b" $c \ d"#)),
        );
        check("NAME=\"", Some(("NAME", "\"")));
        check("NAME=\"a\\", Some(("NAME", "\"a\\")));
        check("A=b=c", Some(("A", "b=c")));
        check("# ID=x", None);
        check("=x", None);
        check("A B=x", None);
        check("nothing", None);
    }
}
