//! The rules of chains: each stage has somebody who does it, and the stages make a plan.
//!
//! What a plan is stands in [`crate::chain::plan`]; here its errors get the key and the place. A chain of which a
//! key failed its own check takes part in no rule, nor does one that is switched off.

use super::complete::entries_of;
use super::error::ConfigError;
use super::keys::{TRIGGERABLE, nearest_of};
use super::layer::{KeyPath, Layered, shown_key};
use super::origin::Origin;
use super::rules::{is_enabled, under};
use super::value::Value;
use crate::chain::plan::{Plan, PlanError, StageSettings, WorkerName};
use std::time::Duration;

/// Checks all chains.
pub(crate) fn check_chains(layered: &mut Layered) {
    let mut errors = Vec::new();
    for chain in entries_of(layered, "chain") {
        if is_enabled(layered, &chain) && !layered.failed.iter().any(|key| key.starts_with(&chain))
        {
            check_chain(layered, &chain, &mut errors);
        }
    }
    layered.errors.extend(errors);
}

fn check_chain(layered: &Layered, chain: &KeyPath, errors: &mut Vec<ConfigError>) {
    let before = errors.len();
    errors.extend(shares_its_name(layered, chain));
    let mut stages = Vec::new();
    for stage in entries_of(layered, "chain.<name>.stages") {
        if stage.starts_with(chain) {
            match settings(layered, &stage) {
                Ok(settings) => stages.push(settings),
                Err(error) => errors.push(*error),
            }
        }
    }
    let name = chain.last().map_or("", String::as_str);
    if errors.len() == before
        && let Err(error) = Plan::new(name, Duration::ZERO, stages)
    {
        errors.push(located(layered, chain, &error));
    }
}

/// Requests say in one word whom they are for.
fn shares_its_name(layered: &Layered, chain: &KeyPath) -> Option<ConfigError> {
    let name = chain.last()?;
    is_triggerable(layered, name).then(|| ConfigError::Conflict {
        origin: origin_of(layered, chain),
        key: "chain".to_owned(),
        given: format!("\"{name}\""),
        problem: format!(
            "there is a source of this name, and a request for `{name}` could be for either; call one something else"
        ),
    })
}

/// A stage as it is set, with the one who does it.
fn settings(layered: &Layered, stage: &KeyPath) -> Result<StageSettings, Box<ConfigError>> {
    let after = match layered.get(&under(stage, "after")) {
        Some((Value::List(after), _)) => after.clone(),
        _ => Vec::new(),
    };
    Ok(StageSettings {
        name: stage.last().cloned().unwrap_or_default(),
        worker: worker(layered, stage)?,
        after,
        // A plan holds or not whatever these are.
        optional: false,
        timeout: Duration::ZERO,
        retries_max: 0,
        retry_pause: Duration::ZERO,
    })
}

fn worker(layered: &Layered, stage: &KeyPath) -> Result<WorkerName, Box<ConfigError>> {
    let (slot_key, source_key) = (under(stage, "slot"), under(stage, "source"));
    let given = |key: &KeyPath| {
        let (value, origin) = layered.get(key)?;
        Some((value.as_text()?.to_owned(), origin.clone()))
    };
    let wrong = |key: &KeyPath, name: &str, origin: Origin, problem: String| {
        Box::new(ConfigError::Conflict {
            origin,
            key: shown_key(key),
            given: format!("\"{name}\""),
            problem,
        })
    };
    match (given(&slot_key), given(&source_key)) {
        (Some((slot, _)), Some((source, origin))) => Err(wrong(
            &source_key,
            &source,
            origin,
            format!(
                "slot \"{slot}\" does the stage already; a stage has a slot or a source, make two stages of it"
            ),
        )),
        (Some((slot, origin)), None) => match absent_slot(layered, &slot) {
            Some(problem) => Err(wrong(&slot_key, &slot, origin, problem)),
            None => Ok(WorkerName::Slot(slot)),
        },
        (None, Some((source, origin))) => match absent_source(layered, &source) {
            Some(problem) => Err(wrong(&source_key, &source, origin, problem)),
            None => Ok(WorkerName::Source(source)),
        },
        (None, None) => by_own_name(layered, stage),
    }
}

