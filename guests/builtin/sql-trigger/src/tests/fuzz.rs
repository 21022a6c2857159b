//! Whatever the text is, compiling it ends, soon, in conditions or in one line.

use std::time::{Duration, Instant};

use super::Random;
use super::batch::{columns, evil, raw};
use crate::conditions::Conditions;
use crate::evaluate::Evaluation;

/// Unoptimized, the parser's frames are large: it goes as deep as it may within this.
const STACK_BYTES: usize = 16 << 20;
const TEXTS: usize = 6_000;
/// What a text of a few words may take on a machine with other things to do.
const SLOW: Duration = Duration::from_secs(2);

const WORDS: [&str; 72] = [
    "pid",
    "name",
    "cpu_usage",
    "command_line",
    "accessible",
    "timestamp",
    "AND",
    "OR",
    "NOT",
    "IN",
    "(",
    ")",
    "(",
    ")",
    ",",
    "=",
    "<>",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "||",
    "LIKE",
    "ILIKE",
    "ESCAPE",
    "BETWEEN",
    "IS",
    "NULL",
    "TRUE",
    "FALSE",
    "UNKNOWN",
    "DISTINCT",
    "FROM",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "any",
    "ANY",
    "ALL",
    "lower",
    "coalesce",
    "regexp_like",
    "cidr_contains",
    "length",
    "'a%'",
    "'!'",
    "'10.0.0.0/8'",
    "'('",
    "1",
    "0",
    "18446744073709551615",
    "1.5",
    "1e308",
    "''",
    "'",
    "\"",
    ";",
    "--",
    "/*",
    "\n",
    "\0",
    "é",
    "interval",
    "cast",
    "array",
    "struct",
    "timestamp '2026-01-31'",
];

const GOOD: [&str; 8] = [
    "pid > 1000 AND (executable LIKE '/tmp/%' OR NOT name = 'good')",
    "coalesce(parent_name, 'x') || name IN ('a', 'b', NULL) IS NOT TRUE",
    "CASE WHEN accessible THEN pid ELSE ppid END BETWEEN 5 AND 10 * 2 - -3",
    "'-e' = ANY(command_line) AND any(command_line) LIKE '%!%%' ESCAPE '!'",
    "regexp_like(name, '^(ba|z)?sh$', 'i') OR length(basename(executable)) % 3 = 1",
    "timestamp > '2026-01-31T12:00:00Z' AND cpu_usage / 2.5 < 1e3",
    "name IS NOT DISTINCT FROM lower(parent_name)",
    "memory_bytes * memory_bytes * memory_bytes > 18446744073709551615",
];

fn text(random: &mut Random) -> String {
    match random.below(5) {
        4 => {
            // A good one with some of its words changed.
            let mut words: Vec<&str> = GOOD[random.below(8)].split(' ').collect();
            for _ in 0..=random.below(2) {
                let at = random.below(words.len() as u64);
                words[at] = WORDS[random.below(72)];
            }
            words.join(" ")
        }
        0 => (0..random.below(40))
            .map(|_| WORDS[random.below(72)])
            .collect::<Vec<_>>()
            .join(" "),
        1 => (0..random.below(30))
            .map(|_| char::from_u32(u32::try_from(random.below(0x300)).unwrap()).unwrap_or('x'))
            .collect(),
        2 => {
            // One of the words again and again: what makes parsers go deep or back.
            let (word, last) = (WORDS[random.below(72)], WORDS[random.below(72)]);
            let space = ["", " "][random.below(2)];
            format!(
                "{}{last}",
                format!("{word}{space}").repeat(random.below(400))
            )
        }
        _ => {
            let mut chars: Vec<char> = GOOD[random.below(8)].chars().collect();
            for _ in 0..=random.below(4) {
                let at = random.below(chars.len().max(1) as u64);
                match random.below(4) {
                    _ if chars.is_empty() => {}
                    0 => drop(chars.remove(at)),
                    1 => chars.swap(at, 0),
                    2 => {
                        let word: Vec<char> = WORDS[random.below(72)].chars().collect();
                        chars.splice(at..at, word);
                    }
                    _ => chars.truncate(at + 1),
                }
            }
            chars.into_iter().collect()
        }
    }
}

fn compile_and_evaluate(text: &str) -> bool {
    let started = Instant::now();
    let conditions = Conditions::compile(&[raw(text)]);
    assert!(
        started.elapsed() < SLOW,
        "{:?}: {text:?}",
        started.elapsed()
    );
    let conditions = match conditions {
        Ok(conditions) => conditions,
        Err(error) => {
            assert!(
                error.starts_with("trigger.x.condition: ") && error.lines().count() == 1,
                "{error:?}"
            );
            assert!(!error.chars().any(char::is_control), "{error:?}");
            return false;
        }
    };
    let of_kind = conditions.of("process").unwrap();
    let columns = columns(of_kind.kind, &[evil(), Vec::new(), evil()]);
    let evaluation = Evaluation::of(&of_kind.plan, &columns);
    let truth = evaluation.truth(conditions.all()[0].checked.root);
    // The same row has the same verdict.
    assert_eq!(truth.get(0), truth.get(2), "{text}");
    true
}

fn deep(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(run);
    thread.unwrap().join().unwrap();
}

#[test]
fn no_text_makes_it_panic_or_hang() {
    let seed = std::env::var("WEIR_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_260_131);
    println!("WEIR_SEED={seed} repeats this run");
    deep(move || {
        let mut random = Random::new(seed);
        let compiled = (0..TEXTS)
            .filter(|_| compile_and_evaluate(&text(&mut random)))
            .count();
        println!("{compiled} of {TEXTS} compiled");
        assert!(compiled > TEXTS / 100, "{compiled}");
    });
}

#[test]
fn what_is_nested_as_deeply_as_may_be_is_read_or_refused() {
    deep(|| {
        for inner in [
            "true",
            "NOT accessible",
            "pid = -1 + 2 * 3",
            "name LIKE 'a' OR pid IN (1, 2) AND cpu_usage > 1.5",
            "CASE WHEN true THEN true END",
        ] {
            for (open, close) in [
                ("(", ")"),
                ("NOT (", ")"),
                ("true AND (true OR (", "))"),
                ("CASE WHEN (", ") THEN true END"),
                ("coalesce(accessible, ", ")"),
                ("- (", ")"),
            ] {
                for depth in [1, 4, 8, 16, 24, 40] {
                    compile_and_evaluate(&format!(
                        "{}{inner}{}",
                        open.repeat(depth),
                        close.repeat(depth)
                    ));
                }
            }
        }
        let error = Conditions::compile(&[raw(&format!("true{}", " IS NULL".repeat(300)))]);
        assert!(error.unwrap_err().contains("nested too deeply"));
        let chain = (0..390)
            .map(|number| number.to_string())
            .collect::<Vec<_>>();
        assert!(compile_and_evaluate(&format!(
            "pid + {} > 1",
            chain.join(" + ")
        )));
        assert!(compile_and_evaluate(&format!(
            "name || '{}' = 'x'",
            chain.join("' || '")
        )));
        assert!(compile_and_evaluate(&format!(
            "pid IN ({})",
            chain.join(", ")
        )));
    });
}
