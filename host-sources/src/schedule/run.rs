//! One run of a source, from when it is due until it has ended.
//!
//! The invariant: a run that isn't said to have finished counts as one that failed, whatever ended it.

use std::time::Duration;

use super::clock::thread_cpu;
use super::{Schedule, Tier};

/// A run that is under way. What its thread uses until its end is its cost. Dropped before
/// [`Self::finished`], it has failed.
#[must_use = "a run that is dropped has failed"]
pub struct Run {
    schedule: Schedule,
    cpu_before: Option<Duration>,
    has_finished: bool,
}

impl Run {
    pub(super) fn begin(schedule: &Schedule) -> Self {
        schedule.change(|plan, now| plan.begin(now));
        Self {
            schedule: schedule.clone(),
            cpu_before: thread_cpu(),
            has_finished: false,
        }
    }

    /// Whether what changes so fast is to be read in this run; all of it is in the first after a start. What isn't
    /// read is sent as it was: a table is always whole.
    #[must_use]
    pub fn due(&self, tier: Tier) -> bool {
        self.schedule.plan().due(tier)
    }

    /// Says that the run came to its end, and all of it was sent.
    pub fn finished(mut self) {
        self.has_finished = true;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let cpu = thread_cpu().zip(self.cpu_before);
        let cpu = cpu.map_or(Duration::ZERO, |(now, before)| now.saturating_sub(before));
        let has_finished = self.has_finished;
        self.schedule
            .change(|plan, now| plan.end(now, cpu, has_finished));
    }
}
