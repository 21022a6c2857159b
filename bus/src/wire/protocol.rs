//! Promises of `docs/protocol.md`: its tables say what the declarations say.
//!
//! The columns of the kinds are made from the declarations; the rest is written by hand, and checked
//! for being complete. `WEIR_BLESS=1 cargo test -p weir-bus protocol` writes the columns anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::FrameType;
use crate::event::Kind;

const BEGIN: &str = "<!-- columns: made by `WEIR_BLESS=1 cargo test -p weir-bus protocol` from the declarations in bus/src/event; checked there -->\n";
const END: &str = "<!-- end of columns -->";

fn crate_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn page_path() -> PathBuf {
    crate_path("../docs/protocol.md")
}

fn page() -> String {
    std::fs::read_to_string(page_path()).unwrap()
}

/// A table for each kind, in the order of the payload.
fn columns() -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        write!(text, "\n### Kind {}: {kind}\n\n", kind as u8).unwrap();
        text.push_str("| field | type | may be null |\n| --- | --- | --- |\n");
        for field in kind.fields() {
            let name = field.field_type.as_str();
            let nullable = if field.nullable { "yes" } else { "no" };
            writeln!(text, "| `{}` | {name} | {nullable} |", field.name).unwrap();
        }
    }
    text + "\n"
}

#[test]
fn the_page_has_the_columns_of_every_kind() {
    let page = page();
    let (before, rest) = page.split_once(BEGIN).expect("the comment before them");
    let (found, after) = rest.split_once(END).expect("the comment behind them");
    let expected = columns();
    if found == expected {
        return;
    }
    if std::env::var_os("WEIR_BLESS").is_some() {
        let anew = format!("{before}{BEGIN}{expected}{END}{after}");
        std::fs::write(page_path(), anew).unwrap();
        return;
    }
    panic!(
        "docs/protocol.md doesn't have the columns that bus/src/event declares; \
         write them anew with `WEIR_BLESS=1 cargo test -p weir-bus protocol`, and look at the difference"
    );
}

#[test]
fn the_page_has_every_type_of_frame_with_its_number_and_no_other() {
    let page = page();
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| type | name |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cell = |row: &str, at: usize| row.split('|').nth(at).unwrap_or("").trim().to_owned();
    let found: Vec<_> = rows.map(|row| (cell(row, 1), cell(row, 2))).collect();
    let expected: Vec<_> = FrameType::ALL
        .into_iter()
        .map(|one| ((one as u8).to_string(), one.as_str().to_owned()))
        .collect();
    assert_eq!(found, expected);
}

/// What stands between backquotes in the sentence that begins so.
fn quoted(page: &str, begin: &str) -> BTreeSet<String> {
    let sentence = page.split_once(begin).expect(begin).1;
    let sentence = sentence.split_once(".").expect("its end").0;
    let words = sentence.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

fn sources(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, texts);
        } else {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The words that stand behind one of these beginnings in the sources, with space between or none.
fn written(texts: &[String], beginnings: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (text, beginning) in texts
        .iter()
        .flat_map(|text| beginnings.iter().map(move |one| (text, one)))
    {
        for after in text.split(beginning).skip(1) {
            let quoted = after.trim_start().strip_prefix('"');
            let word = quoted.and_then(|rest| Some(rest.split_once('"')?.0));
            let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            found.extend(word.filter(is_word).map(str::to_owned));
        }
    }
    found
}

#[test]
fn the_page_has_every_code_that_a_broker_answers_with_and_no_other() {
    let mut texts = Vec::new();
    sources(&crate_path("src/socket/broker"), &mut texts);
    for file in ["src/wire/frame.rs", "src/wire/publish.rs"] {
        let text = std::fs::read_to_string(crate_path(file)).unwrap();
        // Only what says codes: a name of a frame is none.
        let codes = text.split("const fn code").skip(1);
        texts.extend(codes.map(|code| code[..code.find("\n    }").unwrap()].to_owned()));
    }
    let page = page();
    let mut expected = quoted(&page, "Codes of errors:");
    expected.extend(quoted(&page, "Codes of replies:"));
    let beginnings = [
        "code:",
        "let code =",
        "=>",
        "Refused::of(",
        "header(",
        "Ok(body) => (",
        "if error.reason == DropReason::Invalid {",
        "} else {",
    ];
    let found = written(&texts, &beginnings);
    assert_eq!(found, expected, "codes in the sources, and on the page");
}
