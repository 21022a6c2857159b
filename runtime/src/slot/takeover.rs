//! What it takes for a guest to take a slot over or to go back, and what is told and kept of it.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::oneshot;

use super::comparison::Comparison;
use crate::digest::Digest;
use crate::sandbox::{Memory, Original, Prepared, Source, Unsaved, Wants};

/// Tells a waiter how it ended, once it has.
pub(super) type Told<T> = oneshot::Sender<Result<T, String>>;

/// A guest that is to take over a slot.
pub struct Candidate {
    /// The guest.
    pub guest: Prepared,
    /// What its rehearsal showed.
    pub rehearsal: Option<Comparison>,
    /// Where it can't restore what the one before has in memory, it begins without; else it is refused.
    pub may_forget: bool,
    /// What it begins with where there is none before it.
    pub memory: Option<Memory>,
}

impl From<Prepared> for Candidate {
    /// Without a rehearsal, and refused where it can't restore.
    fn from(guest: Prepared) -> Self {
        Self {
            guest,
            rehearsal: None,
            may_forget: false,
            memory: None,
        }
    }
}

/// A guest on its way into force, and who waits for it.
pub(super) struct Proposed {
    pub(super) candidate: Candidate,
    pub(super) told: Option<Told<u64>>,
}

/// A guest that is, or was, in force, and all that makes another instance of it.
pub(super) struct InForce {
    pub(super) number: u64,
    pub(super) source: Arc<Source>,
    pub(super) digest: Digest,
    /// As it was named.
    pub(super) module: String,
    pub(super) wants: Wants,
    /// What it began with.
    pub(super) memory: Option<Memory>,
    /// What was asked for when it came, or when the one that was asked for went back.
    pub(super) asked: Digest,
    pub(super) original: Option<Original>,
}

/// What a slot has that outlives the process: its confirmed generation, and what has changed of its state.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The generation's number.
    pub generation: u64,
    /// Its module, as it was named.
    pub module: String,
    /// The module's digest.
    pub digest: Digest,
    /// The module as it was read; none of one that is built in.
    pub original: Option<Original>,
    /// The guest's settings, as JSON.
    pub settings: String,
    /// What was asked for when this was decided.
    pub asked: Digest,
    /// What the guest has in memory.
    pub memory: Option<Memory>,
    /// What of the state changed since it was asked for last.
    pub unsaved: Unsaved,
}

/// Tells how something ended that a slot was asked to do between two batches.
pub struct Switched<T = u64>(oneshot::Receiver<Result<T, String>>);

impl<T> Switched<T> {
    pub(super) fn pair() -> (Self, Told<T>) {
        let (told, switched) = oneshot::channel();
        (Self(switched), told)
    }

    /// How it ended: of a guest, the generation's number once it is in force.
    ///
    /// # Errors
    /// Why it isn't: it can't take over, the slot ended first, or another guest overtook it.
    pub async fn in_force(self) -> Result<T, String> {
        let told = self.0.await;
        told.unwrap_or_else(|_| Err("the slot ended, or another guest overtook it".to_owned()))
    }
}

/// Why a guest goes back.
#[derive(Clone, Debug)]
pub struct Back {
    /// For a person.
    pub why: String,
    /// It has been tried: what was asked for with it is not asked for anew by a config that says the same. Else it is as
    /// if it had never been asked for.
    pub is_tried: bool,
}

impl Back {
    /// It has been tried, and goes for that reason.
    #[must_use]
    pub fn tried(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            is_tried: true,
        }
    }
}

/// What happened to a slot's guest, to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SwapNotice {
    /// What.
    pub what: SwapEvent,
    /// The generation that is in force now.
    pub generation: u64,
    /// Its module, as it was named.
    pub module: String,
    /// Its digest.
    pub digest: String,
    /// The digest of the other: the one before, or the one that went back or was refused.
    pub other: String,
    /// How long no generation was there to evaluate, in microseconds.
    pub pause_us: u64,
    /// Batches that the one in force has not seen, as the other answered them.
    pub unseen: u64,
    /// Why, where there is a reason.
    pub reason: String,
    /// What the last batches showed before, of the two beside each other.
    pub rehearsal: Option<Comparison>,
}

/// What can happen to a slot's guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwapEvent {
    /// Another came into force, on probation.
    Swapped,
    /// It has proved itself.
    Confirmed,
    /// The one before is in force again.
    RolledBack,
    /// It could not take over: nothing has changed.
    Refused,
}

impl SwapEvent {
    /// The event's word, as in its topic.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::Confirmed => "confirmed",
            Self::RolledBack => "rolled-back",
            Self::Refused => "refused",
        }
    }
}
