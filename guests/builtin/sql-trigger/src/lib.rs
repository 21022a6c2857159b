//! The built-in trigger `sql-trigger`: conditions in SQL, parsed, checked and evaluated in the sandbox.
//!
//! A condition is a test of one row of one kind of events (`docs/conditions.md`). At load each is
//! parsed (`parse`), checked against the kind's columns (`check`) and put into the plan that all
//! conditions of the kind share (`plan`); of a batch, each node of the plan is evaluated once, whole
//! columns at a time (`evaluate`).
//!
//! Invariant: a row that can't be decided is told as undecided, with the part of the condition that
//! it was; it is never a silent no.

mod bits;
mod check;
mod cidr;
mod columns;
mod conditions;
mod errors;
mod evaluate;
mod explain;
mod faults;
mod functions;
mod kinds;
mod like;
mod message;
mod parse;
mod plan;
mod regex;
mod selftest;
mod settings;
mod texts;
mod threshold;
mod time;

use columns::Columns;
use conditions::Conditions;
use settings::Settings;
use threshold::Windows;
use weir_guest::{
    Batch, EvalError, Explain, Explanation, Guest, Memory, Trigger, Verdicts, Wants, host,
};

/// The most groups of thresholds: one takes 200 bytes and more.
const WINDOWS_MAX: usize = 65_536;

/// The trigger, with what its thresholds have counted.
#[derive(Debug)]
struct SqlTrigger {
    conditions: Conditions,
    windows: Windows,
    /// How many forgotten groups were told of.
    told_forgotten: u64,
}

impl Guest for SqlTrigger {
    type Settings = Settings;
    const DEFAULTS: &'static str = include_str!("../settings.json");

    fn new(settings: Settings) -> Result<Self, String> {
        if !(1..=WINDOWS_MAX).contains(&settings.windows_max) {
            return Err(format!(
                "settings: windows_max: {} is not within 1 to {WINDOWS_MAX}",
                settings.windows_max
            ));
        }
        Ok(Self {
            conditions: Conditions::compile(&settings.conditions)?,
            windows: Windows::new(settings.windows_max),
            told_forgotten: 0,
        })
    }

    // All kinds, so that a condition of another kind comes live without a restart.
    fn wants(&self) -> Wants {
        let kinds = self.conditions.kinds().iter();
        let wants = kinds.fold(Wants::default(), |wants, of_kind| {
            let columns = of_kind.columns.iter();
            let columns: Vec<&str> = columns
                .map(|column| of_kind.kind.name_of(*column))
                .collect();
            wants.and(of_kind.kind.name, &columns)
        });
        self.conditions
            .all()
            .iter()
            .fold(wants, |wants, condition| {
                wants.rule_for(&condition.name, condition.priority, &condition.target)
            })
    }

    fn self_test(&self) -> Result<(), String> {
        selftest::run()
    }
}

impl Memory for SqlTrigger {
    const VERSION: u32 = 1;

    fn snapshot(&self) -> Vec<u8> {
        self.windows.snapshot()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        self.windows.restore(state, &self.conditions.limits())
    }
}

impl Trigger for SqlTrigger {
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Verdicts, EvalError> {
        let kind = batch.kind();
        let of_kind = self
            .conditions
            .of(&kind)
            .filter(|of_kind| !of_kind.rules.is_empty());
        let Some(of_kind) = of_kind else {
            return Ok(Verdicts {
                firings: Vec::new(),
                undecided: Vec::new(),
            });
        };
        let columns = Columns::fetch(batch, of_kind.kind, &of_kind.columns)?;
        let (verdicts, left_out) = self
            .conditions
            .verdicts(of_kind, &columns, &mut self.windows);
        if left_out > 0 {
            host::warn(format_args!(
                "{left_out} verdicts of a batch of {} rows left out: a batch has 4 for each row at most, the most urgent first",
                columns.rows()
            ));
        }
        // A line when their number has doubled: a flood of groups is no flood of lines.
        let forgotten = self.windows.forgotten();
        if forgotten >= self.told_forgotten.saturating_mul(2).max(1) {
            self.told_forgotten = forgotten;
            host::warn(format_args!(
                "{forgotten} groups of thresholds forgotten so far, the oldest ones: more are counted at a time than windows_max"
            ));
        }
        Ok(verdicts)
    }
}

impl Explain for SqlTrigger {
    fn explain(&self, batch: &Batch<'_>, row: u32) -> Result<Vec<Explanation>, EvalError> {
        let kind = batch.kind();
        let Some(of_kind) = self.conditions.of(&kind) else {
            return Ok(Vec::new());
        };
        let columns = Columns::fetch(batch, of_kind.kind, &of_kind.columns)?;
        let place = usize::try_from(row).unwrap_or(usize::MAX);
        if place >= columns.rows() {
            return Err(EvalError::Reject(format!(
                "no row {row}: the batch has {} rows, from 0",
                columns.rows()
            )));
        }
        Ok(self
            .conditions
            .explain(of_kind, &columns, place, &self.windows))
    }
}

weir_guest::export!(trigger SqlTrigger with memory, explain);

#[cfg(test)]
mod tests;
