//! The slot's thread: takes jobs in order, and guests between two of them.

use std::sync::Arc;

use weir_bus::pubsub::Recv;

use super::control::Control;
use super::generation::Generation;
use super::{Duty, job};

/// Runs until there are no more jobs, or this thread was given up.
pub(super) fn run<D: Duty>(control: &Arc<Control<D>>, thread: u64) {
    let mut generation: Option<Generation> = None;
    loop {
        if let Some(proposed) = control.take_proposed() {
            announce(control, &proposed);
            generation = Some(proposed);
        }
        let job = match control.duty.next() {
            Recv::Got(job) => Arc::new(job),
            Recv::Closed => break,
            Recv::Interrupted | Recv::Empty => continue,
        };
        // A guest that was proposed while this thread waited takes this very batch.
        if let Some(proposed) = control.take_proposed() {
            announce(control, &proposed);
            generation = Some(proposed);
        }
        // A replaced thread begins without one: it makes a fresh instance of what is in force.
        if generation.is_none() {
            generation = control.generation_in_force();
        }
        let Some(current) = &mut generation else {
            break;
        };
        if !job::work(control, thread, current, &job) {
            control.returned();
            return;
        }
    }
    control.end();
}

fn announce<D: Duty>(control: &Control<D>, generation: &Generation) {
    tracing::debug!(
        slot = %control.options.name,
        generation = generation.number,
        module = %generation.module,
        digest = %generation.digest,
        "guest in force"
    );
}