/// Without a word the slot, else the source, of the stage's own name.
fn by_own_name(layered: &Layered, stage: &KeyPath) -> Result<WorkerName, Box<ConfigError>> {
    let name = stage.last().cloned().unwrap_or_default();
    if absent_slot(layered, &name).is_none() {
        Ok(WorkerName::Slot(name))
    } else if is_triggerable(layered, &name) {
        Ok(WorkerName::Source(name))
    } else {
        Err(Box::new(ConfigError::Missing {
            origin: origin_of(layered, stage),
            key: shown_key(stage),
            expected: format!(
                "the slot or source that does it, as none that is switched on and answers requests is called `{name}`"
            ),
            example: "slot = \"NAME\"".to_owned(),
        }))
    }
}

/// What is wrong with a slot's name.
fn absent_slot(layered: &Layered, name: &str) -> Option<String> {
    absent(layered, "slots", "slot", name)
}

/// What is wrong with the name of a source that shall answer.
fn absent_source(layered: &Layered, name: &str) -> Option<String> {
    absent(layered, "sources", "source", name).or_else(|| {
        (!is_triggerable(layered, name)).then(|| {
            let kind = kind_of_source(layered, name).unwrap_or_default();
            format!(
                "a source of kind \"{kind}\" answers no requests; those of kind {} do",
                TRIGGERABLE.join(" and ")
            )
        })
    })
}

fn absent(layered: &Layered, table: &str, what: &str, name: &str) -> Option<String> {
    let entries = entries_of(layered, table);
    let names = entries
        .iter()
        .filter_map(|entry| Some(entry.last()?.as_str()));
    if !names.clone().any(|known| known == name) {
        let hint = nearest_of(name, names)
            .map(|near| format!(", did you mean \"{near}\"?"))
            .unwrap_or_default();
        return Some(format!("there is no {what} of this name{hint}"));
    }
    (!is_enabled(layered, &[table.to_owned(), name.to_owned()])).then(|| {
        format!("the {what} is switched off; switch it on, or the chain off with enabled = false")
    })
}

fn is_triggerable(layered: &Layered, source: &str) -> bool {
    is_enabled(layered, &["sources".to_owned(), source.to_owned()])
        && kind_of_source(layered, source).is_some_and(|kind| TRIGGERABLE.contains(&kind))
}

fn kind_of_source<'a>(layered: &'a Layered, source: &str) -> Option<&'a str> {
    let kind = ["sources", source, "kind"].map(str::to_owned);
    layered.get(&kind)?.0.as_text()
}

/// A plan's error at the key that is to be changed.
fn located(layered: &Layered, chain: &KeyPath, error: &PlanError) -> ConfigError {
    let stage = error.stage().map(|stage| {
        let stages = chain.iter().cloned().chain(["stages".to_owned()]);
        stages.chain([stage.to_owned()]).collect::<KeyPath>()
    });
    let after = stage.as_ref().map(|stage| under(stage, "after"));
    if let (Some(after), Some(dependency)) = (after, error.dependency())
        && let Some((_, origin)) = layered.get(&after)
    {
        return ConfigError::Conflict {
            origin: origin.clone(),
            key: shown_key(&after),
            given: format!("\"{dependency}\""),
            problem: error.to_string(),
        };
    }
    let path = stage.as_ref().unwrap_or(chain);
    ConfigError::Conflict {
        origin: origin_of(layered, path),
        key: shown_key(path),
        given: "{…}".to_owned(),
        problem: error.to_string(),
    }
}

/// Where something named was first mentioned.
fn origin_of(layered: &Layered, entry: &KeyPath) -> Origin {
    let origin = layered.names.get(entry).cloned();
    origin.unwrap_or_else(Origin::built_in)
}
