//! Guests change places under load: the daemon's own pipeline, 100,000 rows a second in batches of 100, one
//! trigger with memory, and a swap every 50 ms, to another module of the same guest.
//!
//! The next guest is prepared off the path, as the daemon does it, while the one in force works. A swap begins
//! while the last guest is still on probation, for that takes 1,000 batches: memory goes from one to the next,
//! and what would be gone back to stays the first.
//!
//! What is lost or doubled is seen from outside ([`account`]): the guest numbers the rows that it has seen, in
//! memory, and every tenth row fires with its number, which must be the row's own; a row that is out of step
//! fires, too. So each effect must come exactly once and in order, and the last says what is in memory at the end.
//!
//! A pause is what the slot told of its cut: no generation was evaluating from its begin to its end. What
//! else a swap costs stands in `latency/max`: the longest way of any row from source to sink.

mod account;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::Instant;
use weir::config::{Config, SlotSettings};
use weir::guests::Guests;
use weir::sandbox::Prepared;
use weir::slot::SwapEvent;

use crate::guests::{COUNTER, COUNTER_TWIN, Workshop};
use crate::live::source::Plan;
use crate::live::{self, Live};
use crate::measure::{Effort, figure, quantile};
use crate::report::{Better, Case};
use account::{Effect, account};

/// Swaps of a run.
const SWAPS: usize = 100;
/// From one to the next.
const SWAP_EVERY: Duration = Duration::from_millis(50);
/// Before the first, and after the last.
const MARGIN: Duration = Duration::from_millis(500);
const ROWS_PER_SECOND: u64 = 100_000;
const BATCH_ROWS: u64 = 100;
/// One row in so many fires: each firing is an event of its own, and costs as much as a batch of rows.
const FIRES_EVERY: u64 = 10;
const SLOT: &str = "counter";

/// What a guest has in memory besides its count: nothing, or all that a snapshot may hold.
const BALLASTS: [(&str, usize); 2] = [("pause", 0), ("pause-1mib", (1 << 20) - size_of::<u64>())];
/// Which part of the pauses is quoted.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("max", 1.0)];

/// What all runs with the same ballast came to.
#[derive(Default)]
struct Ran {
    /// In milliseconds.
    pauses: Vec<f64>,
    lost: u64,
    doubled: u64,
    latency_max_ms: f64,
}

/// Measures the suite.
pub(crate) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let workshop = Workshop::open()?;
    let guests = Arc::new(Guests::new(workshop.sandbox()?));
    let mut cases = Vec::new();
    let mut all = Ran::default();
    for (name, ballast_bytes) in BALLASTS {
        let config = load(&workshop, ballast_bytes)?;
        let mut ran = Ran::default();
        for _ in 0..effort.pairs {
            live::block_on(one_run(effort, &config, &guests, &mut ran)).context(name)?;
        }
        ran.pauses.sort_by(f64::total_cmp);
        cases.extend(QUANTILES.iter().map(|(part, share)| {
            let pause = quantile(&ran.pauses, *share);
            Case::alone(format!("{name}/{part}"), "ms", Better::Lower, &[pause])
        }));
        all.lost += ran.lost;
        all.doubled += ran.doubled;
        all.latency_max_ms = all.latency_max_ms.max(ran.latency_max_ms);
    }
    let sums = [
        ("lost", "effects", figure(all.lost)),
        ("doubled", "effects", figure(all.doubled)),
        ("latency/max", "ms", all.latency_max_ms),
    ];
    cases.extend(sums.map(|(name, unit, sum)| Case::alone(name, unit, Better::Lower, &[sum])));
    Ok(cases)
}

fn load(workshop: &Workshop, ballast_bytes: usize) -> anyhow::Result<Config> {
    let text = format!(
        "[collector]\nbatch_rows_max = {BATCH_ROWS}\n[slots.{SLOT}]\nmodule = \"{COUNTER}\"\n\
         settings = {{ fires_every = {FIRES_EVERY}, ballast_bytes = {ballast_bytes} }}\n\
         limits = {{ cpu_share = 0 }}"
    );
    live::config(workshop, &text)
}

