//! The duty of a filter slot: a batch goes in, the rows that go on come out to who sent it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use weir_bus::batch::Batch;
use weir_bus::pubsub::{Pushed, Queue, QueueCounts, QueueLimits, QueuePolicy, Recv, Weigh};
use weir_bus::{Count, DropReason, Kind, Selection};

use super::{Duty, Part, Settled};
use crate::config::OnFault;
use crate::sandbox::{Instance, Outcome, Wants, World};

/// What came out of a filter.
#[derive(Debug)]
pub struct Filtered {
    /// The rows that go on; none if there are none.
    pub batch: Option<Batch>,
    /// Rows that the guest removed.
    pub removed: u64,
    /// Rows that were lost, and why.
    pub dropped: Option<(DropReason, Count)>,
}

/// A batch on its way through a filter.
pub struct FilterJob {
    batch: Batch,
    missed: Option<u64>,
    reply: Mutex<Option<oneshot::Sender<Filtered>>>,
}

impl Weigh for FilterJob {
    fn rows(&self) -> u64 {
        self.batch.rows() as u64
    }

    fn bytes(&self) -> u64 {
        self.batch.bytes() as u64
    }
}

/// Filters batches for all sources.
pub struct FilterDuty {
    queue: Queue<FilterJob>,
    kinds: Vec<Kind>,
    on_fault: OnFault,
}

impl FilterDuty {
    /// A filter for events of those kinds. Each source sends one batch at a time, so that the
    /// queue holds as many as there are sources.
    #[must_use]
    pub fn new(kinds: Vec<Kind>, on_fault: OnFault, limits: QueueLimits) -> Self {
        Self {
            queue: Queue::new(QueuePolicy::DropNewest, limits),
            kinds,
            on_fault,
        }
    }

    /// Whether events of that kind pass through the guest; others pass by it.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Sends a batch through the guest, and waits for what comes out.
    pub async fn filter(&self, batch: Batch, missed: Option<u64>) -> Filtered {
        let rows = Count {
            rows: batch.rows() as u64,
            batches: 1,
        };
        let (reply, filtered) = oneshot::channel();
        let job = FilterJob {
            batch,
            missed,
            reply: Mutex::new(Some(reply)),
        };
        let lost = |reason| Filtered {
            batch: None,
            removed: 0,
            dropped: Some((reason, rows)),
        };
        if let Pushed::Dropped(reason) = self.queue.push(0, job) {
            return lost(reason);
        }
        // The slot ended with the batch in its queue.
        filtered
            .await
            .unwrap_or_else(|_| lost(DropReason::Shutdown))
    }
}

impl Duty for FilterDuty {
    type Job = FilterJob;
    type Answer = Selection;

    const WORLD: World = World::Filter;
    const MAY_WAIT: bool = false;

    fn next(&self) -> Recv<FilterJob> {
        // Its senders hear of every loss themselves: a gap tells nothing new.
        super::without_gaps(self.queue.recv_blocking())
    }

    fn interrupt(&self) {
        self.queue.interrupt();
    }

    fn finish(&self) {
        self.queue.close();
    }

    fn batch(job: &FilterJob) -> &Batch {
        &job.batch
    }

    fn ask(
        &self,
        instance: &mut Instance,
        job: &FilterJob,
        batch: &Batch,
        first: usize,
    ) -> Outcome<Selection> {
        instance.keep(batch, if first == 0 { job.missed } else { Some(0) })
    }

    fn selected(selection: &Selection, rows: usize) -> u64 {
        // The sandbox has checked that it fits.
        selection.count(rows).unwrap_or(0) as u64
    }

    fn fingerprints(_wants: &Wants, selection: &Selection, rows: usize) -> Vec<u64> {
        let mut kept = vec![0; rows];
        let mut keep = |row: usize| {
            if let Some(row) = kept.get_mut(row) {
                *row = 1;
            }
        };
        match selection {
            Selection::All => (0..rows).for_each(keep),
            Selection::None => {}
            Selection::Rows(list) => list
                .iter()
                .filter_map(|row| usize::try_from(*row).ok())
                .for_each(keep),
            Selection::Mask(mask) => (0..rows)
                .filter(|row| is_set(mask, *row))
                .for_each(&mut keep),
        }
        kept
    }

