//! The table: what a hostile guest does, the one limit within its reach, what that comes out as, and
//! the harm that it does where the limit is switched off.

use std::time::Duration;

use weir::sandbox::{FaultReason, Limit};

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
    Engine(#[expect(dead_code, reason = "named for who reads the table")] &'static str),
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

use Ends::{Answer, Fault, NoVerdict};
use Without::{Engine, Limits, NoHarm};

// A guest that has burnt a deadline runs at nice 10: on a busy machine its wall clock would run out
// before its CPU time. Where the deadline is what is looked at, `wall_factor` is out of reach.

/// Room for a guest and little more.
const LITTLE_MEMORY: &str = "memory_bytes_max = \"8MiB\"";
/// The same in bytes.
const LITTLE_MEMORY_BYTES: usize = 8 << 20;

/// What guests of every world can do.
pub(super) const COMMON: &[Case] = &[
    case("answer", Answer(""), NoHarm),
    case(
        "burn-cpu",
        Fault(FaultReason::Deadline, "limits.cpu_call"),
        Limits(&[Limit::Deadline], Harm::Takes(Duration::from_millis(20))),
    )
    .amount(60)
    .limits("cpu_call = \"10ms\"\nwall_factor = 1000\nfuel_call = 1_000_000_000_000"),
    case(
        "burn-fuel",
        Fault(FaultReason::Fuel, "used all its fuel"),
        Limits(&[Limit::Fuel], Harm::Answered),
    )
    .amount(1)
    .limits("fuel_call = 1_000_000\nfuel_row = 0"),
    case(
        "exit",
        Fault(FaultReason::Exit, "called exit("),
        Engine("I32Exit"),
    ),
    case(
        "exit-0",
        Fault(FaultReason::Exit, "called exit("),
        Engine("I32Exit"),
    ),
    case(
        "grow-memory",
        Answer(""),
        Limits(&[Limit::Memory], Harm::Memory(4 * LITTLE_MEMORY_BYTES)),
    )
    .limits(LITTLE_MEMORY),
    case(
        "hold-memory",
        Fault(FaultReason::Memory, "limits.memory_bytes_max"),
        Limits(&[Limit::Memory], Harm::Memory(2 * LITTLE_MEMORY_BYTES)),
    )
    .amount(2 * LITTLE_MEMORY_BYTES as u64)
    .limits(LITTLE_MEMORY),
    case(
        "huge-log",
        Fault(FaultReason::HostBytes, "than one call may"),
        Limits(&[Limit::HostBytes], Harm::Answered),
    )
    .amount(64 << 10)
    .limits("host_bytes_call_max = \"16KiB\""),
    case(
        "flood-log",
        Fault(FaultReason::HostBytes, "limits.host_bytes_batch_max"),
        Limits(&[Limit::HostBytes], Harm::Answered),
    )
    .amount(2_000)
    .limits("host_bytes_call_max = \"4KiB\"\nhost_bytes_batch_max = \"4KiB\""),
    case(
        "flood-log",
        Answer("flood 0"),
        Limits(&[Limit::LogRate], Harm::LogLines(4_000)),
    )
    .amount(2_000)
    .limits("log_burst = 5\nlog_lines_per_second = 1"),
    case(
        "flood-log",
        Fault(FaultReason::HostCalls, "limits.host_calls_batch_max"),
        Limits(&[Limit::HostCalls], Harm::Answered),
    )
    .amount(2_000)
    .limits("host_calls_batch_max = 1_000"),
    case(
        "flood-stderr",
        Answer("flood 0"),
        Limits(&[Limit::LogRate], Harm::LogLines(1_000)),
    )
    .amount(500)
    .limits("log_burst = 5\nlog_lines_per_second = 1"),
    case(
        "flood-stdout",
        Answer("flood 0"),
        Limits(&[Limit::LogRate], Harm::LogLines(1_000)),
    )
    .amount(500)
    .limits("log_burst = 5\nlog_lines_per_second = 1"),
    case(
        "log-control-characters",
        Answer("\\u{1b}[2Jcleared\\r\\nweir: forged line\\u{7}\\u{9b}31m\\u{202e}"),
        NoHarm,
    ),
    case(
        "loop",
        Fault(FaultReason::Fuel, "used all its fuel"),
        Limits(
            &[Limit::Fuel],
            Harm::RunsInto(FaultReason::Deadline, "limits.cpu_call"),
        ),
    )
    .limits("fuel_call = 10_000_000\nwall_factor = 1000"),
    case(
        "loop",
        Fault(FaultReason::Deadline, "limits.cpu_call"),
        Limits(
            &[Limit::Deadline],
            Harm::RunsInto(FaultReason::Fuel, "used all its fuel"),
        ),
    )
    .limits("cpu_call = \"10ms\"\nwall_factor = 1000\nfuel_call = 2_000_000_000"),
    case(
        "many-handles",
        Fault(FaultReason::Handles, "64 handles"),
        Limits(&[Limit::Handles], Harm::Answered),
    )
    .amount(500)
    .limits("handles_max = 64"),
    case(
        "many-log-calls",
        Fault(FaultReason::HostCalls, "limits.host_calls_batch_max"),
        Limits(&[Limit::HostCalls], Harm::Answered),
    )
    .amount(200)
    .limits("host_calls_batch_max = 100"),
    case(
        "panic",
        Fault(FaultReason::Trap, "unreachable"),
        Engine("Trap::UnreachableCodeReached"),
    ),
    case("peek", Answer("environment 0"), NoHarm),
    case("random-and-clocks", Answer("passed 0 0"), NoHarm),
    case(
        "sleep",
        Fault(FaultReason::WouldBlock, "can't sleep"),
        Limits(&[Limit::WouldBlock], Harm::Takes(Duration::from_secs(1))),
    )
    .amount_without(1),
    case(
        "stack-overflow",
        Fault(FaultReason::Stack, "stack of 512 KiB"),
        Engine("Trap::StackOverflow"),
    ),
    case(
        "stderr-then-trap",
        Fault(FaultReason::Trap, "unreachable"),
        Engine("Trap::UnreachableCodeReached"),
    )
    .amount(20_000)
    .limits("host_calls_batch_max = 200_000"),
    case(
        "take-memory",
        Fault(FaultReason::Memory, "limits.memory_bytes_max"),
        Limits(
            &[Limit::Memory],
            Harm::RunsInto(FaultReason::Memory, "sandbox.guests_memory_bytes_max"),
        ),
    )
    .limits(LITTLE_MEMORY),
    case(
        "trap",
        Fault(FaultReason::Trap, "unreachable"),
        Engine("Trap::UnreachableCodeReached"),
    ),
];

/// An answer that doesn't fit its batch: the rows are lost where nobody looks.
const LOSES_ROWS: Without = Limits(&[Limit::OutputFit], Harm::LosesRows);

/// What only filters do.
pub(super) const FILTERS: &[Case] = &[
    case(
        "column-not-asked-for",
        Answer("did not ask for the field `executable`"),
        NoHarm,
    ),
    case(
        "column-again-and-again",
        Fault(FaultReason::HostCalls, "limits.host_calls_batch_max"),
        Limits(&[Limit::HostCalls], Harm::Answered),
    )
    .amount(200)
    .limits("host_calls_batch_max = 100"),
    case("count", Answer("rows 4 named 4"), NoHarm),
    case(
        "error-huge",
        Fault(FaultReason::Output, "limits.output_bytes_max"),
        Limits(&[Limit::OutputSize], Harm::Answered),
    )
    .amount(64 << 10)
    .limits("output_bytes_max = \"16KiB\""),
    case(
        "error-huge",
        Fault(FaultReason::Output, "limits.host_bytes_call_max"),
        Limits(&[Limit::OutputSize], Harm::Answered),
    )
    .amount(64 << 10)
    .limits("host_bytes_call_max = \"16KiB\""),
    case("fatal", Fault(FaultReason::Fatal, "it is broken"), NoHarm),
    case("mask-bits-past-the-end", Answer(""), NoHarm),
    case(
        "mask-too-long",
        Fault(FaultReason::InvalidOutput, "selection"),
        LOSES_ROWS,
    ),
    case(
        "mask-too-short",
        Fault(FaultReason::InvalidOutput, "selection"),
        LOSES_ROWS,
    ),
    case("reject", NoVerdict, NoHarm),
    case("retry", NoVerdict, NoHarm),
    case("retry-once", Answer("retried"), NoHarm),
    case("row-out-of-range", Answer("4 rows"), NoHarm),
    case(
        "rows-descending",
        Fault(FaultReason::InvalidOutput, "selection"),
        LOSES_ROWS,
    ),
    case(
        "rows-huge",
        Fault(FaultReason::InvalidOutput, "selection"),
        LOSES_ROWS,
    )
    .amount(1_000),
    case(
        "rows-huge",
        Fault(FaultReason::Output, "limits.output_bytes_max"),
        Limits(
            &[Limit::OutputSize],
            Harm::RunsInto(FaultReason::InvalidOutput, "selection"),
        ),
    )
    .amount(10_000)
    .limits("output_bytes_max = \"16KiB\""),
    case(
        "rows-out-of-range",
        Fault(FaultReason::InvalidOutput, "selection"),
        LOSES_ROWS,
    ),
    case(
        "rows-twice",
        Fault(FaultReason::InvalidOutput, "selection"),
        LOSES_ROWS,
    ),
    case("unknown-column", Answer("shoe_size"), NoHarm),
];

/// What only triggers do.
pub(super) const TRIGGERS: &[Case] = &[
    case("fatal", Fault(FaultReason::Fatal, "it is broken"), NoHarm),
    case(
        "firing-row-out-of-range",
        Fault(FaultReason::InvalidOutput, "row 1"),
        Limits(&[Limit::OutputFit], Harm::Answered),
    ),
    case(
        "firing-rule-out-of-range",
        Fault(FaultReason::InvalidOutput, "rule 1"),
        Limits(&[Limit::OutputFit], Harm::Requests(2)),
    ),
    case(
        "firings-too-many",
        Fault(FaultReason::Output, "limits.output_rows_factor"),
        Limits(&[Limit::OutputSize], Harm::Requests(200)),
    )
    .amount(100),
    case(
        "message-huge",
        Fault(FaultReason::Output, "limits.output_bytes_max"),
        Limits(&[Limit::OutputSize], Harm::Requests(2)),
    )
    .amount(64 << 10)
    .limits("output_bytes_max = \"16KiB\""),
    case("reject", NoVerdict, NoHarm),
    case("retry", NoVerdict, NoHarm),
    case(
        "state-bytes",
        Answer(""),
        Limits(&[Limit::StateQuota], Harm::State(8, 256 << 10)),
    )
    .amount(8)
    .limits("state_bytes_max = \"128KiB\""),
    case(
        "state-keys",
        Answer(""),
        Limits(&[Limit::StateQuota], Harm::State(200, 0)),
    )
    .amount(200)
    .limits("state_keys_max = 64"),
    case(
        "state-value",
        Answer(""),
        Limits(&[Limit::StateQuota], Harm::State(1, 128 << 10)),
    )
    .amount(128 << 10),
    case(
        "state-value",
        Fault(FaultReason::HostBytes, "than one call may"),
        Limits(&[Limit::HostBytes], Harm::Answered),
    )
    .amount(128 << 10)
    .limits("host_bytes_call_max = \"64KiB\""),
    case(
        "state-then-reject",
        NoVerdict,
        Limits(&[Limit::Transaction], Harm::State(1, 8)),
    ),
    case(
        "state-then-trap",
        Fault(FaultReason::Trap, "unreachable"),
        Limits(&[Limit::Transaction], Harm::State(1, 8)),
    ),
    case(
        "undecided-rule-out-of-range",
        Fault(FaultReason::InvalidOutput, "rule 1"),
        Limits(&[Limit::OutputFit], Harm::Answered),
    ),
    case(
        "undecided-too-many",
        Fault(FaultReason::Output, "limits.output_rows_factor"),
        Limits(&[Limit::OutputSize], Harm::Answered),
    )
    .amount(100),
];

/// What only stages do.
pub(super) const STAGES: &[Case] = &[
    case(
        "evidence-huge",
        Fault(FaultReason::Output, "limits.output_bytes_max"),
        Limits(&[Limit::OutputSize], Harm::Findings(2)),
    )
    .amount(64 << 10)
    .limits("output_bytes_max = \"16KiB\""),
    case("fatal", Fault(FaultReason::Fatal, "it is broken"), NoHarm),
    case(
        "findings-too-many",
        Fault(FaultReason::Output, "limits.output_rows_factor"),
        Limits(&[Limit::OutputSize], Harm::Findings(200)),
    )
    .amount(100),
    case(
        "inspect-often",
        Fault(FaultReason::HostCalls, "limits.host_calls_batch_max"),
        Limits(&[Limit::HostCalls], Harm::Answered),
    )
    .amount(200)
    .limits("host_calls_batch_max = 100"),
    // The same transaction as that of `state-then-trap`, whose harm is shown there.
    case(
        "metrics-then-trap",
        Fault(FaultReason::Trap, "unreachable"),
        NoHarm,
    ),
    case(
        "metrics-unknown-counter",
        Fault(FaultReason::InvalidOutput, "counter 99"),
        NoHarm,
    ),
    case("reject", NoVerdict, NoHarm),
    case("retry", NoVerdict, NoHarm),
];

/// What a test of its own looks at, in `quiet.rs`, `refused.rs` or elsewhere.
pub(super) const ELSEWHERE: &[&str] = &[
    "count-in-metrics",
    "count-in-state",
    "drop-all",
    "find",
    "fire-all",
    "init-error",
    "rules-none",
    "rules-twice",
    "sign-state",
    "undecided-all",
    "wants-nothing",
    "wants-unknown-column",
    "wants-unknown-kind",
];

/// A case's number: one behaviour may meet several limits.
pub(super) fn place(case: &Case) -> usize {
    let all = COMMON.iter().chain(FILTERS).chain(TRIGGERS).chain(STAGES);
    all.take_while(|other| (other.does, other.limits) != (case.does, case.limits))
        .count()
}
