//! The sandbox: guests behind enforced limits. Alone knows wasmtime.
//!
//! Inside out: `engine` and its ticks; `host` and `wasi`, which are all that a guest can
//! reach; `instance`, a guest in its store and calls into it; `module`, `inspect_component`,
//! `compile` and `cache`, the way from a file to machine code; and here the one door:
//! [`Sandbox::prepare`] turns an order for a slot into a guest that is ready to be asked.

mod answer;
mod bindings;
mod cache;
mod call;
mod compile;
mod cpu_clock;
mod engine;
mod fault;
#[cfg(test)]
mod fuzzing;
mod host;
mod inspect_component;
mod instance;
mod limits;
mod module;
mod mould;
mod patience;
mod prepare;
mod wants;
mod wasi;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::Engine;

pub use answer::{
    Cause, Explanation, Finding, Firing, Outcome, Severity, Step, Undecided, Verdicts,
};
pub(crate) use cache::folder;
pub use cache::{Cache, CacheError};
pub use compile::{
    COMPILE_VERB, CompileError, CompileLimits, Compiler, CompilerProgram, compile_child_main,
};
pub(crate) use cpu_clock::cpu_with_others;
pub use engine::EPOCH_TICK;
pub use fault::{Fault, FaultReason};
pub use host::{Inspect, Looked};
pub use inspect_component::{Besides, Interfaces, Shape, ShapeError, World};
pub use instance::{Cost, Instance, Memory};
pub use limits::Limit;
pub use module::{BUILTIN_RULES, DEFAULT_CONFIG, Demand, Module, ModuleError, ModuleFolders};
pub(crate) use patience::lower as lower_priority;

use crate::digest::Digest;
pub use prepare::{Original, PrepareError, Prepared, Source};
pub use wants::{Rule, Wants};

use engine::{THREAD_STACK_BYTES, Ticker};
use host::StateStore;
pub use host::Unsaved;
use limits::MemoryBudget;

use crate::config::{Grant, Limits, Module as ModuleName};
use crate::trust::Trust;

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
    /// Whom to trust with modules.
    pub trust: Arc<Trust>,
    /// Which of the keys must have signed the module; empty: any.
    pub signed_by: BTreeSet<String>,
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
            trust: Arc::default(),
            signed_by: BTreeSet::new(),
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

impl GuestOrder {
    /// What is asked for with a module of that digest, as a number.
    fn asked(&self, module: &Digest) -> Digest {
        let limits = serde_json::to_string(&self.limits).unwrap_or_default();
        let Self {
            module: name,
            settings,
            grants,
            ..
        } = self;
        let text = format!("{name}\n{module}\n{settings}\n{grants:?}\n{limits}");
        Digest::of(text.as_bytes())
    }
}

/// What outlives the instances of a slot: its state and its place at the log's gate.
#[derive(Clone, Default)]
pub struct Keepsake {
    store: Arc<StateStore>,
}

impl Keepsake {
    /// What an earlier run saved becomes the state.
    pub fn load(&self, values: BTreeMap<String, Arc<[u8]>>) {
        self.store.load(values);
    }

    /// A copy that only its own guest writes to.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            store: Arc::new(self.store.fork()),
        }
    }

    /// How many keys and bytes of state there are.
    #[must_use]
    pub fn state_size(&self) -> (usize, usize) {
        self.store.size()
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
                patience::of_a_slot();
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
