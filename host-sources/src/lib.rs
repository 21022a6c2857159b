//! Sources: what reads the machine. Alone in the house, this crate reads the host for data.
//!
//! It judges nothing: it holds no rule, and knows no process, file or path by name. Where rows go
//! and who looks at them is the business of `weir-bus` and the runtime.
//!
//! - [`source`]: what a source is, and what it is given;
//! - [`emitter`]: how it hands over rows;
//! - [`registry`]: which sources there are, and which this host can't offer;
//! - [`schedule`]: when those run that look at intervals;
//! - [`supervisor`]: runs each on a thread of its own, so that it harms only itself;
//! - [`process`]: looks at all processes, and what happens to them in between;
//! - `filesystem`: what happens to files, on Linux;
//! - `network`: all sockets, on Linux;
//! - [`redaction`]: secrets in command lines, replaced before a row has them;
//! - [`replay`]: recordings as a source;
//! - [`triggerable`]: sources that answer when asked;
//! - [`tables`]: the latest table of each source that looks at intervals, and who gets it;
//! - [`performance`]: the load of the machine;
//! - [`inventory`]: what the machine consists of;
//! - [`latest`]: the latest table of processes;
//! - [`own_cost`]: what this process itself uses;
//! - [`tiers`](mod@tiers): the ways in which sources reach into the host, and why not the others.

#[cfg(target_os = "linux")]
pub(crate) mod ebpf;
pub mod emitter;
#[cfg(target_os = "linux")]
pub mod filesystem;
#[cfg(all(target_os = "linux", any(test, feature = "fuzzing")))]
pub mod fuzzing;
pub mod inventory;
#[cfg(target_os = "linux")]
pub(crate) mod kernel_files;
pub mod latest;
#[cfg(target_os = "linux")]
pub(crate) mod netlink;
#[cfg(target_os = "linux")]
pub mod network;
pub mod own_cost;
pub mod performance;
#[cfg(target_os = "linux")]
pub(crate) mod privileges;
pub mod process;
#[cfg(target_os = "linux")]
pub(crate) mod readable;
pub mod redaction;
pub mod registry;
pub mod replay;
pub mod schedule;
pub mod source;
pub mod supervisor;
pub mod tables;
#[cfg(test)]
pub(crate) mod testing;
pub mod tiers;
pub mod triggerable;

pub use emitter::Emitter;
#[cfg(target_os = "linux")]
pub use filesystem::{
    FilesystemMethod, FilesystemOptions, FilesystemOptionsError, FilesystemSource,
};
pub use inventory::InventorySource;
#[cfg(target_os = "linux")]
pub use kernel_files::Roots;
pub use latest::{ProcessTable, TableStatistics};
#[cfg(target_os = "linux")]
pub use network::NetworkSource;
pub use own_cost::OwnCost;
pub use performance::PerformanceSource;
pub use process::ProcessSource;
#[cfg(target_os = "linux")]
pub use process::{FeedName, ProcessEvents, TierName};
pub use redaction::{Redaction, RedactionError};
pub use registry::{Registry, RegistryError, Unavailable};
pub use replay::{ReplayError, ReplayPace, ReplaySource};
pub use schedule::{Asking, Schedule, ScheduleOptions, ScheduleStatus, Tier};
pub use source::{ContextHandle, EventSource, SourceContext, SourceError, SourceHealth};
pub use supervisor::{
    RestartLimits, SourceState, SourceStatus, Stopped, Supervisor, SupervisorOptions,
};
pub use tables::{SourceTable, SourceTables, TableStatus};
pub use tiers::{TierReport, tiers};
pub use triggerable::{
    About, Answer, AnswerError, BinaryHash, BinaryHashOptions, ProcessDetails, Triggerable,
};
