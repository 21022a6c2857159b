//! `docs/security.md` has every case that there is, and none that there isn't, with what holds it.

use std::collections::{BTreeMap, BTreeSet};

use weir::sandbox::{FaultReason, Limit};
use weir_tests::repository;

use super::as_text::{self, Meets};
use super::cases::{COMMON, ELSEWHERE, Ends, FILTERS, GOOD, MEMORY, STAGES, TRIGGERS, Without};

/// The page.
const PAGE: &str = "docs/security.md";
/// The cells of a case.
const CELLS: usize = 6;
/// Fewer were not all families.
const CASES_MIN: usize = 80;

/// A case as the page has it.
struct Told<'a> {
    comes_out_as: &'a str,
    held_by: &'a str,
    test: &'a str,
}

fn unquoted(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// The page's cases, by name.
fn told(page: &str) -> BTreeMap<&str, Told<'_>> {
    let (_, cases) = page.split_once("\n## The cases\n").expect("the cases");
    let cases = cases.split("\n## ").next().expect("their end");
    let mut told = BTreeMap::new();
    for line in cases.lines().filter(|line| line.starts_with("| `")) {
        let cells = line.trim_start_matches("| ").trim_end_matches(" |");
        let cells: Vec<&str> = cells.split(" | ").collect();
        assert_eq!(cells.len(), CELLS, "{line}");
        let case = Told {
            comes_out_as: cells[3],
            held_by: cells[4],
            test: unquoted(cells[5]),
        };
        let before = told.insert(unquoted(cells[0]), case);
        assert!(before.is_none(), "twice: {line}");
    }
    told
}

/// What the page calls a check that can be switched off.
const fn called(limit: Limit) -> &'static str {
    match limit {
        Limit::Fuel => "limits.fuel_call",
        Limit::Deadline => "limits.cpu_call",
        Limit::Memory => "limits.memory_bytes_max",
        Limit::Tables => "limits.table",
        Limit::WouldBlock => "wasi:io/poll",
        Limit::HostCalls => "limits.host_calls_batch_max",
        Limit::HostBytes => "limits.host_bytes_",
        Limit::Handles => "limits.handles_max",
        // An answer is too large by itself, or for what a call may hand over.
        Limit::OutputSize => "limits.",
        Limit::OutputFit => "fits",
        Limit::LogRate => "limits.log_burst",
        Limit::StateQuota => "limits.state_",
        Limit::Transaction => "transaction",
    }
}

/// What must be said of a case: how it comes out, and what holds.
fn check(told: &Told<'_>, name: &str, reason: Option<FaultReason>, without: Without) {
    if let Some(reason) = reason {
        let reason = format!("`{reason}`");
        let out = told.comes_out_as;
        assert!(out.contains(&reason), "{name}: {reason} isn't in {out}");
    }
    let held_by = told.held_by;
    match without {
        Without::NoHarm => {}
        Without::Engine(words) => {
            assert!(held_by.contains(words), "{name}: {words}: {held_by}");
        }
        Without::Limits(off, _) => {
            for limit in off {
                let limit = called(*limit);
                assert!(held_by.contains(limit), "{name}: {limit}: {held_by}");
            }
        }
    }
}

#[test]
fn the_page_has_every_case_with_what_holds_it() {
    let page = repository::text(PAGE);
    let told = told(&page);
    let mut missing = BTreeSet::new();
    let mut look = |name: &'static str, reason, without| match told.get(name) {
        Some(told) => check(told, name, reason, without),
        None => {
            missing.insert(name);
        }
    };
    for case in [COMMON, FILTERS, TRIGGERS, STAGES].into_iter().flatten() {
        let reason = match case.ends {
            Ends::Fault(reason, _) => Some(reason),
            Ends::Answer(_) | Ends::NoVerdict => None,
        };
        if !GOOD.contains(&case.does) {
            look(case.does, reason, case.without);
        }
    }
    for case in as_text::all() {
        let reason = match case.meets {
            Meets::AtLoad(_, reason, _) | Meets::InCalls(reason, _) => Some(reason),
            Meets::Nothing => None,
        };
        if !GOOD.contains(&case.name) {
            look(case.name, reason, case.without);
        }
    }
    for name in ELSEWHERE.iter().chain(MEMORY) {
        if !GOOD.contains(name) {
            look(name, None, Without::NoHarm);
        }
    }
    assert!(missing.is_empty(), "{PAGE} lacks {missing:?}");
    assert!(told.len() >= CASES_MIN, "only {} cases", told.len());
}

#[test]
fn every_case_of_the_page_names_a_test_that_there_is() {
    let page = repository::text(PAGE);
    let sources: Vec<_> = ["tests/tests", "runtime/src"]
        .into_iter()
        .flat_map(repository::sources)
        .collect();
    for (name, told) in told(&page) {
        let test = format!("fn {}()", told.test);
        let is_there = sources.iter().any(|(_, text)| text.contains(&test));
        assert!(is_there, "{name}: there is no test {}", told.test);
    }
}

#[test]
fn the_page_has_every_limit_of_a_guest() {
    let page = repository::text(PAGE);
    let keys = weir::config::keys_page();
    let (_, limits) = keys
        .split_once("[slots.<name>.limits]")
        .expect("the limits");
    let limits = limits.split("\n#").next().expect("their end");
    let mut seen = 0;
    for line in limits.lines().filter(|line| line.starts_with("| `")) {
        seen += 1;
        let key = line.split('`').nth(1).expect("a key");
        assert!(page.contains(&format!("`{key}`")), "{PAGE} lacks {key}");
    }
    assert!(seen > 20, "only {seen} limits");
}
