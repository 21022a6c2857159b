//! A guest that needs 5 % of a core, alone and beside guests that burn whatever they get, on the same stream.
//!
//! A run is the daemon's own pipeline: 200 batches a second, and from source to sink the way of each. An
//! attacker never comes back from a call: it burns its CPU time to the deadline, again on a fresh instance, and again
//! with the next batch. That is the worst of it: what would end it is out of the way, the quarantine by
//! a number of faults that isn't reached, and the pauses after faults by their shortest. What is left is what
//! isolates: the deadline, the low priority of a thread that has burnt one, and the share of a core (25 %); in the
//! cases `…-unbound` not even that share.
//!
//! A batch is one row, so that there is nothing to search for in one that broke its guest, and the attackers
//! let go as soon as the run is over.
//!
//! `p99` is of the whole run, and that begins with the attack: the attackers' first calls are in it, at the usual
//! priority. `p99-later` is of the rows that were built when each had burnt a deadline.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use weir::config::Config;
use weir::guests::Guests;
use weir::sandbox::{FaultReason, Instance, Outcome, Sandbox, World};
use weir_bus::event::TriggerRow;
use weir_bus::{Batch, CollectionEvent, Kind, Timestamp, topic};

use crate::guests::{self, Workshop};
use crate::live::source::Plan;
use crate::live::{self, Done, Live, sink};
use crate::measure::{CpuWatch, Effort, figure, quantile};
use crate::report::{Better, Case};
use crate::rows;

/// Rows of a run, each a batch: five seconds.
const ROWS: usize = 1_000;
/// Fewer are over before every attacker has burnt a deadline.
const ROWS_MIN: usize = 400;
const ROWS_PER_SECOND: u64 = 200;
/// Of fewer rows a p99 says nothing.
const LATER_ROWS_MIN: u64 = 100;
/// How often the attackers are looked at until they have.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// What the neighbour needs.
const NEIGHBOUR_SHARE: f64 = 0.05;
/// How far it may be from that, as a factor, in a run on its own: beyond, it isn't that neighbour.
const NEIGHBOUR_FACTOR: f64 = 2.0;
/// Turns that its cost is measured with.
const TRIAL_TURNS: u64 = 100_000;
const TRIAL_CALLS: usize = 200;
/// Turns between an attacker's looks whether it is to come back, which it never is.
const ATTACKER_TURNS: u64 = 1_000;
/// More than any call gets to within its deadline: the deadline is what stops it.
const ATTACKER_FUEL: u64 = 1_000_000_000_000;

const NEIGHBOUR: &str = "neighbour";

/// A case: how many attackers, and whether their share of a core is bound.
struct Company {
    case: &'static str,
    attackers: usize,
    is_bound: bool,
}

const COMPANIES: [Company; 5] = [
    Company {
        case: "none",
        attackers: 0,
        is_bound: true,
    },
    Company {
        case: "one",
        attackers: 1,
        is_bound: true,
    },
    Company {
        case: "four",
        attackers: 4,
        is_bound: true,
    },
    Company {
        case: "one-unbound",
        attackers: 1,
        is_bound: false,
    },
    Company {
        case: "four-unbound",
        attackers: 4,
        is_bound: false,
    },
];

/// What one run came to.
struct Ran {
    /// From source to sink, in milliseconds.
    p50: f64,
    p99: f64,
    /// Of rows that were built when all attackers had burnt a deadline.
    p99_later: f64,
    /// CPU time of the attackers, in % of a core.
    attackers_cpu: f64,
}

/// Measures the suite.
pub(crate) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let workshop = Workshop::open()?;
    let sandbox = workshop.sandbox()?;
    let turns = turns_of_neighbour(&sandbox)?;
    let guests = Guests::new(sandbox);
    let wanted = |company: &&Company| {
        let parts = [
            "p50",
            "p99",
            "rise",
            "p99-later",
            "rise-later",
            "attackers-cpu",
        ];
        let names = parts.map(|part| format!("{}/{part}", company.case));
        // The others' rise is over the first.
        company.attackers == 0 || effort.wants_any(&names)
    };
    let companies: Vec<&Company> = COMPANIES.iter().filter(wanted).collect();
    let configs = companies
        .iter()
        .map(|company| load(&workshop, company, turns));
    let configs = configs.collect::<anyhow::Result<Vec<_>>>()?;
    let mut ran: Vec<Vec<Ran>> = companies.iter().map(|_| Vec::new()).collect();
    for _ in 0..effort.pairs {
        for ((company, config), ran) in companies.iter().zip(&configs).zip(&mut ran) {
            let one = live::block_on(one_run(effort, config, &guests, company));
            ran.push(one.with_context(|| format!("case {}", company.case))?);
        }
    }
    let alone = ran.first().context("a run without attackers")?;
    let mut cases = Vec::new();
    for (company, ran) in companies.iter().zip(&ran) {
        cases.extend(cases_of(company, alone, ran));
    }
    Ok(cases)
}

