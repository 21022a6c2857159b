//! What a guest under trial is given: what a slot of the config gives it, or what a slot has that
//! says nothing, and every import that its world may have.

use std::sync::Arc;

use crate::config::{Grant, Limits, Module as ModuleName, SlotSettings};
use crate::sandbox::{GuestOrder, Inspect, World};

/// What a guest under trial is called where a slot's name stands.
const SLOT: &str = "trial";

/// What a slot of that world can be granted.
#[must_use]
pub fn grants_of(world: World) -> Vec<Grant> {
    let all = [Grant::Log, Grant::State, Grant::Metrics, Grant::Inspect];
    let may = |grant: &Grant| {
        world
            .imports()
            .contains(&super::settings::grant_name(*grant))
    };
    all.into_iter().filter(may).collect()
}

/// What stands in for a slot: what a guest under trial is given.
#[derive(Clone, Debug)]
pub struct TrialSlot {
    /// The guest's settings, an object.
    pub settings: serde_json::Value,
    /// Imports granted by name.
    pub grants: Vec<Grant>,
    /// What it may use.
    pub limits: Limits,
}

impl Default for TrialSlot {
    /// No settings, the limits of a slot that says nothing of them, and every grant: what a world
    /// may not import, the check of the shape has refused.
    fn default() -> Self {
        Self {
            settings: serde_json::json!({}),
            grants: grants_of(World::Stage),
            limits: Limits::default(),
        }
    }
}

impl From<&SlotSettings> for TrialSlot {
    fn from(slot: &SlotSettings) -> Self {
        Self {
            settings: slot.settings.clone(),
            grants: slot.grants.iter().copied().collect(),
            limits: slot.limits.clone(),
        }
    }
}

impl TrialSlot {
    /// An order for the module of that name.
    #[must_use]
    pub fn order(&self, module: &str, inspect: Option<Arc<dyn Inspect>>) -> GuestOrder {
        GuestOrder {
            slot: SLOT.to_owned(),
            module: ModuleName::from(module.to_owned()),
            settings: self.settings.to_string(),
            grants: self.grants.clone(),
            limits: self.limits.clone(),
            inspect,
            ..GuestOrder::default()
        }
    }
}
