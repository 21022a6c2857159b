//! What the tests of the whole stand on: guests built from source, a pipeline of real parts that a
//! test feeds row by row, and the daemon itself as a process.
//!
//! No test is here: they are promises, in `tests/promises/`. Nothing here sleeps; whatever is waited
//! for has a deadline, and running into one is a failure that says what didn't come.

pub mod author;
pub mod broker;
pub mod build;
pub mod buses;
pub mod daemon;
pub mod feed;
pub mod logs;
pub mod repository;
pub mod rig;
pub mod rows;

pub use build::{hostile_guests, weir_binary};

use std::time::Duration;

/// How long anything is waited for that must come: far above what a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);
