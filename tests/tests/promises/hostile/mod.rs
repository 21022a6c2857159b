//! A guest can't hurt the host: each hostile behaviour costs its call, is counted as a fault with
//! the right reason, leaves no effect, and the events of all other guests arrive as if it weren't
//! there. Each limit is shown to be what holds: without it the same guest does harm.

mod as_text;
mod cases;
mod check;
mod coverage;
mod echo;
mod neighbours;
mod outside;
mod page;
mod quiet;
mod refused;
mod reloads;
mod snapshots;

use cases::{COMMON, Case, FILTERS, STAGES, TRIGGERS};
use check::{check, check_without_limits};
use weir::sandbox::World;

/// Looks at every case, and says at the end which ones don't hold.
fn each(worlds: &[(World, &[Case])], check: fn(World, &Case)) {
    let broken: Vec<String> = worlds
        .iter()
        .flat_map(|(world, cases)| cases.iter().map(|case| (*world, case)))
        .filter(|(world, case)| std::panic::catch_unwind(|| check(*world, case)).is_err())
        .map(|(world, case)| format!("{} {} {}", world.as_str(), case.does, case.limits))
        .collect();
    assert!(broken.is_empty(), "doesn't hold:\n{}", broken.join("\n"));
}

#[test]
fn what_any_guest_does_costs_a_filter_its_call_and_nobody_else_anything() {
    each(&[(World::Filter, COMMON)], check);
}

#[test]
fn what_any_guest_does_costs_a_trigger_its_call_and_nobody_else_anything() {
    each(&[(World::Trigger, COMMON)], check);
}

#[test]
fn what_any_guest_does_costs_a_stage_its_call_and_nobody_else_anything() {
    each(&[(World::Stage, COMMON)], check);
}

#[test]
fn what_only_one_world_can_do_costs_it_its_call_and_nobody_else_anything() {
    each(
        &[
            (World::Filter, FILTERS),
            (World::Trigger, TRIGGERS),
            (World::Stage, STAGES),
        ],
        check,
    );
}

#[test]
fn without_the_limit_any_guest_does_its_harm() {
    each(&[(World::Filter, COMMON)], check_without_limits);
}

#[test]
fn without_the_limit_filters_triggers_and_stages_do_their_harm() {
    each(
        &[
            (World::Filter, FILTERS),
            (World::Trigger, TRIGGERS),
            (World::Stage, STAGES),
        ],
        check_without_limits,
    );
}
