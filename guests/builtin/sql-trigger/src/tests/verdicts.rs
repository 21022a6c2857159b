//! What conditions say of a row: match, no match, unknown, or that they can't.

use super::batch::{Row, evil, text, texts, verdict, verdict_of};
use crate::columns::Cell;

fn check(cases: &[(&str, &str)], row: &Row) {
    for (condition, expected) in cases {
        assert_eq!(verdict(condition, row.clone()), *expected, "{condition}");
    }
}

#[test]
fn conditions_over_numbers_and_texts_match_a_process() {
    check(
        &[
            ("pid > 1000", "match"),
            ("name LIKE 'evil%'", "match"),
            ("cpu_usage > 50.0", "match"),
            ("name = 'evil.exe'", "match"),
            ("NOT (cpu_usage <= 50 OR name ILIKE 'GOOD%')", "match"),
            ("name LIKE '%from%'", "no match"),
            ("name = 'selector'", "no match"),
            ("executable = '/tmp/x'", "unknown"),
            ("NOT executable = '/tmp/x'", "unknown"),
        ],
        &evil(),
    );
}

#[test]
fn and_or_and_not_have_three_values() {
    let values = [
        ("true", "match"),
        ("false", "no match"),
        ("executable = 'x'", "unknown"),
    ];
    let and = |a: &str, b: &str| match (a, b) {
        ("no match", _) | (_, "no match") => "no match",
        ("match", "match") => "match",
        _ => "unknown",
    };
    let or = |a: &str, b: &str| match (a, b) {
        ("match", _) | (_, "match") => "match",
        ("no match", "no match") => "no match",
        _ => "unknown",
    };
    let not = |a: &str| match a {
        "match" => "no match",
        "no match" => "match",
        _ => "unknown",
    };
    for (one, a) in values {
        assert_eq!(
            verdict(&format!("NOT ({one})"), evil()),
            not(a),
            "NOT {one}"
        );
        for (other, b) in values {
            assert_eq!(verdict(&format!("{one} AND {other}"), evil()), and(a, b));
            assert_eq!(verdict(&format!("{one} OR {other}"), evil()), or(a, b));
        }
        for (test, expected) in [
            ("TRUE", a == "match"),
            ("NOT TRUE", a != "match"),
            ("FALSE", a == "no match"),
            ("NOT FALSE", a != "no match"),
            ("UNKNOWN", a == "unknown"),
            ("NOT UNKNOWN", a != "unknown"),
            ("NULL", a == "unknown"),
        ] {
            let expected = if expected { "match" } else { "no match" };
            assert_eq!(
                verdict(&format!("({one}) IS {test}"), evil()),
                expected,
                "{one} IS {test}"
            );
        }
    }
}

#[test]
fn a_fault_is_told_unless_another_part_decides() {
    let huge = "memory_bytes * memory_bytes * memory_bytes > 0";
    let fault = "could not evaluate: integer overflow: the result is beyond 128 bits";
    for (condition, expected) in [
        ("{}", fault),
        ("NOT ({})", fault),
        ("{} AND pid > 1", fault),
        ("{} AND pid < 1", "no match"),
        ("pid < 1 AND {}", "no match"),
        ("{} OR pid > 1", "match"),
        ("{} OR pid < 1", fault),
        ("{} AND executable = 'x'", fault),
        ("({}) IS NULL", fault),
        ("({}) IS TRUE", fault),
        ("CASE WHEN pid > 1 THEN true ELSE {} END", "match"),
        ("CASE WHEN pid < 1 THEN true ELSE {} END", fault),
        ("coalesce(pid > 1, {})", "match"),
    ] {
        let condition = condition.replace("{}", huge);
        assert_eq!(verdict(&condition, evil()), expected, "{condition}");
    }
    check(
        &[("memory_bytes * pid * 1000 > memory_bytes", "match")],
        &evil(),
    );
}