/// One more row than a multiple of those that fire: the last one fires, and tells the count at the end.
fn plan(swaps: usize) -> anyhow::Result<Plan> {
    let time = SWAP_EVERY * u32::try_from(swaps)? + MARGIN * 2;
    let rows = u64::try_from(time.as_millis())? * ROWS_PER_SECOND / 1_000;
    Ok(Plan {
        rows: rows.next_multiple_of(FIRES_EVERY) + 1,
        rows_per_second: Some(ROWS_PER_SECOND),
        chunk_rows: BATCH_ROWS,
        marked_every: FIRES_EVERY,
    })
}

async fn one_run(
    effort: Effort,
    config: &Config,
    guests: &Arc<Guests>,
    ran: &mut Ran,
) -> anyhow::Result<()> {
    let swaps = effort.of(SWAPS);
    let plan = plan(swaps)?;
    let live = Live::open(config, guests, plan, Effect::of).await?;
    live.go();
    let swapping = async {
        let pauses = swap_all(&live, config, guests, swaps).await?;
        let answered = live.slot(SLOT)?.statistics().rows_answered;
        ensure!(answered < plan.rows, "the last swap came when all was over");
        Ok(pauses)
    };
    let (pauses, answered) = tokio::join!(swapping, live.wait_answered(|slot| slot.name() == SLOT));
    let pauses = pauses?;
    answered?;
    let done = live.finish().await?;
    done.all_answered(plan.rows)?;
    let slot = done.status.slots.first().context("a slot's counts")?;
    ensure!(
        slot.swaps == swaps as u64 && slot.rollbacks == 0 && slot.calls_forgotten == 0,
        "{} of {swaps} swaps, {} rollbacks, {} calls forgotten",
        slot.swaps,
        slot.rollbacks,
        slot.calls_forgotten
    );
    let account = account(&done.arrived, plan.rows, FIRES_EVERY)?;
    ensure!(
        account.lost == 0 && account.doubled == 0,
        "{} effects lost, {} doubled in {swaps} swaps",
        account.lost,
        account.doubled
    );
    ran.lost += account.lost;
    ran.doubled += account.doubled;
    ran.latency_max_ms = ran.latency_max_ms.max(account.latency_max_ms);
    ran.pauses.extend(pauses);
    Ok(())
}

/// Swaps again and again: how long each paused, in milliseconds.
async fn swap_all(
    live: &Live<Effect>,
    config: &Config,
    guests: &Arc<Guests>,
    swaps: usize,
) -> anyhow::Result<Vec<f64>> {
    let slot = live.slot(SLOT)?;
    let settings = config.slots.get(SLOT).context("the slot's settings")?;
    let first = Instant::now() + MARGIN;
    let mut pauses = Vec::with_capacity(swaps);
    let modules = [COUNTER_TWIN, COUNTER].into_iter().cycle();
    for (number, module) in (0_u32..).zip(modules).take(swaps) {
        let guest = prepare(guests, config, settings, module).await?;
        ensure!(slot.digest() != Some(guest.digest), "it is the same module");
        slot.fits(&guest).map_err(anyhow::Error::msg)?;
        tokio::time::sleep_until(first + SWAP_EVERY * number).await;
        let generation = slot.switch(guest).in_force().await;
        generation.map_err(anyhow::Error::msg)?;
        for notice in slot.take_notices() {
            match notice.what {
                SwapEvent::Swapped => pauses.push(figure(notice.pause_us) / 1e3),
                // Where a swap came late, the last guest has had its 1,000 batches.
                SwapEvent::Confirmed => {}
                SwapEvent::RolledBack | SwapEvent::Refused => bail!("{notice:?}"),
            }
        }
    }
    ensure!(pauses.len() == swaps, "{} swaps were told", pauses.len());
    Ok(pauses)
}

/// The next guest, ready to take over: made on a thread that waits for nothing else.
async fn prepare(
    guests: &Arc<Guests>,
    config: &Config,
    settings: &SlotSettings,
    module: &str,
) -> anyhow::Result<Prepared> {
    let (guests, trust) = (Arc::clone(guests), config.trust.clone());
    let settings = SlotSettings {
        module: module.to_owned().into(),
        ..settings.clone()
    };
    let preparing = tokio::task::spawn_blocking(move || guests.prepare(SLOT, &settings, &trust));
    Ok(preparing.await??)
}
