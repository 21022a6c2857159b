//! Verdicts held to SQLite's: generated conditions over generated rows.
//!
//! The generator writes each condition twice, as ours and as SQLite says the same. The kinds of
//! difference that there are stand in `docs/conditions.md`; those that can come up here are seen
//! (`beyond_64_bits`) or asserted one by one below.

mod generate;

use rusqlite::{Connection, params_from_iter, types::Value};

use super::Random;
use super::batch::{Row, columns, raw, verdict};
use crate::columns::Cell;
use crate::conditions::Conditions;
use crate::evaluate::Evaluation;
use crate::settings::RawCondition;
use generate::{Condition, Generator, LITERAL_FLOATS, rows};

/// Conditions of a run; `WEIR_CONDITIONS` has another number.
const CONDITIONS: usize = 6_000;
/// Conditions that are compiled together, so that they share nodes.
const TOGETHER: usize = 50;
const ROWS: usize = 48;

/// The columns of SQLite's table: none has a type, so that nothing is converted.
const COLUMNS: [&str; 14] = [
    "pid",
    "ppid",
    "exit_code",
    "sequence",
    "memory_bytes",
    "cpu_usage",
    "name",
    "executable",
    "parent_name",
    "cgroup",
    "accessible",
    "executable_deleted",
    "file_exists",
    "timestamp",
];

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn seed() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let seed = number_of(
        "WEIR_SEED",
        u64::try_from(now.as_nanos() % 1_000_000_007).unwrap(),
    );
    println!("WEIR_SEED={seed} repeats this run");
    seed
}

fn sqlite_value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(value) => Value::Integer(i64::try_from(*value).unwrap()),
        Cell::Float(value) => Value::Real(*value),
        Cell::Bool(value) => Value::Integer((*value).into()),
        Cell::Time(value) => Value::Integer(*value),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Texts(_) => Value::Integer(1),
    }
}

fn cell<'a>(row: &'a Row, column: &str) -> &'a Cell {
    row.iter()
        .find(|(name, _)| *name == column)
        .map_or(&Cell::Null, |(_, cell)| cell)
}

/// SQLite with the rows in a table, and the texts of the lists in another.
fn sqlite(rows: &[Row]) -> Connection {
    let sqlite = Connection::open_in_memory().unwrap();
    sqlite
        .execute_batch(&format!(
            "PRAGMA case_sensitive_like = ON;
             CREATE TABLE t (row, command_line, {});
             CREATE TABLE e (row, element);",
            COLUMNS.join(", ")
        ))
        .unwrap();
    let places = vec!["?"; COLUMNS.len() + 2].join(", ");
    for (number, row) in rows.iter().enumerate() {
        let number = i64::try_from(number).unwrap();
        let list = cell(row, "command_line");
        let values = [Value::Integer(number), sqlite_value(list)]
            .into_iter()
            .chain(COLUMNS.iter().map(|column| sqlite_value(cell(row, column))));
        sqlite
            .execute(
                &format!("INSERT INTO t VALUES ({places})"),
                params_from_iter(values),
            )
            .unwrap();
        if let Cell::Texts(texts) = list {
            for text in texts {
                sqlite
                    .execute("INSERT INTO e VALUES (?, ?)", (number, text))
                    .unwrap();
            }
        }
    }
    sqlite
}

/// What SQLite says of each row, and whether whole numbers became floats on the way.
fn asked(sqlite: &Connection, condition: &Condition) -> Vec<(Option<bool>, bool)> {
    let beyond: Vec<String> = condition
        .calculations
        .iter()
        .map(|calculation| format!("typeof({calculation}) = 'real'"))
        .collect();
    let beyond = if beyond.is_empty() {
        "0".to_owned()
    } else {
        beyond.join(" OR ")
    };
    let query = format!(
        "SELECT ({}) <> 0, {beyond} FROM t ORDER BY row",
        condition.theirs
    );
    let mut statement = sqlite
        .prepare(&query)
        .unwrap_or_else(|error| panic!("{error}: {query}"));
    let verdicts = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    verdicts
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {query}"))
}