#[test]
fn whole_numbers_are_exact_whatever_they_are_compared_with() {
    let row: Row = vec![
        ("memory_bytes", Cell::Integer(i128::from(u64::MAX))),
        ("sequence", Cell::Integer(9_007_199_254_740_993)),
        ("exit_code", Cell::Integer(i128::from(i32::MIN))),
        ("pid", Cell::Integer(7)),
        ("cpu_usage", Cell::Float(9_007_199_254_740_992.0)),
    ];
    check(
        &[
            ("memory_bytes = 18446744073709551615", "match"),
            ("memory_bytes > -1", "match"),
            ("memory_bytes > 9223372036854775807", "match"),
            ("memory_bytes < 18446744073709551615.0", "match"),
            ("memory_bytes = 18446744073709551615.0", "no match"),
            ("memory_bytes + 1 > memory_bytes", "match"),
            ("sequence > 9007199254740992.0", "match"),
            ("sequence = 9007199254740992.0", "no match"),
            ("cpu_usage < 9007199254740993", "match"),
            ("cpu_usage = 9007199254740993", "no match"),
            ("cpu_usage = 9007199254740992", "match"),
            ("cpu_usage < sequence", "match"),
            ("exit_code = -2147483648", "match"),
            ("exit_code < 0.5", "match"),
            (
                "pid >= 6.5 AND pid <= 7.5 AND pid <> 7.5 AND NOT pid = 7.5",
                "match",
            ),
            ("pid < 1e300 AND pid > -1e300", "match"),
            (
                "pid / 2 = 3 AND pid % 4 = 3 AND -pid / 2 = -3 AND -pid % 4 = -3",
                "match",
            ),
            ("pid / 2.0 = 3.5", "match"),
            ("pid / 0 = 1", "unknown"),
            ("pid % 0 IS NULL AND pid / 0.0 IS NULL", "match"),
            (
                "2 + 3 * 4 = 14 AND (2 + 3) * 4 = 20 AND 10 - 3 - 2 = 5",
                "match",
            ),
            ("pid IN (1, 7, 99999999999)", "match"),
            ("pid IN (1, 7.0)", "match"),
            ("pid NOT IN (1, NULL)", "unknown"),
            ("pid IN (7, NULL)", "match"),
            ("pid BETWEEN 7 AND 7", "match"),
            ("pid NOT BETWEEN 8 AND NULL", "match"),
            ("pid BETWEEN 1 AND NULL", "unknown"),
        ],
        &row,
    );
}

#[test]
fn a_float_that_is_no_number_is_null() {
    let row: Row = vec![("cpu_usage", Cell::Float(f64::NAN))];
    check(
        &[
            ("cpu_usage IS NULL", "match"),
            ("cpu_usage > 1", "unknown"),
            ("cpu_usage + 1 > 1", "unknown"),
            ("NOT cpu_usage = cpu_usage", "unknown"),
        ],
        &row,
    );
    let row: Row = vec![("cpu_usage", Cell::Float(f64::INFINITY))];
    check(
        &[
            ("cpu_usage > 1e308", "match"),
            ("cpu_usage - cpu_usage IS NULL", "match"),
            ("cpu_usage < 1", "no match"),
        ],
        &row,
    );
}

