//! Counting: rows and batches, and why they were dropped.
//!
//! Plain values with exact arithmetic, no locks: whoever owns a count decides under which lock it is
//! read. The invariant: a sum never wraps, and the reasons are a closed set with stable names.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much: rows, and the batches that carried them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Count {
    /// Rows.
    pub rows: u64,
    /// Batches.
    pub batches: u64,
}

impl Count {
    /// Nothing.
    pub const ZERO: Self = Self {
        rows: 0,
        batches: 0,
    };

    /// A count of `rows` rows in `batches` batches.
    pub const fn new(rows: u64, batches: u64) -> Self {
        Self { rows, batches }
    }

    /// One batch of `rows` rows.
    #[inline]
    pub const fn batch(rows: u64) -> Self {
        Self { rows, batches: 1 }
    }

    /// Whether there is nothing in it.
    pub const fn is_zero(self) -> bool {
        self.rows == 0 && self.batches == 0
    }

    /// What is left after `other` was taken out; `None` where more would be taken than there is.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            rows: self.rows.checked_sub(other.rows)?,
            batches: self.batches.checked_sub(other.batches)?,
        })
    }
}

/// Stops at `u64::MAX` (584 years at a thousand million rows a second) rather than wrapping.
impl Add for Count {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            batches: self.batches.saturating_add(other.batches),
        }
    }
}

impl AddAssign for Count {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows in {} batches", self.rows, self.batches)
    }
}

/// Why rows were dropped. A closed set: each reason has a stable code that configs, counters and other
/// processes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropReason {
    /// A queue was full and its policy drops: the oldest or the newest.
    QueueFull,
    /// A queue was full, its policy waits, and the deadline passed.
    Blocked,
    /// One item weighs more than the whole queue may hold.
    TooLarge,
    /// A realtime source over its backpressure threshold.
    Backpressure,
    /// There is no bus (`bus.kind = "none"`).
    Disabled,
    /// The queue or bus was closed, or its subscriber left.
    Closed,
    /// The daemon's deadline for draining passed.
    Shutdown,
    /// Whoever should have handled the rows faulted.
    Fault,
    /// Whoever should have handled the rows refused them.
    Rejected,
    /// The rows weren't what their header said.
    Invalid,
    /// The connection ended before they were handed to the kernel.
    Disconnected,
    /// A queue was full too often, its policy is `disconnect`, and its subscriber was cut off.
    CutOff,
    /// A queue's policy is `latest`, and newer ones came before they were received.
    Superseded,
    /// All queues of the bus together were full, and this one had the most bytes.
    BusFull,
    /// The kernel's own queue was full before the source could read it.
    Overflow,
}

impl DropReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 15] = [
        Self::QueueFull,
        Self::Blocked,
        Self::TooLarge,
        Self::Backpressure,
        Self::Disabled,
        Self::Closed,
        Self::Shutdown,
        Self::Fault,
        Self::Rejected,
        Self::Invalid,
        Self::Disconnected,
        Self::CutOff,
        Self::Superseded,
        Self::BusFull,
        Self::Overflow,
    ];

    /// Whether rows are dropped for it because somebody doesn't receive fast enough. (What a newer one has overtaken was
    /// not wanted any more.)
    pub const fn is_slowness(self) -> bool {
        matches!(
            self,
            Self::QueueFull | Self::Blocked | Self::TooLarge | Self::CutOff | Self::BusFull
        )
    }

    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::Blocked => "blocked",
            Self::TooLarge => "too-large",
            Self::Backpressure => "backpressure",
            Self::Disabled => "disabled",
            Self::Closed => "closed",
            Self::Shutdown => "shutdown",
            Self::Fault => "fault",
            Self::Rejected => "rejected",
            Self::Invalid => "invalid",
            Self::Disconnected => "disconnected",
            Self::CutOff => "cut-off",
            Self::Superseded => "superseded",
            Self::BusFull => "bus-full",
            Self::Overflow => "overflow",
        }
    }
}

