//! Before the cut: the slot's last batches, shown to the guest in force and to the one that is to take over.
//!
//! Each has an instance of its own for it, from which nothing comes: no line, no write, no verdict. The slot goes
//! on meanwhile.

use std::sync::Arc;
use std::time::Instant;

use super::Duty;
use super::comparison::{Comparison, Said};
use super::control::Control;
use super::swap::hand_on;
use crate::sandbox::{Fault, Instance, Memory, Outcome, Prepared, Wants};

impl<D: Duty> Control<D> {
    /// Compares what a guest says of the last batches with what the one in force says; none where there is
    /// nothing to compare with.
    ///
    /// # Errors
    /// It breaks, or says something else too often.
    pub(super) fn rehearse(&self, guest: &Prepared) -> Result<Option<Comparison>, String> {
        let (jobs, source, wants, memory) = {
            let state = self.state();
            let Some(in_force) = &state.in_force else {
                return Ok(None);
            };
            let (source, wants) = (Arc::clone(&in_force.source), in_force.wants.clone());
            (state.recent.jobs(), source, wants, state.memory.clone())
        };
        let module = &guest.module;
        let mut compared = Comparison::default();
        let mut known = None;
        let mut new = None;
        for job in jobs {
            let make = || source.silent_instance();
            // A batch that breaks the one in force says nothing about the other.
            let Ok(before) = self.said(&mut known, make, memory.as_ref(), &wants, &job) else {
                continue;
            };
            let make = || guest.silent_instance();
            match self.said(&mut new, make, memory.as_ref(), &guest.wants, &job) {
                Ok(after) => compared.add(&before, &after),
                Err(fault) if fault.reason.is_the_guests() => {
                    return Err(format!(
                        "{module} breaks on a batch that the guest in force has a verdict on: {fault}"
                    ));
                }
                // A busy host says nothing about it.
                Err(_) => {}
            }
        }
        let (difference, allowed) = (compared.difference(), self.options.swap.max_difference);
        if difference > allowed {
            return Err(format!(
                "{module} says something else of {:.1} % of the last {} rows, and {:.1} % are allowed (swap.max_difference)",
                difference * 100.0,
                compared.rows,
                allowed * 100.0
            ));
        }
        Ok((compared.batches > 0).then_some(compared))
    }

    /// What an instance says of a job; a fresh one where the last one broke.
    fn said(
        &self,
        instance: &mut Option<Instance>,
        make: impl FnOnce() -> Result<Instance, Fault>,
        memory: Option<&Memory>,
        wants: &Wants,
        job: &D::Job,
    ) -> Result<Said, Fault> {
        let mut ready = match instance.take() {
            Some(ready) => ready,
            None => {
                let mut made = make()?;
                // One that can't take it is refused at the cut, or begins without.
                drop(hand_on(&mut made, memory));
                made
            }
        };
        let said = ask(self, &mut ready, wants, job)?;
        *instance = Some(ready);
        Ok(said)
    }
}

/// What an instance says of a job. Its writes are not made.
pub(super) fn ask<D: Duty>(
    control: &Control<D>,
    instance: &mut Instance,
    wants: &Wants,
    job: &D::Job,
) -> Result<Said, Fault> {
    let began = Instant::now();
    let batch = D::batch(job);
    let outcome = control.duty.ask(instance, job, batch, 0);
    let cost = instance.cost(began);
    let rows = match outcome {
        Outcome::Answer(answer) => {
            let said = D::fingerprints(wants, &answer, batch.rows());
            said.into_iter().map(Some).collect()
        }
        Outcome::Retry(_) | Outcome::Reject(_) => vec![None; batch.rows()],
        Outcome::Fault(fault) => return Err(*fault),
    };
    Ok(Said {
        rows,
        fuel: cost.fuel,
        time: cost.time,
    })
}
