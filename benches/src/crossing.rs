//! What a call into the sandbox costs, beside the same work without one.
//!
//! Ours is `Instance::keep`, which is what a filter's slot calls: it arms fuel, epoch and memory
//! limits, lends the batch, gathers the columns that the guest asks for, copies them into its memory,
//! runs the guest's loop, lifts the selection and checks it against the batch. Every call gets a
//! batch that no guest has seen, so that nothing is left over from the call before; making these
//! batches is not timed. Neither is making the records that `list-of-records` hands over.
//!
//! All sides look at the same rows, and have to select the same ones. What is counted is the CPU time
//! of the one thread that calls. [`sharing`] shows one batch to many guests.

mod native;
mod records;
mod sharing;

use anyhow::{Context as _, ensure};
use weir::sandbox::{Instance, Sandbox};
use weir_bus::{Batch, Kind, Selection, topic};

use crate::guests::{self, Workshop, answered};
use crate::measure::{CpuWatch, Effort, figure};
use crate::report::{Better, Case};
use crate::rows::{self, MARK, ODD_FOLDER};
use records::Records;

/// Rows of a batch: what the batcher closes one at.
const ROWS: u64 = 1_000;
/// Batches of different rows, used in turn: no branch predictor learns them by heart.
const CONTENTS: u64 = 16;
/// Calls of one run.
const CALLS: usize = 2_000;
/// Calls of one run of the peer that is some fifty times slower.
const CALLS_RECORDS: usize = 100;
/// Calls of one run of the guest that does nothing.
const CALLS_EMPTY: usize = 100_000;

/// The numbers that `numeric` compares with: about half of the rows pass each.
const MEMORY_BYTES_MIN: u64 = 500_000_000;
const PID_MAX: u32 = 12_000;

const TWO_STRING_COLUMNS: &str = "two-string-columns";
const NUMERIC_COLUMNS: &str = "numeric-columns";
const EMPTY_CALL: &str = "empty-call";

/// Measures the suite.
pub(crate) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let workshop = Workshop::open()?;
    let sandbox = workshop.sandbox()?;
    let contents = contents()?;
    let mut cases = Vec::new();
    if effort.wants(TWO_STRING_COLUMNS) {
        cases.extend(two_string_columns(effort, &sandbox, &contents)?);
    }
    if effort.wants(NUMERIC_COLUMNS) {
        cases.push(numeric_columns(effort, &sandbox, &contents)?);
    }
    if effort.wants(EMPTY_CALL) {
        cases.push(empty_call(effort, &sandbox, &contents)?);
    }
    cases.extend(sharing::run(effort, &sandbox, &contents)?);
    Ok(cases)
}

fn contents() -> anyhow::Result<Vec<Batch>> {
    (0..CONTENTS)
        .map(|content| {
            let rows: Vec<_> = rows::rows(content * ROWS, ROWS)
                .into_iter()
                .map(Into::into)
                .collect();
            let topic = topic::of_event(Kind::Process, "observed");
            Ok(Batch::of_events(topic, "bench", content * ROWS, &rows)?)
        })
        .collect()
}

/// As many batches as there are calls, of the same columns, that no guest has seen.
fn fresh(contents: &[Batch], calls: usize) -> anyhow::Result<Vec<Batch>> {
    let turns = contents.iter().cycle().take(calls);
    turns.map(guests::unseen).collect()
}

/// The rows that a guest keeps, by number.
fn rows_kept(instance: &mut Instance, batch: &Batch) -> anyhow::Result<Vec<u32>> {
    let selection = answered(instance.keep(batch, Some(0)))?;
    let rows = u32::try_from(batch.rows())?;
    Ok(match selection {
        Selection::All => (0..rows).collect(),
        Selection::None => Vec::new(),
        Selection::Rows(list) => list,
        Selection::Mask(mask) => (0..rows)
            .filter(|row| {
                let byte = usize::try_from(row / 8).ok().and_then(|at| mask.get(at));
                byte.is_some_and(|byte| byte >> (row % 8) & 1 == 1)
            })
            .collect(),
    })
}

/// Every side has to keep the same rows of every batch, some and not all of them.
fn same_rows(
    contents: &[Batch],
    ours: &mut Instance,
    name: &str,
    mut peer: impl FnMut(usize, &Batch) -> anyhow::Result<Vec<u32>>,
) -> anyhow::Result<()> {
    for (place, batch) in contents.iter().enumerate() {
        let kept = rows_kept(ours, batch)?;
        let peers = peer(place, batch)?;
        ensure!(
            kept == peers,
            "ours keeps {} rows of batch {place}, {name} {}: {kept:?} and {peers:?}",
            kept.len(),
            peers.len()
        );
        ensure!(
            !kept.is_empty() && kept.len() < batch.rows(),
            "{} of {} rows are kept: that shows nothing",
            kept.len(),
            batch.rows()
        );
    }
    Ok(())
}

/// Nanoseconds a row of `keep` over batches that no guest has seen; and how many rows it kept.
fn time_keep(
    instance: &mut Instance,
    contents: &[Batch],
    calls: usize,
) -> anyhow::Result<(f64, usize)> {
    let batches = fresh(contents, calls)?;
    let mut kept = 0;
    let watch = CpuWatch::start();
    for batch in &batches {
        kept += answered(instance.keep(batch, Some(0)))?.count(batch.rows())?;
    }
    Ok((a_row(&watch, calls), kept))
}