fn cases_of(company: &Company, alone: &[Ran], ran: &[Ran]) -> Vec<Case> {
    let case = |part: &str, unit, values: &[f64]| {
        let name = format!("{}/{part}", company.case);
        Case::alone(name, unit, Better::Lower, values)
    };
    let of = |value: fn(&Ran) -> f64| ran.iter().map(value).collect::<Vec<_>>();
    let mut cases = vec![
        case("p50", "ms", &of(|ran| ran.p50)),
        case("p99", "ms", &of(|ran| ran.p99)),
    ];
    if company.attackers > 0 {
        let rise = |value: fn(&Ran) -> f64| {
            let both = alone.iter().zip(ran);
            let rises = both.map(|(alone, ran)| value(ran) - alone.p99);
            rises.collect::<Vec<_>>()
        };
        cases.push(case("rise", "ms", &rise(|ran| ran.p99)));
        cases.push(case("p99-later", "ms", &of(|ran| ran.p99_later)));
        cases.push(case("rise-later", "ms", &rise(|ran| ran.p99_later)));
        cases.push(case(
            "attackers-cpu",
            "% core",
            &of(|ran| ran.attackers_cpu),
        ));
    }
    cases
}

/// How many turns a row make the neighbour need its share on this machine.
fn turns_of_neighbour(sandbox: &Sandbox) -> anyhow::Result<u64> {
    let settings = format!(r#"{{"turns_per_row":{TRIAL_TURNS}}}"#);
    let mut guest = guests::instance(sandbox, World::Trigger, "spin.wasm", &settings)?;
    let events: Vec<CollectionEvent> = rows::rows(0, 1).into_iter().map(Into::into).collect();
    let batch = Batch::of_events(
        topic::of_event(Kind::Process, "observed"),
        "bench",
        0,
        &events,
    )?;
    // The first calls touch everything for the first time.
    time_calls(&mut guest, &batch)?;
    let ns_of_turn = time_calls(&mut guest, &batch)? / figure(TRIAL_TURNS);
    let ns_of_row = NEIGHBOUR_SHARE * 1e9 / figure(ROWS_PER_SECOND);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of turns, positive and far below 2^53"
    )]
    let turns = (ns_of_row / ns_of_turn) as u64;
    Ok(turns.max(1))
}

/// Nanoseconds a call.
fn time_calls(guest: &mut Instance, batch: &Batch) -> anyhow::Result<f64> {
    let watch = CpuWatch::start();
    for _ in 0..TRIAL_CALLS {
        let Outcome::Answer(_) = guest.evaluate(batch, Some(0)) else {
            anyhow::bail!("the neighbour doesn't answer");
        };
    }
    Ok(watch.nanoseconds() / figure(TRIAL_CALLS as u64))
}

fn load(workshop: &Workshop, company: &Company, turns: u64) -> anyhow::Result<Config> {
    let mut text = format!(
        "[collector]\nbatch_rows_max = 1\n\
         [supervision]\nquarantine_faults = 10000\nrestart_pause_min = \"1ms\"\nrestart_pause_max = \"1ms\"\n\
         [slots.{NEIGHBOUR}]\nmodule = \"spin.wasm\"\nsettings = {{ turns_per_row = {turns} }}\n"
    );
    let share = if company.is_bound {
        ""
    } else {
        ", cpu_share = 0"
    };
    for number in 0..company.attackers {
        writeln!(
            text,
            "[slots.{}]\nmodule = \"spin.wasm\"\n\
             settings = {{ turns_per_row = {ATTACKER_TURNS}, is_endless = true }}\n\
             limits = {{ fuel_call = {ATTACKER_FUEL}{share} }}",
            attacker(number)
        )?;
    }
    live::config(workshop, &text)
}

fn attacker(number: usize) -> String {
    format!("attacker-{number}")
}

