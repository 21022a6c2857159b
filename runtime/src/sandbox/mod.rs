//! The sandbox: guests behind enforced limits. Alone knows wasmtime.
//!
//! Inside out: `engine` and its ticks; `host` and `wasi`, which are all that a guest can
//! reach; `instance`, a guest in its store and calls into it; `module`, `inspect_component`,
//! `compile` and `cache`, the way from a file to machine code; and here the one door:
//! [`Sandbox::prepare`] turns an order for a slot into a guest that is ready to be asked.

mod answer;
mod bindings;
mod cache;
mod compile;
mod cpu_clock;
mod engine;
mod fault;
mod host;
mod inspect_component;
mod instance;
mod limits;
mod module;
mod wants;
mod wasi;

use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::Linker;

pub use answer::{Cause, Finding, Firing, Outcome, Severity, Undecided, Verdicts};
pub use cache::{Cache, CacheError};
pub use compile::{
    COMPILE_VERB, CompileError, CompileLimits, Compiler, CompilerProgram, compile_child_main,
};
pub(crate) use cpu_clock::thread_cpu;
pub use engine::EPOCH_TICK;
pub use fault::{Fault, FaultReason};
pub use host::Inspect;
pub use inspect_component::{Interfaces, Shape, ShapeError, World};
pub use instance::{Cost, Instance, Memory};
pub use limits::Limit;
pub use module::{DEFAULT_CONFIG, Module, ModuleError, ModuleFolders};

use crate::digest::Digest;
pub use wants::{Rule, Wants};

use engine::{THREAD_STACK_BYTES, Ticker};
use host::{LogGate, StateStore};
use instance::Mould;
use limits::{Armed, MemoryBudget};

use crate::config::{Grant, Limits, Module as ModuleName};

/// What a sandbox is made of.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// Folders that modules may come from.
    pub guest_folders: Vec<PathBuf>,
    /// Where compiled code is kept.
    pub cache_folder: PathBuf,
    /// Where the digests of compiled code are kept.
    pub state_folder: PathBuf,
    /// Linear memory of all guests together, in bytes.
    pub guests_memory_bytes_max: usize,
    /// The child that compiles.
    pub compiler: Compiler,
}

/// An order for a slot's guest.
#[derive(Clone)]
pub struct GuestOrder {
    /// The slot's name.
    pub slot: String,
    /// A built-in guest, or a path in one of the guest folders.
    pub module: ModuleName,
    /// What the module's SHA-256 must be.
    pub sha256: Option<Digest>,
    /// The guest's settings, a JSON object.
    pub settings: String,
    /// Imports granted by name.
    pub grants: Vec<Grant>,
    /// What it may use.
    pub limits: Limits,
    /// Which checks a test switches off.
    #[cfg(feature = "limits-off")]
    pub limits_off: Vec<Limit>,
    /// Where its questions about processes are answered.
    pub inspect: Option<Arc<dyn Inspect>>,
    /// What it keeps from its predecessor in the slot.
    pub keepsake: Keepsake,
}

impl Default for GuestOrder {
    /// No module yet, no settings, the log granted, the limits that a config gives by itself.
    fn default() -> Self {
        Self {
            slot: String::new(),
            module: ModuleName::from(String::new()),
            sha256: None,
            settings: "{}".to_owned(),
            grants: vec![Grant::Log],
            limits: Limits::default(),
            #[cfg(feature = "limits-off")]
            limits_off: Vec::new(),
            inspect: None,
            keepsake: Keepsake::default(),
        }
    }
}

/// What outlives the instances of a slot: its state and its place at the log's gate.
#[derive(Clone, Default)]
pub struct Keepsake {
    store: Arc<StateStore>,
}

impl Keepsake {
    /// How many keys and bytes of state there are.
    #[must_use]
    pub fn state_size(&self) -> (usize, usize) {
        self.store.size()
    }
}

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
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Link { .. } => "grants",
            Self::Init { .. } => "settings",
            Self::Module(_)
            | Self::Shape { .. }
            | Self::Compile { .. }
            | Self::Fault { .. }
            | Self::SelfTest { .. } => "module",
        }
    }
}