#[test]
fn texts_are_compared_byte_by_byte_and_like_minds_case() {
    let row: Row = vec![
        ("name", text("Évil_50%")),
        ("executable", text("/usr/bin/Évil_50%")),
        ("cgroup", text("")),
    ];
    check(
        &[
            ("name LIKE 'Évil%'", "match"),
            ("name LIKE 'évil%'", "no match"),
            ("name ILIKE 'éVIL%'", "no match"),
            ("name ILIKE 'ÉVIL\\_%' ESCAPE '\\'", "match"),
            ("name LIKE '_vil!_50!%' ESCAPE '!'", "match"),
            ("name LIKE '%vil%5%'", "match"),
            ("name NOT LIKE '%x%'", "match"),
            ("name > 'Z' AND name < 'Éz'", "match"),
            (
                "cgroup = '' AND cgroup LIKE '' AND cgroup LIKE '%' AND NOT cgroup LIKE '_'",
                "match",
            ),
            (
                "lower(name) = 'Évil_50%' AND upper('evil') = 'EVIL'",
                "match",
            ),
            ("length(name) = 8 AND length(cgroup) = 0", "match"),
            ("basename(executable) = name", "match"),
            (
                "ends_with(executable, name) AND starts_with(executable, '/usr') AND contains(executable, 'bin')",
                "match",
            ),
            (
                "contains(executable, name) AND starts_with(name, cgroup)",
                "match",
            ),
            ("'/usr/bin/' || name = executable", "match"),
            ("coalesce(parent_name, name) = name", "match"),
            ("coalesce(parent_name, 'none') = 'none'", "match"),
            ("parent_name || name IS NULL", "match"),
            ("lower(parent_name) = 'x'", "unknown"),
            (
                "regexp_like(name, '^.vil') AND NOT regexp_like(name, 'EVIL')",
                "match",
            ),
            ("regexp_like(name, 'VIL', 'i')", "match"),
            ("name IN ('a', 'Évil_50%')", "match"),
            ("name NOT IN ('a', NULL)", "unknown"),
            ("name BETWEEN 'A' AND 'Z'", "no match"),
            ("name IS DISTINCT FROM parent_name", "match"),
            ("container_id IS NOT DISTINCT FROM parent_name", "match"),
            ("name = \"name\" AND NAME = Name", "match"),
            (
                "CASE name WHEN 'x' THEN 1 WHEN 'Évil_50%' THEN 2 END = 2",
                "match",
            ),
        ],
        &row,
    );
}

#[test]
fn times_compare_with_texts_times_and_whole_nanoseconds() {
    check(
        &[
            ("timestamp = '2026-01-31T12:00:00Z'", "match"),
            ("timestamp > '2026-01-31'", "match"),
            (
                "timestamp < TIMESTAMP '2026-01-31 12:00:00.000000001Z'",
                "match",
            ),
            ("timestamp >= 1769860800000000000", "match"),
            ("timestamp - start_time = 0", "match"),
            ("timestamp + 1000000000 > start_time", "match"),
            ("timestamp BETWEEN '2026-01-31' AND '2026-02-01'", "match"),
            ("timestamp IN ('2026-01-31T12:00:00Z')", "match"),
            ("parent_start_time < timestamp", "unknown"),
        ],
        &evil(),
    );
}

#[test]
fn truths_stand_alone_and_are_compared() {
    check(
        &[
            ("accessible", "match"),
            ("accessible AND NOT executable_deleted", "match"),
            ("accessible = true AND executable_deleted = false", "match"),
            ("accessible <> executable_deleted", "match"),
            ("file_exists", "unknown"),
            ("file_exists IS NOT TRUE", "match"),
            ("(pid > 1) = accessible", "match"),
            ("true", "match"),
            ("NULL OR false", "unknown"),
        ],
        &evil(),
    );
}

#[test]
fn any_looks_for_one_text_of_a_list() {
    check(
        &[
            ("'-e' = ANY(command_line)", "match"),
            ("'-x' = ANY(command_line)", "no match"),
            ("any(command_line) = '-e'", "match"),
            ("pid > 9999999 OR any(command_line) = '-e'", "match"),
            (
                "'-e' = ANY(command_line) AND any(command_line) LIKE '-%'",
                "match",
            ),
            ("any(command_line) LIKE '%| sh%'", "match"),
            ("any(command_line) ILIKE '%SH'", "match"),
            ("NOT any(command_line) LIKE '%nc %'", "match"),
            ("any(command_line) NOT LIKE '%e%'", "match"),
            ("any(command_line) IN ('a', '-e')", "match"),
            ("starts_with(any(command_line), '-')", "match"),
            ("regexp_like(any(command_line), '[|] *(ba)?sh$')", "match"),
            ("length(any(command_line)) >= 9", "match"),
            ("name = ANY(command_line)", "match"),
            ("lower(any(command_line)) = lower(name)", "match"),
            ("contains(any(command_line), name)", "match"),
            ("length(command_line) = 3", "match"),
            ("any(command_line) IS NULL", "no match"),
            (
                "any(command_line) > 'z' OR any(command_line) BETWEEN 'a' AND 'd'",
                "match",
            ),
        ],
        &evil(),
    );
    let empty: Row = vec![("command_line", texts(&[])), ("name", text("x"))];
    check(
        &[
            ("'-e' = ANY(command_line)", "no match"),
            ("NOT name = ANY(command_line)", "match"),
        ],
        &empty,
    );
    let null: Row = vec![("name", text("x"))];
    check(
        &[
            ("'-e' = ANY(command_line)", "unknown"),
            ("command_line IS NULL", "match"),
            ("length(command_line) = 0", "unknown"),
        ],
        &null,
    );
}