/// Generated conditions, compiled together; what limits refuse is left out.
fn compiled(random: &mut Random, seed: u64) -> (Conditions, Vec<Condition>) {
    let mut generated: Vec<Condition> = (0..TOGETHER)
        .map(|_| Generator::new(random).condition())
        .collect();
    loop {
        let raw: Vec<RawCondition> = generated
            .iter()
            .enumerate()
            .map(|(number, condition)| RawCondition {
                name: number.to_string(),
                ..raw(&condition.ours)
            })
            .collect();
        let error = match Conditions::compile(&raw) {
            Ok(conditions) => return (conditions, generated),
            Err(error) => error,
        };
        let line = error.lines().last().unwrap();
        let number: usize = line.split('.').nth(1).unwrap().parse().unwrap();
        let condition = generated.remove(number);
        let is_limit = ["beyond 128 bits", "regular expressions in all", "more than"]
            .iter()
            .any(|words| line.contains(words));
        assert!(is_limit, "seed {seed}: {line}\n{}", condition.ours);
    }
}

#[test]
fn generated_conditions_say_what_sqlite_says() {
    let seed = seed();
    let mut random = Random::new(seed);
    let total = usize::try_from(number_of("WEIR_CONDITIONS", CONDITIONS as u64)).unwrap();
    let (mut verdicts, mut beyond_64_bits) = ([0_usize; 3], 0_usize);
    for _ in 0..total.div_ceil(TOGETHER) {
        let rows = rows(&mut random, ROWS);
        let sqlite = sqlite(&rows);
        let (conditions, generated) = compiled(&mut random, seed);
        let of_kind = conditions.of("process").unwrap();
        let columns = columns(of_kind.kind, &rows);
        let evaluation = Evaluation::of(&of_kind.plan, &columns);
        for (condition, generated) in conditions.all().iter().zip(&generated) {
            let truth = evaluation.truth(condition.checked.root);
            for (row, (theirs, beyond)) in asked(&sqlite, generated).into_iter().enumerate() {
                let fault = evaluation.fault(condition.checked.root, row);
                if beyond {
                    beyond_64_bits += 1;
                    continue;
                }
                let ours = truth.get(row);
                assert!(
                    ours == theirs && fault.is_none(),
                    "seed {seed}: we say {ours:?} ({fault:?}), SQLite {theirs:?}\nours:   {}\ntheirs: {}\nrow: {:?}",
                    generated.ours,
                    generated.theirs,
                    rows[row]
                );
                verdicts[match ours {
                    Some(true) => 0,
                    Some(false) => 1,
                    None => 2,
                }] += 1;
            }
        }
    }
    println!(
        "{total} conditions: {verdicts:?} true, false, unknown; {beyond_64_bits} beyond 64 bits"
    );
    // All three come up, and what is left out is little.
    let sum: usize = verdicts.iter().sum();
    assert!(
        verdicts.iter().all(|count| *count > sum / 20),
        "{verdicts:?}"
    );
    assert!(beyond_64_bits < sum / 5, "{beyond_64_bits} of {sum}");
}

#[test]
fn the_floats_that_are_written_are_the_same_for_both() {
    let sqlite = Connection::open_in_memory().unwrap();
    for literal in LITERAL_FLOATS {
        let theirs: f64 = sqlite
            .query_row(&format!("SELECT {literal}"), [], |row| row.get(0))
            .unwrap();
        assert_eq!(theirs, literal.parse::<f64>().unwrap(), "{literal}");
    }
}

