//! From the config's slots to guests that are ready: what the pipeline starts with, and what a
//! changed config switches to.

mod beginning;
mod looks;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use weir_sources::{ProcessTable, SourceTables};

use crate::config::{
    Config, Provenance, SlotSettings, SupervisionSettings, SwapSettings, TrustSettings,
};
use crate::dead_letters::DeadLetters;
#[cfg(feature = "limits-off")]
use crate::sandbox::Limit;
use crate::sandbox::{EPOCH_TICK, GuestOrder, Keepsake, PrepareError, Prepared, Sandbox, World};
use crate::slot::{FileLedger, QuarantineLedger, RUNS_PER_ROW_MAX, SlotOptions};
use crate::sources;
use crate::trigger::CONDITIONS_SLOT;
use crate::trust::Trust;
pub(crate) use beginning::Beginning;
pub(crate) use looks::{Looks, Triggerables};

/// A slot whose guest can't be put into it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", self.key())]
pub struct GuestError {
    /// The slot's name.
    pub slot: Box<str>,
    /// Why.
    pub error: PrepareError,
    /// It is the guest that is to watch.
    pub is_shadow: bool,
}

impl GuestError {
    /// The key that says what is wrong here.
    #[must_use]
    pub fn key(&self) -> String {
        let key = match self.error.key() {
            "module" if self.is_shadow => "shadow",
            key => key,
        };
        format!("slots.{}.{key}", self.slot)
    }

    /// The error in one line, with the place in the config that it comes from; in several, where it is about several
    /// keys.
    #[must_use]
    pub fn located(&self, provenance: &Provenance) -> String {
        if let PrepareError::Init { message, .. } = &self.error
            && self.slot.as_ref() == CONDITIONS_SLOT
            && let Some(lines) = by_key(message, provenance)
        {
            return lines;
        }
        match provenance.origin(&self.key()) {
            Some(origin) => format!("{origin}: {self}"),
            None => self.to_string(),
        }
    }
}

/// What a guest says of several keys, a line each, with their places; none if it says anything else. (The line breaks
/// are escaped, as all that guests say.)
fn by_key(message: &str, provenance: &Provenance) -> Option<String> {
    let located = |line: &str| {
        let (key, _) = line.split_once(": ")?;
        let mut key = key;
        // What is told of a part of a key stands at the key.
        loop {
            if let Some(origin) = provenance.origin(key) {
                return Some(format!("{origin}: {line}"));
            }
            key = key.rsplit_once('.')?.0;
        }
    };
    let mut lines = message.split("\\n");
    let mut told = vec![located(lines.next()?)?];
    // The last one may be cut.
    told.extend(lines.map(|line| located(line).unwrap_or_else(|| line.to_owned())));
    Some(told.join("\n"))
}

/// Prepares guests for slots, and keeps what a slot's guests hand on to each other.
pub struct Guests {
    sandbox: Sandbox,
    processes: Arc<ProcessTable>,
    /// Where processes are looked for that aren't there, once sources run.
    tables: Arc<OnceLock<Arc<SourceTables>>>,
    /// The sources that answer when asked: those of the config that a pipeline was begun with.
    triggerables: Mutex<Arc<Triggerables>>,
    keepsakes: Mutex<BTreeMap<String, Keepsake>>,
    /// Who signed the module in force, by slot.
    signers: Mutex<BTreeMap<String, Option<String>>>,
    /// Which checks a test has switched off, by slot.
    #[cfg(feature = "limits-off")]
    limits_off: Mutex<BTreeMap<String, Vec<Limit>>>,
}

