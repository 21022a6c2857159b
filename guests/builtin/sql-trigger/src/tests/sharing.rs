//! What several conditions ask is asked once, and columns that nobody needs are not read.

use super::batch::{Row, columns, raw, text, verdict};
use crate::columns::Cell;
use crate::conditions::Conditions;
use crate::evaluate::Evaluation;
use crate::settings::RawCondition;

fn compiled(conditions: &[&str]) -> Conditions {
    let raw: Vec<RawCondition> = conditions
        .iter()
        .enumerate()
        .map(|(number, condition)| RawCondition {
            name: number.to_string(),
            ..raw(condition)
        })
        .collect();
    Conditions::compile(&raw).unwrap()
}

fn evaluated(conditions: &[&str]) -> usize {
    compiled(conditions)
        .of("process")
        .unwrap()
        .plan
        .order()
        .len()
}

#[test]
fn the_same_test_is_one_node_however_it_is_written() {
    for (one, other) in [
        ("pid > 10", "10 < PID"),
        ("pid > 10", "pid >= 11"),
        ("pid > 10", "pid > 10.5"),
        ("pid = 1", "NOT (pid <> 1)"),
        ("name LIKE 'a%'", "starts_with(name, 'a')"),
        ("name LIKE '%a%'", "contains(\"name\", 'a')"),
        ("name ILIKE 'A%'", "lower(name) LIKE 'a%'"),
        ("name IN ('a', 'b')", "name IN ('b', 'a', 'b')"),
        ("accessible AND pid = 1", "(pid = 1) AND accessible"),
        ("cpu_usage < 5", "5.0 > cpu_usage"),
        ("accessible", "accessible = true"),
        ("memory_bytes > 1024 * 1024", "memory_bytes > 1048576"),
        (
            "timestamp > '1970-01-01T00:00:01Z'",
            "timestamp > 1000000000",
        ),
    ] {
        assert_eq!(
            evaluated(&[one, other]),
            evaluated(&[one]),
            "{one} and {other}"
        );
    }
    // The column and one test each: the second condition adds its own test only.
    assert_eq!(
        evaluated(&["name LIKE 'a%' AND pid > 1", "name LIKE 'a%' AND pid > 2"]),
        6
    );
}

#[test]
fn only_columns_that_conditions_read_are_asked_for() {
    let conditions = compiled(&["pid > 1 AND length(command_line) > 2", "name = 'x' OR true"]);
    let of_kind = conditions.of("process").unwrap();
    let names: Vec<&str> = of_kind
        .columns
        .iter()
        .map(|column| of_kind.kind.name_of(*column))
        .collect();
    assert_eq!(names, ["pid", "name", "command_line"]);
}

#[test]
fn where_values_repeat_the_verdicts_are_the_same() {
    let conditions = [
        "name LIKE 'a%b_c%'",
        "regexp_like(name, '^w.*[0-4]$')",
        "name IN ('worker-1', 'worker-2', 'x')",
        "contains(name, 'rker')",
        "name < 'worker-3'",
        "cidr_contains('10.0.0.0/8', name)",
        "length(name) = 8",
    ];
    let of_row = |row: usize| -> Row {
        match row % 9 {
            0 => Vec::new(),
            place => vec![("name", text(&format!("worker-{place}")))],
        }
    };
    // Few rows make no dictionary.
    for rows in [63, 1_000] {
        let rows: Vec<Row> = (0..rows).map(of_row).collect();
        let together = compiled(&conditions);
        let of_kind = together.of("process").unwrap();
        let columns = columns(of_kind.kind, &rows);
        let evaluation = Evaluation::of(&of_kind.plan, &columns);
        for (condition, compiled) in conditions.iter().zip(together.all()) {
            let truth = evaluation.truth(compiled.checked.root);
            for (number, row) in rows.iter().enumerate().take(20) {
                let said = match (
                    truth.get(number),
                    evaluation.fault(compiled.checked.root, number),
                ) {
                    (_, Some(reason)) => format!("could not evaluate: {reason}"),
                    (Some(true), None) => "match".to_owned(),
                    (Some(false), None) => "no match".to_owned(),
                    (None, None) => "unknown".to_owned(),
                };
                assert_eq!(
                    said,
                    verdict(condition, row.clone()),
                    "{condition} of row {number}"
                );
            }
        }
    }
}

#[test]
fn where_the_budget_ends_rows_are_undecided() {
    // Each text is long, and each pattern goes over all of it, again and again.
    let name = "ab".repeat(20_000);
    let conditions: Vec<String> = (0..30)
        .map(|number| format!("name LIKE '%a_a_a_x{number}%'"))
        .collect();
    let conditions: Vec<&str> = conditions.iter().map(String::as_str).collect();
    let conditions = compiled(&conditions);
    let of_kind = conditions.of("process").unwrap();
    let rows: Vec<Row> = (0..40)
        .map(|row| {
            vec![
                ("name", text(&format!("{name}{row}"))),
                ("pid", Cell::Integer(1)),
            ]
        })
        .collect();
    let columns = columns(of_kind.kind, &rows);
    let evaluation = Evaluation::of(&of_kind.plan, &columns);
    let (mut decided, mut undecided) = (0, 0);
    for condition in conditions.all() {
        let truth = evaluation.truth(condition.checked.root);
        for row in 0..rows.len() {
            match evaluation.fault(condition.checked.root, row) {
                Some(reason) => {
                    assert_eq!(
                        reason.to_string(),
                        "the batch's budget for text tests is used up"
                    );
                    assert_eq!(truth.get(row), None);
                    undecided += 1;
                }
                None => {
                    assert_eq!(truth.get(row), Some(false));
                    decided += 1;
                }
            }
        }
    }
    assert!(decided > 0 && undecided > 0, "{decided} {undecided}");
    // Texts that are made have theirs.
    let large = "x".repeat(3 << 20);
    let rows: Vec<Row> = (0..4).map(|_| vec![("name", text(&large))]).collect();
    let columns = super::batch::columns(of_kind.kind, &rows);
    let conditions = compiled(&["name || 'y' = 'y'", "upper(name) = 'Y'"]);
    let of_kind = conditions.of("process").unwrap();
    let evaluation = Evaluation::of(&of_kind.plan, &columns);
    let faults: Vec<usize> = conditions
        .all()
        .iter()
        .map(|condition| {
            evaluation
                .faults(condition.checked.root)
                .map_or(0, |faults| faults.bits.iter().count())
        })
        .collect();
    assert_eq!(faults, [2, 4]);
}
