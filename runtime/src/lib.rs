//! Weir: a runtime for host agents. Sources collect, a bus carries, and everything that decides is a
//! WebAssembly component behind enforced limits.
//!
//! The way in is [`pipeline`], which wires everything; [`sandbox`] is what it is all about. As a
//! library, begin with [`collector::Collector`].

pub mod authoring;
mod broker;
pub mod chain;
pub mod cli;
pub mod collector;
pub mod config;
mod daemon;
pub mod dead_letters;
pub mod digest;
pub mod guests;
mod heap;
mod hex;
mod ids;
mod keeper;
mod lane;
mod metrics;
pub mod pipeline;
mod printable;
mod regular_file;
pub mod rows;
pub mod sandbox;
pub mod sink;
pub mod slot;
pub mod sources;
pub mod store;
pub mod testing;
pub mod trigger;
pub mod trust;
pub mod turns;

pub use broker::IdentityError;
pub use collector::{Collector, CollectorConfig};
