//! What can be wrong with a config: every error is one line with the place, the key, the value and what would be right.
//!
//! Invariant: an error's text has no line break and a bounded length, whatever the config holds.

use super::origin::Origin;
use std::fmt;
use std::path::PathBuf;

/// All errors of a load are told, but no more than this: a binary file given as config has thousands.
pub const ERRORS_MAX: usize = 200;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A file that must be there can't be read.
    #[error("{}: can't be read: {reason}; give the path of a readable TOML file", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A file is larger than any config.
    #[error("{}: more than {bytes_max} bytes; a config is smaller, is this the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// As root: a file that somebody else can change.
    #[error("{}: refused, as mode {mode:04o} of user {owner} lets others than root change it; run `chown root` and `chmod go-w` on it", path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The user id that owns it.
        owner: u32,
    },
    /// It isn't TOML.
    #[error("{origin}: not TOML: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// There is no such key.
    #[error("{origin}: {key} = {given}: unknown key; {remedy}")]
    UnknownKey {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// Its value.
        given: String,
        /// The key that was meant, or those that there are.
        remedy: String,
    },
    /// The name of a source, slot or sink can't be one.
    #[error(
        "{origin}: {key}: the name {name} can't be a token of a topic; expected 1 to {} bytes of A-Z, a-z, 0-9, `_` and `-`",
        super::keys::NAME_BYTES_MAX
    )]
    Name {
        /// Where.
        origin: Origin,
        /// The table.
        key: String,
        /// The name.
        name: String,
    },
    /// The value has another type, can't be parsed, is out of range or isn't one of the choices.
    #[error("{origin}: {key} = {given}: {problem}; expected {expected}")]
    Value {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// Its value.
        given: String,
        /// What is wrong with it.
        problem: String,
        /// What would be right.
        expected: String,
    },
    /// A key that must be there isn't.
    #[error("{origin}: {key}: missing; expected {expected}, for example {example}")]
    Missing {
        /// Where the table was first mentioned.
        origin: Origin,
        /// The key.
        key: String,
        /// What it takes.
        expected: String,
        /// A line that would do.
        example: String,
    },
    /// The value is good, but not together with another one.
    #[error("{origin}: {key} = {given}: {problem}")]
    Conflict {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// Its value.
        given: String,
        /// What it conflicts with, and what would be right.
        problem: String,
    },
    /// The key table and the validated config disagree: a mistake in this program.
    #[error("the checked config can't be used: {0}; please report this")]
    Internal(String),
    /// There are more.
    #[error("and {0} more errors; correct these first")]
    More(usize),
}

impl ConfigError {
    /// Where it is, if that is more than a file.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Syntax { origin, .. }
            | Self::UnknownKey { origin, .. }
            | Self::Name { origin, .. }
            | Self::Value { origin, .. }
            | Self::Missing { origin, .. }
            | Self::Conflict { origin, .. } => Some(origin),
            Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Unsafe { .. }
            | Self::Internal(_)
            | Self::More(_) => None,
        }
    }

    /// The key that it is about, if it is about one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { key, .. }
            | Self::Name { key, .. }
            | Self::Value { key, .. }
            | Self::Missing { key, .. }
            | Self::Conflict { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// Everything that is wrong with a config, at least one error: first what each layer says, in the order of the layers
/// and lines, then what is missing or doesn't go together.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Takes the errors of a load; keeps [`ERRORS_MAX`].
    pub(crate) fn new(mut errors: Vec<ConfigError>) -> Self {
        if errors.len() > ERRORS_MAX {
            let more = errors.len() - ERRORS_MAX;
            errors.truncate(ERRORS_MAX);
            errors.push(ConfigError::More(more));
        }
        Self(errors)
    }

    /// The errors.
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