/// SQLite has no whole numbers above 2^63 - 1: written with all their digits, texts have their order.
#[test]
fn numbers_of_64_bits_without_a_sign_are_in_the_order_of_their_digits() {
    let seed = seed();
    let mut random = Random::new(seed);
    let pool = [
        0,
        1,
        (1 << 53) - 1,
        (1 << 53) + 1,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    let mut number = || match random.below(3) {
        0 => random.next(),
        1 => random.next() >> random.below(64),
        _ => pool[random.below(8)],
    };
    let values: Vec<u64> = (0..64).map(|_| number()).collect();
    let row = |value: &u64| vec![("memory_bytes", Cell::Integer(i128::from(*value)))];
    let rows: Vec<Row> = values.iter().map(row).collect();
    let sqlite = Connection::open_in_memory().unwrap();
    sqlite
        .execute_batch("CREATE TABLE t (row, memory_bytes)")
        .unwrap();
    for (number, value) in values.iter().enumerate() {
        let number = i64::try_from(number).unwrap();
        sqlite
            .execute(
                "INSERT INTO t VALUES (?, ?)",
                (number, format!("{value:020}")),
            )
            .unwrap();
    }
    for _ in 0..1_000 {
        let (low, high) = (number(), number());
        let mut shapes = vec![
            ("memory_bytes IN (LOW, HIGH)".to_owned()),
            ("memory_bytes BETWEEN LOW AND HIGH".to_owned()),
        ];
        shapes.extend(
            ["=", "<>", "<", "<=", ">", ">="].map(|sign| format!("LOW {sign} memory_bytes")),
        );
        for shape in shapes {
            let written = |low: &str, high: &str| shape.replace("LOW", low).replace("HIGH", high);
            let ours = written(&low.to_string(), &high.to_string());
            let theirs = written(&format!("'{low:020}'"), &format!("'{high:020}'"));
            let conditions = Conditions::compile(&[raw(&ours)]).unwrap();
            let of_kind = conditions.of("process").unwrap();
            let columns = columns(of_kind.kind, &rows);
            let evaluation = Evaluation::of(&of_kind.plan, &columns);
            let truth = evaluation.truth(conditions.all()[0].checked.root);
            let condition = Condition {
                ours,
                theirs,
                calculations: Vec::new(),
            };
            for (row, (theirs, _)) in asked(&sqlite, &condition).into_iter().enumerate() {
                assert_eq!(
                    truth.get(row),
                    theirs,
                    "seed {seed}: {} of {}",
                    condition.ours,
                    values[row]
                );
            }
        }
    }
}

/// What SQLite says of no row in particular.
fn sqlite_says(pragma: &str, condition: &str) -> Option<bool> {
    let sqlite = Connection::open_in_memory().unwrap();
    sqlite.execute_batch(pragma).unwrap();
    let query = format!("SELECT ({condition}) <> 0");
    sqlite.query_row(&query, [], |row| row.get(0)).unwrap()
}

fn we_say(condition: &str) -> Option<bool> {
    match verdict(condition, Row::new()).as_str() {
        "match" => Some(true),
        "no match" => Some(false),
        _ => None,
    }
}

fn we_refuse(condition: &str) -> bool {
    Conditions::compile(&[raw(condition)]).is_err()
}

// The kinds of difference, as `docs/conditions.md` counts them.

#[test]
fn difference_1_arithmetic_beyond_64_bits_is_exact_where_sqlite_rounds() {
    let condition = "9223372036854775807 + 1 = 9223372036854775807 + 2";
    assert_eq!(
        (we_say(condition), sqlite_says("", condition)),
        (Some(false), Some(true))
    );
    let condition = "(9223372036854775807 * 4 + 2) / 4 = 9223372036854775807";
    assert_eq!(we_say(condition), Some(true));
}

#[test]
fn difference_2_like_minds_case() {
    let condition = "'ABC' LIKE 'abc'";
    assert_eq!(
        (we_say(condition), sqlite_says("", condition)),
        (Some(false), Some(true))
    );
    assert_eq!(
        sqlite_says("PRAGMA case_sensitive_like = ON", condition),
        Some(false)
    );
    assert_eq!(we_say("'ABC' ILIKE 'abc'"), Some(true));
}

#[test]
fn difference_3_a_text_goes_on_behind_a_zero_byte() {
    let row = || vec![("name", Cell::Text("a\0b".to_owned()))];
    assert_eq!(
        verdict("length(name) = 3 AND name LIKE '%b'", row()),
        "match"
    );
    assert_eq!(
        sqlite_says("", "length('a' || char(0) || 'b') = 1"),
        Some(true)
    );
}

#[test]
fn difference_4_what_sqlite_converts_is_refused() {
    for (condition, theirs) in [
        ("1 = '1'", Some(false)),
        ("'abc' + 1 = 1", Some(true)),
        ("true = 1", Some(true)),
        ("length(123) = 3", Some(true)),
        ("NOT 5", Some(false)),
        ("7.5 % 2 = 1", Some(true)),
    ] {
        assert!(we_refuse(condition), "{condition}");
        assert_eq!(sqlite_says("", condition), theirs, "{condition}");
    }
}

#[test]
fn difference_5_a_name_in_double_quotes_is_a_column_and_nothing_else() {
    assert!(we_refuse("\"evil\" = 'evil'"));
    assert!(!we_refuse("\"name\" = 'evil'"));
}
