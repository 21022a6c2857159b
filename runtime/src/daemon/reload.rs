//! A changed config: validated as a whole, its guests prepared, then switched in between two batches.
//! Whatever is wrong with it, nothing has changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::{Config, Loaded, SlotSettings};
use crate::guests::Guests;
use crate::pipeline::Pipeline;
use crate::sandbox::Prepared;
use crate::sink::{Console, Output};

/// What tells that a file was changed: its time and its size.
type Trace = Option<(SystemTime, u64)>;

/// Who signed each slot's module.
type Signers = BTreeMap<String, Option<String>>;

/// Loads the config anew, and switches guests.
pub(super) struct Reloader {
    config: Config,
    files: BTreeMap<PathBuf, Trace>,
    load: Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>,
    guests: Arc<Guests>,
}

fn trace(path: &PathBuf) -> Trace {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl Reloader {
    pub(super) fn new(
        loaded: Loaded,
        load: Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>,
        guests: Arc<Guests>,
    ) -> Self {
        let files = loaded.files.into_iter();
        Self {
            config: loaded.config,
            files: files.map(|path| (path.clone(), trace(&path))).collect(),
            load,
            guests,
        }
    }

    /// Who signed the module in force in a slot.
    pub(super) fn signer(&self, slot: &str) -> Option<String> {
        self.guests.signer(slot)
    }

    /// Whether a config file has changed since it was last looked at.
    pub(super) fn has_changed(&mut self) -> bool {
        let mut changed = false;
        for (path, known) in &mut self.files {
            let now = trace(path);
            changed |= *known != now;
            *known = now;
        }
        changed
    }

    /// Takes the config as it is now, or says why not: whether it was taken, and what is in force.
    pub(super) async fn reload(
        &mut self,
        pipeline: &Pipeline,
        console: &Console,
    ) -> (bool, String) {
        // What is read now needs no second look, whoever asked for the first.
        self.has_changed();
        let (taken, text) = match self.switch(pipeline).await {
            Ok(slots) if slots.is_empty() => (true, "config read: no guest has changed".to_owned()),
            Ok(slots) => (true, format!("config in force: {}", slots.join("; "))),
            Err(why) => (
                false,
                format!("config not taken, nothing has changed: {why}"),
            ),
        };
        say(console, taken, &text);
        (taken, text)
    }

    async fn switch(&mut self, pipeline: &Pipeline) -> Result<Vec<String>, String> {
        let loaded = (self.load)()?;
        let restart = needs_restart(&self.config, &loaded.config);
        if !restart.is_empty() {
            return Err(format!(
                "{} can't change live: needs a restart",
                restart.join(", ")
            ));
        }
        let (prepared, signers) = self.prepare(&loaded, pipeline).await?;
        let mut switched = Vec::new();
        for (name, guest) in prepared {
            let Some(slot) = pipeline.slots().get(&name) else {
                continue;
            };
            let signed = guest.signed_by.as_ref();
            let signed = signed.map_or_else(String::new, |signer| format!(", signed by {signer}"));
            let line = format!(
                "slots.{name} runs {} ({}{signed})",
                guest.module, guest.digest
            );
            if let Err(why) = slot.switch(guest).in_force().await {
                // All or none: who has switched already goes back.
                for (name, _) in &switched {
                    let gone = pipeline.slots().get(name);
                    let why = format!("another slot of the same change was refused: {why}");
                    if let Some(slot) = gone {
                        drop(slot.roll_back(why).in_force().await);
                    }
                }
                return Err(format!("slots.{name}: {why}"));
            }
            switched.push((name, line));
        }
        self.config = loaded.config;
        self.guests.note_signers(signers);
        Ok(switched.into_iter().map(|(_, line)| line).collect())
    }

    /// Prepares every guest that is not the one in force: all or none. Every module is judged anew, as
    /// the keys may have changed; answers who signed each, too.
    async fn prepare(
        &self,
        new: &Loaded,
        pipeline: &Pipeline,
    ) -> Result<(Vec<(String, Prepared)>, Signers), String> {
        let (guests, old) = (Arc::clone(&self.guests), self.config.slots.clone());
        let (slots, provenance) = (new.config.slots.clone(), new.provenance.clone());
        let trust = new.config.trust.clone();
        let preparing = tokio::task::spawn_blocking(move || {
            let fresh = slots.iter().map(|(name, settings)| {
                let prepared = guests
                    .prepare(name, settings, &trust)
                    .map_err(|error| error.located(&provenance))?;
                Ok((name.clone(), settings.clone(), prepared))
            });
            fresh.collect::<Result<Vec<_>, String>>()
        });
        let prepared = preparing.await.map_err(|error| error.to_string())??;
        let (mut changed, mut signers) = (Vec::new(), Signers::new());
        for (name, settings, guest) in prepared {
            let Some(slot) = pipeline.slots().get(&name) else {
                continue;
            };
            slot.fits(&guest)
                .map_err(|why| format!("slots.{name}: {why}"))?;
            signers.insert(name.clone(), guest.signed_by.clone());
            let is_same = old.get(&name) == Some(&settings) && slot.digest() == Some(guest.digest);
            if !is_same {
                changed.push((name, guest));
            }
        }
        Ok((changed, signers))
    }
}

/// The keys that changed and are not a guest's own.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = old.changes_needing_restart(new);
    for name in old.slots.keys().chain(new.slots.keys()) {
        match (old.slots.get(name), new.slots.get(name)) {
            (Some(old), Some(new)) => {
                // What belongs to the guest may change; what is left belongs to its place.
                let place_of = |settings: &SlotSettings| SlotSettings {
                    module: new.module.clone(),
                    settings: new.settings.clone(),
                    grants: new.grants.clone(),
                    sha256: new.sha256,
                    signed_by: new.signed_by.clone(),
                    limits: new.limits.clone(),
                    ..settings.clone()
                };
                if place_of(old) != place_of(new) {
                    keys.push(format!(
                        "slots.{name} (its order, on_fault, triggers or queue)"
                    ));
                }
            }
            _ => keys.push(format!("slots.{name} (added or removed)")),
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

fn say(console: &Console, taken: bool, text: &str) {
    if taken {
        tracing::info!("{text}");
    } else {
        tracing::error!("{text}");
    }
    match console.output() {
        Output::Json => console.json(&serde_json::json!({
            "type": "config",
            "taken": taken,
            "message": text,
        })),
        Output::Pretty => console.line(text),
    }
}
