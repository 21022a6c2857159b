//! The slot's thread: takes jobs in order, and guests between two of them.

use std::sync::Arc;
use std::time::Instant;

use weir_bus::pubsub::Recv;

use super::aftermath::Rested;
use super::control::Control;
use super::generation::Generation;
use super::supervision::Permit;
use super::supervision::search::Search;
use super::{Duty, Without, job};

/// Runs until there are no more jobs, or another thread has taken over.
pub(super) fn run<D: Duty>(
    control: &Arc<Control<D>>,
    thread: u64,
    mut generation: Option<Generation>,
) {
    loop {
        take_proposed(control, &mut generation);
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
        take_proposed(control, &mut generation);
        // A replaced thread begins without one: it makes a fresh instance of what is in force.
        if generation.is_none() {
            generation = control.generation_in_force();
        }
        let Some(current) = &mut generation else {
            break;
        };
        let rows = D::batch(&job).rows();
        let search = match control.permit(Instant::now()) {
            Permit::Call => Search::new(rows),
            Permit::Try => Search::probe(rows),
            Permit::BackingOff => {
                control.settle_uncalled(&job, Without::BackingOff);
                continue;
            }
            Permit::Quarantined => {
                control.settle_uncalled(&job, Without::Quarantined);
                continue;
            }
        };
        if !job::work(control, thread, current, &job, search) {
            control.returned();
            return;
        }
        if control.hand_over(&mut generation, Instant::now()) {
            return;
        }
    }
    control.end();
}

fn take_proposed<D: Duty>(control: &Control<D>, generation: &mut Option<Generation>) {
    if let Some(proposed) = control.take_proposed() {
        tracing::debug!(
            slot = %control.options.name,
            generation = proposed.number,
            module = %proposed.module,
            digest = %proposed.digest,
            "guest in force"
        );
        *generation = Some(proposed);
    }
}
