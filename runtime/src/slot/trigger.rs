//! The duty of a trigger slot: batches come from the bus, firings go to the trigger manager.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_bus::batch::Batch;
use weir_bus::pubsub::{Delivery, QueueCounts, Recv, Subscriber};

use super::comparison::fingerprint;
use super::{Duty, Settled};
use crate::printable::one_line;
use crate::sandbox::{Instance, Outcome, Rule, Verdicts, Wants, World};
use crate::trigger::{Firing, TriggerManager};

/// How often a row that a rule could not decide is told of in the log; all are counted.
const UNDECIDED_TOLD_EVERY: Duration = Duration::from_secs(10);

/// So much of a guest's words about it.
const TOLD_BYTES_MAX: usize = 512;

/// A batch on its way to a trigger, with what was lost before it.
pub struct TriggerJob {
    batch: Arc<Batch>,
    missed: Option<u64>,
}

/// Evaluates what the bus delivers.
pub struct TriggerDuty {
    slot: String,
    /// Of the guest in force: its firings name them by number.
    rules: Mutex<Arc<[Rule]>>,
    subscriber: Subscriber,
    manager: Arc<TriggerManager>,
    missed: Mutex<Option<u64>>,
    /// When a row that a rule could not decide was told of last.
    told: Mutex<Option<Instant>>,
}

impl TriggerDuty {
    /// A trigger that takes what `subscriber` receives.
    #[must_use]
    pub fn new(slot: String, subscriber: Subscriber, manager: Arc<TriggerManager>) -> Self {
        Self {
            slot,
            rules: Mutex::new(Arc::from([])),
            subscriber,
            manager,
            missed: Mutex::new(Some(0)),
            told: Mutex::default(),
        }
    }

    fn missed(&self) -> MutexGuard<'_, Option<u64>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn undecided_by_rule(&self, verdicts: &Verdicts, rules: &[Rule]) {
        let mut rows: BTreeMap<u32, u64> = BTreeMap::new();
        for undecided in &verdicts.undecided {
            *rows.entry(undecided.rule).or_default() += 1;
        }
        for (rule, rows) in rows {
            let rule = usize::try_from(rule).ok().and_then(|rule| rules.get(rule));
            let rule = rule.map_or("", |rule| &rule.name);
            self.manager.undecided(&self.slot, rule, rows);
        }
        // One of them, now and then, is enough for a person to see what it is.
        if let Some(one) = verdicts.undecided.first()
            && self.is_time_to_tell()
        {
            let rule = usize::try_from(one.rule)
                .ok()
                .and_then(|rule| rules.get(rule));
            let rule = rule.map_or("", |rule| &rule.name);
            let (part, reason) = (
                one_line(&one.part, TOLD_BYTES_MAX),
                one_line(&one.reason, TOLD_BYTES_MAX),
            );
            tracing::warn!(slot = %self.slot, rule, part, reason, "could not evaluate");
        }
    }

    /// Whether rows that can't be decided are to be told of again.
    fn is_time_to_tell(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = told.is_none_or(|told| told.elapsed() >= UNDECIDED_TOLD_EVERY);
        if is_time {
            *told = Some(Instant::now());
        }
        is_time
    }

    fn rules(&self) -> Arc<[Rule]> {
        Arc::clone(&self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Duty for TriggerDuty {
    type Job = TriggerJob;
    type Answer = Verdicts;

    const WORLD: World = World::Trigger;
    const MAY_WAIT: bool = true;

    fn next(&self) -> Recv<TriggerJob> {
        loop {
            match self.subscriber.recv_blocking() {
                Recv::Got(Delivery::Batch { item, .. }) => {
                    let missed = self.missed().replace(0);
                    return Recv::Got(TriggerJob {
                        batch: item,
                        missed,
                    });
                }
                Recv::Got(Delivery::Gap(gap)) => {
                    let mut missed = self.missed();
                    // What nobody can know stays unknown, whatever is added to it.
                    *missed = missed
                        .zip(gap.missed)
                        .map(|(sum, rows)| sum.saturating_add(rows));
                }
                Recv::Empty => return Recv::Empty,
                Recv::Interrupted => return Recv::Interrupted,
                Recv::Closed => return Recv::Closed,
            }
        }
    }

    fn in_force(&self, wants: &Wants) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = wants.rules.as_slice().into();
    }

    fn interrupt(&self) {
        self.subscriber.interrupt();
    }

    fn finish(&self) {
        self.subscriber.finish();
    }

    fn batch(job: &TriggerJob) -> &Batch {
        &job.batch
    }

    fn ask(
        &self,
        instance: &mut Instance,
        job: &TriggerJob,
        batch: &Batch,
        first: usize,
    ) -> Outcome<Verdicts> {
        instance.evaluate(batch, if first == 0 { job.missed } else { Some(0) })
    }

    fn undecided(verdicts: &Verdicts) -> u64 {
        // Several rules may be unable to decide the same row.
        let rows: BTreeSet<u32> = verdicts.undecided.iter().map(|one| one.row).collect();
        rows.len() as u64
    }

    fn selected(verdicts: &Verdicts, _rows: usize) -> u64 {
        let rows: BTreeSet<u32> = verdicts.firings.iter().map(|one| one.row).collect();
        rows.len() as u64
    }

    fn fingerprints(wants: &Wants, verdicts: &Verdicts, rows: usize) -> Vec<u64> {
        // Two guests may count their rules differently: what a rule is called is what it is.
        let name = |rule: u32| {
            let rule = usize::try_from(rule)
                .ok()
                .and_then(|at| wants.rules.get(at));
            rule.map_or("", |rule| rule.name.as_str())
        };
        let mut said: Vec<BTreeSet<(bool, &str)>> = vec![BTreeSet::new(); rows];
        let fired = verdicts.firings.iter().map(|one| (one.row, one.rule, true));
        let undecided = verdicts.undecided.iter();
        for (row, rule, fires) in fired.chain(undecided.map(|one| (one.row, one.rule, false))) {
            let row = usize::try_from(row).unwrap_or(usize::MAX);
            if let Some(said) = said.get_mut(row) {
                said.insert((fires, name(rule)));
            }
        }
        said.iter().map(fingerprint).collect()
    }

    fn settle(&self, job: &TriggerJob, settled: Settled<Verdicts>, _generation: u64) {
        // Rows without a verdict fire nothing: the fault is what is told of them.
        let rules = self.rules();
        let rule_of = |number: u32| rules.get(usize::try_from(number).ok()?);
        for part in settled.parts {
            let Ok(verdicts) = part.verdict else { continue };
            let firings = verdicts.firings.iter().map(|firing| Firing {
                slot: &self.slot,
                rule: rule_of(firing.rule),
                batch: &job.batch,
                row: part
                    .rows
                    .start
                    .saturating_add(usize::try_from(firing.row).unwrap_or(usize::MAX)),
                message: firing.message.as_deref(),
            });
            self.manager.offer(firings);
            self.undecided_by_rule(&verdicts, &rules);
        }
    }

    fn counts(&self) -> QueueCounts {
        self.subscriber.counts()
    }
}
