//! Guests change places under load: the daemon's own pipeline, 100,000 rows a second in batches of 100, one
//! trigger with memory, and a swap every 50 ms, to another module of the same guest.
//!
//! The next guest is prepared off the path, as the daemon does it, while the one in force works. A swap begins
//! while the last guest is still on probation, for that takes 1,000 batches: memory goes from one to the next,
//! and what would be gone back to stays the first.
//!
//! What is lost or doubled is seen from outside ([`mod@account`]): the guest numbers the rows that it has seen, in
//! memory, and every tenth row fires with its number, which must be the row's own; a row that is out of step
//! fires, too. So each effect must come exactly once and in order, and the last says what is in memory at the end.
//!
//! A pause is what the slot told of its cut: no generation was evaluating from its begin to its end. What
//! else swaps cost is seen in the way of the rows from source to sink, beside the same run without swaps.

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
use account::{Account, Effect, account};

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
const BALLASTS: [(&str, usize); 2] = [("", 0), ("-1mib", (1 << 20) - size_of::<u64>())];
/// Which part of the pauses of all runs is quoted.
const PAUSES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("max", 1.0)];
/// Which part of a run's latencies.
const LATENCIES: [(&str, f64); 2] = [("p99", 0.99), ("max", 1.0)];

/// What one run came to.
struct Ran {
    /// In milliseconds.
    pauses: Vec<f64>,
    account: Account,
}

/// Measures the suite.
pub(crate) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let workshop = Workshop::open()?;
    let guests = Arc::new(Guests::new(workshop.sandbox()?));
    let configs = BALLASTS.map(|(_, bytes)| load(&workshop, bytes));
    let configs = configs.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let swaps = effort.of(SWAPS);
    let plan = plan(swaps)?;
    let mut still = Vec::new();
    let mut swapping: Vec<Vec<Ran>> = configs.iter().map(|_| Vec::new()).collect();
    for _ in 0..effort.pairs {
        for (config, ran) in configs.iter().zip(&mut swapping) {
            ran.push(live::block_on(one_run(config, &guests, plan, swaps))?);
        }
        let config = configs.first().context("a config")?;
        still.push(live::block_on(one_run(config, &guests, plan, 0)).context("without swaps")?);
    }
    let mut cases = Vec::new();
    for ((name, _), ran) in BALLASTS.iter().zip(&swapping) {
        cases.extend(cases_of(name, ran, &still));
    }
    let accounts = || swapping.iter().flatten().map(|ran| &ran.account);
    let lost = accounts().map(|account| account.lost).sum();
    let doubled = accounts().map(|account| account.doubled).sum();
    cases.extend(
        [("lost", lost), ("doubled", doubled)]
            .map(|(name, sum)| Case::alone(name, "effects", Better::Lower, &[figure(sum)])),
    );
    Ok(cases)
}

fn cases_of(name: &str, ran: &[Ran], still: &[Ran]) -> Vec<Case> {
    let mut pauses: Vec<f64> = ran.iter().flat_map(|ran| ran.pauses.clone()).collect();
    pauses.sort_by(f64::total_cmp);
    let mut cases = Vec::new();
    for (part, share) in PAUSES {
        let pause = quantile(&pauses, share);
        cases.push(Case::alone(
            format!("pause{name}/{part}"),
            "ms",
            Better::Lower,
            &[pause],
        ));
    }
    for (part, share) in LATENCIES {
        let of = |runs: &[Ran]| {
            let latencies = runs
                .iter()
                .map(|ran| quantile(&ran.account.latencies, share));
            latencies.collect::<Vec<_>>()
        };
        let case = format!("latency{name}/{part}");
        let peer = ("no-swaps", of(still));
        cases.push(Case::beside(
            case,
            "ms",
            Better::Lower,
            &of(ran),
            (peer.0, &peer.1),
        ));
    }
    cases
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
    config: &Config,
    guests: &Arc<Guests>,
    plan: Plan,
    swaps: usize,
) -> anyhow::Result<Ran> {
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
    Ok(Ran { pauses, account })
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
        ensure!(slot.asked() != Some(guest.asked), "it is the same module");
        slot.fits(&guest).map_err(anyhow::Error::msg)?;
        tokio::time::sleep_until(first + SWAP_EVERY * number).await;
        let generation = slot.switch(guest.into()).in_force().await;
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
