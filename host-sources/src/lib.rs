//! Sources: what reads the machine. Alone in the house, this crate reads the host for data.
//!
//! It judges nothing: it holds no rule, and knows no process, file or path by name. Where rows go
//! and who looks at them is the business of `weir-bus` and the runtime.
//!
//! - [`source`]: what a source is, and what it is given;
//! - [`emitter`]: how it hands over rows;
//! - [`registry`]: which sources there are, and which this host can't offer;
//! - [`supervisor`]: runs each on a thread of its own, so that it harms only itself;
//! - [`process`]: the portable process source;
//! - `filesystem`: what happens to files, on Linux;
//! - `network`: all sockets, on Linux;
//! - [`replay`]: recordings as a source;
//! - [`triggerable`]: sources that answer when asked;
//! - [`latest`]: the latest table of processes;
//! - [`own_cost`]: what this process itself uses.

pub mod emitter;
#[cfg(target_os = "linux")]
pub mod filesystem;
pub mod latest;
#[cfg(target_os = "linux")]
pub(crate) mod netlink;
#[cfg(target_os = "linux")]
pub mod network;
pub mod own_cost;
#[cfg(target_os = "linux")]
pub(crate) mod privileges;
pub mod process;
pub mod registry;
pub mod replay;
pub mod source;
pub mod supervisor;
pub mod triggerable;

pub use emitter::Emitter;
#[cfg(target_os = "linux")]
pub use filesystem::{FilesystemOptions, FilesystemSource};
pub use latest::{ProcessTable, TableStatistics};
#[cfg(target_os = "linux")]
pub use network::NetworkSource;
pub use own_cost::OwnCost;
pub use process::ProcessSource;
pub use registry::{Registry, RegistryError, Unavailable};
pub use replay::{ReplayError, ReplayPace, ReplaySource};
pub use source::{ContextHandle, EventSource, SourceContext, SourceError, SourceHealth};
pub use supervisor::{
    RestartLimits, SourceState, SourceStatus, Stopped, Supervisor, SupervisorOptions,
};
pub use triggerable::{
    About, Answer, AnswerError, BinaryHash, BinaryHashOptions, ProcessDetails, Triggerable,
};
