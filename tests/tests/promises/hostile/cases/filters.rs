//! What only filters do.

use weir::sandbox::{FaultReason, Limit};

use super::Ends::{Answer, Fault, NoVerdict};
use super::Without::{Limits, NoHarm};
use super::{Case, Harm, Without, case};

/// An answer that doesn't fit its batch: the rows are lost where nobody looks.
const LOSES_ROWS: Without = Limits(&[Limit::OutputFit], Harm::LosesRows);

/// What only filters do.
pub(in super::super) const FILTERS: &[Case] = &[
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
    case(
        "fatal-words",
        Fault(FaultReason::Fatal, "\\u{1b}[2Jcleared\\nforged: linexxx"),
        NoHarm,
    )
    .amount(64 << 10),
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
