//! The self-test: a few conditions over a made-up process, whose verdicts are known.

use weir_guest::{FixedColumn, TextColumn};

use crate::columns::{ColumnData, Columns};
use crate::conditions::Conditions;
use crate::kinds::Kind;
use crate::settings::RawCondition;
use crate::threshold::Windows;

/// A condition, and whether it matches.
const CASES: [(&str, bool); 8] = [
    ("pid > 1000", true),
    ("name LIKE 'evil%'", true),
    ("cpu_usage > 50.0", true),
    ("NOT (cpu_usage <= 50 OR name ILIKE 'GOOD%')", true),
    ("name IN ('good.exe', 'EVIL.EXE')", false),
    ("regexp_like(name, '^e.*[.]exe$')", true),
    ("executable = '/tmp/x'", false),
    ("executable IS NULL AND length(name) = 8", true),
];

/// Evaluates them all.
///
/// # Errors
/// The condition, and what it should have said.
pub(crate) fn run() -> Result<(), String> {
    let raw: Vec<RawCondition> = CASES
        .iter()
        .map(|(condition, _)| RawCondition {
            name: (*condition).to_owned(),
            kind: "process".to_owned(),
            condition: (*condition).to_owned(),
            ..RawCondition::default()
        })
        .collect();
    let conditions = Conditions::compile(&raw)?;
    let Some(of_kind) = conditions.of("process") else {
        return Err("there are no process events".to_owned());
    };
    let columns = sample(of_kind.kind);
    // One row has four verdicts at most: each condition is looked at alone.
    let explained = conditions.explain(of_kind, &columns, 0, &Windows::new(1));
    for ((condition, expected), explanation) in CASES.iter().zip(&explained) {
        let matches = explanation.verdict == "match";
        if matches != *expected {
            return Err(format!(
                "`{condition}` said {} of the sample, not {expected}",
                explanation.verdict
            ));
        }
    }
    if explained.len() == CASES.len() {
        return Ok(());
    }
    Err(format!(
        "{} conditions said something, not {}",
        explained.len(),
        CASES.len()
    ))
}

/// A process that is up to no good.
fn sample(kind: &Kind) -> Columns {
    let mut columns = Columns::new(1);
    let values = [
        ("pid", ColumnData::U32(FixedColumn::of(&[Some(4321)]))),
        (
            "name",
            ColumnData::Text(TextColumn::of(&[Some("evil.exe")]).into()),
        ),
        ("cpu_usage", ColumnData::F64(FixedColumn::of(&[Some(99.0)]))),
        (
            "executable",
            ColumnData::Text(TextColumn::of(&[None]).into()),
        ),
    ];
    for (name, data) in values {
        if let Some(column) = kind.column(name) {
            columns.put(column, data);
        }
    }
    columns
}
