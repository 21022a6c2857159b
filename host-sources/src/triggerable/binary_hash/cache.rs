//! Digests that are known, by the identity of what was read.
//!
//! Whoever writes files chooses most of an identity, hence the hash that nobody can choose collisions for.
//! The invariant: at most [`CACHE_ENTRIES_MAX`], and the oldest goes first.

use std::collections::{HashMap, VecDeque};

use super::read::{Identity, Sha256Digest};
use crate::triggerable::{CACHE_ENTRIES_MAX, CacheStatistics};

/// Digests that are known.
#[derive(Default)]
pub(super) struct Cache {
    digests: HashMap<Identity, Sha256Digest>,
    /// The identities, the oldest first.
    order: VecDeque<Identity>,
    hits: u64,
    misses: u64,
}

impl Cache {
    /// A digest, and whether it was there is counted.
    pub(super) fn get(&mut self, identity: &Identity) -> Option<Sha256Digest> {
        let found = self.digests.get(identity).copied();
        let count = match found {
            Some(_) => &mut self.hits,
            None => &mut self.misses,
        };
        *count = count.saturating_add(1);
        found
    }

    pub(super) fn insert(&mut self, identity: Identity, digest: Sha256Digest) {
        if self.digests.insert(identity, digest).is_some() {
            return;
        }
        self.order.push_back(identity);
        if self.order.len() > CACHE_ENTRIES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
    }

    pub(super) fn statistics(&self) -> CacheStatistics {
        CacheStatistics {
            entries: self.digests.len(),
            hits: self.hits,
            misses: self.misses,
        }
    }
}
