//! A changed config: validated as a whole, its guests prepared and rehearsed, then switched in between two batches.
//! Whatever is wrong with it, nothing has changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use weir_bus::pubsub::EventBus;
use weir_bus::topic;

use super::events::ControlEvents;
use crate::chain::plans::Plans;
use crate::config::{Config, Loaded, OnState, Provenance, SlotSettings, TrustSettings};
use crate::guests::Guests;
use crate::pipeline::Pipeline;
use crate::sandbox::Prepared;
use crate::sink::{Console, Output};
use crate::slot::{Back, Candidate, Comparison, SlotHandle};

/// What tells that a file was changed: its time and its size.
type Trace = Option<(SystemTime, u64)>;

/// Who signed each slot's module.
type Signers = BTreeMap<String, Option<String>>;

/// The slots by name.
type Slots = BTreeMap<String, Arc<dyn SlotHandle>>;

/// Loads the config anew, and switches guests.
pub(super) struct Reloader {
    config: Config,
    files: BTreeMap<PathBuf, Trace>,
    load: Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>,
    guests: Arc<Guests>,
    events: ControlEvents,
    /// Why the config as it is now was not taken.
    refused: Option<String>,
}

fn trace(path: &PathBuf) -> Trace {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The config's files as they are before anything is prepared: compiling takes seconds, in which one may change.
pub(super) struct Files(BTreeMap<PathBuf, Trace>);

impl Files {
    /// As they are now.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let files = loaded.files.iter();
        Self(files.map(|path| (path.clone(), trace(path))).collect())
    }
}

impl Reloader {
    pub(super) fn new(
        loaded: Loaded,
        files: Files,
        load: Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>,
        guests: Arc<Guests>,
        bus: Arc<dyn EventBus>,
    ) -> Self {
        Self {
            config: loaded.config,
            files: files.0,
            load,
            guests,
            events: ControlEvents::new("config", bus),
            refused: None,
        }
    }

    /// Why the config as it is now was not taken; none where what is in force is what it says.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
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
        let (taken, text) = match self.take(pipeline).await {
            Ok(lines) if lines.is_empty() => (true, "config read: no guest has changed".to_owned()),
            Ok(lines) => (true, format!("config in force: {}", lines.join("; "))),
            Err(why) => (
                false,
                format!("config not taken, nothing has changed: {why}"),
            ),
        };
        say(console, taken, &text);
        self.refused = (!taken).then(|| text.clone());
        let what = if taken { "taken" } else { "refused" };
        if let Ok(topic) = topic::families::control_config(what) {
            let component = &self.config.collector.component_name;
            self.events
                .publish(topic, component, &[("message", text.clone())]);
        }
        (taken, text)
    }

    async fn take(&mut self, pipeline: &Pipeline) -> Result<Vec<String>, String> {
        let slots = pipeline.slots();
        let loaded = (self.load)()?;
        let restart = needs_restart(&self.config, &loaded.config);
        if !restart.is_empty() {
            return Err(format!(
                "{} can't change live: needs a restart",
                restart.join(", ")
            ));
        }
        let plans = pipeline.plans(&loaded.config);
        let plans = plans.map_err(|error| error.to_string())?;
        let work = Work {
            guests: Arc::clone(&self.guests),
            slots: slots.clone(),
            config: loaded.config.clone(),
            plans: plans.clone(),
            provenance: loaded.provenance,
        };
        let preparing = tokio::task::spawn_blocking(move || work.changes());
        let changes = preparing.await.map_err(|error| error.to_string())??;
        let signers = changes.iter();
        let signers: Signers = signers
            .map(|change| (change.slot.clone(), change.signer.clone()))
            .collect();
        let mut lines = switch(slots, changes).await?;
        pipeline.set_plans(&loaded.config, plans);
        lines.extend(changed_chains(&self.config, &loaded.config));
        self.config = loaded.config;
        self.guests.note_signers(signers);
        Ok(lines)
    }

    /// Has another module take over in a slot, with what the config says of the slot otherwise. It stays until the
    /// config asks for something else than now.
    ///
    /// # Errors
    /// Why it doesn't.
    pub(super) async fn swap(
        &self,
        slots: &Slots,
        slot: &str,
        module: &str,
    ) -> Result<String, String> {
        let (Some(handle), Some(settings)) = (slots.get(slot), self.config.slots.get(slot)) else {
            return Err(no_slot(slots, slot));
        };
        let settings = SlotSettings {
            module: module.to_owned().into(),
            ..settings.clone()
        };
        let (guests, trust) = (Arc::clone(&self.guests), self.config.trust.clone());
        let (name, handle) = (slot.to_owned(), Arc::clone(handle));
        let preparing = tokio::task::spawn_blocking(move || {
            let guest = guests.prepare(&name, &settings, &trust);
            let mut guest = guest.map_err(|error| error.to_string())?;
            if let Some(asked) = handle.asked() {
                guest.asked = asked;
            }
            handle.fits(&guest)?;
            let candidate = rehearsed(&*handle, guest.into(), &settings)?;
            Ok::<_, String>((handle, candidate))
        });
        let (handle, candidate) = preparing.await.map_err(|error| error.to_string())??;
        let (line, signer) = (told(slot, &candidate), candidate.guest.signed_by.clone());
        handle.switch(candidate).in_force().await?;
        self.guests.note_signer(slot, signer);
        Ok(line)
    }
}