async fn one_run(
    effort: Effort,
    config: &Config,
    guests: &Guests,
    company: &Company,
) -> anyhow::Result<Ran> {
    let plan = Plan {
        rows: effort.of(ROWS).max(ROWS_MIN) as u64,
        rows_per_second: Some(ROWS_PER_SECOND),
        chunk_rows: 1,
        marked_every: 1,
    };
    let live = Live::open(config, guests, plan, Arrived::of).await?;
    let started = Instant::now();
    live.go();
    let (later, answered) = tokio::join!(
        all_have_burnt(&live, company),
        live.wait_answered(|slot| slot.name() == NEIGHBOUR)
    );
    answered?;
    let later = later?;
    let time = started.elapsed();
    let attackers_cpu = burnt(&live, company)?.as_secs_f64() / time.as_secs_f64();
    call_off(&live, config, guests, company).await?;
    let done = live.finish().await?;
    let neighbour_cpu = check(&done, plan.rows)?.as_secs_f64() / time.as_secs_f64();
    let off = neighbour_cpu / NEIGHBOUR_SHARE;
    ensure!(
        company.attackers > 0 || (1.0 / NEIGHBOUR_FACTOR..NEIGHBOUR_FACTOR).contains(&off),
        "the neighbour took {:.1} % of a core",
        neighbour_cpu * 100.0
    );
    let of = |from: Timestamp| {
        let built = done.arrived.iter().filter(|arrived| arrived.built >= from);
        built.map(|arrived| arrived.age_ns).collect::<Vec<_>>()
    };
    let latencies = sink::sorted_ms(of(Timestamp::default()), plan.rows)?;
    let of_later = of(later);
    let rows_later = of_later.len() as u64;
    ensure!(
        rows_later >= LATER_ROWS_MIN,
        "the attackers took too long to burn a deadline: {rows_later} rows came later"
    );
    let later = sink::sorted_ms(of_later, rows_later)?;
    Ok(Ran {
        p99_later: quantile(&later, 0.99),
        p50: quantile(&latencies, 0.5),
        p99: quantile(&latencies, 0.99),
        attackers_cpu: attackers_cpu * 100.0,
    })
}

/// A firing of the neighbour's.
struct Arrived {
    built: Timestamp,
    age_ns: u64,
}

impl Arrived {
    /// Those that come into the attackers' place at the end fire, too.
    fn of(firing: &TriggerRow<'_>, now: Timestamp) -> Option<Self> {
        let built = firing.target_start_time()?;
        let age_ns = sink::age_ns(firing, now)?;
        (firing.trigger() == NEIGHBOUR).then_some(Self { built, age_ns })
    }
}

/// Waits until each attacker has burnt a deadline: when that was.
async fn all_have_burnt(live: &Live<Arrived>, company: &Company) -> anyhow::Result<Timestamp> {
    for number in 0..company.attackers {
        let slot = live.slot(&attacker(number))?;
        while slot.statistics().faults.is_empty() {
            ensure!(
                !live.is_over(),
                "an attacker has burnt no deadline by the end"
            );
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
    Ok(Timestamp::now())
}

/// CPU time of the attackers, each of which must have burnt deadlines and be at it still.
fn burnt(live: &Live<Arrived>, company: &Company) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for number in 0..company.attackers {
        let slot = live.slot(&attacker(number))?.statistics();
        let of = |reason| slot.faults.get(&reason).copied().unwrap_or(0);
        let (deadlines, stalled) = (of(FaultReason::Deadline), of(FaultReason::Stalled));
        ensure!(
            // On a busy machine one of low priority may not get to its deadline within ten times that.
            deadlines > 0
                && deadlines + stalled == slot.faults_total()
                && slot.answered == 0
                && slot.quarantine.is_none(),
            "an attacker did not attack: {:?}, {}",
            slot.faults,
            slot.state
        );
        sum += slot.cpu;
    }
    Ok(sum)
}

/// Puts guests that answer into the attackers' place, so that they let go of what waits for them.
async fn call_off(
    live: &Live<Arrived>,
    config: &Config,
    guests: &Guests,
    company: &Company,
) -> anyhow::Result<()> {
    let mut harmless = config.slots.get(NEIGHBOUR).context("a slot")?.clone();
    harmless.settings = serde_json::from_str("{}")?;
    let mut switched = Vec::new();
    for number in 0..company.attackers {
        let name = attacker(number);
        let guest = guests.prepare(&name, &harmless, &config.trust)?;
        switched.push(live.slot(&name)?.switch(guest.into()));
    }
    for switched in switched {
        switched.in_force().await.map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// The neighbour has judged every row; its CPU time.
fn check(done: &Done<Arrived>, rows: u64) -> anyhow::Result<Duration> {
    let mut slots = done.status.slots.iter();
    let slot = slots.find(|slot| slot.slot == NEIGHBOUR);
    let slot = slot.context("no neighbour")?;
    ensure!(
        slot.rows_answered == rows
            && slot.faults_total() == 0
            && slot.queue.dropped.total().rows == 0,
        "the neighbour answered for {} of {rows} rows",
        slot.rows_answered
    );
    Ok(slot.cpu)
}
