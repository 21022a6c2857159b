//! When a hostile guest is hostile, and when it is a good one.

use serde::Deserialize;
use weir_guest::{Batch, Column, EvalError, TextColumn};

/// What the slot's settings say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The behaviour's name.
    #[serde(rename = "do")]
    pub behaviour: String,
    /// How much of it: bytes, lines, calls, entries, whatever it counts in.
    #[serde(default)]
    pub amount: u64,
    /// In which of the exported functions.
    #[serde(default)]
    pub at: At,
    /// At every so manieth batch; at the others it answers as a good guest does.
    #[serde(default = "always")]
    pub every: u64,
    /// Only after so many batches, at which it answers as a good guest does.
    #[serde(default)]
    pub after: u64,
    /// Only at batches with a row whose `name` is this.
    #[serde(default)]
    pub name: Option<String>,
    /// The same for each of these.
    #[serde(default)]
    pub names: Vec<String>,
}

fn always() -> u64 {
    1
}

/// The exported function in which it happens.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// `init`.
    Init,
    /// `self-test`.
    SelfTest,
    /// `snapshot`.
    Snapshot,
    /// `restore`.
    Restore,
    /// `keep`, `evaluate` or `analyze`.
    #[default]
    Call,
}

/// The settings, and where in the stream the guest is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As they came.
    pub settings: Settings,
    batches: u64,
}

impl Plan {
    /// Takes the settings, and does what is to be done in `init`.
    ///
    /// # Errors
    /// The world has no such behaviour.
    pub fn new(settings: Settings, known: &[&str]) -> Result<Self, String> {
        let behaviour = settings.behaviour.as_str();
        if crate::find(behaviour).is_none() && !known.contains(&behaviour) {
            return Err(format!("settings: do: there is no behaviour `{behaviour}`"));
        }
        let plan = Self {
            settings,
            batches: 0,
        };
        plan.act(At::Init);
        Ok(plan)
    }

    /// Does what every world can, where it is to be done here.
    pub fn act(&self, here: At) {
        if self.settings.at == here
            && let Some(behaviour) = crate::find(&self.settings.behaviour)
        {
            behaviour(self.settings.amount);
        }
    }

    /// Whether this is a batch to be hostile at.
    ///
    /// # Errors
    /// The batch has no column `name`.
    pub fn is_due(&mut self, batch: &Batch<'_>) -> Result<bool, EvalError> {
        self.batches += 1;
        let is_turn = self.batches > self.settings.after
            && self.batches.is_multiple_of(self.settings.every.max(1));
        if self.settings.at != At::Call || !is_turn {
            return Ok(false);
        }
        self.has_name(batch)
    }

    /// Whether the batch has a row of one of the names that the settings say; where they say none,
    /// any batch has.
    ///
    /// # Errors
    /// The batch has no column `name`.
    pub fn has_name(&self, batch: &Batch<'_>) -> Result<bool, EvalError> {
        let asked: Vec<&str> = self
            .settings
            .name
            .iter()
            .chain(&self.settings.names)
            .map(String::as_str)
            .collect();
        if asked.is_empty() {
            return Ok(true);
        }
        let names: TextColumn = batch.column("name")?;
        let is_asked = |row| names.get(row).is_some_and(|name| asked.contains(&name));
        Ok((0..names.rows()).any(is_asked))
    }
}
