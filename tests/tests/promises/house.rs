//! The invariants of the house that only the sources themselves can show.

use std::collections::BTreeSet;

use weir_tests::repository::{sources, text, without_tests};

/// Where examples in the config put what the daemon writes.
const OWN_LOGS: &str = "/var/log/weir";

/// The crates and workspaces of the repository.
const FOLDERS: [&str; 6] = [
    "bus",
    "host-sources",
    "runtime",
    "guests",
    "tests",
    "benches",
];
/// What no rule, process name or path pattern of the guests may be in.
const WITHOUT_JUDGEMENT: [&str; 3] = ["bus/src", "host-sources/src", "runtime/src"];
/// Where the daemon's own socket is for users without a runtime folder: a place, which judges nothing.
const OWN_FOLDER: &str = "/tmp/weir-";

/// All sources of the repository.
fn all() -> Vec<(String, String)> {
    FOLDERS.into_iter().flat_map(sources).collect()
}

/// Fails with every line that is one of those.
fn no_line(what: &str, files: &[(String, String)], is_one: impl Fn(&str, &str) -> bool) {
    let mut found = Vec::new();
    for (path, text) in files {
        for (number, line) in text.lines().enumerate() {
            if is_one(path, line) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// A line without what is said in a comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

#[test]
fn only_the_sandbox_names_wasmtime() {
    let files: Vec<_> = all()
        .into_iter()
        .filter(|(path, _)| {
            let is_ours = path.starts_with("runtime/src/sandbox/") || path.starts_with("benches/");
            !is_ours && !path.ends_with("promises/house.rs")
        })
        .collect();
    no_line("wasmtime outside of the sandbox", &files, |_, line| {
        let code = code(line);
        code.contains("wasmtime::")
            || code.contains("wasmtime_")
            || code.contains("extern crate wasmtime")
    });
}

#[test]
fn guests_import_only_the_contract_and_never_the_daemon() {
    let files = sources("guests");
    no_line("a guest names the daemon's crates", &files, |_, line| {
        let code = code(line);
        ["weir_bus", "weir_sources"]
            .iter()
            .any(|name| code.contains(name))
    });
    for (path, text) in files_named("guests", "Cargo.toml") {
        for name in ["weir-bus", "weir-sources", "../runtime", "../bus"] {
            assert!(!text.contains(name), "{path} names {name}");
        }
    }
}

/// All files of that name under a folder.
fn files_named(folder: &str, name: &str) -> Vec<(String, String)> {
    let mut manifests: BTreeSet<String> = BTreeSet::new();
    for (path, _) in sources(folder) {
        let mut at = std::path::Path::new(&path).parent();
        while let Some(folder) = at {
            let file = folder.join(name);
            if weir_tests::repository::root().join(&file).is_file() {
                manifests.insert(file.to_string_lossy().into_owned());
            }
            at = folder.parent();
        }
    }
    let under = manifests
        .into_iter()
        .filter(|path| path.starts_with(folder));
    under.map(|path| (path.clone(), text(&path))).collect()
}

/// Every text in the built-in guests' default settings: folders, patterns, names.
fn judgement() -> BTreeSet<String> {
    fn collect(value: &serde_json::Value, texts: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::String(text) => {
                texts.insert(text.trim_end_matches(['*', '/']).to_owned());
            }
            serde_json::Value::Array(values) => {
                values.iter().for_each(|value| collect(value, texts));
            }
            serde_json::Value::Object(values) => {
                values.values().for_each(|value| collect(value, texts));
            }
            _ => {}
        }
    }
    let mut texts = BTreeSet::new();
    for guest in ["rest", "lineage"] {
        let settings = text(&format!("guests/builtin/{guest}/settings.json"));
        let settings = serde_json::from_str(&settings).expect("settings are JSON");
        collect(&settings, &mut texts);
    }
    texts.retain(|text| !text.is_empty());
    texts
}

/// What the events call their own values, and other words of everybody.
const WORDS_OF_EVENTS: [&str; 10] = [
    "exited",
    "opened",
    "closed",
    "established",
    "tcp",
    "create",
    "modify",
    "delete",
    "rename",
    "socket",
];

/// The names of the built-in rules, and the names and paths that their conditions look for.
fn rule_texts() -> BTreeSet<String> {
    let rules = text("guests/builtin/rules.toml");
    let lines = rules.lines().filter(|line| !line.starts_with('#'));
    let mut texts = BTreeSet::new();
    for line in lines {
        if let Some(name) = line.strip_prefix("name = ") {
            let name = name.trim_matches('"');
            texts.extend(name.contains('-').then(|| name.to_owned()));
        }
        for text in line.split('\'').skip(1).step_by(2) {
            for text in text.split('|') {
                let text = text.trim_matches(['%', '^', '$', '(', ')', '.', '*', '/']);
                let is_path = text.contains('/') && text.len() > 4;
                let path = is_path.then(|| format!("/{text}"));
                texts.extend(path.or((text.len() > 3).then(|| text.to_owned())));
            }
        }
    }
    texts.retain(|text| !WORDS_OF_EVENTS.contains(&text.as_str()));
    texts
}

#[test]
fn no_judgement_of_the_guests_is_in_the_daemon_or_its_sources() {
    let mut judgement = judgement();
    judgement.extend(rule_texts());
    for known in [
        "temporary-executable",
        "nginx",
        "xmrig",
        "/var/tmp",
        "/etc/shadow",
    ] {
        assert!(judgement.contains(known), "{known}: {judgement:?}");
    }
    let files: Vec<(String, String)> = WITHOUT_JUDGEMENT
        .into_iter()
        .flat_map(sources)
        .filter(|(path, _)| !path.ends_with("tests.rs") && !path.contains("/tests/"))
        .map(|(path, text)| (path, without_tests(&text).to_owned()))
        .collect();
    // Columns have names, too, and a rule may be called as what it looks at.
    let columns: BTreeSet<&str> = weir_bus::Kind::ALL
        .into_iter()
        .flat_map(|kind| kind.fields().iter().map(|field| field.name))
        .collect();
    no_line("judgement outside of the guests", &files, |_, line| {
        let mut texts = code(line).split('"').skip(1).step_by(2);
        texts.any(|text| {
            let text = text.trim_end_matches(['*', '/']);
            !columns.contains(text) && judgement.contains(text)
        })
    });
    no_line("a path of the guests' rules", &files, |_, line| {
        let code = code(line).replace(OWN_FOLDER, "").replace(OWN_LOGS, "");
        judgement
            .iter()
            .filter(|text| text.starts_with('/'))
            .any(|path| code.contains(path.as_str()))
    });
}

#[test]
fn every_file_says_first_what_it_is() {
    for (path, text) in all() {
        assert!(text.starts_with("//!"), "{path} doesn't begin with `//!`");
    }
}

#[test]
fn nothing_is_left_to_do_and_no_test_is_ignored() {
    // Written apart, so that this file isn't what it looks for.
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    no_line("left to do", &all(), |_, line| {
        words.iter().any(|word| line.contains(word))
    });
}

#[test]
fn tests_wait_for_what_they_test_and_never_sleep() {
    // In a script, too; who does nothing for good sleeps longer than any test.
    let sleep = [
        concat!("thread::", "sleep"),
        concat!("time::", "sleep("),
        concat!("time.", "sleep(0"),
    ];
    let files: Vec<_> = all()
        .into_iter()
        .filter(|(path, _)| !path.starts_with("guests/") && !path.starts_with("benches/"))
        .filter_map(|(path, text)| {
            let is_test = path.starts_with("tests/") || path.contains("/tests");
            let tests = if is_test {
                text
            } else {
                text.split_once("#[cfg(test)]")?.1.to_owned()
            };
            Some((path, tests))
        })
        .collect();
    no_line("a test sleeps", &files, |_, line| {
        sleep.iter().any(|sleep| code(line).contains(sleep))
    });
}

#[test]
fn what_handles_a_guests_values_never_panics_on_them() {
    let files: Vec<_> = sources("runtime/src/sandbox/host")
        .into_iter()
        .map(|(path, text)| (path, without_tests(&text).to_owned()))
        .collect();
    assert!(files.len() > 5, "where is the host's code?");
    no_line("a panic on a guest's value", &files, |_, line| {
        let code = code(line);
        [
            ".unwrap()",
            ".expect(",
            "panic!(",
            "unreachable!(",
            "assert!(",
            "assert_eq!(",
        ]
        .iter()
        // What is asserted when the program is compiled can't be a guest's.
        .any(|word| code.contains(word) && !code.contains("Kind::ALL"))
    });
    // Indexing is what clippy sees better: it is denied for the whole folder, in its first file.
    let lints = text("runtime/src/sandbox/host/mod.rs");
    for lint in ["unwrap_used", "expect_used", "indexing_slicing", "panic"] {
        let denied = format!("clippy::{lint},");
        let denied_last = format!("clippy::{lint}\n");
        assert!(
            lints.contains(&denied) || lints.contains(&denied_last),
            "{lint} isn't denied"
        );
    }
}

#[test]
fn the_daemon_opens_no_port() {
    // Tests of the source of sockets have some of their own.
    let of_daemon = |(path, _): &(String, String)| !path.contains("/tests/");
    let files: Vec<_> = WITHOUT_JUDGEMENT
        .into_iter()
        .flat_map(sources)
        .filter(of_daemon)
        .collect();
    let ports = ["TcpListener", "UdpSocket", "TcpStream"];
    no_line("a port", &files, |_, line| {
        ports.iter().any(|port| code(line).contains(port))
    });
}
