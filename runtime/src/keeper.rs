//! What slots have is kept on disk: each one's confirmed generation, its memory and its state.
//!
//! Off the slots' threads, and of no consequence to them: a disk that fails costs what a restart would have found,
//! and is told. The invariant is the store's: a generation and what goes with it are written in one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::slot::{Kept, SlotHandle};
use crate::store::{self, Confirmed, Store};

/// How often what slots have is written, if nothing happens to their guests: what a kill at any moment forgets.
pub(crate) const SAVE_EVERY: Duration = Duration::from_secs(15);

/// Keeps what slots have.
pub(crate) struct Keeper {
    store: Store,
    saved: Mutex<Saved>,
}

#[derive(Default)]
struct Saved {
    slots: BTreeMap<String, Confirmed>,
    /// The last time failed: it is told once.
    fails: bool,
}

impl Keeper {
    /// A keeper with its store in that folder. Where there can be none, nothing is kept, and that is told.
    pub(crate) fn open(folder: &Path) -> Option<Arc<Self>> {
        match Store::open(folder) {
            Ok(store) => Some(Arc::new(Self {
                store,
                saved: Mutex::default(),
            })),
            Err(error) => {
                tracing::warn!(%error, "what slots have is not kept across a restart");
                None
            }
        }
    }

    /// What a slot has from an earlier run.
    pub(crate) fn found(&self, slot: &str) -> store::Kept {
        self.store.kept(slot).unwrap_or_else(|error| {
            tracing::warn!(slot, %error, "the slot begins anew");
            store::Kept::default()
        })
    }

    /// The bytes of a confirmed module.
    pub(crate) fn module(&self, confirmed: &Confirmed) -> Option<Vec<u8>> {
        match self.store.module(&confirmed.digest) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, "a module that is kept can't be read");
                None
            }
        }
    }

    /// Writes what has changed. Waits for the disk.
    pub(crate) fn save(&self, slots: &BTreeMap<String, Arc<dyn SlotHandle>>) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, slot) in slots {
            let Some(kept) = slot.kept() else {
                continue;
            };
            let confirmed = confirmed(&kept);
            let before = saved.slots.get(name);
            if kept.unsaved.is_empty() && before == Some(&confirmed) {
                continue;
            }
            let is_new = before.is_none_or(|before| before.digest != confirmed.digest);
            let original = kept.original.as_ref().filter(|_| is_new);
            let module = original.map(|original| &original.bytes[..]);
            match self.store.save(name, &confirmed, module, &kept.unsaved) {
                Ok(()) => {
                    saved.slots.insert(name.clone(), confirmed);
                    saved.fails = false;
                }
                Err(error) => {
                    if !std::mem::replace(&mut saved.fails, true) {
                        tracing::warn!(slot = name, %error, "what slots have can't be kept");
                    }
                    slot.not_kept(kept.unsaved);
                }
            }
        }
    }
}

fn confirmed(kept: &Kept) -> Confirmed {
    let signature = kept
        .original
        .as_ref()
        .and_then(|original| original.signature.as_deref());
    Confirmed {
        number: kept.generation,
        module: kept.module.clone(),
        digest: kept.digest,
        settings: kept.settings.clone(),
        signature: signature.map(<[u8]>::to_vec),
        asked: kept.asked,
        memory: kept
            .memory
            .as_ref()
            .map(|memory| (memory.version(), memory.bytes().to_vec())),
    }
}
