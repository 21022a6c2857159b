//! Chains: what works on trigger requests. A chain is a directed acyclic graph of stages, each done by a slot's guest or by
//! a source that answers requests.
//!
//! Everything that works on a request is a run of a plan ([`plan`]): of the chain that is the request's target, of
//! one stage for a source, of one stage for each slot that takes requests by itself ([`plans`]). A run is a state
//! machine without a clock ([`run`]); one thread moves all of them ([`runner`]), and hands tasks to workers
//! ([`task`], [`pool`]). It admits nothing: who may ask for what is the trigger manager's.

mod findings;
mod mailbox;
pub mod plan;
pub mod plans;
pub mod pool;
pub mod run;
pub mod runner;
mod runs;
mod sources;
mod status;
pub mod task;
#[cfg(test)]
mod testing;

pub(crate) use sources::source_worker;
pub use status::{ChainsStatus, RunCounts, RunStatus, StageStatus};
