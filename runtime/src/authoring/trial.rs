//! A guest on recorded events, in the real sandbox: the same checks, limits, calls and fresh
//! instances as in a slot, without a bus around it.
//!
//! Invariant: every event has exactly one verdict in the report, also where the guest gave none.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use weir_bus::{Batch, Kind, Selection};
use weir_sources::ProcessTable;

use super::events::Events;
use super::order::TrialSlot;
use super::report::{CallCosts, FaultReport, Report};
use super::verdict::{EventVerdict, NamedFiring, NamedUndecided, Verdict};
use crate::guests::Looks;
use crate::sandbox::{
    Cause, Fault, Instance, Module, Outcome, PrepareError, Prepared, Rule, Sandbox, Source,
    Verdicts, Wants, World,
};

/// How often a guest that says `retry` is asked again, as in a slot.
const RETRIES: usize = 1;
/// The trigger and the rule that a stage under trial is told of.
const CAUSE_TRIGGER: &str = "trial";
const CAUSE_RULE: &str = "recorded-event";
const CAUSE_PRIORITY: &str = "normal";

/// Why there was no trial.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The guest isn't in order.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The system refuses the guest's thread.
    #[error("no thread for the guest: {0}")]
    Thread(#[from] io::Error),
    /// Our own code panicked.
    #[error("the guest's thread panicked: that is a bug of Weir, not of the guest")]
    Panicked,
}

/// Runs a guest on events. Takes as long as compiling takes, and as the guest takes; both are
/// bounded by their limits.
///
/// # Errors
/// If the guest can't be prepared.
pub fn run(
    sandbox: Sandbox,
    module: Module,
    slot: TrialSlot,
    events: Events,
) -> Result<Report, TrialError> {
    let (done, report) = std::sync::mpsc::channel();
    // A guest runs on a thread with the stack that a slot's has.
    let thread = Sandbox::spawn("trial".to_owned(), move || {
        let report = on_thread(&sandbox, &module, &slot, &events);
        // Who waits for it is there until it comes.
        let _ = done.send(report);
    })?;
    let report = report.recv();
    let joined = thread.join();
    match (report, joined) {
        (Ok(report), Ok(())) => report,
        _ => Err(TrialError::Panicked),
    }
}

fn on_thread(
    sandbox: &Sandbox,
    module: &Module,
    slot: &TrialSlot,
    events: &Events,
) -> Result<Report, TrialError> {
    let processes = Arc::new(ProcessTable::default());
    // Rows that belong to no snapshot are all that is known of the machine, from the beginning.
    for (batch, _) in &events.batches {
        if batch.header().snapshot.is_none() {
            processes.update(batch);
        }
    }
    let inspect = Arc::new(Looks::new(Arc::clone(&processes), Arc::default()));
    let order = slot.order(&module.name, Some(inspect));
    let guest = sandbox.prepare_module(&order, module)?;
    let mut trial = Trial::new(guest);
    for (batch, numbers) in &events.batches {
        if batch.header().snapshot.is_some() {
            processes.update(batch);
        }
        trial.judge(batch, numbers);
    }
    Ok(trial.report())
}

struct Trial {
    source: Source,
    instance: Option<Instance>,
    wants: Wants,
    world: World,
    verdicts: BTreeMap<u64, Verdict>,
    report: Report,
}

/// What rules said of one row.
#[derive(Default)]
struct Matched {
    firings: Vec<NamedFiring>,
    undecided: Vec<NamedUndecided>,
}

/// What became of a call.
enum Answered<T> {
    Answer(T),
    Rejected(String),
    Fault(Fault),
}

impl Trial {
    fn new(guest: Prepared) -> Self {
        let (name, version) = guest.description.clone();
        let (world, wants) = (guest.world, guest.wants.clone());
        let report = Report {
            name,
            version,
            world: world.as_str().to_owned(),
            sha256: guest.digest,
            batches: 0,
            events: Vec::new(),
            costs: CallCosts::default(),
            counters: wants
                .counters
                .iter()
                .map(|name| (name.clone(), 0))
                .collect(),
            faults: Vec::new(),
        };
        let (instance, source) = guest.split();
        Self {
            source,
            instance: Some(instance),
            wants,
            world,
            verdicts: BTreeMap::new(),
            report,
        }
    }

    fn report(self) -> Report {
        let events = self.verdicts.into_iter();
        Report {
            events: events
                .map(|(event, verdict)| EventVerdict { event, verdict })
                .collect(),
            ..self.report
        }
    }

    /// Whether the daemon would show the guest this batch.
    fn is_asked(&self, batch: &Batch) -> bool {
        let patterns = &self.wants.patterns;
        match self.world {
            World::Trigger if !patterns.is_empty() => patterns
                .iter()
                .any(|pattern| pattern.matches(batch.topic())),
            _ => self.wants.wants(batch.kind()),
        }
    }

    fn judge(&mut self, batch: &Batch, numbers: &[u64]) {
        if !self.is_asked(batch) {
            for &number in numbers {
                self.verdicts.insert(number, Verdict::NotAsked);
            }
            return;
        }
        self.report.batches += 1;
        match self.world {
            World::Filter => self.keep(batch, numbers),
            World::Trigger => self.evaluate(batch, numbers),
            World::Stage => self.analyze(batch, numbers),
        }
    }

    fn keep(&mut self, batch: &Batch, numbers: &[u64]) {
        let answered = self.ask(batch.rows(), |guest| guest.keep(batch, Some(0)));
        let Some(selection) = self.settle(numbers, answered) else {
            return;
        };
        for (row, &number) in numbers.iter().enumerate() {
            let verdict = if has(&selection, row) {
                Verdict::Kept
            } else {
                Verdict::Removed
            };
            self.verdicts.insert(number, verdict);
        }
    }

