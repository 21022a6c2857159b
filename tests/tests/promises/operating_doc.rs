//! `docs/operating.md` is true: its keys are those of the config, and it knows every error of a run.

use weir::config::keys_page;
use weir_tests::repository;

/// The page.
const PAGE: &str = "docs/operating.md";
/// Where the tables of keys begin and end.
const KEYS: (&str, &str) = ("<!-- keys: ", "<!-- end of keys -->");
/// Set to write the tables instead of comparing them.
const BLESS: &str = "WEIR_BLESS";

/// What can be printed by a run, by path; its errors and its log.
const SOURCES: [&str; 7] = [
    "runtime/src",
    "host-sources/src",
    "bus/src/batch",
    "bus/src/pubsub",
    "bus/src/socket",
    "bus/src/topic",
    "bus/src/event",
];
/// Of these what no run prints: tools for authors, and what only programs meet that use the library.
const NOT_OF_A_RUN: [&str; 7] = [
    "runtime/src/authoring/",
    "bus/src/batch/mod.rs",
    "bus/src/batch/select.rs",
    "bus/src/event/",
    "bus/src/pubsub/filter.rs",
    "bus/src/pubsub/mod.rs",
    // A pattern's errors are told as those of the key that holds it.
    "bus/src/topic/",
];
/// A fixed part that is shorter says nothing: `: `, ` = `.
const FIXED_BYTES_MIN: usize = 8;

#[test]
fn the_page_has_every_key_with_its_default_and_range() {
    let page = repository::text(PAGE);
    let (before, rest) = page.split_once(KEYS.0).expect("where keys begin");
    let (note, rest) = rest.split_once('\n').expect("a line");
    let (keys, after) = rest.split_once(KEYS.1).expect("where keys end");
    let right = format!("\n{}\n", keys_page());
    if std::env::var_os(BLESS).is_some() {
        let page = format!("{before}{}{note}\n{right}{}{after}", KEYS.0, KEYS.1);
        std::fs::write(repository::root().join(PAGE), page).expect("the page can be written");
    } else {
        let differs = keys
            .lines()
            .zip(right.lines())
            .find(|(is, right)| is != right);
        assert!(keys == right, "run this test with {BLESS}=1: {differs:#?}");
    }
}

/// The literals behind each `start`: the first of each, with its escapes undone.
fn literals(text: &str, start: &str, is_last: bool) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split(start).skip(1) {
        let end = if is_last { ");" } else { ")]" };
        let part = part.split(end).next().unwrap_or(part);
        // `"` within a literal is written `\"`: those are no ends.
        let part = part.replace("\\\"", "\u{0}");
        let mut quoted = part.split('"').skip(1).step_by(2);
        let literal = if is_last {
            quoted.last()
        } else {
            quoted.next()
        };
        found.extend(literal.map(|literal| literal.replace('\u{0}', "\"")));
    }
    found
}

/// The longest part of a message that is always the same.
fn fixed_part(message: &str) -> &str {
    let parts = message.split('{').flat_map(|part| {
        let (_, fixed) = part.split_once('}').unwrap_or(("", part));
        fixed.split('`')
    });
    parts
        .map(|part| part.trim_matches([' ', ':', ';', ',', '(', ')']))
        .max_by_key(|part| part.len())
        .unwrap_or_default()
}

#[test]
fn the_page_has_an_entry_for_every_error_and_warning_of_a_run() {
    let page = repository::text(PAGE);
    let mut missing = Vec::new();
    let mut seen = 0;
    for (path, text) in SOURCES.into_iter().flat_map(repository::sources) {
        if NOT_OF_A_RUN.iter().any(|not| path.starts_with(not)) {
            continue;
        }
        let text = repository::without_tests(&text);
        let mut messages = literals(text, "#[error(", false);
        for level in ["warn!(", "error!("] {
            messages.extend(literals(text, level, true));
        }
        for message in messages {
            let fixed = fixed_part(&message);
            if fixed.len() < FIXED_BYTES_MIN {
                continue;
            }
            seen += 1;
            if !page.contains(fixed) {
                missing.push(format!("{path}: `{fixed}` of `{message}`"));
            }
        }
    }
    assert!(missing.is_empty(), "{PAGE} lacks:\n{}", missing.join("\n"));
    assert!(seen > 50, "only {seen} messages were found");
}

#[test]
fn the_unit_of_systemd_starts_what_the_page_says() {
    let unit = repository::text("docs/weir.service");
    for line in [
        "ExecStart=/usr/bin/weir run",
        "ExecReload=kill -HUP $MAINPID",
        "Restart=on-failure",
        "RuntimeDirectory=weir",
        "StateDirectory=weir",
        "CacheDirectory=weir",
        "Group=weir",
    ] {
        assert!(unit.lines().any(|one| one == line), "no `{line}` in {unit}");
    }
}
