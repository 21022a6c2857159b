//! Turns at a steady rate, whatever the turns before took.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::now_ns;

/// A steady rate.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// From one turn to the next.
    pub(crate) interval: Duration,
    /// Messages of a turn; rows where messages have several.
    pub(crate) messages: u64,
}

/// Waits for turns.
pub(crate) struct Pacer {
    interval_ns: u64,
    due_ns: u64,
}

impl Pacer {
    /// The first turn is one interval from now.
    pub(crate) fn start(interval: Duration) -> Self {
        Self::from(now_ns(), interval)
    }

    fn from(now: u64, interval: Duration) -> Self {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self {
            interval_ns,
            due_ns: now.saturating_add(interval_ns),
        }
    }

    /// Waits for the next turn, and says when it began. A turn that is late because the one before it
    /// took so long began when it was due: who was kept waiting waited from then.
    pub(crate) fn turn(&mut self) -> u64 {
        let began = self.begins(now_ns());
        match began {
            Begins::At(due) => due,
            Begins::In(wait) => {
                std::thread::sleep(wait);
                now_ns()
            }
        }
    }

    fn begins(&mut self, now: u64) -> Begins {
        let due = self.due_ns;
        self.due_ns = due.saturating_add(self.interval_ns);
        match due.checked_sub(now) {
            Some(wait) if wait > 0 => Begins::In(Duration::from_nanos(wait)),
            _ => Begins::At(due),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Begins {
    In(Duration),
    At(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_turn_began_when_it_was_due() {
        let mut pacer = Pacer::from(1_000, Duration::from_nanos(100));
        let turns = [1_000, 1_150, 1_450, 1_450, 1_450].map(|now| pacer.begins(now));
        assert_eq!(
            turns,
            [
                Begins::In(Duration::from_nanos(100)),
                Begins::In(Duration::from_nanos(50)),
                Begins::At(1_300),
                Begins::At(1_400),
                Begins::In(Duration::from_nanos(50)),
            ]
        );
    }
}
