//! The table: what a hostile guest does, the one limit within its reach, what that comes out as, and
//! the harm that it does where the limit is switched off.

mod common;
mod filters;
mod stages;
mod triggers;

use std::time::Duration;

use weir::sandbox::{FaultReason, Limit};

pub(super) use common::COMMON;
pub(super) use filters::FILTERS;
pub(super) use stages::STAGES;
pub(super) use triggers::TRIGGERS;

/// How the calls end in which the guest is hostile.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ends {
    /// In a fault whose message says this.
    Fault(FaultReason, &'static str),
    /// In an answer, and the log says this; empty: nothing.
    Answer(&'static str),
    /// In no verdict, without a fault.
    NoVerdict,
}

/// What holds, and what happens without it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Without {
    /// Nothing of ours to switch off: the engine's own check holds; its name.
    Engine(&'static str),
    /// Nothing to switch off: there is no harm in it.
    NoHarm,
    /// The checks that are switched off, and the harm then.
    Limits(&'static [Limit], Harm),
}

/// What a guest does to its host where nobody stops it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Harm {
    /// It is taken for an answer.
    Answered,
    /// All of it is read, before it is refused for what it says.
    Refused(&'static str),
    /// The same, and it kept the thread so long.
    Takes(Duration),
    /// It goes on until the next limit, which is this one.
    RunsInto(FaultReason, &'static str),
    /// It has so many bytes of memory.
    Memory(usize),
    /// So many of its lines are in the log.
    LogLines(u64),
    /// Its rows are lost, though they should pass.
    LosesRows,
    /// So many requests of its own go out.
    Requests(usize),
    /// So many firings that nobody can make a request of.
    Firings(u64),
    /// So many findings of its own go out.
    Findings(usize),
    /// It keeps so many keys and bytes of state.
    State(usize, usize),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// The behaviour's name.
    pub(super) does: &'static str,
    /// How much of it; and how much where the limit is off.
    pub(super) amount: u64,
    pub(super) amount_without: u64,
    /// What its slot's config says under `limits`.
    pub(super) limits: &'static str,
    pub(super) ends: Ends,
    pub(super) without: Without,
}

const fn case(does: &'static str, ends: Ends, without: Without) -> Case {
    Case {
        does,
        amount: 0,
        amount_without: 0,
        limits: "",
        ends,
        without,
    }
}

impl Case {
    const fn amount(mut self, amount: u64) -> Self {
        self.amount = amount;
        self.amount_without = amount;
        self
    }

    const fn amount_without(mut self, amount: u64) -> Self {
        self.amount_without = amount;
        self
    }

    const fn limits(mut self, limits: &'static str) -> Self {
        self.limits = limits;
        self
    }
}

/// What a test of its own looks at, in `quiet.rs`, `refused.rs` or elsewhere.
pub(super) const ELSEWHERE: &[&str] = &[
    "count-in-metrics",
    "count-in-state",
    "drop-all",
    "echo",
    "find",
    "fire-all",
    "init-error",
    "init-error-words",
    "metrics-overflow",
    "rules-twice",
    "sign-state",
    "state-peek",
    "undecided-all",
    "wants-nothing",
    "wants-unknown-column",
    "wants-unknown-kind",
    "wants-words",
];

/// What good guests do, beside which the others are judged.
pub(super) const GOOD: &[&str] = &[
    "answer",
    "count",
    "count-in-metrics",
    "count-in-state",
    "drop-all",
    "find",
    "fire-all",
    "realloc-good",
    "sign-state",
    "undecided-all",
];

/// What only guests with memory do; looked at in `snapshots.rs`.
pub(super) const MEMORY: &[&str] = &["refuse", "snapshot-huge"];

/// A case's number: one behaviour may meet several limits.
pub(super) fn place(case: &Case) -> usize {
    let all = COMMON.iter().chain(FILTERS).chain(TRIGGERS).chain(STAGES);
    all.take_while(|other| (other.does, other.limits) != (case.does, case.limits))
        .count()
}
