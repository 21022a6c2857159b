//! Thresholds: how many rows matched within a while, for each group of values.
//!
//! A group keeps the times of its last rows, at most as many as its threshold counts, in the order in
//! which they came. It fires when those are as many as the threshold counts and lie within its
//! window, and begins anew. A row with a wrong clock holds its group up for `count` rows, not for
//! ever; one that comes late counts all the same.
//!
//! Invariant: groups, and their bytes, stay within their limits; what was touched least lately is
//! forgotten first, and counted.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Bytes of all groups together, about.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a group takes besides its key and its times.
const GROUP_BYTES: usize = 160;
/// What a time takes.
const TIME_BYTES: usize = size_of::<i64>();
/// Bytes of a snapshot.
const SNAPSHOT_BYTES_MAX: usize = 1024 * 1024;

/// What a threshold asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Names the condition and its threshold: a changed one begins anew.
    pub(crate) print: u64,
    pub(crate) count: usize,
    pub(crate) window_ns: i64,
}

/// A condition and the values of its columns.
type Key = (u64, Box<[u8]>);

/// The rows of a group.
#[derive(Clone, Debug)]
struct Group {
    /// When it was touched last.
    stamp: u64,
    times: VecDeque<i64>,
}

/// All groups.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    groups: BTreeMap<Rc<Key>, Group>,
    /// By when they were touched, the oldest first.
    order: BTreeMap<u64, Rc<Key>>,
    stamps: u64,
    bytes: usize,
    groups_max: usize,
    forgotten: u64,
}

impl Windows {
    /// No groups, and room for so many.
    pub(crate) fn new(groups_max: usize) -> Self {
        Self {
            groups: BTreeMap::new(),
            order: BTreeMap::new(),
            stamps: 0,
            bytes: 0,
            groups_max: groups_max.max(1),
            forgotten: 0,
        }
    }

    /// Groups that were forgotten so far because there were too many.
    pub(crate) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Counts a row that matched; whether its group fires.
    pub(crate) fn count(&mut self, limit: Limit, values: &[u8], time: i64) -> bool {
        if limit.count <= 1 {
            return true;
        }
        let key = Rc::new((limit.print, values.into()));
        let mut times = self.take(&key).map(|group| group.times).unwrap_or_default();
        times.push_back(time);
        while times.len() > limit.count {
            times.pop_front();
        }
        if times.len() >= limit.count && lie_within(&times, limit.window_ns) {
            return true;
        }
        self.put(key, times);
        false
    }

    /// How many rows of a group lie within the window around a time, that one among them.
    pub(crate) fn seen(&self, limit: Limit, values: &[u8], time: i64) -> usize {
        let times = self
            .groups
            .get(&(limit.print, values.into()))
            .map(|group| &group.times);
        let near = |other: &&i64| other.abs_diff(time) <= limit.window_ns.unsigned_abs();
        let times = times.into_iter().flatten();
        let others = times.clone().filter(near).count();
        let is_new = !times.clone().any(|other| *other == time);
        others.saturating_add(usize::from(is_new)).min(limit.count)
    }

    fn take(&mut self, key: &Key) -> Option<Group> {
        let group = self.groups.remove(key)?;
        self.order.remove(&group.stamp);
        self.bytes = self.bytes.saturating_sub(bytes_of(key, &group.times));
        Some(group)
    }

