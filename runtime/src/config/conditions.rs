//! From `[[trigger]]` entries to the guest that evaluates them.
//!
//! All conditions run in one slot, so that they share columns. Where a config has triggers and doesn't name that slot, it
//! is there all the same. Invariant: what the guest gets as `conditions` are the enabled triggers, by name.

use serde_json::{Map, Value as Json, json};

use super::complete::entries_of;
use super::layer::{KeyPath, Layered};
use super::origin::Origin;
use super::validated::{Config, TriggerSettings};
use super::value::Value;

/// The slot whose rules are the `[[trigger]]` entries.
pub const CONDITIONS_SLOT: &str = "conditions";

/// The guest that evaluates conditions.
const CONDITIONS_MODULE: &str = "builtin:sql-trigger";

/// Makes the slot of the conditions where there are any and no layer did. Also where all of them are switched off: so
/// the last one can be, while the daemon runs.
pub(crate) fn place_slot(layered: &mut Layered) {
    let slot: KeyPath = vec!["slots".to_owned(), CONDITIONS_SLOT.to_owned()];
    if entries_of(layered, "trigger").is_empty() {
        return;
    }
    layered
        .names
        .entry(slot.clone())
        .or_insert_with(Origin::built_in);
    let module: KeyPath = slot.into_iter().chain(["module".to_owned()]).collect();
    if !layered.failed.contains(&module) {
        let value = Value::Text(CONDITIONS_MODULE.to_owned());
        let value = (value, Origin::built_in());
        layered.values.entry(module).or_insert(value);
    }
}

/// Gives the conditions to their slot.
pub(crate) fn fill(config: &mut Config) {
    let conditions: Vec<Json> = config.trigger.iter().map(condition).collect();
    if let Some(slot) = config.slots.get_mut(CONDITIONS_SLOT)
        && let Some(settings) = slot.settings.as_object_mut()
        && (!conditions.is_empty() || !settings.contains_key(KEY))
    {
        settings.insert(KEY.to_owned(), conditions.into());
    }
}

/// The guest's key for them.
const KEY: &str = "conditions";

fn condition((name, trigger): (&String, &TriggerSettings)) -> Json {
    let mut condition = Map::new();
    condition.insert("name".to_owned(), name.as_str().into());
    condition.insert("kind".to_owned(), trigger.kind.as_str().into());
    condition.insert("condition".to_owned(), trigger.condition.as_str().into());
    condition.insert("priority".to_owned(), trigger.priority.as_str().into());
    condition.insert("target".to_owned(), trigger.target.as_str().into());
    if let Some(message) = &trigger.message {
        condition.insert("message".to_owned(), message.as_str().into());
    }
    let threshold = &trigger.threshold;
    if threshold.count > 1 {
        let window_ms = u64::try_from(threshold.window.as_millis()).unwrap_or(u64::MAX);
        let threshold = json!({
            "count": threshold.count,
            "window_ms": window_ms,
            "by": threshold.by,
        });
        condition.insert("threshold".to_owned(), threshold);
    }
    condition.into()
}