/// Nanoseconds a row of a native loop; and how many rows it kept.
fn time_native(
    contents: &[Batch],
    calls: usize,
    keep: impl Fn(&Batch) -> anyhow::Result<Vec<u32>>,
) -> anyhow::Result<(f64, usize)> {
    let batches = fresh(contents, calls)?;
    let mut kept = 0;
    let watch = CpuWatch::start();
    for batch in &batches {
        kept += keep(batch)?.len();
    }
    Ok((a_row(&watch, calls), kept))
}

fn a_row(watch: &CpuWatch, calls: usize) -> f64 {
    watch.nanoseconds() / (figure(calls as u64) * figure(ROWS))
}

/// The filter over two columns of texts.
fn text_filter(sandbox: &Sandbox) -> anyhow::Result<Instance> {
    let settings = format!(r#"{{"name_contains":"{MARK}","executable_starts":"{ODD_FOLDER}"}}"#);
    guests::filter(sandbox, "text.wasm", &settings)
}

fn two_string_columns(
    effort: Effort,
    sandbox: &Sandbox,
    contents: &[Batch],
) -> anyhow::Result<Vec<Case>> {
    let mut instance = text_filter(sandbox)?;
    let texts = native::Texts::new(MARK, ODD_FOLDER);
    let mut records = Records::new(MARK, ODD_FOLDER).context("the peer list-of-records")?;
    let lists: Vec<_> = contents
        .iter()
        .map(records::events_of)
        .collect::<Result<_, _>>()?;

    let mut native = |_: usize, batch: &Batch| texts.keep(batch);
    same_rows(contents, &mut instance, "native", &mut native)?;
    let mut searched = |_: usize, batch: &Batch| texts.keep_by_column(batch);
    same_rows(contents, &mut instance, "native-by-column", &mut searched)?;
    let mut listed = |place: usize, _: &Batch| records.keep(&lists[place]);
    same_rows(contents, &mut instance, "list-of-records", &mut listed)?;

    let (calls, calls_records) = (effort.of(CALLS), effort.of(CALLS_RECORDS));
    let (mut ours, mut natives) = (Vec::new(), Vec::new());
    let (mut by_column, mut listeds) = (Vec::new(), Vec::new());
    for _ in 0..effort.pairs {
        let (time, kept) = time_keep(&mut instance, contents, calls)?;
        ours.push(time);
        let (time, kept_natively) = time_native(contents, calls, |batch| texts.keep(batch))?;
        natives.push(time);
        ensure!(kept == kept_natively, "{kept} and {kept_natively} rows");
        let keep = |batch: &Batch| texts.keep_by_column(batch);
        by_column.push(time_native(contents, calls, keep)?.0);
        listeds.push(time_records(&mut records, &lists, calls_records)?);
    }
    let case = |peer| Case::beside(TWO_STRING_COLUMNS, "ns/row", Better::Lower, &ours, peer);
    Ok(vec![
        case(("native", &natives)),
        case(("native-by-column", &by_column)),
        case(("list-of-records", &listeds)),
    ])
}

fn time_records(
    records: &mut Records,
    lists: &[Vec<records::Event>],
    calls: usize,
) -> anyhow::Result<f64> {
    let watch = CpuWatch::start();
    for list in lists.iter().cycle().take(calls) {
        std::hint::black_box(records.keep(list)?);
    }
    Ok(a_row(&watch, calls))
}

fn numeric_columns(effort: Effort, sandbox: &Sandbox, contents: &[Batch]) -> anyhow::Result<Case> {
    let settings = format!(r#"{{"memory_bytes_min":{MEMORY_BYTES_MIN},"pid_max":{PID_MAX}}}"#);
    let mut instance = guests::filter(sandbox, "numeric.wasm", &settings)?;
    let keep = |batch: &Batch| native::keep_numbers(batch, MEMORY_BYTES_MIN, PID_MAX);
    // The last contents have only pids past the bound: nothing of them is kept by either side.
    let shown = contents.get(..4).unwrap_or(contents);
    let mut native = |_: usize, batch: &Batch| keep(batch);
    same_rows(shown, &mut instance, "native", &mut native)?;
    let calls = effort.of(CALLS);
    let (mut ours, mut natives) = (Vec::new(), Vec::new());
    for _ in 0..effort.pairs {
        let (time, kept) = time_keep(&mut instance, contents, calls)?;
        ours.push(time);
        let (time, kept_natively) = time_native(contents, calls, keep)?;
        natives.push(time);
        ensure!(kept == kept_natively, "{kept} and {kept_natively} rows");
    }
    let peer = ("native", natives.as_slice());
    Ok(Case::beside(
        NUMERIC_COLUMNS,
        "ns/row",
        Better::Lower,
        &ours,
        peer,
    ))
}

fn empty_call(effort: Effort, sandbox: &Sandbox, contents: &[Batch]) -> anyhow::Result<Case> {
    let mut instance = guests::filter(sandbox, "empty.wasm", "{}")?;
    let batch = contents.first().context("a batch")?;
    let calls = effort.of(CALLS_EMPTY);
    let mut ours = Vec::new();
    for _ in 0..effort.pairs {
        let mut kept = 0;
        let watch = CpuWatch::start();
        for _ in 0..calls {
            kept += answered(instance.keep(batch, Some(0)))?.count(batch.rows())?;
        }
        ours.push(watch.nanoseconds() / figure(calls as u64));
        ensure!(kept == calls * batch.rows(), "an empty filter keeps all");
    }
    Ok(Case::alone(EMPTY_CALL, "ns/call", Better::Lower, &ours))
}
