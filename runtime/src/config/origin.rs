//! Where a value comes from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The layers, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The defaults of the key table.
    BuiltIn,
    /// The rules that the daemon brings along, in force with `rules.builtin = true`.
    Rules,
    /// The config that the daemon brings along, in force when there is no file.
    Embedded,
    /// `/etc/weir/weir.toml`.
    System,
    /// The file in the user's config folder.
    User,
    /// The file given with `--config`.
    Explicit,
    /// `WEIR_A__B` variables.
    Environment,
    /// Flags of the command line.
    Flag,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltIn => "built-in default",
            Self::Rules => "built-in rules",
            Self::Embedded => "embedded default",
            Self::System => "system config",
            Self::User => "user config",
            Self::Explicit => "--config",
            Self::Environment => "environment",
            Self::Flag => "flag",
        })
    }
}

/// Where a value comes from: its layer, and the place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// The file, if the layer is one.
    pub file: Option<Arc<PathBuf>>,
    /// Line and column, from 1, if the layer is a text.
    pub position: Option<(usize, usize)>,
    /// The name of the variable or flag, if the layer has such.
    pub variable: Option<String>,
}

impl Origin {
    /// The defaults of the key table.
    pub(crate) fn built_in() -> Self {
        Self {
            layer: Layer::BuiltIn,
            file: None,
            position: None,
            variable: None,
        }
    }

    /// A variable or a flag.
    pub(crate) fn variable(layer: Layer, name: &str) -> Self {
        Self {
            variable: Some(shown(name)),
            layer,
            ..Self::built_in()
        }
    }
}

impl fmt::Display for Origin {
    /// `/etc/weir/weir.toml:3:5`, `embedded default:3:5`, `environment WEIR_BUS__KIND`, `flag bus.kind`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, &self.variable) {
            (Some(file), _) => write!(f, "{}", file.display())?,
            (None, Some(variable)) => write!(f, "{} {variable}", self.layer)?,
            (None, None) => self.layer.fmt(f)?,
        }
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// Texts from outside are shown with at most so many characters.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// A text from outside on one line, cut to a length that people read.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARACTERS_MAX)
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(SHOWN_CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
