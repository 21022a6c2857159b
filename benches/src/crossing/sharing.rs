//! One batch shown to many guests, beside a batch of its own for each: what it saves that a column is
//! gathered once, and shared by all who ask for it.
//!
//! All guests are instances of the filter of `two-string-columns`, called one after the other on one thread.
//! The peer's batches have the same columns in the same buffers, but no guest has asked for any of them
//! before. Both sides make the same number of calls, and keep the same rows.

use anyhow::ensure;
use weir::sandbox::{Instance, Sandbox};
use weir_bus::Batch;

use super::{CALLS, a_row, fresh, native, same_rows, text_filter};
use crate::guests::answered;
use crate::measure::{CpuWatch, Effort};
use crate::report::{Better, Case};
use crate::rows::{MARK, ODD_FOLDER};

/// How many guests look at a batch.
const GUESTS: [usize; 3] = [1, 8, 64];

/// Measures the cases.
pub(super) fn run(
    effort: Effort,
    sandbox: &Sandbox,
    contents: &[Batch],
) -> anyhow::Result<Vec<Case>> {
    let names = GUESTS.map(|guests| format!("shared/{guests}"));
    let wanted = GUESTS
        .into_iter()
        .zip(names)
        .filter(|(_, name)| effort.wants(name));
    wanted
        .map(|(guests, name)| case(effort, sandbox, contents, guests, name))
        .collect()
}

fn case(
    effort: Effort,
    sandbox: &Sandbox,
    contents: &[Batch],
    guests: usize,
    name: String,
) -> anyhow::Result<Case> {
    let instances = (0..guests).map(|_| text_filter(sandbox));
    let mut instances = instances.collect::<Result<Vec<_>, _>>()?;
    let texts = native::Texts::new(MARK, ODD_FOLDER);
    for instance in &mut instances {
        same_rows(contents, instance, "native", |_, batch| texts.keep(batch))?;
    }
    let batches = (effort.of(CALLS) / guests).max(1);
    let (mut shared, mut own) = (Vec::new(), Vec::new());
    for _ in 0..effort.pairs {
        let one_for_all = fresh(contents, batches)?;
        let one_for_all = one_for_all.iter().flat_map(|batch| vec![batch; guests]);
        let (time, kept) = time_calls(&mut instances, one_for_all.collect())?;
        shared.push(time);
        let one_for_each = fresh_for_each(contents, batches, guests)?;
        let (time, kept_of_own) = time_calls(&mut instances, one_for_each.iter().collect())?;
        own.push(time);
        ensure!(kept == kept_of_own, "{kept} and {kept_of_own} rows");
    }
    let peer = ("own-batch", own.as_slice());
    Ok(Case::beside(name, "ns/row", Better::Lower, &shared, peer))
}

/// For each guest in turn a batch that nobody has seen; the same contents for all guests of a turn.
fn fresh_for_each(contents: &[Batch], turns: usize, guests: usize) -> anyhow::Result<Vec<Batch>> {
    let in_turn = contents.iter().cycle().take(turns);
    let mut batches = Vec::with_capacity(turns * guests);
    for content in in_turn {
        batches.extend(fresh(std::slice::from_ref(content), guests)?);
    }
    Ok(batches)
}

/// Nanoseconds a row and guest; and how many rows were kept.
fn time_calls(instances: &mut [Instance], batches: Vec<&Batch>) -> anyhow::Result<(f64, usize)> {
    let mut kept = 0;
    let calls = batches.len();
    let guests = instances.len();
    let watch = CpuWatch::start();
    for (place, batch) in batches.into_iter().enumerate() {
        let instance = &mut instances[place % guests];
        kept += answered(instance.keep(batch, Some(0)))?.count(batch.rows())?;
    }
    Ok((a_row(&watch, calls), kept))
}