/// What a new config asks of a slot, ready to be done.
struct Change {
    slot: String,
    /// The guest that is to take over, where it isn't what was asked for last.
    candidate: Option<Candidate>,
    /// The guest that is to watch, or that nobody is to, where that has changed.
    shadow: Option<Option<Prepared>>,
    /// Who has signed what is in force then.
    signer: Option<String>,
}

/// A new config, and what it takes to prepare what it asks for.
struct Work {
    guests: Arc<Guests>,
    slots: Slots,
    config: Config,
    plans: Plans,
    provenance: Provenance,
}

impl Work {
    /// What it asks of every slot: all or none. Every module is judged anew, as the keys may have changed.
    fn changes(&self) -> Result<Vec<Change>, String> {
        let settings = self.config.slots.iter();
        let asked = settings.filter_map(|(name, settings)| {
            let slot = self.slots.get(name)?;
            Some((name, settings, slot))
        });
        let mut changes = Vec::new();
        for (name, settings, slot) in asked.clone() {
            changes.push(self.change(name, settings, &self.config.trust, &**slot)?);
        }
        // All are in order; how they do with what the slots have seen is looked at last, as it takes longest.
        for ((name, settings, slot), change) in asked.zip(&mut changes) {
            if let Some(candidate) = change.candidate.take() {
                let rehearsed = rehearsed(&**slot, candidate, settings);
                change.candidate = Some(rehearsed.map_err(|why| format!("slots.{name}: {why}"))?);
            }
        }
        Ok(changes)
    }

    fn change(
        &self,
        name: &str,
        settings: &SlotSettings,
        trust: &TrustSettings,
        slot: &dyn SlotHandle,
    ) -> Result<Change, String> {
        let guest = self.guests.prepare(name, settings, trust);
        let guest = guest.map_err(|error| error.located(&self.provenance))?;
        slot.fits(&guest)
            .map_err(|why| format!("slots.{name}: {why}"))?;
        let fit = self.plans.rules_fit(name, &guest.wants);
        fit.map_err(|error| error.to_string())?;
        let shadow = self.guests.prepare_shadow(name, settings, trust, &guest);
        let shadow = shadow.map_err(|error| error.located(&self.provenance))?;
        let watches = shadow.as_ref().map(|shadow| shadow.asked);
        let is_asked = slot.asked() == Some(guest.asked);
        // What is asked for may have gone back, or another was put in its place by hand.
        let stays = is_asked && slot.statistics().digest != guest.digest.to_string();
        Ok(Change {
            slot: name.to_owned(),
            signer: if stays {
                self.guests.signer(name)
            } else {
                guest.signed_by.clone()
            },
            candidate: (!is_asked).then(|| guest.into()),
            shadow: (slot.shadow() != watches).then_some(shadow),
        })
    }
}

