//! The rules of triggers and exceptions: the columns that they name are there, and so is who answers.
//!
//! What a condition says is the guest's to judge. An entry that is switched off takes part in no rule.

use std::str::FromStr as _;

use weir_bus::Kind;

use super::complete::entries_of;
use super::error::ConfigError;
use super::keys::{TRIGGERABLE, nearest_of};
use super::layer::{KeyPath, Layered, shown_key};
use super::rules::{is_enabled, under};
use super::value::Value;

/// Checks all triggers and exceptions.
pub(crate) fn check_triggers(layered: &mut Layered) {
    let mut errors = Vec::new();
    for trigger in enabled(layered, "trigger") {
        if let Some(kind) = kind_of(layered, &trigger) {
            for key in ["dedup_by", "threshold.by"] {
                columns_exist(layered, &under(&trigger, key), kind, &mut errors);
            }
        }
        errors.extend(target_exists(layered, &trigger));
        errors.extend(analysis_is_offered(layered, &trigger));
    }
    for exception in enabled(layered, "exception") {
        errors.extend(exception_fits(layered, &exception));
    }
    layered.errors.extend(errors);
}

fn enabled(layered: &Layered, table: &str) -> Vec<KeyPath> {
    let mut entries = entries_of(layered, table);
    entries.retain(|entry| is_enabled(layered, entry));
    entries
}

fn kind_of(layered: &Layered, trigger: &KeyPath) -> Option<Kind> {
    let (kind, _) = layered.get(&under(trigger, "kind"))?;
    Kind::from_str(kind.as_text()?).ok()
}

/// What is wrong with a column's name.
fn no_column(kind: Kind, column: &str) -> Option<String> {
    if kind.field_index(column).is_some() {
        return None;
    }
    let names: Vec<&str> = kind.fields().iter().map(|field| field.name).collect();
    let remedy = nearest_of(column, names.iter().copied()).map_or_else(
        || format!("there are {}", names.join(", ")),
        |near| format!("did you mean \"{near}\"?"),
    );
    Some(format!("no column of {kind} events; {remedy}"))
}

fn columns_exist(layered: &Layered, path: &KeyPath, kind: Kind, errors: &mut Vec<ConfigError>) {
    let Some((Value::List(columns), origin)) = layered.get(path) else {
        return;
    };
    let wrong = |column: &String| {
        Some(ConfigError::Conflict {
            origin: origin.clone(),
            key: shown_key(path),
            given: format!("\"{column}\""),
            problem: no_column(kind, column)?,
        })
    };
    errors.extend(columns.iter().filter_map(wrong));
}

/// A request for nobody would be refused each time: better now.
fn target_exists(layered: &Layered, trigger: &KeyPath) -> Option<ConfigError> {
    let path = under(trigger, "target");
    let (value, origin) = layered.get(&path)?;
    let target = value.as_text().filter(|target| !target.is_empty())?;
    let sources = enabled(layered, "sources").into_iter().filter(|source| {
        let kind = layered.get(&under(source, "kind"));
        kind.and_then(|(kind, _)| kind.as_text())
            .is_some_and(|kind| TRIGGERABLE.contains(&kind))
    });
    let answering: Vec<KeyPath> = enabled(layered, "chain")
        .into_iter()
        .chain(sources)
        .collect();
    let names = answering
        .iter()
        .filter_map(|entry| Some(entry.last()?.as_str()));
    if names.clone().any(|name| name == target) {
        return None;
    }
    let remedy = nearest_of(target, names.clone()).map_or_else(
        || {
            let names: Vec<&str> = names.collect();
            if names.is_empty() {
                "add one, or take it out for the stages to answer".to_owned()
            } else {
                format!("there are {}", names.join(", "))
            }
        },
        |near| format!("did you mean \"{near}\"?"),
    );
    Some(ConfigError::Conflict {
        origin: origin.clone(),
        key: shown_key(&path),
        given: value.to_toml(),
        problem: format!("no chain and no source that answers requests; {remedy}"),
    })
}

/// Sources are called by the analysis that they offer; chains and stages give what they find.
fn analysis_is_offered(layered: &Layered, trigger: &KeyPath) -> Option<ConfigError> {
    let path = under(trigger, "analysis");
    let (value, origin) = layered.get(&path)?;
    let analysis = value.as_text().filter(|analysis| !analysis.is_empty())?;
    let (target, _) = layered.get(&under(trigger, "target"))?;
    let source: KeyPath = vec!["sources".to_owned(), target.as_text()?.to_owned()];
    let kind = layered.get(&under(&source, "kind"));
    let offered = kind
        .and_then(|(kind, _)| kind.as_text())
        .filter(|kind| TRIGGERABLE.contains(kind));
    let problem = match offered {
        Some(offered) if offered == analysis => return None,
        Some(offered) => format!("the target offers \"{offered}\", and no other analysis"),
        None => "only a source offers analyses; take it out, or name a source as target".to_owned(),
    };
    Some(ConfigError::Conflict {
        origin: origin.clone(),
        key: shown_key(&path),
        given: value.to_toml(),
        problem,
    })
}

fn exception_fits(layered: &Layered, exception: &KeyPath) -> Option<ConfigError> {
    let path = under(exception, "trigger");
    let (name, origin) = layered.get(&path)?;
    let name_text = name.as_text()?;
    let trigger: KeyPath = vec!["trigger".to_owned(), name_text.to_owned()];
    if !layered.names.contains_key(&trigger) {
        let triggers = entries_of(layered, "trigger");
        let names = triggers
            .iter()
            .filter_map(|entry| Some(entry.last()?.as_str()));
        let hint = nearest_of(name_text, names)
            .map(|near| format!(", did you mean \"{near}\"?"))
            .unwrap_or_default();
        return Some(ConfigError::Conflict {
            origin: origin.clone(),
            key: shown_key(&path),
            given: name.to_toml(),
            problem: format!("there is no trigger of this name{hint}"),
        });
    }
    let path = under(exception, "column");
    let (column, origin) = layered.get(&path)?;
    let problem = no_column(kind_of(layered, &trigger)?, column.as_text()?)?;
    Some(ConfigError::Conflict {
        origin: origin.clone(),
        key: shown_key(&path),
        given: column.to_toml(),
        problem,
    })
}
