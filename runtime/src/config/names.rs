//! Texts of the config that are more than texts: what a module is.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// How the name of a guest begins that the daemon brings along.
pub(crate) const BUILT_IN_PREFIX: &str = "builtin:";

/// Which component a slot runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Module {
    /// One that the daemon brings along, by name.
    BuiltIn(String),
    /// A file, as written; a relative path is looked for in the guest folders.
    File(PathBuf),
}

impl From<String> for Module {
    fn from(text: String) -> Self {
        match text.strip_prefix(BUILT_IN_PREFIX) {
            Some(name) => Self::BuiltIn(name.to_owned()),
            None => Self::File(text.into()),
        }
    }
}

impl From<Module> for String {
    fn from(module: Module) -> Self {
        module.to_string()
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => write!(f, "{BUILT_IN_PREFIX}{name}"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_built_in_or_a_file() {
        let check = |text: &str, expected: Module| {
            assert_eq!(Module::from(text.to_owned()), expected);
            assert_eq!(expected.to_string(), text);
        };
        check("builtin:lineage", Module::BuiltIn("lineage".into()));
        check("a/b.wasm", Module::File("a/b.wasm".into()));
    }
}