    fn evaluate(&mut self, batch: &Batch, numbers: &[u64]) {
        let answered = self.ask(batch.rows(), |guest| guest.evaluate(batch, Some(0)));
        let Some(answer) = self.settle(numbers, answered) else {
            return;
        };
        let mut rows = by_row(answer, &self.wants.rules);
        for (row, &number) in (0_u32..).zip(numbers) {
            let verdict = rows
                .remove(&row)
                .map_or(Verdict::NoMatch, |matched| Verdict::Match {
                    firings: matched.firings,
                    undecided: matched.undecided,
                });
            self.verdicts.insert(number, verdict);
        }
    }

    /// A stage is asked for each row that fires: here, for each row.
    fn analyze(&mut self, batch: &Batch, numbers: &[u64]) {
        for (row, &number) in (0_u32..).zip(numbers) {
            let Ok(event) = batch.select(&Selection::Rows(vec![row])) else {
                continue;
            };
            let cause = cause_of(number, event.kind());
            let answered = self.ask(1, |guest| guest.analyze(&event, &[], Some(&cause)));
            if let Some(findings) = self.settle(&[number], answered) {
                let findings = findings.iter().map(Into::into).collect();
                self.verdicts.insert(number, Verdict::Findings { findings });
            }
        }
    }

    /// Asks as a slot does: on a fresh instance where the last one broke, twice if it says `retry`.
    fn ask<T>(&mut self, rows: usize, call: impl Fn(&mut Instance) -> Outcome<T>) -> Answered<T> {
        let mut instance = match self
            .instance
            .take()
            .map_or_else(|| self.source.instance(), Ok)
        {
            Ok(instance) => instance,
            Err(fault) => return Answered::Fault(fault),
        };
        let mut rejected = String::new();
        for _ in 0..=RETRIES {
            let began = Instant::now();
            let outcome = call(&mut instance);
            self.report.costs.add(rows, instance.cost(began));
            match outcome {
                Outcome::Answer(answer) => {
                    let counted = self.source.commit(&mut instance);
                    for (name, amount) in self.wants.counters.iter().zip(counted) {
                        let sum = self.report.counters.entry(name.clone()).or_default();
                        *sum = sum.saturating_add(*amount);
                    }
                    self.instance = Some(instance);
                    return Answered::Answer(answer);
                }
                Outcome::Reject(why) => {
                    self.instance = Some(instance);
                    return Answered::Rejected(why);
                }
                Outcome::Retry(why) => rejected = why,
                Outcome::Fault(fault) => return Answered::Fault(*fault),
            }
        }
        self.instance = Some(instance);
        Answered::Rejected(rejected)
    }

    /// The answer; where there is none, every event of the call is told why.
    fn settle<T>(&mut self, numbers: &[u64], answered: Answered<T>) -> Option<T> {
        let verdict = match answered {
            Answered::Answer(answer) => return Some(answer),
            Answered::Rejected(reason) => Verdict::Rejected { reason },
            Answered::Fault(fault) => {
                let verdict = Verdict::fault(fault.reason);
                let events = numbers.to_vec();
                self.report.faults.push(FaultReport { events, fault });
                verdict
            }
        };
        for &number in numbers {
            self.verdicts.insert(number, verdict.clone());
        }
        None
    }
}

/// Whether a selection, which fits its batch, has a row.
fn has(selection: &Selection, row: usize) -> bool {
    match selection {
        Selection::All => true,
        Selection::None => false,
        Selection::Rows(rows) => {
            u32::try_from(row).is_ok_and(|row| rows.binary_search(&row).is_ok())
        }
        Selection::Mask(mask) => mask
            .get(row / 8)
            .is_some_and(|byte| byte >> (row % 8) & 1 == 1),
    }
}

/// The verdicts of the rows that have any besides "no match".
fn by_row(verdicts: Verdicts, rules: &[Rule]) -> BTreeMap<u32, Matched> {
    let name = |rule: u32| {
        let rule = usize::try_from(rule).ok().and_then(|rule| rules.get(rule));
        rule.map(|rule| rule.name.clone()).unwrap_or_default()
    };
    let mut rows: BTreeMap<u32, Matched> = BTreeMap::new();
    for firing in verdicts.firings {
        rows.entry(firing.row)
            .or_default()
            .firings
            .push(NamedFiring {
                rule: name(firing.rule),
                message: firing.message,
            });
    }
    for one in verdicts.undecided {
        rows.entry(one.row)
            .or_default()
            .undecided
            .push(NamedUndecided {
                rule: name(one.rule),
                part: one.part,
                reason: one.reason,
            });
    }
    rows
}

/// What a stage under trial is told as the cause: the same at every run.
fn cause_of(number: u64, kind: Kind) -> Cause {
    let id = format!("{kind}-{number}");
    Cause {
        request_id: id.clone(),
        trigger: CAUSE_TRIGGER.to_owned(),
        rule: CAUSE_RULE.to_owned(),
        priority: CAUSE_PRIORITY.to_owned(),
        message: None,
        correlation_id: id.clone(),
        parent_id: None,
        root_id: id,
        depth: 0,
        metadata: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_has_the_rows_that_it_says() {
        let check = |selection: Selection, expected: [bool; 10]| {
            let found: Vec<bool> = (0..10).map(|row| has(&selection, row)).collect();
            assert_eq!(found, expected, "{selection:?}");
        };
        let (yes, no) = (true, false);
        check(Selection::All, [yes; 10]);
        check(Selection::None, [no; 10]);
        let two = [no, yes, no, no, no, no, no, no, no, yes];
        check(Selection::Rows(vec![1, 9]), two);
        check(Selection::Mask(vec![0b10, 0b10]), two);
    }
}
