//! One run of a source, from when it is due until it has ended.
//!
//! The invariant: a run that isn't said to have finished counts as one that failed, whatever ended it.

use std::time::Duration;

use super::clock::thread_cpu;
use super::plan::Ended;
use super::{Schedule, Tier};

/// A run that is under way. What its thread uses until its end is its cost. Dropped before
/// [`Self::finished`], it has failed.
#[must_use = "a run that is dropped has failed"]
pub struct Run {
    schedule: Schedule,
    cpu_before: Option<Duration>,
    ended: Ended,
}

impl Run {
    pub(super) fn begin(schedule: &Schedule) -> Self {
        schedule.change(|plan, now| plan.begin(now));
        Self {
            schedule: schedule.clone(),
            cpu_before: thread_cpu(),
            ended: Ended::Failed,
        }
    }

    /// Whether what changes so fast is to be read in this run; all of it is in the first after a start. What isn't
    /// read is sent as it was: a table is always whole.
    #[must_use]
    pub fn due(&self, tier: Tier) -> bool {
        self.schedule.plan().due(tier)
    }

    /// Whether somebody besides the config asks for this run's table: then it is to be sent whole. A source whose
    /// table hardly changes may else send what changed.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        self.schedule.plan().is_asked_for()
    }

    /// Says that the run came to its end, and all of it was sent.
    pub fn finished(mut self) {
        self.ended = Ended::Whole;
    }

    /// Says that the run came to its end, and only what changed was sent, which may be nothing: who wants a table of
    /// this moment still has to ask for a run.
    pub fn finished_with_changes(mut self) {
        self.ended = Ended::ChangesOnly;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let cpu = thread_cpu().zip(self.cpu_before);
        let cpu = cpu.map_or(Duration::ZERO, |(now, before)| now.saturating_sub(before));
        let ended = self.ended;
        self.schedule.change(|plan, now| plan.end(now, cpu, ended));
    }
}
