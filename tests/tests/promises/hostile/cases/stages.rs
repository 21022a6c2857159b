//! What only stages do.

use weir::sandbox::{FaultReason, Limit};

use super::Ends::{Answer, Fault, NoVerdict};
use super::Without::{Limits, NoHarm};
use super::{Case, Harm, case};

/// What only stages do.
pub(in super::super) const STAGES: &[Case] = &[
    case(
        "evidence-huge",
        Fault(FaultReason::Output, "limits.output_bytes_max"),
        Limits(&[Limit::OutputSize], Harm::Findings(2)),
    )
    .amount(64 << 10)
    .limits("output_bytes_max = \"16KiB\""),
    case(
        "evidence-many",
        Fault(FaultReason::Output, "limits.host_bytes_call_max"),
        Limits(&[Limit::OutputSize], Harm::Findings(2)),
    )
    .amount(10_000)
    .limits("host_bytes_call_max = \"64KiB\""),
    case("fatal", Fault(FaultReason::Fatal, "it is broken"), NoHarm),
    case(
        "findings-too-many",
        Fault(FaultReason::Output, "limits.output_rows_factor"),
        Limits(&[Limit::OutputSize], Harm::Findings(200)),
    )
    .amount(100),
    case("inspect-absurd", Answer("seen 0 of 4"), NoHarm),
    case(
        "inspect-often",
        Fault(FaultReason::HostCalls, "limits.host_calls_batch_max"),
        Limits(&[Limit::HostCalls], Harm::Answered),
    )
    .amount(200)
    .limits("host_calls_batch_max = 100"),
    case("look-absurd", Answer("hashed 1 of 11, told 0"), NoHarm),
    case(
        "look-often",
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
