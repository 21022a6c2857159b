//! A bounded map that forgets what was not touched for longest.
//!
//! Two halves instead of a list through the entries: what is touched stands in the young half; when
//! that is full it becomes the old one, and what the old one held is forgotten. So an entry lives
//! for at least `entries_max / 2` touches of others, every operation is O(1), and what is forgotten
//! depends on nothing but the order of the calls.

use rustc_hash::FxHashMap;
use std::hash::Hash;

/// A map of at most `entries_max` entries.
#[derive(Clone, Debug)]
pub struct Recent<K, V> {
    young: FxHashMap<K, V>,
    old: FxHashMap<K, V>,
    half_max: usize,
}

impl<K: Hash + Eq + Copy, V> Recent<K, V> {
    /// A map of at most `entries_max` entries, rounded down to an even number, and at least two.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self {
            young: FxHashMap::default(),
            old: FxHashMap::default(),
            half_max: (entries_max / 2).max(1),
        }
    }

    /// The entry of a key, which counts as touching it.
    pub fn get(&mut self, key: K) -> Option<&mut V> {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key)?;
            self.insert(key, value);
        }
        self.young.get_mut(&key)
    }

    /// Puts an entry, in the place of the one that was there.
    pub fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half_max && !self.young.contains_key(&key) {
            // The old half's memory serves the new young one.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, value);
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        self.young.remove(&key).or_else(|| self.old.remove(&key))
    }

    /// The entries, those of the old half first: put in that order, they make the same map but for
    /// what was touched last.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.old.iter().chain(&self.young)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_stays_and_the_oldest_is_forgotten() {
        let mut recent = Recent::new(8);
        for key in 0..100 {
            recent.insert(key, key);
            assert!(recent.get(0).is_some(), "forgot 0 at {key}");
            assert!(recent.len() <= 8);
        }
        assert_eq!(recent.get(50), None);
        assert_eq!(recent.get(99).copied(), Some(99));
        assert_eq!(recent.remove(99), Some(99));
        assert_eq!(recent.remove(99), None);
        assert!(!recent.is_empty());
    }
}
