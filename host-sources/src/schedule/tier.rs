//! How often what a source reads is read again, by how fast it changes.

use std::time::Duration;

/// How fast something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// What never changes while the machine runs: models, sizes, the kernel's version.
    Static,
    /// What changes slowly: mounts, interfaces, limits.
    Slow,
    /// What changes all the time. It is read at every run, however short the interval.
    Fast,
}

/// What never changes is still read now and then: a disk may be plugged in.
const STATIC_PERIOD: Duration = Duration::from_mins(5);
/// Slow enough to cost nothing, quick enough for a person who waits for it.
const SLOW_PERIOD: Duration = Duration::from_secs(10);
/// What a person sees as now.
const FAST_PERIOD: Duration = Duration::from_secs(1);

impl Tier {
    /// All of them, from slow to fast.
    pub const ALL: [Self; 3] = [Self::Static, Self::Slow, Self::Fast];

    /// How often it is read where nobody asks for another interval.
    #[must_use]
    pub const fn period(self) -> Duration {
        match self {
            Self::Static => STATIC_PERIOD,
            Self::Slow => SLOW_PERIOD,
            Self::Fast => FAST_PERIOD,
        }
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Static => 0,
            Self::Slow => 1,
            Self::Fast => 2,
        }
    }
}
