//! From an order for a slot to a guest that is ready to be asked: read, checked, compiled, linked,
//! initialised and self-tested. Nothing that runs is touched on the way.

use std::sync::Arc;

use wasmtime::component::{Component, Linker};

use super::compile::CompileError;
use super::fault::{Fault, words};
use super::host::{self, LogGate};
use super::inspect_component::{self, Shape, ShapeError, World};
use super::instance::Instance;
use super::limits::{Armed, Limit};
use super::module::{Demand, Module, ModuleError};
use super::mould::Mould;
use super::wants::Wants;
use super::{GuestOrder, Sandbox, Unsaved, wasi};
use crate::config::{Limits, Module as ModuleName};
use crate::digest::Digest;
use crate::trust::TrustError;

/// Why a guest can't be put into a slot. Each is one line.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// There is no such module, or it may not be used.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The component is not a guest.
    #[error("{module}: {source}")]
    Shape {
        /// The module.
        module: String,
        /// Why.
        source: ShapeError,
    },
    /// It can't be compiled.
    #[error("{module}: {source}")]
    Compile {
        /// The module.
        module: String,
        /// Why.
        source: CompileError,
    },
    /// It wants an import that isn't granted, or one of another type.
    #[error("{module}: {message}; grant it in `grants`, or build it against this contract")]
    Link {
        /// The module.
        module: String,
        /// What doesn't fit.
        message: String,
    },
    /// It broke while it was being prepared.
    #[error("{module}: fault in {during}: {fault}")]
    Fault {
        /// The module.
        module: String,
        /// Which call it was.
        during: &'static str,
        /// What happened.
        fault: Box<Fault>,
    },
    /// Its `init` refused the settings.
    #[error("{module}: its settings: {message}")]
    Init {
        /// The module.
        module: String,
        /// What the guest says.
        message: String,
    },
    /// It is to watch another guest, and isn't one like it.
    #[error("{module} can't watch: {message}")]
    Watches {
        /// The module.
        module: String,
        /// What differs.
        message: String,
    },
    /// Its `init` wants what there isn't.
    #[error("{module}: its self-test: {message}")]
    SelfTest {
        /// The module.
        module: String,
        /// What the guest says.
        message: String,
    },
}

impl PrepareError {
    /// The key of the slot's config that says what is wrong here.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Link { .. } => "grants",
            Self::Init { .. } => "settings",
            Self::Module(ModuleError::PinMismatch { .. }) => "sha256",
            Self::Module(ModuleError::Trust(error))
                if matches!(**error, TrustError::NotAsked { .. }) =>
            {
                "signed_by"
            }
            Self::Module(_)
            | Self::Shape { .. }
            | Self::Compile { .. }
            | Self::Fault { .. }
            | Self::Watches { .. }
            | Self::SelfTest { .. } => "module",
        }
    }
}

/// A guest that is ready to be asked, and what makes another one like it.
pub struct Prepared {
    mould: Mould,
    /// The first instance; it has answered `init` and `self-test`.
    pub instance: Instance,
    /// What it wants.
    pub wants: Wants,
    /// Its world.
    pub world: World,
    /// The digest of its module.
    pub digest: Digest,
    /// Which key of the config has signed it.
    pub signed_by: Option<String>,
    /// The module as the config names it.
    pub module: String,
    /// The guest's own name and version.
    pub description: (String, String),
    /// What was asked for: of the same module, settings, grants and limits it is the same.
    pub asked: Digest,
    /// The module as it was read, and its signature; none of one that is built in.
    pub original: Option<Original>,
}

/// A module's bytes, and the signature that lay beside them.
#[derive(Clone, Debug)]
pub struct Original {
    /// The component.
    pub bytes: Arc<[u8]>,
    /// The signature, where there was one.
    pub signature: Option<Arc<[u8]>>,
}

/// Makes fresh instances of a prepared guest.
pub struct Source {
    mould: Mould,
}

impl Source {
    /// A fresh instance that has answered `init`.
    ///
    /// # Errors
    /// If the guest breaks on the way, or refuses the settings that it took before.
    pub fn instance(&self) -> Result<Instance, Fault> {
        self.mould.instance()
    }

    /// The same, to try something with: what it logs is not told.
    ///
    /// # Errors
    /// As [`Source::instance`].
    pub fn silent_instance(&self) -> Result<Instance, Fault> {
        self.mould.silent_instance()
    }

    /// Makes the writes of an instance's last call, which ended in an answer; gives what it
    /// counted, by counter.
    pub fn commit<'a>(&self, instance: &'a mut Instance) -> &'a [u64] {
        instance.commit()
    }

    /// From now on what the slot's guests write is on probation.
    pub fn begin_probation(&self) {
        self.mould.store.begin_probation();
    }

    /// What of the slot's confirmed state changed since the last time.
    #[must_use]
    pub fn take_unsaved(&self) -> Unsaved {
        self.mould.store.take_unsaved()
    }

    /// Saving failed: the next time has them too.
    pub fn not_saved(&self, unsaved: Unsaved) {
        self.mould.store.not_saved(unsaved.into_keys());
    }

    /// The guest's settings, as JSON.
    #[must_use]
    pub fn settings(&self) -> &str {
        &self.mould.settings
    }

    /// What was written on probation is the slot's state.
    pub fn confirm(&self) {
        self.mould.store.confirm();
    }

    /// What was written on probation is gone.
    pub fn roll_back(&self) {
        self.mould.store.roll_back();
    }

    /// What the guest may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.mould.limits
    }

    /// Log lines that passed, and lines that were dropped.
    #[must_use]
    pub fn log_counts(&self) -> (u64, u64) {
        self.mould.log.counts()
    }
}

