//! The slot's thread: takes jobs in order, and guests between two of them.

use std::sync::Arc;
use std::time::Instant;

use weir_bus::pubsub::Recv;

use super::aftermath::Rested;
use super::control::Control;
use super::generation::Generation;
use super::job::{self, Ended};
use super::supervision::Permit;
use super::supervision::search::Search;
use super::takeover::Back;
use super::{Duty, Without};

/// Runs until there are no more jobs, or another thread has taken over.
pub(super) fn run<D: Duty>(
    control: &Arc<Control<D>>,
    thread: u64,
    mut generation: Option<Generation>,
) {
    loop {
        control.take_proposed(&mut generation);
        // What waits meanwhile waits in the queue, by the queue's own policy.
        if control.rest() == Rested::Proposed {
            continue;
        }
        let job = match control.duty.next() {
            Recv::Got(job) => Arc::new(job),
            Recv::Closed => break,
            Recv::Interrupted | Recv::Empty => continue,
        };
        // A guest that was proposed while this thread waited takes this very batch.
        control.take_proposed(&mut generation);
        control.ready(&mut generation);
        match take(control, thread, &mut generation, &job) {
            Taken::Done => {}
            Taken::GivenUp => {
                control.returned();
                return;
            }
            Taken::Nobody => break,
        }
        control.judge(&mut generation, Instant::now());
        if control.hand_over(&mut generation, Instant::now()) {
            return;
        }
    }
    control.remember_at_the_end(&mut generation);
    control.end();
}

/// How taking a job ended.
enum Taken {
    Done,
    /// Another thread has taken over.
    GivenUp,
    /// There is no guest.
    Nobody,
}

/// Takes a job: once, or once more by the guest before, where one on probation breaks on it.
fn take<D: Duty>(
    control: &Arc<Control<D>>,
    thread: u64,
    generation: &mut Option<Generation>,
    job: &Arc<D::Job>,
) -> Taken {
    loop {
        let Some(current) = generation.as_mut() else {
            return Taken::Nobody;
        };
        let rows = D::batch(job).rows();
        let search = match control.permit(Instant::now()) {
            Permit::Call => Search::new(rows),
            Permit::Try => Search::probe(rows),
            Permit::BackingOff => {
                control.settle_uncalled(job, Without::BackingOff);
                return Taken::Done;
            }
            Permit::Quarantined => {
                control.settle_uncalled(job, Without::Quarantined);
                return Taken::Done;
            }
        };
        match job::work(control, thread, current, job, search) {
            Ended::Settled => return Taken::Done,
            Ended::GivenUp => return Taken::GivenUp,
            Ended::GoesBack(fault) => {
                if !control.go_back(generation, &Back::tried(fault.to_string())) {
                    return Taken::Nobody;
                }
            }
        }
    }
}
