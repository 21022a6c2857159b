//! No hostile guest without a test: what stands in the guests' own tables stands in the tests', too.

use std::collections::BTreeSet;

use weir_tests::build::HOSTILE_PACKAGES;
use weir_tests::repository;

use super::cases::{COMMON, Case, ELSEWHERE, FILTERS, MEMORY, STAGES, TRIGGERS};

/// The behaviours that a source registers: names at the beginning of a table's entry, and those that
/// are compared with on their own.
fn behaviours(path: &str) -> BTreeSet<String> {
    let text = repository::text(path);
    let tables = text.split("&[(&str, Behaviour)] = &[").skip(1);
    let wants = text.split("const WANTS: &[&str] = &[").skip(1);
    tables
        .chain(wants)
        .filter_map(|table| table.split("\n];").next())
        .flat_map(str::lines)
        .filter_map(|line| {
            // Four blanks or eight, a bracket or none, and the name.
            let entry = line.trim_start().trim_start_matches('(');
            let name = entry.strip_prefix('"')?.split('"').next()?;
            Some(name.to_owned())
        })
        .collect()
}

#[test]
fn every_behaviour_of_the_hostile_guests_has_a_test() {
    let worlds: [(&str, &[Case]); 4] = [
        ("guests/hostile/common/src/lib.rs", COMMON),
        ("guests/hostile/filter/src/lib.rs", FILTERS),
        ("guests/hostile/trigger/src/lib.rs", TRIGGERS),
        ("guests/hostile/stage/src/lib.rs", STAGES),
    ];
    let memory = repository::text("guests/hostile/memory/src/lib.rs");
    let registered = format!("const BEHAVIOURS: &[&str] = &{MEMORY:?};");
    assert!(memory.contains(&registered), "not those of {MEMORY:?}");
    let mut elsewhere: BTreeSet<&str> = ELSEWHERE.iter().copied().collect();
    for (path, cases) in worlds {
        let registered = behaviours(path);
        assert!(registered.len() > 5, "{path}: only {registered:?}");
        let tested: BTreeSet<&str> = cases.iter().map(|case| case.does).collect();
        for name in &registered {
            let has_own = elsewhere.remove(name.as_str());
            assert!(
                has_own || tested.contains(name.as_str()),
                "{path}: `{name}` has no test"
            );
        }
        for name in tested {
            let is_known = registered.contains(name) || name == "retry-once";
            assert!(is_known, "{path}: there is no `{name}` to test");
        }
    }
    assert!(elsewhere.is_empty(), "no guest does {elsewhere:?}");
}

#[test]
fn every_hostile_package_is_built_for_a_test() {
    let folder = repository::root().join("guests/hostile");
    let entries = std::fs::read_dir(folder).expect("the folder of hostile guests");
    for entry in entries {
        let entry = entry.expect("a folder can be listed");
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().join("Cargo.toml").exists() && name != "common" {
            assert!(
                HOSTILE_PACKAGES.contains(&name.as_str()),
                "{name} has no test"
            );
        }
    }
}
