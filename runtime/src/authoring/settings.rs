//! A guest's settings out of a file: JSON, or TOML as in a slot's table.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::config::Grant;

/// The most bytes of a settings file.
const SETTINGS_BYTES_MAX: u64 = 1 << 20;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("can't read the settings {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is too much of it.
    #[error("the settings {path} have {bytes} bytes, and may have {SETTINGS_BYTES_MAX}", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        bytes: u64,
    },
    /// It is neither.
    #[error("the settings {path}: {message}; give a JSON object, or TOML in a file whose name ends in .toml", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// Reads settings.
///
/// # Errors
/// If the file can't be read, or holds no object.
pub fn read_settings(path: &Path) -> Result<Json, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > SETTINGS_BYTES_MAX {
        let path = path.to_owned();
        return Err(SettingsError::TooLarge { path, bytes });
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let malformed = |message: String| SettingsError::Malformed {
        path: path.to_owned(),
        message: message.lines().collect::<Vec<_>>().join(" "),
    };
    let is_toml = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    let value = if is_toml {
        let table: toml::Table =
            toml::from_str(&text).map_err(|error| malformed(error.message().to_owned()))?;
        json_of(toml::Value::Table(table))
    } else {
        serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?
    };
    if value.is_object() {
        Ok(value)
    } else {
        Err(malformed("not an object".to_owned()))
    }
}

/// As a slot's settings become JSON: dates are texts, and what JSON has no number for is null.
fn json_of(value: toml::Value) -> Json {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(on) => on.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json_of).collect(),
        toml::Value::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| (key, json_of(value)));
            Json::Object(entries.collect())
        }
    }
}

/// A grant as the config and the contract name it.
pub(super) const fn grant_name(grant: Grant) -> &'static str {
    match grant {
        Grant::Log => "log",
        Grant::State => "state",
        Grant::Metrics => "metrics",
        Grant::Inspect => "inspect",
    }
}