/// Where all guests run.
pub struct Sandbox {
    engine: Engine,
    ticker: Ticker,
    budget: Arc<MemoryBudget>,
    folders: ModuleFolders,
    cache: Cache,
    compiler: Compiler,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine doesn't work on this machine.
    #[error("the WebAssembly engine: {0}")]
    Engine(String),
    /// A thread can't be started.
    #[error("the epoch thread: {0}")]
    Thread(std::io::Error),
    /// A folder for modules can't be used.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The folder for compiled code can't be trusted.
    #[error(transparent)]
    Cache(#[from] CacheError),
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
    /// The module as the config names it.
    pub module: String,
    /// The guest's own name and version.
    pub description: (String, String),
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
        let mut instance = self.mould.instantiate()?;
        match instance.init(&self.mould.settings)? {
            Ok(_) => Ok(instance),
            Err(message) => Err(Fault::of(FaultReason::Fatal, message)),
        }
    }

    /// Makes the writes of an instance's last call, which ended in an answer; gives what it
    /// counted, by counter.
    pub fn commit<'a>(&self, instance: &'a mut Instance) -> &'a [u64] {
        instance.commit()
    }

    /// Log lines that passed, and lines that were dropped.
    #[must_use]
    pub fn log_counts(&self) -> (u64, u64) {
        self.mould.log.counts()
    }
}

impl Prepared {
    /// Apart into the first instance and what makes more of them.
    #[must_use]
    pub fn split(self) -> (Instance, Source) {
        (self.instance, Source { mould: self.mould })
    }
}

impl Sandbox {
    /// A sandbox with its engine, its ticker and its cache.
    ///
    /// # Errors
    /// If the engine doesn't start, or a folder can't be trusted.
    pub fn new(options: SandboxOptions) -> Result<Self, SandboxError> {
        let engine = Engine::new(&engine::engine_config())
            .map_err(|error| SandboxError::Engine(error.to_string()))?;
        Ok(Self {
            ticker: Ticker::start(&engine).map_err(SandboxError::Thread)?,
            budget: Arc::new(MemoryBudget::new(options.guests_memory_bytes_max)),
            folders: ModuleFolders::open(&options.guest_folders)?,
            cache: Cache::open(&options.cache_folder, &options.state_folder)?,
            compiler: options.compiler,
            engine,
        })
    }

    /// From an order to a guest that is ready: read, checked, compiled, linked, initialised and
    /// self-tested. Takes as long as compiling takes; nothing that runs is touched.
    ///
    /// # Errors
    /// If any step fails; the error is one line that says what would be right.
    pub fn prepare(&self, order: &GuestOrder) -> Result<Prepared, PrepareError> {
        let module = self.folders.read(
            &order.module.to_string(),
            order.limits.component_bytes_max,
            order.sha256.as_ref(),
        )?;
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
        Ok(Prepared {
            world,
            digest: module.digest,
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
        component: &wasmtime::component::Component,
    ) -> Result<Mould, PrepareError> {
        let link = |error: wasmtime::Error| PrepareError::Link {
            module: module.name.clone(),
            message: format!("{error:#}"),
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
            snapshots: shape.snapshots,
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

    /// Runs a slot's thread, with the stack that guests need.
    ///
    /// # Errors
    /// If the system refuses the thread.
    pub fn spawn(
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new()
            .name(name)
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || {
                // wasmtime-wasi's synchronous streams want a runtime around them, or make one of
                // many threads for themselves. This one has no thread and no timer.
                // Where a test lets guests wait, wasmtime-wasi's own runtime has the timer for it.
                if cfg!(feature = "limits-off") {
                    body();
                } else if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() {
                    let _entered = runtime.enter();
                    body();
                }
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
