//! The rules between keys: values that are good alone, and not together.
//!
//! Runs after every key has its value; a key that failed its own check takes part in no rule.

use super::chain_rules::check_chains;
use super::complete::{entries_of, missing};
use super::error::ConfigError;
use super::keys::{Fallback, Found, find, nearest_of};
use super::layer::{KeyPath, Layered, shown_key};
use super::names::BUILT_IN_PREFIX;
use super::origin::{Origin, shown};
use super::redact_rules::check_redact;
use super::source_rules::check_sources;
use super::trigger_rules::check_triggers;
use super::value::Value;

/// Pairs of keys of a slot of which the first may not be more than the second.
const AT_MOST: [(&str, &str); 2] = [
    ("limits.state_value_bytes_max", "limits.state_bytes_max"),
    ("limits.host_bytes_call_max", "limits.host_bytes_batch_max"),
];

/// What the system takes as the path of a Unix socket: 108 bytes with the zero at the end (Linux's `sun_path`).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Checks all rules.
pub(crate) fn check_rules(layered: &mut Layered) {
    check_sources(layered);
    let slots = entries_of(layered, "slots");
    let enabled = slots.iter().filter(|slot| is_enabled(layered, slot));
    let enabled = enabled.count();
    too_many(layered, enabled, "slots", "sandbox.slots_max");
    for slot in &slots {
        for (small, large) in AT_MOST {
            at_most(layered, &under(slot, small), &under(slot, large));
        }
        let all_guests = under(&[], "sandbox.guests_memory_bytes_max");
        at_most(
            layered,
            &under(slot, "limits.memory_bytes_max"),
            &all_guests,
        );
        triggers_exist(layered, slot, &slots);
        signers_exist(layered, slot);
    }
    socket_path_fits(layered);
    for rule in entries_of(layered, "bus.access") {
        rule_is_for_one(layered, &rule);
    }
    for sink in entries_of(layered, "sinks") {
        recording_has_path(layered, &sink);
    }
    check_redact(layered);
    check_chains(layered);
    check_triggers(layered);
}

pub(crate) fn under(entry: &[String], key: &str) -> KeyPath {
    entry
        .iter()
        .cloned()
        .chain(key.split('.').map(str::to_owned))
        .collect()
}

/// Whether an entry is switched on.
pub(crate) fn is_enabled(layered: &Layered, entry: &[String]) -> bool {
    !matches!(
        layered.get(&under(entry, "enabled")),
        Some((Value::Switch(false), _))
    )
}

/// Tells that more are enabled than the key of the limit says.
pub(crate) fn too_many(layered: &mut Layered, enabled: usize, what: &str, limit: &str) {
    let path = under(&[], limit);
    if let Some((Value::Integer(most), origin)) = layered.get(&path)
        && u64::try_from(enabled).is_ok_and(|enabled| enabled > *most)
    {
        let error = ConfigError::Conflict {
            origin: origin.clone(),
            key: shown_key(&path),
            given: most.to_string(),
            problem: format!(
                "{enabled} {what} are enabled; raise it, or switch some off with enabled = false"
            ),
        };
        layered.errors.push(error);
    }
}

fn at_most(layered: &mut Layered, small: &KeyPath, large: &KeyPath) {
    let (Some((small_value, small_origin)), Some((large_value, large_origin))) =
        (layered.get(small), layered.get(large))
    else {
        return;
    };
    let (Value::Size(small_bytes), Value::Size(large_bytes)) = (small_value, large_value) else {
        return;
    };
    if small_bytes <= large_bytes {
        return;
    }
    // Whoever wrote one of the two is told at that place; the other is a default.
    let (at, at_value, origin, other, other_value, word, remedy) =
        if small_origin.layer >= large_origin.layer {
            (
                small,
                small_value,
                small_origin,
                large,
                large_value,
                "more",
                "lower",
            )
        } else {
            (
                large,
                large_value,
                large_origin,
                small,
                small_value,
                "less",
                "raise",
            )
        };
    let error = ConfigError::Conflict {
        origin: Origin::clone(origin),
        key: shown_key(at),
        given: at_value.to_toml(),
        problem: format!(
            "{word} than {} = {}; {remedy} it, or change the other",
            shown_key(other),
            other_value.to_toml()
        ),
    };
    layered.errors.push(error);
}