/// A text that names no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reason for a drop")]
pub struct UnknownDropReason(pub String);

impl FromStr for DropReason {
    type Err = UnknownDropReason;

    fn from_str(text: &str) -> Result<Self, UnknownDropReason> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownDropReason(text.to_owned()))
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What was dropped, by reason. Serialized as a map that holds only the reasons that happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    by_reason: [Count; DropReason::ALL.len()],
}

impl Drops {
    /// Nothing dropped.
    pub const NONE: Self = Self {
        by_reason: [Count::ZERO; DropReason::ALL.len()],
    };

    /// Adds what was dropped for `reason`.
    pub fn add(&mut self, reason: DropReason, count: Count) {
        self.by_reason[reason as usize] += count;
    }

    /// What was dropped for `reason`.
    pub fn get(&self, reason: DropReason) -> Count {
        self.by_reason[reason as usize]
    }

    /// What was dropped in all.
    pub fn total(&self) -> Count {
        self.by_reason.iter().copied().sum()
    }

    /// Whether nothing was dropped.
    pub fn is_empty(&self) -> bool {
        self.by_reason.iter().all(|count| count.is_zero())
    }

    /// The reasons that happened, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, Count)> + '_ {
        DropReason::ALL
            .into_iter()
            .map(|reason| (reason, self.get(reason)))
            .filter(|(_, count)| !count.is_zero())
    }
}

impl AddAssign<&Self> for Drops {
    fn add_assign(&mut self, other: &Self) {
        for (mine, theirs) in self.by_reason.iter_mut().zip(other.by_reason) {
            *mine += theirs;
        }
    }
}

impl Serialize for Drops {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.iter().count()))?;
        for (reason, count) in self.iter() {
            map.serialize_entry(&reason, &count)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Drops {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByReason;
        impl<'de> Visitor<'de> for ByReason {
            type Value = Drops;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of drop reasons to counts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Drops, A::Error> {
                let mut drops = Drops::NONE;
                while let Some((reason, count)) = map.next_entry()? {
                    drops.add(reason, count);
                }
                Ok(drops)
            }
        }
        deserializer.deserialize_map(ByReason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_exactly_and_never_wrap() {
        let check = |a: Count, b: Count, sum: Count| assert_eq!(a + b, sum);
        check(Count::ZERO, Count::ZERO, Count::ZERO);
        check(Count::batch(7), Count::batch(3), Count::new(10, 2));
        check(
            Count::new(u64::MAX, 1),
            Count::batch(1),
            Count::new(u64::MAX, 2),
        );
        assert_eq!(
            Count::new(5, 2).checked_sub(Count::batch(5)),
            Some(Count::new(0, 1))
        );
        assert_eq!(Count::new(5, 2).checked_sub(Count::batch(6)), None);
    }

    #[test]
    fn every_reason_has_its_own_place_and_its_serde_name_is_its_code() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{reason}\""));
            assert_eq!(serde_json::from_str::<DropReason>(&json).unwrap(), reason);
        }
    }

    #[test]
    fn drops_show_only_what_happened() {
        let mut drops = Drops::NONE;
        assert!(drops.is_empty());
        drops.add(DropReason::Closed, Count::batch(4));
        drops.add(DropReason::QueueFull, Count::batch(2));
        drops.add(DropReason::Closed, Count::batch(1));
        assert_eq!(drops.total(), Count::new(7, 3));
        assert_eq!(
            drops.iter().collect::<Vec<_>>(),
            [
                (DropReason::QueueFull, Count::batch(2)),
                (DropReason::Closed, Count::new(5, 2)),
            ]
        );
        let json = serde_json::to_string(&drops).unwrap();
        assert_eq!(
            json,
            r#"{"queue-full":{"rows":2,"batches":1},"closed":{"rows":5,"batches":2}}"#
        );
        assert_eq!(serde_json::from_str::<Drops>(&json).unwrap(), drops);
    }
}
