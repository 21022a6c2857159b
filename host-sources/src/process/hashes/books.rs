//! What is known of digests: by file, and which was the first at each path.
//!
//! The keys are chosen by whoever writes programs to the disk, hence the hash that nobody can choose
//! collisions for. The invariant: both tables are bounded, and the oldest goes first; with a path's entry goes the
//! memory of what was first there, and what is seen next is the first again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Digests, Whereabouts};
use crate::triggerable::binary_hash::hex;
use crate::triggerable::binary_hash::read::{Identity, Sha256Digest};

/// Files whose digests are remembered: four times what a large server runs.
const FILES_MAX: usize = 16_384;
/// Paths of which is remembered what was first there.
const PATHS_MAX: usize = 65_536;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Its digest comes.
    Waiting,
    /// Its digest.
    Told(Sha256Digest),
    /// It can't be read.
    Never,
}

/// All of it.
#[derive(Default)]
pub(super) struct Books {
    files: HashMap<Identity, Entry>,
    files_order: VecDeque<Identity>,
    baselines: HashMap<Arc<str>, Sha256Digest>,
    baselines_order: VecDeque<Arc<str>>,
}

/// What a path is remembered by: a container has paths of its own.
pub(super) fn place_of(at: Whereabouts<'_>) -> Arc<str> {
    match at.container {
        Some(container) => format!("{container}\0{}", at.path).into(),
        None => at.path.into(),
    }
}

impl Books {
    pub(super) fn entry(&self, identity: &Identity) -> Option<Entry> {
        self.files.get(identity).copied()
    }

    pub(super) fn set(&mut self, identity: Identity, entry: Entry) {
        if self.files.insert(identity, entry).is_some() {
            return;
        }
        self.files_order.push_back(identity);
        if self.files_order.len() > FILES_MAX
            && let Some(oldest) = self.files_order.pop_front()
        {
            self.files.remove(&oldest);
        }
    }

    pub(super) fn forget(&mut self, identity: &Identity) {
        self.files.remove(identity);
        // What isn't there any more is at the end, most likely.
        if let Some(at) = self.files_order.iter().rposition(|one| one == identity) {
            self.files_order.remove(at);
        }
    }

    /// The digest as rows tell it, with the first at its path, which it may be itself.
    pub(super) fn digests(&mut self, digest: &Sha256Digest, at: Whereabouts<'_>) -> Digests {
        let place = place_of(at);
        let baseline = match self.baselines.get(&place) {
            Some(first) => Some(*first),
            None if at.is_deleted => None,
            None => {
                self.first_at(place, digest);
                Some(*digest)
            }
        };
        Digests {
            sha256: hex(digest),
            baseline: baseline.map(|first| hex(&first)),
        }
    }

    /// Notes a digest as the first at a place, unless there was one.
    pub(super) fn first_at(&mut self, place: Arc<str>, digest: &Sha256Digest) {
        if self.baselines.contains_key(&place) {
            return;
        }
        self.baselines.insert(Arc::clone(&place), *digest);
        self.baselines_order.push_back(place);
        if self.baselines_order.len() > PATHS_MAX
            && let Some(oldest) = self.baselines_order.pop_front()
        {
            self.baselines.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Whereabouts<'_> {
        Whereabouts {
            path,
            container: None,
            is_deleted: false,
        }
    }

    #[test]
    fn the_first_digest_at_a_path_is_its_baseline_and_containers_have_their_own() {
        let mut books = Books::default();
        let mut check = |byte, at: Whereabouts<'_>, baseline: Option<u8>| {
            let told = books.digests(&[byte; 32], at);
            assert_eq!(told.sha256, hex(&[byte; 32]));
            assert_eq!(told.baseline, baseline.map(|byte| hex(&[byte; 32])));
        };
        let deleted = |path| Whereabouts {
            is_deleted: true,
            ..at(path)
        };
        let contained = |path| Whereabouts {
            container: Some("c"),
            ..at(path)
        };
        check(9, deleted("/x"), None);
        check(1, at("/x"), Some(1));
        check(2, at("/x"), Some(1));
        check(9, deleted("/x"), Some(1));
        check(3, contained("/x"), Some(3));
        check(2, at("/y"), Some(2));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_is_forgotten() {
        let mut books = Books::default();
        for number in 0..=PATHS_MAX {
            books.first_at(number.to_string().into(), &[1; 32]);
        }
        assert_eq!(books.baselines.len(), PATHS_MAX);
        assert_eq!(books.baselines_order.len(), PATHS_MAX);
        assert_eq!(
            books.digests(&[2; 32], at("1")).baseline,
            Some(hex(&[1; 32]))
        );
        assert_eq!(
            books.digests(&[2; 32], at("0")).baseline,
            Some(hex(&[2; 32]))
        );

        let own = std::fs::metadata("/proc/self/exe").unwrap();
        let mut identity = Identity::of(&own);
        for bytes in 0..=FILES_MAX as u64 {
            identity.bytes = bytes;
            books.set(identity, Entry::Waiting);
            books.set(identity, Entry::Never);
        }
        assert_eq!(books.files.len(), FILES_MAX);
        assert_eq!(books.entry(&identity), Some(Entry::Never));
        books.forget(&identity);
        assert_eq!(books.entry(&identity), None);
        assert_eq!(books.files_order.len(), FILES_MAX - 1);
        identity.bytes = 0;
        assert_eq!(books.entry(&identity), None);
    }
}
