//! Many patterns at once: a trie, and a cache of what it answered.
//!
//! It doesn't know what a subscriber is: it finds values of `T`, each once however many of its patterns
//! match, in the order of `T`. The invariant: an answer in the cache is the trie's answer; every change of
//! the trie empties the cache.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustc_hash::FxHashMap;

use super::{PatternToken, Topic, TopicPattern};

/// Topics whose answer can be read without a lock. A daemon uses a few dozen; 256 slots are 14 KiB.
const FAST_TOPICS_MAX: usize = 256;

/// How many neighbouring slots a topic tries before it goes to the overflow table.
const FAST_PROBES_MAX: usize = 4;

/// Topics in the overflow table, which a flood of invented topics empties and nothing else: 1,024 answers
/// are some 100 KiB.
const OVERFLOW_TOPICS_MAX: usize = 1_024;

/// Which values' patterns match a topic. Reading takes `&self` and no lock for the first topics seen.
#[derive(Debug)]
pub struct TopicMatcher<T> {
    root: Node<T>,
    fast: Box<[OnceLock<Cached<T>>]>,
    overflow: Mutex<FxHashMap<Topic, Arc<[T]>>>,
}

#[derive(Debug)]
struct Cached<T> {
    topic: Topic,
    values: Arc<[T]>,
}

#[derive(Debug)]
struct Node<T> {
    literal: BTreeMap<Box<str>, Node<T>>,
    any_one: Option<Box<Node<T>>>,
    /// Patterns that end here.
    here: Vec<T>,
    /// Patterns that end here in `>`.
    rest: Vec<T>,
}

/// An answer: the values whose patterns match, in their order, each once.
#[derive(Debug)]
pub enum Matched<'a, T> {
    /// Borrowed from the matcher.
    Cached(&'a [T]),
    /// Shared with the overflow table.
    Shared(Arc<[T]>),
}

impl<T> Deref for Matched<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Cached(values) => values,
            Self::Shared(values) => values,
        }
    }
}

impl<T: Clone + Ord> TopicMatcher<T> {
    /// A matcher without patterns.
    pub fn new() -> Self {
        Self {
            root: Node::new(),
            fast: empty_cache(),
            overflow: Mutex::default(),
        }
    }

    /// Adds a pattern for `value`. The same pair again changes nothing.
    pub fn insert(&mut self, pattern: &TopicPattern, value: T) {
        self.forget();
        let mut node = &mut self.root;
        for token in pattern.tokens() {
            match token {
                PatternToken::Literal(text) => {
                    if !node.literal.contains_key(text) {
                        node.literal.insert(text.into(), Node::new());
                    }
                    match node.literal.get_mut(text) {
                        Some(child) => node = child,
                        None => return,
                    }
                }
                PatternToken::AnyOne => {
                    node = node.any_one.get_or_insert_with(|| Box::new(Node::new()));
                }
                PatternToken::Rest => {
                    add(&mut node.rest, value);
                    return;
                }
            }
        }
        add(&mut node.here, value);
    }

    /// Takes a pattern of `value` out; `false` where there is none. Branches that are left empty go too.
    pub fn remove(&mut self, pattern: &TopicPattern, value: &T) -> bool {
        self.forget();
        let tokens: Vec<_> = pattern.tokens().collect();
        self.root.remove(&tokens, value)
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// The values whose patterns match `topic`.
    #[inline]
    pub fn matches(&self, topic: &Topic) -> Matched<'_, T> {
        let start = topic.precomputed_hash();
        for probe in 0..FAST_PROBES_MAX as u64 {
            let Some(slot) = self.fast.get(fast_index(start.wrapping_add(probe))) else {
                break;
            };
            let cached = slot.get_or_init(|| Cached {
                topic: topic.clone(),
                values: self.find(topic).into(),
            });
            if cached.topic == *topic {
                return Matched::Cached(&cached.values);
            }
        }
        self.overflowing(topic)
    }

    fn overflowing(&self, topic: &Topic) -> Matched<'_, T> {
        let mut overflow = self.overflow.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(values) = overflow.get(topic) {
            return Matched::Shared(Arc::clone(values));
        }
        if overflow.len() >= OVERFLOW_TOPICS_MAX {
            overflow.clear();
        }
        let values: Arc<[T]> = self.find(topic).into();
        overflow.insert(topic.clone(), Arc::clone(&values));
        Matched::Shared(values)
    }

    /// The trie's answer, past the cache.
    fn find(&self, topic: &Topic) -> Vec<T> {
        let tokens: Vec<_> = topic.tokens().collect();
        let mut found = Vec::new();
        self.root.find(&tokens, &mut found);
        found.sort();
        found.dedup();
        found
    }

    fn forget(&mut self) {
        if self.fast.iter().any(|slot| slot.get().is_some()) {
            self.fast = empty_cache();
        }
        self.overflow
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl<T: Clone + Ord> Default for TopicMatcher<T> {
    fn default() -> Self {
        Self::new()
    }
}

fn empty_cache<T>() -> Box<[OnceLock<Cached<T>>]> {
    (0..FAST_TOPICS_MAX).map(|_| OnceLock::new()).collect()
}

/// The hash's high bits are its good ones.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the remainder is below FAST_TOPICS_MAX"
)]
#[inline]
fn fast_index(hash: u64) -> usize {
    (hash % FAST_TOPICS_MAX as u64) as usize
}

fn add<T: PartialEq>(values: &mut Vec<T>, value: T) {
    if !values.contains(&value) {
        values.push(value);
    }
}

fn take<T: PartialEq>(values: &mut Vec<T>, value: &T) -> bool {
    let before = values.len();
    values.retain(|other| other != value);
    values.len() < before
}

impl<T: Clone + PartialEq> Node<T> {
    fn new() -> Self {
        Self {
            literal: BTreeMap::new(),
            any_one: None,
            here: Vec::new(),
            rest: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.literal.is_empty()
            && self.any_one.is_none()
            && self.here.is_empty()
            && self.rest.is_empty()
    }

    /// As deep as a topic has tokens; at each token at most two branches, and never more nodes than there are.
    fn find(&self, tokens: &[&str], found: &mut Vec<T>) {
        let Some((first, others)) = tokens.split_first() else {
            found.extend_from_slice(&self.here);
            return;
        };
        found.extend_from_slice(&self.rest);
        if let Some(child) = self.literal.get(*first) {
            child.find(others, found);
        }
        if let Some(child) = &self.any_one {
            child.find(others, found);
        }
    }

    fn remove(&mut self, tokens: &[PatternToken<'_>], value: &T) -> bool {
        match tokens.split_first() {
            None => take(&mut self.here, value),
            Some((PatternToken::Rest, _)) => take(&mut self.rest, value),
            Some((PatternToken::AnyOne, others)) => {
                let Some(child) = &mut self.any_one else {
                    return false;
                };
                let removed = child.remove(others, value);
                if child.is_empty() {
                    self.any_one = None;
                }
                removed
            }
            Some((PatternToken::Literal(text), others)) => {
                let Some(child) = self.literal.get_mut(*text) else {
                    return false;
                };
                let removed = child.remove(others, value);
                if child.is_empty() {
                    self.literal.remove(*text);
                }
                removed
            }
        }
    }
}