impl Guests {
    /// Guests of that sandbox.
    #[must_use]
    pub fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox,
            processes: Arc::new(ProcessTable::default()),
            tables: Arc::default(),
            triggerables: Mutex::default(),
            keepsakes: Mutex::default(),
            signers: Mutex::default(),
            #[cfg(feature = "limits-off")]
            limits_off: Mutex::default(),
        }
    }

    /// Switches checks off for the guests that are prepared for a slot from now on: how a test
    /// shows that it is they that hold.
    #[cfg(feature = "limits-off")]
    pub fn switch_off(&self, slot: &str, limits: &[Limit]) {
        let mut off = self
            .limits_off
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        off.insert(slot.to_owned(), limits.to_vec());
    }

    /// How many keys of state a slot has, and how many bytes; none of a slot that never had a guest.
    #[must_use]
    pub fn state_size(&self, slot: &str) -> Option<(usize, usize)> {
        let keepsakes = self
            .keepsakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        keepsakes.get(slot).map(Keepsake::state_size)
    }

    /// The latest processes.
    #[must_use]
    pub fn processes(&self) -> Arc<ProcessTable> {
        Arc::clone(&self.processes)
    }

    /// Has sources look once more for processes that guests ask for and that aren't in a table new enough. The first
    /// pipeline's sources are the ones.
    pub(crate) fn read_tables(&self, tables: &Arc<SourceTables>) {
        drop(self.tables.set(Arc::clone(tables)));
    }

    /// The sources of the config that answer when asked, made anew: guests that are prepared from now on
    /// are answered by them.
    fn make_triggerables(&self, config: &Config) {
        let made = Arc::new(sources::triggerables(&config.sources));
        *self
            .triggerables
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = made;
    }

    /// The sources that answer when asked, by name: those of the config that was begun with.
    pub(crate) fn triggerables(&self) -> Arc<Triggerables> {
        let kept = self
            .triggerables
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&kept)
    }

    /// Notes who signed the modules that are now in force.
    pub(crate) fn note_signers(&self, signers: BTreeMap<String, Option<String>>) {
        *self.signers.lock().unwrap_or_else(PoisonError::into_inner) = signers;
    }

    /// Notes who signed the module that is now in force in one slot.
    pub(crate) fn note_signer(&self, slot: &str, signer: Option<String>) {
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        signers.insert(slot.to_owned(), signer);
    }

    /// Who signed the module in force in a slot.
    #[must_use]
    pub fn signer(&self, slot: &str) -> Option<String> {
        let signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        signers.get(slot).cloned().flatten()
    }

    /// Prepares the guest of one slot, whose module must be signed as `trust` says. Takes as long as
    /// compiling takes.
    ///
    /// # Errors
    /// If the module, its signature, its shape, its code or its `init` is not in order.
    pub fn prepare(
        &self,
        slot: &str,
        settings: &SlotSettings,
        trust: &TrustSettings,
    ) -> Result<Prepared, GuestError> {
        let order = self.order(slot, settings, trust);
        self.prepare_order(slot, &order, false)
    }

    /// Prepares the guest that is to watch another in a slot, where the config names one. It has the slot's settings,
    /// and a copy of its state.
    ///
    /// # Errors
    /// As [`Guests::prepare`].
    pub fn prepare_shadow(
        &self,
        slot: &str,
        settings: &SlotSettings,
        trust: &TrustSettings,
        watched: &Prepared,
    ) -> Result<Option<Prepared>, GuestError> {
        let Some(module) = &settings.shadow else {
            return Ok(None);
        };
        let order = self.order(slot, settings, trust);
        let order = GuestOrder {
            slot: format!("{slot} (shadow)"),
            module: module.clone(),
            sha256: None,
            keepsake: order.keepsake.fork(),
            ..order
        };
        let shadow = self.prepare_order(slot, &order, true)?;
        let message = if shadow.world != watched.world {
            let (own, other) = (shadow.world.as_str(), watched.world.as_str());
            format!("it is a {own}, and {} is a {other}", watched.module)
        } else if beginning::fits(&shadow, watched) {
            return Ok(Some(shadow));
        } else {
            format!("it wants other events than {}", watched.module)
        };
        let module = shadow.module;
        Err(GuestError {
            slot: slot.into(),
            error: PrepareError::Watches { module, message },
            is_shadow: true,
        })
    }

    fn prepare_order(
        &self,
        slot: &str,
        order: &GuestOrder,
        is_shadow: bool,
    ) -> Result<Prepared, GuestError> {
        self.sandbox.prepare(order).map_err(|error| GuestError {
            slot: slot.into(),
            error,
            is_shadow,
        })
    }

    /// What a slot's guests hand on to each other.
    fn keepsake(&self, slot: &str) -> Keepsake {
        let mut keepsakes = self
            .keepsakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        keepsakes.entry(slot.to_owned()).or_default().clone()
    }

    fn order(&self, slot: &str, settings: &SlotSettings, trust: &TrustSettings) -> GuestOrder {
        GuestOrder {
            slot: slot.to_owned(),
            module: settings.module.clone(),
            sha256: settings.sha256,
            trust: Arc::new(Trust::from(trust)),
            signed_by: settings.signed_by.clone(),
            settings: settings.settings.to_string(),
            grants: settings.grants.iter().copied().collect(),
            limits: settings.limits.clone(),
            #[cfg(feature = "limits-off")]
            limits_off: self.limits_off_of(slot),
            inspect: Some(Arc::new(
                Looks::new(Arc::clone(&self.processes), self.triggerables())
                    .reading(Arc::clone(&self.tables)),
            )),
            keepsake: self.keepsake(slot),
        }
    }

    #[cfg(feature = "limits-off")]
    fn limits_off_of(&self, slot: &str) -> Vec<Limit> {
        let off = self
            .limits_off
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        off.get(slot).cloned().unwrap_or_default()
    }

    /// Prepares the guests of all slots, in the order of their names, and those that are to watch: all or none.
    ///
    /// # Errors
    /// The first that isn't in order.
    pub fn prepare_all(&self, config: &Config) -> Result<Vec<(String, Prepared)>, GuestError> {
        let slots = config.slots.iter();
        slots
            .map(|(name, settings)| {
                let prepared = self.prepare(name, settings, &config.trust)?;
                drop(self.prepare_shadow(name, settings, &config.trust, &prepared)?);
                Ok((name.clone(), prepared))
            })
            .collect()
    }
}