    fn settle(&self, job: &FilterJob, settled: Settled<Selection>, _generation: u64) {
        let rows = job.batch.rows() as u64;
        let lost: usize = match self.on_fault {
            OnFault::Pass => 0,
            OnFault::Drop | OnFault::DeadLetter => {
                settled.without().map(|(rows, _)| rows.len()).sum()
            }
        };
        let selection = going_on(settled, self.on_fault);
        let filtered = match job.batch.select(&selection) {
            Ok(kept) => Filtered {
                removed: rows
                    .saturating_sub(lost as u64)
                    .saturating_sub(kept.rows() as u64),
                batch: (kept.rows() > 0 || rows == 0).then_some(kept),
                dropped: (lost > 0).then(|| (DropReason::Fault, Count::batch(lost as u64))),
            },
            // The sandbox has checked that it fits; what is left is Arrow's own refusal.
            Err(error) => {
                tracing::error!(%error, "a checked selection was refused");
                Filtered {
                    batch: None,
                    removed: 0,
                    dropped: Some((DropReason::Invalid, Count::batch(rows))),
                }
            }
        };
        let reply = job
            .reply
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(reply) = reply {
            // Who sent the batch has gone, at shutdown: nobody counts on it any more.
            drop(reply.send(filtered));
        }
    }

    fn counts(&self) -> QueueCounts {
        self.queue.counts()
    }
}

fn is_set(mask: &[u8], at: usize) -> bool {
    mask.get(at / 8)
        .is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

/// The rows of the whole batch that go on.
fn going_on(mut settled: Settled<Selection>, on_fault: OnFault) -> Selection {
    // All but always there is one part: then it is what the guest said.
    if let [part] = settled.parts.as_mut_slice() {
        return match (&mut part.verdict, on_fault) {
            (Ok(selection), _) => std::mem::replace(selection, Selection::None),
            (Err(_), OnFault::Pass) => Selection::All,
            (Err(_), OnFault::Drop | OnFault::DeadLetter) => Selection::None,
        };
    }
    let mut rows = Vec::new();
    for Part {
        rows: part,
        verdict,
    } in settled.parts
    {
        // A batch has fewer rows than a u32 counts: a guest names them by such numbers.
        let number = |row: usize| u32::try_from(row).ok();
        match verdict {
            Ok(Selection::None) => {}
            Ok(Selection::Rows(list)) => {
                let first = number(part.start).unwrap_or(u32::MAX);
                rows.extend(list.iter().map(|row| first.saturating_add(*row)));
            }
            Ok(Selection::Mask(mask)) => {
                let first = part.start;
                let is_kept = |row: &usize| is_set(&mask, row - first);
                rows.extend(part.filter(is_kept).filter_map(number));
            }
            Err(_) if on_fault != OnFault::Pass => {}
            Ok(Selection::All) | Err(_) => rows.extend(part.filter_map(number)),
        }
    }
    Selection::Rows(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Without;

    #[test]
    fn parts_are_put_together_in_the_numbers_of_the_batch() {
        let part = |rows, verdict| Part { rows, verdict };
        let settled = Settled {
            parts: vec![
                part(0..2, Ok(Selection::All)),
                part(2..3, Err(Without::Poisonous)),
                part(3..6, Ok(Selection::Rows(vec![0, 2]))),
                part(6..8, Ok(Selection::None)),
                part(8..18, Ok(Selection::Mask(vec![0b0000_0101, 0b1111_1110]))),
                part(18..20, Err(Without::Unevaluated)),
            ],
            ..Settled::whole(20, Ok(Selection::All))
        };
        for (on_fault, expected) in [
            (OnFault::Pass, vec![0, 1, 2, 3, 5, 8, 10, 17, 18, 19]),
            (OnFault::Drop, vec![0, 1, 3, 5, 8, 10, 17]),
            (OnFault::DeadLetter, vec![0, 1, 3, 5, 8, 10, 17]),
        ] {
            let selection = going_on(settled.clone(), on_fault);
            assert_eq!(selection, Selection::Rows(expected));
        }
    }
}