/// Makes the changes, guests first: a line of each. All or none: where one can't take over, those that have
/// go back.
async fn switch(slots: &Slots, changes: Vec<Change>) -> Result<Vec<String>, String> {
    let (mut switched, mut shadows, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        let Some(slot) = slots.get(&change.slot) else {
            continue;
        };
        if let Some(shadow) = change.shadow {
            shadows.push((slot, shadow));
        }
        let Some(candidate) = change.candidate else {
            continue;
        };
        lines.push(told(&change.slot, &candidate));
        if let Err(why) = slot.switch(candidate).in_force().await {
            for gone in switched {
                let gone: &Arc<dyn SlotHandle> = gone;
                let back = Back {
                    why: format!("another slot of the same change was refused: {why}"),
                    is_tried: false,
                };
                drop(gone.roll_back(back).in_force().await);
            }
            return Err(format!("slots.{}: {why}", change.slot));
        }
        switched.push(slot);
    }
    for (slot, shadow) in shadows {
        let name = slot.name();
        let line = match &shadow {
            Some(guest) => format!("slots.{name} is watched by {}", guest.module),
            None => format!("slots.{name} is watched by nobody"),
        };
        match slot.set_shadow(shadow) {
            Ok(()) => lines.push(line),
            Err(error) => {
                tracing::error!(slot = name, %error, "no thread for the guest that is to watch");
            }
        }
    }
    Ok(lines)
}

/// What is said of chains that are others from now on.
fn changed_chains(old: &Config, new: &Config) -> Vec<String> {
    let is_other = |name: &&String| old.chain.get(*name) != new.chain.get(*name);
    let came = new.chain.keys().filter(is_other);
    let gone = old
        .chain
        .keys()
        .filter(|name| !new.chain.contains_key(*name));
    came.map(|name| format!("chain.{name} is as the config says"))
        .chain(gone.map(|name| format!("chain.{name} is gone")))
        .collect()
}

/// A guest that is to take over, with what the slot's last batches showed of it.
fn rehearsed(
    slot: &dyn SlotHandle,
    candidate: Candidate,
    settings: &SlotSettings,
) -> Result<Candidate, String> {
    Ok(Candidate {
        rehearsal: slot.rehearse(&candidate.guest)?,
        may_forget: settings.state == OnState::Reset,
        ..candidate
    })
}

/// What is said of a guest that takes over.
fn told(slot: &str, candidate: &Candidate) -> String {
    let guest = &candidate.guest;
    let signed = guest.signed_by.as_ref();
    let signed = signed.map_or_else(String::new, |signer| format!(", signed by {signer}"));
    let compared = candidate.rehearsal.as_ref();
    let compared = compared.map_or_else(String::new, |all| format!(", {}", difference(all)));
    format!(
        "slots.{slot} runs {} ({}{signed}{compared})",
        guest.module, guest.digest
    )
}

/// How two guests' verdicts differ, for a person.
fn difference(compared: &Comparison) -> String {
    let other = compared.rows.saturating_sub(compared.rows_alike);
    format!(
        "other verdicts on {other} of the last {} rows",
        compared.rows
    )
}

/// That there is no such slot, and which there are.
pub(super) fn no_slot(slots: &Slots, slot: &str) -> String {
    let known: Vec<&str> = slots.keys().map(String::as_str).collect();
    format!("no slot {slot:?}; there are {}", known.join(", "))
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
                    state: new.state,
                    shadow: new.shadow.clone(),
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