    fn put(&mut self, key: Rc<Key>, times: VecDeque<i64>) {
        self.stamps = self.stamps.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes_of(&key, &times));
        self.order.insert(self.stamps, key.clone());
        let stamp = self.stamps;
        self.groups.insert(key, Group { stamp, times });
        while self.groups.len() > self.groups_max || self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.order.pop_first() else {
                return;
            };
            self.take(&oldest);
            self.forgotten = self.forgotten.saturating_add(1);
        }
    }

    /// The groups as bytes, the oldest first; the oldest are left out where they don't fit.
    ///
    /// One is: its print (8), the lengths of its values (4) and its times (4), the values, the times
    /// (8 each), all little-endian.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let mut kept = Vec::new();
        let mut bytes = 0_usize;
        for key in self.order.values().rev() {
            let Some(group) = self.groups.get(key) else {
                continue;
            };
            let size = 16 + key.1.len() + group.times.len() * TIME_BYTES;
            bytes = bytes.saturating_add(size);
            if bytes > SNAPSHOT_BYTES_MAX {
                break;
            }
            kept.push((key, group));
        }
        let mut state = Vec::with_capacity(bytes.min(SNAPSHOT_BYTES_MAX));
        for (key, group) in kept.into_iter().rev() {
            state.extend(key.0.to_le_bytes());
            for length in [key.1.len(), group.times.len()] {
                state.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
            }
            state.extend(&*key.1);
            group
                .times
                .iter()
                .for_each(|time| state.extend(time.to_le_bytes()));
        }
        state
    }

    /// Takes over what another instance had, as far as `limits` knows it still.
    ///
    /// # Errors
    /// The bytes are no snapshot; nothing is taken over.
    pub(crate) fn restore(&mut self, state: &[u8], limits: &[Limit]) -> Result<(), String> {
        let mut restored = Self::new(self.groups_max);
        let mut rest = state;
        while !rest.is_empty() {
            let (group, after) = read_group(rest).ok_or_else(|| {
                format!(
                    "{} bytes are no list of groups: it breaks off at byte {}",
                    state.len(),
                    state.len() - rest.len()
                )
            })?;
            rest = after;
            let (print, values, mut times) = group;
            if let Some(limit) = limits.iter().find(|limit| limit.print == print) {
                while times.len() >= limit.count.max(1) {
                    times.pop_front();
                }
                let key = Rc::new((print, values.into()));
                restored.take(&key);
                restored.put(key, times);
            }
        }
        *self = Self {
            forgotten: self.forgotten,
            ..restored
        };
        Ok(())
    }
}

/// A group's print, values and times.
type Read<'a> = (u64, &'a [u8], VecDeque<i64>);

/// Reads a group off the front.
fn read_group(bytes: &[u8]) -> Option<(Read<'_>, &[u8])> {
    let (print, bytes) = bytes.split_first_chunk()?;
    let (values, bytes) = bytes.split_first_chunk()?;
    let (times, bytes) = bytes.split_first_chunk()?;
    let length = |bytes| usize::try_from(u32::from_le_bytes(bytes)).ok();
    let (values, bytes) = bytes.split_at_checked(length(*values)?)?;
    let (times, bytes) = bytes.split_at_checked(length(*times)?.checked_mul(TIME_BYTES)?)?;
    let times = times.as_chunks::<TIME_BYTES>().0.iter();
    let times = times.map(|time| i64::from_le_bytes(*time)).collect();
    Some(((u64::from_le_bytes(*print), values, times), bytes))
}

fn bytes_of(key: &Key, times: &VecDeque<i64>) -> usize {
    GROUP_BYTES + key.1.len() + times.len() * TIME_BYTES
}

fn lie_within(times: &VecDeque<i64>, window_ns: i64) -> bool {
    let window = window_ns.unsigned_abs();
    let ends = times.front().zip(times.back());
    // Mostly the first is the oldest: then it is seen at once that it is too old.
    if ends.is_some_and(|(first, last)| first.abs_diff(*last) > window) {
        return false;
    }
    let oldest = times.iter().min().copied().unwrap_or_default();
    let newest = times.iter().max().copied().unwrap_or_default();
    newest.abs_diff(oldest) <= window
}

/// A name of a condition and its threshold that stays the same from one instance to the next (FNV-1a).
pub(crate) fn print_of(parts: &[&[u8]]) -> u64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut print = START;
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            print = (print ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }
    print
}