/// How far past its deadline a call comes: two ticks until its CPU time is looked at, one until again.
const DEADLINE_OVERRUN: Duration = EPOCH_TICK.saturating_mul(3);

/// What all slots of a pipeline share.
pub(crate) struct Shared {
    dead_letters: Arc<DeadLetters>,
    supervision: SupervisionSettings,
    swap: SwapSettings,
    ledger: Arc<dyn QuarantineLedger>,
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        let state_folder = config.sandbox.state_folder.clone();
        Self {
            dead_letters: Arc::new(DeadLetters::new(&config.dead_letters, &config.sandbox)),
            supervision: config.supervision.clone(),
            swap: config.swap.clone(),
            ledger: Arc::new(FileLedger::new(state_folder)),
        }
    }
}

/// What a slot of that world has besides its guest.
pub(crate) fn slot_options(
    name: &str,
    settings: &SlotSettings,
    world: World,
    shared: &Shared,
) -> SlotOptions {
    let is_stage = world == World::Stage;
    let wall = settings.limits.wall_of_call(is_stage);
    // A guest that runs into its deadline at every call burns so much for one batch, and no more: what
    // it takes to find one row.
    let call = settings.limits.cpu_of_call(is_stage) + DEADLINE_OVERRUN;
    let search = call.saturating_mul(RUNS_PER_ROW_MAX);
    SlotOptions {
        name: name.to_owned(),
        on_fault: settings.on_fault,
        call_wall_max: wall + crate::slot::ABANDON_GRACE,
        search_cpu_max: search,
        dead_letters: Arc::clone(&shared.dead_letters),
        supervision: shared.supervision.clone(),
        ledger: Arc::clone(&shared.ledger),
        swap: if name == CONDITIONS_SLOT {
            // Other conditions are meant to cost and to select what they do; only a fault sends them back.
            SwapSettings {
                fuel_factor_max: f64::INFINITY,
                share_difference_max: 1.0,
                ..shared.swap.clone()
            }
        } else {
            shared.swap.clone()
        },
    }
}
