//! The name of a project: of the folder, the package, and the component.

use std::fmt;
use std::str::FromStr;

/// The most bytes of a name; with its end it must fit a file name everywhere.
const NAME_BYTES_MAX: usize = 64;

/// Names that cargo refuses for a package, or that the project's own dependencies have.
const TAKEN: [&str; 12] = [
    "alloc",
    "core",
    "proc-macro",
    "proc_macro",
    "serde",
    "std",
    "test",
    "weir",
    "weir-guest",
    "weir_guest",
    "wit-bindgen",
    "wit_bindgen",
];

/// Rust's keywords: no crate can be called so.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "union", "unsafe", "unsized", "use", "virtual", "where", "while",
];

/// A good name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectName(String);

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no name for a guest: {problem}; use a to z, 0 to 9, - and _, beginning with a letter, as in my-stage"
)]
pub struct NameError {
    name: String,
    problem: String,
}

impl ProjectName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As crates and files of components have it.
    #[must_use]
    pub fn crate_name(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProjectName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        match problem(name) {
            None => Ok(Self(name.to_owned())),
            Some(problem) => Err(NameError {
                name: name.chars().take(NAME_BYTES_MAX).collect(),
                problem,
            }),
        }
    }
}

fn problem(name: &str) -> Option<String> {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() {
        return Some("it is empty".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Some(format!(
            "it has {} bytes, and may have {NAME_BYTES_MAX}",
            name.len()
        ));
    }
    if let Some(foreign) = name.chars().find(|&c| !is_good(c)) {
        return Some(format!("it has a {foreign:?}"));
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Some("it doesn't begin with a letter".to_owned());
    }
    if KEYWORDS.contains(&name) {
        return Some("it is a keyword of Rust".to_owned());
    }
    TAKEN
        .contains(&name)
        .then(|| "the name is taken".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Result<(), &str>) {
        match (name.parse::<ProjectName>(), expected) {
            (Ok(good), Ok(())) => assert_eq!(good.as_str(), name),
            (Err(error), Err(part)) => {
                let text = error.to_string();
                assert!(text.contains(part), "{text}");
                assert!(!text.contains('\n'), "{text}");
            }
            (found, _) => panic!("{name:?} gives {found:?}"),
        }
    }

    #[test]
    fn a_name_is_good_for_cargo_or_refused_with_what_is_wrong() {
        check("my-stage", Ok(()));
        check("a", Ok(()));
        check("a_1", Ok(()));
        check("", Err("it is empty"));
        check("My", Err("it has a 'M'"));
        check("../x", Err("it has a '.'"));
        check("a b", Err("it has a ' '"));
        check("a\nb", Err("it has a '\\n'"));
        check("-a", Err("it doesn't begin with a letter"));
        check("1a", Err("it doesn't begin with a letter"));
        check("fn", Err("a keyword of Rust"));
        check("serde", Err("taken"));
        check(&"a".repeat(65), Err("65 bytes, and may have 64"));
    }
}
