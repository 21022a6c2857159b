//! The rules between the sources of a config: how many there are, and what those are called that come with others.
//!
//! Invariant: whoever passes these has a name of its own for every source that will run.

use super::complete::entries_of;
use super::error::ConfigError;
use super::keys::NAME_BYTES_MAX;
use super::layer::{KeyPath, Layered, shown_key};
use super::rules::{is_enabled, too_many, under};
use super::value::Value;

/// What is appended to the name of a process source for its source of events.
const EVENTS_SUFFIX: &str = "-events";

/// Checks all of them.
pub(crate) fn check_sources(layered: &mut Layered) {
    let sources = entries_of(layered, "sources");
    let sources: Vec<KeyPath> = sources
        .into_iter()
        .filter(|source| is_enabled(layered, source))
        .collect();
    let with_events: Vec<&KeyPath> = sources
        .iter()
        .filter(|source| tells_events(layered, source))
        .collect();
    let what = match with_events.len() {
        0 => "sources".to_owned(),
        events => format!("sources ({events} of them for the events of processes)"),
    };
    let count = sources.len() + with_events.len();
    too_many(layered, count, &what, "collector.sources_max");
    let errors: Vec<ConfigError> = with_events
        .into_iter()
        .filter_map(|source| name_is_free(layered, source, &sources))
        .collect();
    layered.errors.extend(errors);
}

fn tells_events(layered: &Layered, source: &KeyPath) -> bool {
    let value = layered.get(&under(source, "events"));
    matches!(value, Some((Value::Switch(true), _)))
}

fn name_is_free(layered: &Layered, source: &KeyPath, sources: &[KeyPath]) -> Option<ConfigError> {
    let path = under(source, "events");
    let (value, origin) = layered.get(&path)?;
    let name = format!("{}{EVENTS_SUFFIX}", source.last()?);
    let is_taken = sources.iter().any(|other| other.last() == Some(&name));
    let problem = match () {
        () if is_taken => {
            format!("its source of events is called {name}, and so is another source")
        }
        () if name.len() > NAME_BYTES_MAX => format!(
            "its source of events is called {name}, and a name has at most {NAME_BYTES_MAX} bytes"
        ),
        () => return None,
    };
    Some(ConfigError::Conflict {
        origin: origin.clone(),
        key: shown_key(&path),
        given: value.to_toml(),
        problem: format!("{problem}; rename one, or set it to false"),
    })
}
