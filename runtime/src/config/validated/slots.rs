//! `[slots.<name>]`: which guest runs in a place, with what, and what becomes of what it can't decide.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::limits::Limits;
use super::super::names::Module;
use super::super::units::duration_as_text;
use crate::digest::Digest;

/// `[slots.<name>]`: a guest, and what it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotSettings {
    /// What runs.
    pub module: Module,
    /// Filters run in this order, then by name.
    pub order: u32,
    /// What the guest gets as its config: always an object.
    pub settings: serde_json::Value,
    /// What the guest may import.
    pub grants: BTreeSet<Grant>,
    /// What happens to rows without a verdict.
    pub on_fault: OnFault,
    /// For a stage: the trigger slots that it listens to; empty: all.
    pub triggers: BTreeSet<String>,
    /// The digest that the module must have.
    #[serde(default)]
    pub sha256: Option<Digest>,
    /// The names in [`TrustSettings::keys`](super::TrustSettings::keys) of which one must have signed the module; empty: any.
    pub signed_by: BTreeSet<String>,
    /// What happens to memory that a guest which takes over can't restore.
    pub state: OnState,
    /// What watches the guest.
    #[serde(default)]
    pub shadow: Option<Module>,
    /// Batches that may wait for the guest.
    pub queue_batches_max: usize,
    /// Bytes that these may keep alive.
    pub queue_bytes_max: usize,
    /// What happens when the queue is full.
    pub queue_policy: SlotQueuePolicy,
    /// How long a batch waits for room, with [`SlotQueuePolicy::Block`].
    #[serde(with = "duration_as_text")]
    pub block_deadline: Duration,
    /// What the guest may use.
    pub limits: Limits,
}

/// What a guest may import beyond its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Lines in the log.
    Log,
    /// A store of keys and values.
    State,
    /// Counters.
    Metrics,
    /// Questions about processes.
    Inspect,
}

/// What happens to rows that got no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFault {
    /// They go on.
    Pass,
    /// They are dropped, counted.
    Drop,
    /// They are dropped, counted, and kept among the dead letters.
    DeadLetter,
}

/// What happens when a guest that takes over can't restore what the one before has in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnState {
    /// It is refused.
    Keep,
    /// It begins without.
    Reset,
}

/// What happens when a slot's queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotQueuePolicy {
    /// The oldest batch goes.
    DropOldest,
    /// The newest batch goes.
    DropNewest,
    /// Who publishes waits, up to [`SlotSettings::block_deadline`].
    Block,
}
