//! A guest that watches: it sees what the one in force sees, on a thread of its own, and its verdicts go nowhere.
//!
//! The invariant: nothing waits for it. What it is too slow for, or over its share of the CPU for, it doesn't see,
//! and that is counted. What it writes to `state` is its own, and gone with it.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::comparison::{Comparison, Said};
use super::control::Control;
use super::rehearsal::ask;
use super::supervision::cpu_share::CpuShare;
use super::swap::hand_on;
use super::{Duty, Settled};
use crate::digest::Digest;
use crate::sandbox::{
    Fault, FaultReason, Instance, Memory, Prepared, Sandbox, Source, Wants, cpu_with_others,
    lower_priority,
};

/// Batches that may wait for the guest that watches.
const WAITING_MAX: usize = 64;

/// It is not asked any more after so many faults in a row.
const FAULTS_IN_A_ROW_MAX: u32 = 16;

/// A guest that watches, beside the one in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ShadowStatus {
    /// The module as the config names it.
    pub module: String,
    /// The digest of the module.
    pub digest: String,
    /// The two beside each other.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Rows that it was too slow for, or over its share of the CPU.
    pub rows_skipped: u64,
    /// Faults by reason.
    pub faults: BTreeMap<FaultReason, u64>,
    /// The last fault.
    pub last_fault: Option<Fault>,
    /// It broke too often in a row, and is not asked any more.
    pub given_up: bool,
}

/// A job, and what the guest in force said of it.
struct Shown<D: Duty> {
    job: Arc<D::Job>,
    said: Said,
}

/// The way to a guest that watches. Without it the guest's thread ends.
pub(super) struct Shadow<D: Duty> {
    /// What was asked for with it.
    pub(super) asked: Digest,
    sender: SyncSender<Shown<D>>,
    status: Arc<Mutex<ShadowStatus>>,
}

impl<D: Duty> Shadow<D> {
    /// Shows it a job; it is skipped where it is too slow.
    pub(super) fn show(&self, job: &Arc<D::Job>, said: Said) {
        let (job, rows) = (Arc::clone(job), said.rows.len() as u64);
        if self.sender.try_send(Shown { job, said }).is_err() {
            held(&self.status).rows_skipped += rows;
        }
    }

    pub(super) fn status(&self) -> ShadowStatus {
        held(&self.status).clone()
    }
}

fn held(status: &Mutex<ShadowStatus>) -> MutexGuard<'_, ShadowStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the guest in force said of a whole job.
pub(super) fn said_of<D: Duty>(wants: &Wants, settled: &Settled<D::Answer>) -> Vec<Option<u64>> {
    let mut rows = Vec::new();
    for part in &settled.parts {
        match &part.verdict {
            Ok(answer) => {
                let said = D::fingerprints(wants, answer, part.rows.len());
                rows.extend(said.into_iter().map(Some));
            }
            Err(_) => rows.extend(part.rows.clone().map(|_| None)),
        }
    }
    rows
}

impl<D: Duty> Control<D> {
    /// Lets a guest watch, in the place of the one that does.
    pub(super) fn set_shadow(self: &Arc<Self>, guest: Option<Prepared>) -> std::io::Result<()> {
        let shadow = guest.map(|guest| self.start_shadow(guest)).transpose()?;
        let before = std::mem::replace(&mut self.state().shadow, shadow);
        drop(before);
        Ok(())
    }

    fn start_shadow(self: &Arc<Self>, guest: Prepared) -> std::io::Result<Shadow<D>> {
        let (sender, shown) = sync_channel(WAITING_MAX);
        let status = Arc::new(Mutex::new(ShadowStatus {
            module: guest.module.clone(),
            digest: guest.digest.to_string(),
            ..ShadowStatus::default()
        }));
        let (asked, wants) = (guest.asked, guest.wants.clone());
        let (instance, source) = guest.split();
        let watcher = Watcher {
            share: CpuShare::new(source.limits().cpu_share),
            memory: self.state().memory.clone(),
            control: Arc::clone(self),
            status: Arc::clone(&status),
            source,
            wants,
            faults_in_a_row: 0,
        };
        let name = format!("shadow-{}", self.options.name);
        Sandbox::spawn(name, move || watcher.run(&shown, instance))?;
        Ok(Shadow {
            asked,
            sender,
            status,
        })
    }
}

/// What the thread of a guest that watches works with.
struct Watcher<D: Duty> {
    control: Arc<Control<D>>,
    source: Source,
    wants: Wants,
    /// What the one in force had in memory when this one began.
    memory: Option<Memory>,
    share: CpuShare,
    status: Arc<Mutex<ShadowStatus>>,
    faults_in_a_row: u32,
}

impl<D: Duty> Watcher<D> {
    fn run(mut self, shown: &Receiver<Shown<D>>, mut first: Instance) {
        lower_priority();
        drop(hand_on(&mut first, self.memory.as_ref()));
        let mut instance = Some(first);
        let mut cpu = cpu_with_others();
        while let Ok(Shown { job, said }) = shown.recv() {
            let gave_up = self.faults_in_a_row >= FAULTS_IN_A_ROW_MAX;
            if gave_up || self.share.until(Instant::now()).is_some() {
                held(&self.status).rows_skipped += said.rows.len() as u64;
                continue;
            }
            match self.watch(&mut instance, &job) {
                Ok(own) => {
                    self.faults_in_a_row = 0;
                    held(&self.status).comparison.add(&said, &own);
                }
                Err(fault) => self.broke(fault),
            }
            let now = cpu_with_others();
            self.share.used(Instant::now(), now.saturating_sub(cpu));
            cpu = now;
        }
    }

    fn watch(&self, instance: &mut Option<Instance>, job: &D::Job) -> Result<Said, Fault> {
        let mut ready = match instance.take() {
            Some(ready) => ready,
            None => self.source.instance()?,
        };
        let said = ask(&self.control, &mut ready, &self.wants, job)?;
        if said.rows.iter().any(Option::is_some) {
            // To its own copy of the state.
            self.source.commit(&mut ready);
        }
        *instance = Some(ready);
        Ok(said)
    }

    fn broke(&mut self, fault: Fault) {
        self.faults_in_a_row += 1;
        let mut status = held(&self.status);
        status.given_up = self.faults_in_a_row >= FAULTS_IN_A_ROW_MAX;
        if status.given_up {
            let slot = &self.control.options.name;
            tracing::warn!(slot, module = status.module, %fault, "the guest that watches broke too often, and is not asked any more");
        }
        *status.faults.entry(fault.reason).or_default() += 1;
        status.last_fault = Some(fault);
    }
}
