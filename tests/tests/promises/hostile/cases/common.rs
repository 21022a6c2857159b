//! What guests of every world can do.

use std::time::Duration;

use weir::sandbox::{FaultReason, Limit};

use super::Ends::{Answer, Fault};
use super::Without::{Engine, Limits, NoHarm};
use super::{Case, Harm, case};

// A guest that has burnt a deadline runs at nice 10: on a busy machine its wall clock would run out
// before its CPU time. Where the deadline is what is looked at, `wall_factor` is out of reach.

/// Room for a guest and little more.
const LITTLE_MEMORY: &str = "memory_bytes_max = \"8MiB\"";
/// The same in bytes.
const LITTLE_MEMORY_BYTES: usize = 8 << 20;

/// What guests of every world can do.
pub(in super::super) const COMMON: &[Case] = &[
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
        "grow-at-once",
        Answer(""),
        Limits(&[Limit::Memory], Harm::Memory(4 * LITTLE_MEMORY_BYTES)),
    )
    .amount(4 * LITTLE_MEMORY_BYTES as u64)
    .limits(LITTLE_MEMORY),
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
    case(
        "poll-many",
        Fault(FaultReason::HostBytes, "than one call may"),
        Limits(&[Limit::HostBytes, Limit::Handles], Harm::Answered),
    )
    .amount(20_000)
    .limits("host_bytes_call_max = \"16KiB\""),
    case(
        "poll-many",
        Fault(FaultReason::Handles, "64 handles"),
        Limits(&[Limit::Handles], Harm::Answered),
    )
    .amount(5_000)
    .limits("handles_max = 64"),
    case(
        "poll-often",
        Fault(FaultReason::HostCalls, "limits.host_calls_batch_max"),
        Limits(&[Limit::HostCalls], Harm::Answered),
    )
    .amount(200)
    .limits("host_calls_batch_max = 100"),
    case("random-and-clocks", Answer("passed 0 0"), NoHarm),
    case(
        "random-huge",
        Fault(FaultReason::Trap, "exceeds limit 65536"),
        Engine("WasiCtxBuilder::max_random_size"),
    )
    .amount(1 << 40),
    case(
        "random-often",
        Fault(FaultReason::HostCalls, "limits.host_calls_batch_max"),
        Limits(&[Limit::HostCalls], Harm::Answered),
    )
    .amount(200)
    .limits("host_calls_batch_max = 100"),
    case("secret", Answer("secrets 0"), NoHarm),
    case(
        "secret-then-trap",
        Fault(FaultReason::Trap, "unreachable"),
        Engine("a memory that is new"),
    ),
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
