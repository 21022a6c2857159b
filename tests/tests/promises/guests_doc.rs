//! `docs/guests.md` is true: its ten minutes lead to a stage in the daemon, and its tables say
//! what the code says.

use weir::config::keys::{self, Fallback};
use weir::sandbox::{FaultReason, World};
use weir_bus::{Kind, event::FieldSpec};
use weir_tests::author::{Author, Done};
use weir_tests::repository;

/// What ends a file within the script.
const FILE_END: &str = "WEIR_FILE_END";

fn guide() -> String {
    repository::text("docs/guests.md")
}

/// The guide's blocks: what stands behind the fence, and the text.
fn blocks(guide: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in guide.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// One script of all that a reader does: blocks of `sh` are run, blocks with a title are written.
fn script(guide: &str) -> String {
    let mut script = "set -e\n".to_owned();
    for (info, text) in blocks(guide) {
        if info == "sh" {
            script.push_str(&text);
        } else if let Some((_, path)) = info.split_once(" title=") {
            script.push_str(&format!(
                "cat > '{path}' <<'{FILE_END}'\n{text}{FILE_END}\n"
            ));
        }
    }
    script
}

#[test]
fn the_guide_followed_word_for_word_ends_in_a_finding_of_ones_own_stage() {
    let author = Author::new();
    author.write("guide.sh", script(&guide()));
    let mut shell = author.command("sh");
    let done: Done = shell.arg("guide.sh").output().expect("a shell").into();
    let told = done.ended(0);
    for part in [
        "who-ran is a new stage",
        "world      stage",
        "high: sleep[4012]: somebody runs sleep out of /tmp",
        "as expected: tests/expected.json",
        "the config is in order",
        "HIGH     somebody runs sleep out of /tmp/weir-guide — sleep[",
        "rule           conditions/runs-from-temporary-folder",
        "all counts balance",
        "who_ran.wasm is signed by deploy (",
    ] {
        assert!(
            told.contains(part),
            "not told: {part}\nin:\n{told}\n{}",
            done.stderr
        );
    }
}

fn column_row(field: &FieldSpec) -> String {
    let null = if field.nullable { ", or null" } else { "" };
    format!(
        "| `{}` | {}{null} | ",
        field.name,
        field.field_type.as_str()
    )
}

#[test]
fn the_guide_names_every_column_of_every_kind_with_its_type() {
    let guide = guide();
    for kind in Kind::ALL {
        let heading = format!("\n#### {kind}\n");
        let (_, rest) = guide
            .split_once(&heading)
            .unwrap_or_else(|| panic!("no {heading}"));
        let table: Vec<&str> = rest
            .lines()
            .skip_while(|line| !line.starts_with("| `"))
            .take_while(|line| line.starts_with("| `"))
            .collect();
        assert_eq!(table.len(), kind.fields().len(), "{kind}");
        for (line, field) in table.iter().zip(kind.fields()) {
            let expected = column_row(field);
            assert!(
                line.starts_with(&expected),
                "{kind}: {line}\nmust begin: {expected}"
            );
        }
    }
}

#[test]
fn the_guide_names_every_limit_with_its_default() {
    const PREFIX: &str = "slots.<name>.limits.";
    let guide = guide();
    let mut limits = 0;
    for key in keys::all() {
        let Some(name) = key.path.strip_prefix(PREFIX) else {
            continue;
        };
        let default = match key.fallback {
            Fallback::Value(value) => value.trim_matches('"').to_owned(),
            Fallback::Unset { meaning, .. } => meaning.to_owned(),
            other => panic!("{name} has {other:?} for a default"),
        };
        let row = format!("| `{name}` | {default} | ");
        assert!(guide.contains(&row), "no row: {row}");
        limits += 1;
    }
    assert!(limits > 20, "only {limits} limits");
}

#[test]
fn the_guide_names_every_reason_of_a_fault_and_every_import() {
    let guide = guide();
    let (_, faults) = guide
        .split_once("\n## Faults\n")
        .expect("a chapter on faults");
    let (faults, _) = faults.split_once("\n## ").expect("a chapter behind it");
    for reason in FaultReason::ALL {
        let row = format!("| `{reason}` | ");
        assert!(faults.contains(&row), "no row: {row}");
    }
    let rows = faults
        .lines()
        .filter(|line| line.starts_with("| `"))
        .count();
    assert_eq!(rows, FaultReason::ALL.len());
    let (_, imports) = guide
        .split_once("\n## What a guest may reach\n")
        .expect("a chapter on imports");
    for import in World::Stage
        .imports()
        .iter()
        .filter(|import| **import != "batches")
    {
        let row = imports
            .lines()
            .find(|line| line.starts_with(&format!("| `{import}`")));
        let row = row.unwrap_or_else(|| panic!("no row for the grant {import}"));
        let may = World::ALL.map(|world| world.imports().contains(import));
        let told: Vec<bool> = row
            .split('|')
            .skip(2)
            .take(3)
            .map(|cell| cell.trim() == "yes")
            .collect();
        assert_eq!(told, may, "{row}");
    }
}