#[test]
fn addresses_are_in_networks_or_are_no_addresses() {
    let row = |address: &str| vec![("source_address", text(address))];
    for (condition, address, expected) in [
        (
            "cidr_contains('10.0.0.0/8', source_address)",
            "10.1.2.3",
            "match",
        ),
        (
            "cidr_contains('10.0.0.0/8', source_address)",
            "::ffff:10.1.2.3",
            "match",
        ),
        (
            "cidr_contains('10.0.0.0/8', source_address)",
            "fe80::1",
            "no match",
        ),
        (
            "cidr_contains('10.0.0.0/8', destination_address)",
            "10.1.2.3",
            "unknown",
        ),
        (
            "cidr_contains('10.0.0.0/8', source_address)",
            "localhost",
            "could not evaluate: 'localhost' is no IP address",
        ),
        ("source_port > 1", "x", "unknown"),
    ] {
        assert_eq!(
            verdict_of("network", condition, row(address)),
            expected,
            "{condition} {address}"
        );
    }
}

#[test]
fn an_undecided_row_names_the_smallest_part_that_could_not_be() {
    let raw = crate::settings::RawCondition {
        kind: "network".to_owned(),
        ..super::batch::raw(
            "protocol = 'tcp' AND (cidr_contains('10.0.0.0/8', source_address) OR source_port = 1)",
        )
    };
    let conditions = crate::conditions::Conditions::compile(&[raw]).unwrap();
    let of_kind = conditions.of("network").unwrap();
    let rows = [vec![
        ("protocol", text("tcp")),
        ("source_address", text("?")),
        ("source_port", Cell::Integer(2)),
    ]];
    let columns = super::batch::columns(of_kind.kind, &rows);
    let (verdicts, _) =
        conditions.verdicts(of_kind, &columns, &mut crate::threshold::Windows::new(1));
    let undecided = &verdicts.undecided[0];
    assert_eq!((undecided.row, undecided.rule), (0, 0));
    assert_eq!(
        undecided.part,
        "cidr_contains('10.0.0.0/8', source_address)"
    );
    assert_eq!(undecided.reason, "'?' is no IP address");
}

#[test]
fn every_column_of_every_kind_can_be_named() {
    for kind in crate::kinds::KINDS {
        for (column, _) in kind.columns {
            for condition in [
                format!("{column} IS NULL"),
                format!("NOT ({column} IS NOT NULL)"),
                format!("true AND {column} IS NULL OR false"),
            ] {
                assert_eq!(
                    verdict_of(kind.name, &condition, Vec::new()),
                    "match",
                    "{} {condition}",
                    kind.name
                );
            }
        }
    }
}

#[test]
fn a_batch_that_matches_too_often_keeps_the_most_urgent() {
    let raw: Vec<_> = (0..6)
        .map(|number| crate::settings::RawCondition {
            name: format!("x{number}"),
            priority: Some(if number == 5 { "critical" } else { "low" }.to_owned()),
            ..super::batch::raw("pid > 1")
        })
        .collect();
    let conditions = crate::conditions::Conditions::compile(&raw).unwrap();
    let of_kind = conditions.of("process").unwrap();
    let columns = super::batch::columns(of_kind.kind, &[evil(), evil()]);
    let (verdicts, left_out) =
        conditions.verdicts(of_kind, &columns, &mut crate::threshold::Windows::new(1));
    assert_eq!((verdicts.firings.len(), left_out), (8, 4));
    assert_eq!(
        verdicts
            .firings
            .iter()
            .filter(|firing| firing.rule == 5)
            .count(),
        2
    );
}

#[test]
fn the_self_test_passes() {
    assert_eq!(crate::selftest::run(), Ok(()));
}
