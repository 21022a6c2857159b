//! What only triggers do.

use std::time::Duration;

use weir::sandbox::{FaultReason, Limit};

use super::Ends::{Answer, Fault, NoVerdict};
use super::Without::{Limits, NoHarm};
use super::{Case, Harm, case};

/// What only triggers do.
pub(in super::super) const TRIGGERS: &[Case] = &[
    case("fatal", Fault(FaultReason::Fatal, "it is broken"), NoHarm),
    case(
        "firing-row-out-of-range",
        Fault(FaultReason::InvalidOutput, "row 1"),
        Limits(&[Limit::OutputFit], Harm::Answered),
    ),
    case(
        "firing-rule-out-of-range",
        Fault(FaultReason::InvalidOutput, "rule 1"),
        Limits(&[Limit::OutputFit], Harm::Firings(2)),
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
        "state-churn",
        Fault(FaultReason::Deadline, "limits.cpu_call"),
        Limits(&[Limit::Deadline], Harm::Takes(Duration::from_millis(20))),
    )
    .amount(1_000_000)
    .amount_without(6_000)
    .limits("cpu_call = \"10ms\"\nwall_factor = 1000\nhost_calls_batch_max = 100_000_000\nfuel_call = 1_000_000_000_000"),
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
        "undecided-huge",
        Fault(FaultReason::Output, "limits.output_bytes_max"),
        Limits(&[Limit::OutputSize], Harm::Answered),
    )
    .amount(64 << 10)
    .limits("output_bytes_max = \"16KiB\""),
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
