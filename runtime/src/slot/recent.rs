//! The last jobs of a slot, kept so that another guest can be tried with them.

use std::collections::VecDeque;
use std::sync::Arc;

/// What these jobs' batches may keep alive, for one slot: those of all slots are mostly the same.
const BYTES_MAX: usize = 4 << 20;

/// The last jobs.
pub(super) struct Recent<J> {
    jobs: VecDeque<(Arc<J>, usize)>,
    bytes: usize,
    jobs_max: usize,
}

impl<J> Recent<J> {
    pub(super) const fn new(jobs_max: usize) -> Self {
        Self {
            jobs: VecDeque::new(),
            bytes: 0,
            jobs_max,
        }
    }

    /// Keeps a job of so many bytes, and lets go of those before it that are too many or too large.
    pub(super) fn keep(&mut self, job: &Arc<J>, bytes: usize) {
        if self.jobs_max == 0 || bytes > BYTES_MAX {
            return;
        }
        self.jobs.push_back((Arc::clone(job), bytes));
        self.bytes += bytes;
        while self.jobs.len() > self.jobs_max || self.bytes > BYTES_MAX {
            if let Some((_, bytes)) = self.jobs.pop_front() {
                self.bytes -= bytes;
            }
        }
    }

    /// All of them, in their order.
    pub(super) fn jobs(&self) -> Vec<Arc<J>> {
        self.jobs.iter().map(|(job, _)| Arc::clone(job)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_within_number_and_bytes() {
        let kept = |jobs_max: usize, sizes: &[usize]| {
            let mut recent = Recent::new(jobs_max);
            for (number, bytes) in sizes.iter().enumerate() {
                recent.keep(&Arc::new(number), *bytes);
            }
            recent.jobs().iter().map(|job| **job).collect::<Vec<_>>()
        };
        assert_eq!(kept(2, &[1, 1, 1]), [1, 2]);
        assert_eq!(kept(0, &[1]), [0; 0]);
        assert_eq!(kept(9, &[BYTES_MAX / 2, BYTES_MAX / 2, 1]), [1, 2]);
        assert_eq!(kept(9, &[1, BYTES_MAX + 1]), [0], "too large to be kept");
    }
}