fn triggers_exist(layered: &mut Layered, slot: &KeyPath, slots: &[KeyPath]) {
    let path = under(slot, "triggers");
    let Some((Value::List(triggers), origin)) = layered.get(&path) else {
        return;
    };
    let names: Vec<&str> = slots
        .iter()
        .filter_map(|slot| Some(slot.get(1)?.as_str()))
        .collect();
    let errors: Vec<ConfigError> = triggers
        .iter()
        .filter(|trigger| !names.contains(&trigger.as_str()))
        .map(|trigger| {
            let hint = nearest_of(trigger, names.iter().copied())
                .map(|near| format!(", did you mean \"{near}\"?"))
                .unwrap_or_default();
            ConfigError::Conflict {
                origin: origin.clone(),
                key: shown_key(&path),
                given: format!("\"{trigger}\""),
                problem: format!("there is no slot of this name{hint}"),
            }
        })
        .collect();
    layered.errors.extend(errors);
}

fn signers_exist(layered: &mut Layered, slot: &KeyPath) {
    let path = under(slot, "signed_by");
    let Some((Value::List(signers), origin)) = layered.get(&path) else {
        return;
    };
    let keys = entries_of(layered, "trust.keys");
    let names: Vec<&str> = keys
        .iter()
        .filter_map(|key| Some(key.get(2)?.as_str()))
        .collect();
    let module = layered.get(&under(slot, "module"));
    let is_built_in = module
        .and_then(|(module, _)| module.as_text())
        .is_some_and(|module| module.starts_with(BUILT_IN_PREFIX));
    let problem = |signer: &String| {
        if is_built_in {
            return Some(
                "a built-in guest is part of the program, and nobody signs it; take it out"
                    .to_owned(),
            );
        }
        let hint = nearest_of(signer, names.iter().copied()).map_or_else(
            || "; add it with its public key".to_owned(),
            |near| format!(", did you mean \"{near}\"?"),
        );
        (!names.contains(&signer.as_str()))
            .then(|| format!("there is no key of this name in trust.keys{hint}"))
    };
    let errors: Vec<ConfigError> = signers
        .iter()
        .filter_map(|signer| {
            Some(ConfigError::Conflict {
                origin: origin.clone(),
                key: shown_key(&path),
                given: format!("\"{signer}\""),
                problem: problem(signer)?,
            })
        })
        .collect();
    layered.errors.extend(errors);
}

fn socket_path_fits(layered: &mut Layered) {
    let path = under(&[], "bus.socket");
    let Some((Value::Path(socket), origin)) = layered.get(&path) else {
        return;
    };
    let bytes = socket.as_os_str().len();
    if bytes <= SOCKET_PATH_BYTES_MAX {
        return;
    }
    let error = ConfigError::Conflict {
        origin: origin.clone(),
        key: shown_key(&path),
        given: shown(&Value::Path(socket.clone()).to_toml()),
        problem: format!(
            "{bytes} bytes, and the path of a socket has at most {SOCKET_PATH_BYTES_MAX}; set a shorter one"
        ),
    };
    layered.failed.insert(path);
    layered.errors.push(error);
}

fn rule_is_for_one(layered: &mut Layered, rule: &KeyPath) {
    let (user, group) = (under(rule, "user"), under(rule, "group"));
    if layered.failed.contains(&user) || layered.failed.contains(&group) {
        return;
    }
    let error = match (layered.get(&user), layered.get(&group)) {
        (Some((user, _)), Some((value, origin))) => ConfigError::Conflict {
            origin: origin.clone(),
            key: shown_key(&group),
            given: value.to_toml(),
            problem: format!(
                "the rule is for user {} already; a rule is for a user or for a group, write two",
                user.to_toml()
            ),
        },
        (None, None) => ConfigError::Missing {
            origin: layered
                .names
                .get(rule)
                .cloned()
                .unwrap_or_else(Origin::built_in),
            key: shown_key(rule),
            expected: "the user or group that the rule is for".to_owned(),
            example: "group = \"observers\"".to_owned(),
        },
        _ => return,
    };
    layered.errors.push(error);
}

fn recording_has_path(layered: &mut Layered, sink: &KeyPath) {
    let is_recording = layered
        .get(&under(sink, "kind"))
        .is_some_and(|(kind, _)| kind.as_text() == Some("recording"));
    let path = under(sink, "path");
    let absent = !layered.values.contains_key(&path) && !layered.failed.contains(&path);
    if is_recording
        && absent
        && let Found::Key(key) = find(&path)
        && let Fallback::Unset { example, .. } = key.fallback
    {
        missing(layered, key, &path, example);
    }
}
