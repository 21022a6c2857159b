//! 64 guests, as many as a daemon has slots, on one stream of 100,000 rows a second: what part of a core all of
//! it takes, with the queues of the defaults, from which nothing may be dropped.
//!
//! Every slot has one of the ten rules. There is no filter: it would be the 65th.

use std::fmt::Write as _;
use std::time::Instant;

use weir::guests::Guests;
use weir::sandbox::World;

use super::{CHUNK_ROWS, FULL_MARKED_EVERY, PACED_ROWS_PER_SECOND, RULES};
use crate::guests::Workshop;
use crate::live::source::Plan;
use crate::live::threads::{CpuTimes, Step};
use crate::live::{self, Live, sink};
use crate::measure::Effort;
use crate::report::{Better, Case};

/// Guests: the most slots that a daemon has.
const GUESTS: usize = 64;
/// Rows of a run: three seconds.
const ROWS: usize = 300_000;

/// All threads of the process, and only those that call guests.
const CASES: [&str; 2] = ["guests/64", "guests/64-slots"];

/// Measures both.
pub(super) fn run(
    effort: Effort,
    workshop: &Workshop,
    guests: &Guests,
) -> anyhow::Result<Vec<Case>> {
    if !effort.wants_any(&CASES) {
        return Ok(Vec::new());
    }
    let mut text = String::new();
    for (number, rule) in (0..GUESTS).zip(RULES.iter().cycle()) {
        writeln!(
            text,
            "[slots.rule-{number}]\nmodule = \"rules.wasm\"\nsettings = {{ rule = {rule} }}"
        )?;
    }
    let config = live::config(workshop, &text)?;
    let plan = Plan {
        rows: effort.of(ROWS) as u64,
        rows_per_second: Some(PACED_ROWS_PER_SECOND),
        chunk_rows: CHUNK_ROWS,
        marked_every: FULL_MARKED_EVERY,
    };
    let (mut all, mut slots) = (Vec::new(), Vec::new());
    for _ in 0..effort.pairs {
        let (cpu, seconds) = live::block_on(async {
            let live = Live::open(&config, guests, plan, sink::age_ns).await?;
            let before = CpuTimes::read()?;
            let started = Instant::now();
            live.go();
            live.wait_answered(|slot| slot.world() == World::Trigger)
                .await?;
            let seconds = started.elapsed().as_secs_f64();
            let cpu = CpuTimes::read()?.since(&before);
            let done = live.finish().await?;
            done.all_answered(plan.rows)?;
            // One slot in ten has the rule that fires.
            let firing = GUESTS.div_ceil(RULES.len()) as u64;
            sink::sorted_ms(done.arrived, plan.marked() * firing)?;
            Ok((cpu, seconds))
        })?;
        let share = |step| cpu.step(step).as_secs_f64() / seconds * 100.0;
        all.push(Step::ALL.into_iter().map(share).sum());
        slots.push(share(Step::Triggers));
    }
    let case = |name, values: &[f64]| Case::alone(name, "% core", Better::Lower, values);
    Ok(vec![case(CASES[0], &all), case(CASES[1], &slots)])
}
