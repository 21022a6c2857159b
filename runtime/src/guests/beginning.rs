//! What slots begin with: what the config asks for, or what was confirmed in an earlier run, and then that.

use weir_bus::TopicPattern;

use super::{GuestError, Guests};
use crate::config::{Config, Module as ModuleName, SlotSettings, TrustSettings};
use crate::keeper::Keeper;
use crate::sandbox::{Memory, Module, Prepared};
use crate::store::Confirmed;
use crate::trust::{Claim, Trust};

/// What a slot begins with.
pub(crate) struct Beginning {
    pub(crate) slot: String,
    pub(crate) first: Prepared,
    /// The generation's number.
    pub(crate) number: u64,
    /// What it had in memory in an earlier run.
    pub(crate) memory: Option<Memory>,
    /// What takes over from it at once, on probation: what the config asks for, where that was never confirmed.
    pub(crate) then: Option<Prepared>,
    pub(crate) shadow: Option<Prepared>,
}

impl Guests {
    /// Prepares what every slot begins with, in the order of their names: all or none.
    ///
    /// # Errors
    /// The first guest of the config's that isn't in order.
    pub(crate) fn begin(
        &self,
        config: &Config,
        keeper: Option<&Keeper>,
    ) -> Result<Vec<Beginning>, GuestError> {
        self.make_triggerables(config);
        let slots = config.slots.iter();
        slots
            .map(|(name, settings)| self.begin_slot(name, settings, &config.trust, keeper))
            .collect()
    }

    fn begin_slot(
        &self,
        name: &str,
        settings: &SlotSettings,
        trust: &TrustSettings,
        keeper: Option<&Keeper>,
    ) -> Result<Beginning, GuestError> {
        let found = keeper.map(|keeper| keeper.found(name)).unwrap_or_default();
        self.keepsake(name).load(found.state);
        let wished = self.prepare(name, settings, trust)?;
        let beginning = Beginning {
            slot: name.to_owned(),
            shadow: self.prepare_shadow(name, settings, trust, &wished)?,
            first: wished,
            number: 1,
            memory: None,
            then: None,
        };
        let (Some(keeper), Some(confirmed)) = (keeper, found.confirmed) else {
            return Ok(beginning);
        };
        let memory = confirmed.memory.clone();
        let with_memory = Beginning {
            number: confirmed.number,
            memory: memory.map(|(version, bytes)| Memory::new(version, bytes)),
            ..beginning
        };
        let wished = &with_memory.first;
        let is_asked = confirmed.asked == wished.asked;
        let is_the_same = confirmed.digest == wished.digest
            && confirmed.settings == self.order(name, settings, trust).settings;
        if is_asked && is_the_same {
            return Ok(with_memory);
        }
        let kept = match self.prepare_kept(name, settings, trust, keeper, &confirmed) {
            Ok(kept) if fits(&kept, wished) => kept,
            Ok(_) => {
                tracing::info!(
                    slot = name,
                    module = confirmed.module,
                    "what was confirmed wants other events than what is asked for, which begins"
                );
                return Ok(with_memory);
            }
            // Another release of the daemon brings its own.
            Err(_) if matches!(confirmed.module.clone().into(), ModuleName::BuiltIn(_)) => {
                return Ok(with_memory);
            }
            Err(why) => {
                tracing::warn!(
                    slot = name,
                    module = confirmed.module,
                    why,
                    "what was confirmed can't run again: what is asked for begins"
                );
                return Ok(with_memory);
            }
        };
        Ok(Beginning {
            // What is asked for was tried, and went back; or another was put in its place by hand.
            then: (!is_asked).then_some(with_memory.first),
            first: kept,
            ..with_memory
        })
    }

    /// Prepares the guest that was confirmed in an earlier run, from the bytes that were kept.
    fn prepare_kept(
        &self,
        name: &str,
        settings: &SlotSettings,
        trust: &TrustSettings,
        keeper: &Keeper,
        confirmed: &Confirmed,
    ) -> Result<Prepared, String> {
        let mut order = self.order(name, settings, trust);
        order.module = confirmed.module.clone().into();
        order.settings.clone_from(&confirmed.settings);
        let bytes_max = settings.limits.component_bytes_max;
        let prepared = match keeper.module(confirmed) {
            Some(bytes) => {
                let module = Module::from_bytes(confirmed.module.clone(), bytes, bytes_max);
                let mut module = module.map_err(|error| error.to_string())?;
                // Whom to trust may have changed since: it is judged as if it were read now.
                judge(
                    &Trust::from(trust),
                    &order.signed_by,
                    confirmed,
                    &mut module,
                )?;
                self.sandbox.prepare_module(&order, &module)
            }
            None => self.sandbox.prepare(&order),
        };
        let mut prepared = prepared.map_err(|error| error.to_string())?;
        if prepared.digest != confirmed.digest {
            return Err("its bytes are not kept, and its file has changed".to_owned());
        }
        prepared.asked = confirmed.asked;
        Ok(prepared)
    }
}

fn judge(
    trust: &Trust,
    signed_by: &std::collections::BTreeSet<String>,
    confirmed: &Confirmed,
    module: &mut Module,
) -> Result<(), String> {
    if !trust.asks(signed_by) {
        return Ok(());
    }
    let claim = Claim {
        module: &confirmed.module,
        digest: &module.digest,
        file: "what was kept of it",
        signature: confirmed.signature.as_deref(),
    };
    let judged = trust.judge(&claim, signed_by);
    module.signed_by = judged.map_err(|error| error.to_string())?;
    module.signature = confirmed.signature.as_deref().map(Into::into);
    Ok(())
}

/// Whether one may take over from the other: what the way to a slot was made for can't change under it.
pub(super) fn fits(kept: &Prepared, wished: &Prepared) -> bool {
    let patterns = |guest: &Prepared| -> Vec<TopicPattern> { guest.wants.patterns.clone() };
    kept.world == wished.world
        && kept.wants.kinds == wished.wants.kinds
        && patterns(kept) == patterns(wished)
}
