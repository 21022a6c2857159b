//! Why a condition says what it says.

use super::batch::{Row, columns, evil, raw, text};
use crate::columns::Cell;
use crate::conditions::Conditions;
use crate::settings::{RawCondition, RawThreshold};
use crate::threshold::Windows;

/// The verdict, and each step as a line that is set in by its depth.
fn explained(condition: RawCondition, row: Row, windows: &Windows) -> Vec<String> {
    let kind = condition.kind.clone();
    let conditions = Conditions::compile(&[condition]).unwrap();
    let of_kind = conditions.of(&kind).unwrap();
    let columns = columns(of_kind.kind, &[row]);
    let explanation = conditions.explain(of_kind, &columns, 0, windows).remove(0);
    assert_eq!(explanation.rule, 0);
    let step = |step: &weir_guest::Step| {
        let indent = "  ".repeat(usize::try_from(step.depth).unwrap());
        format!("{indent}{} -> {}", step.part, step.value)
    };
    let lines = explanation.steps.iter().map(step);
    [explanation.verdict].into_iter().chain(lines).collect()
}

fn check(condition: &str, expected: &[&str]) {
    assert_eq!(
        explained(raw(condition), evil(), &Windows::new(1)),
        expected,
        "{condition}"
    );
}

#[test]
fn each_part_is_shown_down_to_the_values_that_it_looks_at() {
    check(
        "pid > 1000 AND (executable LIKE '/tmp/%' OR NOT name = 'good')",
        &[
            "match",
            "pid > 1000 AND (executable LIKE '/tmp/%' OR NOT name = 'good') -> true",
            "  pid > 1000 -> true",
            "    pid -> 4321",
            "  executable LIKE '/tmp/%' OR NOT name = 'good' -> true",
            "    executable LIKE '/tmp/%' -> unknown",
            "      executable -> NULL",
            "    NOT name = 'good' -> true",
            "      name = 'good' -> false",
            "        name -> 'evil.exe'",
        ],
    );
    check(
        "pid / 2 + 1 > 2000 AND lower(name) = 'x'",
        &[
            "no match",
            "pid / 2 + 1 > 2000 AND lower(name) = 'x' -> false",
            "  pid / 2 + 1 > 2000 -> true",
            "    pid / 2 + 1 -> 2161",
            "      pid / 2 -> 2160",
            "        pid -> 4321",
            "  lower(name) = 'x' -> false",
            "    lower(name) -> 'evil.exe'",
            "      name -> 'evil.exe'",
        ],
    );
    check(
        "'-e' = ANY(command_line)",
        &[
            "match",
            "'-e' = any(command_line) -> true",
            "  command_line -> ['evil.exe', '-e', 'curl | sh']",
        ],
    );
    check(
        "timestamp > '2026-01-31' AND accessible IS TRUE",
        &[
            "match",
            "timestamp > '2026-01-31' AND accessible IS TRUE -> true",
            "  timestamp > '2026-01-31' -> true",
            "    timestamp -> 2026-01-31T12:00:00Z",
            "  accessible IS TRUE -> true",
            "    accessible -> true",
        ],
    );
    check("true", &["match", "true -> true"]);
    check("accessible", &["match", "accessible -> true"]);
    check(
        "pid < ppid",
        &[
            "unknown",
            "pid < ppid -> unknown",
            "  pid -> 4321",
            "  ppid -> NULL",
        ],
    );
}

#[test]
fn what_could_not_be_evaluated_says_so_and_why() {
    let condition = RawCondition {
        kind: "network".to_owned(),
        ..raw("cidr_contains('::/0', source_address) OR source_port = 1")
    };
    let row = vec![
        ("source_address", text("x")),
        ("source_port", Cell::Integer(2)),
    ];
    assert_eq!(
        explained(condition, row, &Windows::new(1)),
        [
            "could not evaluate: 'x' is no IP address",
            "cidr_contains('::/0', source_address) OR source_port = 1 -> could not evaluate: 'x' is no IP address",
            "  cidr_contains('::/0', source_address) -> could not evaluate: 'x' is no IP address",
            "    source_address -> 'x'",
            "  source_port = 1 -> false",
            "    source_port -> 2",
        ]
    );
}

#[test]
fn with_a_threshold_it_says_how_many_there_were_and_counts_nothing() {
    let condition = RawCondition {
        threshold: Some(RawThreshold {
            count: 5,
            window_ms: 60_000,
            by: vec!["name".to_owned()],
        }),
        ..raw("pid > 1")
    };
    let conditions = Conditions::compile(std::slice::from_ref(&condition)).unwrap();
    let of_kind = conditions.of("process").unwrap();
    let mut windows = Windows::new(10);
    let mut rows = vec![evil(), evil()];
    rows[0][0].1 = Cell::Time(1_769_860_799_000_000_000);
    conditions.verdicts(of_kind, &columns(of_kind.kind, &rows), &mut windows);
    let before = windows.snapshot();
    for _ in 0..3 {
        assert_eq!(
            explained(condition.clone(), evil(), &windows)[0],
            "match 2 of 5 within 60s"
        );
    }
    let mut other = evil();
    other[0].1 = Cell::Time(1_769_860_801_000_000_000);
    assert_eq!(
        explained(condition, other, &windows)[0],
        "match 3 of 5 within 60s"
    );
    assert_eq!(windows.snapshot(), before);
}
