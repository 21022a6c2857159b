//! The rule of `[redact]`: patterns that are good alone, and too many together.

use weir_sources::Redaction;

use super::error::ConfigError;
use super::layer::{Layered, shown_key};
use super::rules::under;
use super::value::Value;

/// Checks it.
pub(crate) fn check_redact(layered: &mut Layered) {
    let path = under(&[], "redact.patterns");
    let Some((Value::List(patterns), origin)) = layered.get(&path) else {
        return;
    };
    // As nearly always: to compile takes milliseconds.
    if patterns.is_empty() {
        return;
    }
    // The built-in ones are counted in, so that nothing breaks where they are switched on.
    if let Err(error) = Redaction::new(true, patterns) {
        let error = ConfigError::Conflict {
            origin: origin.clone(),
            key: shown_key(&path),
            given: format!("{} patterns", patterns.len()),
            problem: error.to_string(),
        };
        layered.errors.push(error);
    }
}