impl Prepared {
    /// Another instance of it, to try something with: what it logs is not told.
    ///
    /// # Errors
    /// As [`Source::instance`].
    pub fn silent_instance(&self) -> Result<Instance, Fault> {
        self.mould.silent_instance()
    }

    /// Apart into the first instance and what makes more of them.
    #[must_use]
    pub fn split(self) -> (Instance, Source) {
        (self.instance, Source { mould: self.mould })
    }
}

impl Sandbox {
    /// From an order to a guest that is ready: read, checked, compiled, linked, initialised and
    /// self-tested. Takes as long as compiling takes; nothing that runs is touched.
    ///
    /// # Errors
    /// If any step fails; the error is one line that says what would be right.
    pub fn prepare(&self, order: &GuestOrder) -> Result<Prepared, PrepareError> {
        let demand = Demand {
            sha256: order.sha256.as_ref(),
            trust: &order.trust,
            signed_by: &order.signed_by,
        };
        let bytes_max = order.limits.component_bytes_max;
        let module = self
            .folders
            .read(&order.module.to_string(), bytes_max, &demand)?;
        self.prepare_module(order, &module)
    }

    /// As [`Sandbox::prepare`], of a module that the caller has read: an author's own file.
    ///
    /// # Errors
    /// If any step fails; the error is one line that says what would be right.
    pub fn prepare_module(
        &self,
        order: &GuestOrder,
        module: &Module,
    ) -> Result<Prepared, PrepareError> {
        let (world, mould) = self.checked(order, module)?;
        let (instance, wants, description) = first_instance(&mould, &module.name)?;
        let is_built_in = matches!(order.module, ModuleName::BuiltIn(_));
        Ok(Prepared {
            asked: order.asked(&module.digest),
            original: (!is_built_in).then(|| Original {
                bytes: Arc::clone(&module.bytes),
                signature: module.signature.clone(),
            }),
            world,
            digest: module.digest,
            signed_by: module.signed_by.clone(),
            module: module.name.clone(),
            instance,
            wants,
            description,
            mould,
        })
    }

    /// Who a guest says it is, name and version, without its `init`.
    ///
    /// # Errors
    /// If a step before `init` fails.
    pub fn describe(
        &self,
        order: &GuestOrder,
        module: &Module,
    ) -> Result<(String, String), PrepareError> {
        let (_, mould) = self.checked(order, module)?;
        let fault = |during| prepare_fault(&module.name, during);
        let mut instance = mould.instantiate().map_err(fault("instantiation"))?;
        instance.describe().map_err(fault("describe"))
    }

    /// All that comes before the first instance.
    fn checked(&self, order: &GuestOrder, module: &Module) -> Result<(World, Mould), PrepareError> {
        let name = module.name.clone();
        let shape =
            inspect_component::inspect(&module.bytes).map_err(|source| PrepareError::Shape {
                module: name.clone(),
                source,
            })?;
        let component = self
            .cache
            .load_or_compile(&self.engine, module, &self.compiler)
            .map_err(|source| PrepareError::Compile {
                module: name.clone(),
                source,
            })?;
        let mould = self.mould(order, &shape, module, &component)?;
        Ok((shape.world, mould))
    }

    fn mould(
        &self,
        order: &GuestOrder,
        shape: &Shape,
        module: &Module,
        component: &Component,
    ) -> Result<Mould, PrepareError> {
        let link = |error: wasmtime::Error| PrepareError::Link {
            module: module.name.clone(),
            message: words(&format!("{error:#}")),
        };
        let mut linker = Linker::new(&self.engine);
        let limits = Armed::new(order.limits.clone());
        #[cfg(feature = "limits-off")]
        let limits = limits.without(&order.limits_off);
        host::add_to_linker(&mut linker, &order.grants).map_err(link)?;
        wasi::add_to_linker(&mut linker, limits.holds(Limit::WouldBlock)).map_err(link)?;
        let pre = linker.instantiate_pre(component).map_err(link)?;
        let ticker = self.ticker.handle().ok_or_else(|| PrepareError::Link {
            module: module.name.clone(),
            message: "the sandbox is shutting down".to_owned(),
        })?;
        Ok(Mould {
            world: shape.world,
            besides: shape.besides,
            pre,
            log: Arc::new(LogGate::new(&order.slot, &limits)),
            limits: Arc::new(limits),
            settings: order.settings.clone(),
            seed: seed_of(&module.digest),
            store: Arc::clone(&order.keepsake.store),
            inspect: order.inspect.clone(),
            budget: Arc::clone(&self.budget),
            ticker,
        })
    }
}

/// The seed of a guest's randomness: the same for the same module.
fn seed_of(digest: &Digest) -> u64 {
    let bytes = digest.0.first_chunk::<8>().copied().unwrap_or_default();
    u64::from_le_bytes(bytes)
}

fn prepare_fault(module: &str, during: &'static str) -> impl FnOnce(Fault) -> PrepareError {
    move |fault| PrepareError::Fault {
        module: module.to_owned(),
        during,
        fault: Box::new(fault),
    }
}

fn first_instance(
    mould: &Mould,
    module: &str,
) -> Result<(Instance, Wants, (String, String)), PrepareError> {
    let fault = |during| prepare_fault(module, during);
    let mut instance = mould.instantiate().map_err(fault("instantiation"))?;
    let description = instance.describe().map_err(fault("describe"))?;
    let wants = instance
        .init(&mould.settings)
        .map_err(fault("init"))?
        .map_err(|message| PrepareError::Init {
            module: module.to_owned(),
            message,
        })?;
    instance
        .self_test()
        .map_err(fault("self-test"))?
        .map_err(|message| PrepareError::SelfTest {
            module: module.to_owned(),
            message,
        })?;
    Ok((instance, wants, description))
}
