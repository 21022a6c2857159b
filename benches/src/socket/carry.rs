//! Rows of several topics over the socket, for whoever wants to measure them beside something else.

use anyhow::Context as _;
use tempfile::TempDir;

use super::broker::Broker;
use super::errand::{Load, Wanted};
use super::run::{Plan, run};
use super::side::System;
use crate::cost::{Cost, Meter};
use crate::measure::quantile;
use crate::pace::Pace;

/// Credits of a subscriber: 4,096 rows are under way at most, 16 frames of 256.
const CREDITS: usize = 4;
/// The part of a subscriber's latencies that isn't counted: caches and processes are cold.
const SKIPPED_PART: u64 = 10;

/// What a run came to.
pub(crate) struct Carried {
    /// Rows that arrived, summed over the subscribers.
    pub(crate) rows: u64,
    /// Of what was read in them.
    pub(crate) digest: u64,
    /// From before the first row was built until the last was read.
    pub(crate) time_ns: u64,
    /// Of the broker and all clients.
    pub(crate) cost: Cost,
    /// Bytes of that which are the broker's.
    pub(crate) memory_of_broker: u64,
    /// p50 and p99 in microseconds, where rows came at a pace.
    pub(crate) latencies_us: Option<[f64; 2]>,
}

/// Has one publisher build and send so many rows, whose topics take turns, and as many subscribers as that
/// read a topic each, through a broker of their own.
pub(crate) fn carry(
    subscribers: u64,
    topics: u64,
    rows_a_frame: u64,
    rows: u64,
    pace: Option<Pace>,
) -> anyhow::Result<Carried> {
    let folder = TempDir::new().context("a temporary folder")?;
    let broker = Broker::start(System::Weir, folder.path(), None)?;
    let meter = Meter::of(broker.process()?)?;
    let wanted = match pace {
        Some(_) => Wanted::Moments,
        None => Wanted::Span,
    };
    let ran = run(
        &broker,
        Plan {
            publishers: 1,
            subscribers,
            load: Load::ProcessRows {
                rows_a_frame,
                topics,
            },
            messages: rows,
            core: None,
            wanted,
            credits: CREDITS,
            pace,
            limit: None,
        },
    )?;
    let mut cost = meter.read()?;
    let memory_of_broker = cost.memory;
    cost += ran.cost();
    let skipped = rows / topics / rows_a_frame / SKIPPED_PART;
    let latencies = ran.frame_latencies_us(usize::try_from(skipped)?);
    Ok(Carried {
        rows: ran.rows(),
        digest: ran.digest(),
        time_ns: ran.time_ns(),
        cost,
        memory_of_broker,
        latencies_us: pace.map(|_| [0.5, 0.99].map(|share| quantile(&latencies, share))),
    })
}
