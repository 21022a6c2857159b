//! What the config writes can be read again, as the same.

use super::*;

#[test]
fn the_commented_config_changes_nothing() {
    let defaults = load_text("").unwrap().config;
    assert_eq!(load_text(&init_text()).unwrap().config, defaults);
}

#[test]
fn the_commented_config_without_its_hashes_says_the_defaults() {
    let text: String = init_text()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    // A process source has no path and no pace, watches no files and answers nothing; a terminal has no files: those
    // lines are for the other kinds.
    let answers = ["roots = ", "file_bytes_max = ", "timeout = "];
    let files = [
        "folders = ",
        "include = ",
        "exclude = ",
        "merge_window = ",
        "access = ",
        "method = ",
    ];
    let skip = [&answers[..], &files, &["path = ", "pace = ", "rotate_"]].concat();
    let text: String = text
        .lines()
        .filter(|line| !skip.iter().any(|skip| line.starts_with(skip)))
        .map(|line| format!("{line}\n"))
        .collect();
    // The one table that has no default for whom it is.
    let access = "[bus.access.NAME]\n";
    let text = text.replace(access, &format!("{access}user = \"NAME\"\n"));
    // The example of an exception is of a trigger that it doesn't know.
    let text = text.replace("trigger = \"temporary-executable\"", "trigger = \"NAME\"");
    let defaults = "trigger.NAME.condition = \"executable LIKE '/tmp/%'\"\nexception.NAME = { trigger = \"NAME\", column = \"executable\", value = \"/tmp/installer\" }\ntrust.keys.NAME.ed25519 = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\nbus.access.NAME.user = \"NAME\"\nsources.NAME.kind = \"process\"\nslots.NAME.module = \"builtin:NAME\"\nsinks.NAME.kind = \"terminal\"\nchain.NAME.stages.NAME.optional = false\n";
    let loaded = load_text(&text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(loaded.config, load_text(defaults).unwrap().config);
}

#[test]
fn the_commented_config_has_doc_range_and_default_of_every_key() {
    let text = init_text();
    for key in keys::all() {
        for part in [key.doc, &key.takes.to_string(), key.split().1] {
            assert!(text.contains(part), "{}: no `{part}`", key.path);
        }
    }
    assert!(
        text.contains("\n# Takes an integer in 1..=100000.\n#batch_rows_max = 1000\n"),
        "{text}"
    );
    assert!(text.contains("\n#[slots.NAME.limits]\n"), "{text}");
}

const FULL: &str = r#"
[collector]
batch_timeout = "35ms"
backpressure_threshold = 1
[sources.p]
kind = "process"
[sources.off]
kind = "process"
enabled = false
[slots.b]
module = "a \"b\"\\c\n.wasm"
grants = ["state", "log"]
sha256 = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"
[slots.b.settings]
"dotted.key" = [{ a = 1, "b c" = [] }, "x\u0007y"]
empty = {}
date = 1979-05-27T07:32:00Z
float = 1e300
[slots.a]
module = "builtin:a"
limits.cpu_call = "250ms"
[sinks.j]
kind = "json"
"#;

#[test]
fn what_is_shown_as_the_config_in_force_is_that_config() {
    let loaded = load_text(FULL).unwrap();
    let shown = render(&loaded.provenance);
    let again = load_text(&shown).unwrap_or_else(|errors| panic!("{errors}\n{shown}"));
    assert_eq!(again.config, loaded.config, "{shown}");
}

#[test]
fn each_line_that_is_shown_names_its_origin() {
    let loaded = load_text(FULL).unwrap();
    let shown = render(&loaded.provenance);
    let line = |begins: &str| {
        shown
            .lines()
            .find(|line| line.starts_with(begins))
            .unwrap_or_else(|| panic!("no {begins} in {shown}"))
    };
    assert!(line("collector.batch_timeout = \"35ms\" ").ends_with(" # embedded default:3:17"));
    assert!(line("collector.batch_rows_max = 1000 ").ends_with(" # built-in default"));
    assert!(line("sources.off.enabled = false ").ends_with(" # embedded default:9:11"));
    assert!(line("# sinks.j.path is unset: a json sink writes to stdout").len() > 20);
    let values = shown.lines().filter(|line| line.contains(" = ")).count();
    assert_eq!(values, loaded.provenance.values().len());
}

#[test]
fn the_origins_are_told_to_programs_too() {
    let folder = Folder::new();
    let file = folder.write("weir.toml", "bus.kind = \"none\"\n");
    let request = request(Some(&file), &[("WEIR_BUS__QUEUE_BYTES_MAX", "1MiB")], &[]);
    let json = load_as(&request, false).unwrap().provenance.to_json();
    let of = |key: &str| {
        let found = json
            .as_array()
            .unwrap()
            .iter()
            .find(|known| known["key"] == key);
        found.unwrap().clone()
    };
    assert_eq!(
        of("bus.kind"),
        serde_json::json!({ "key": "bus.kind", "value": "none", "layer": "user",
            "origin": format!("{}:1:12", file.display()), "file": file.to_str().unwrap(), "line": 1, "column": 12 })
    );
    assert_eq!(
        of("bus.queue_bytes_max"),
        serde_json::json!({ "key": "bus.queue_bytes_max", "value": "1MiB", "layer": "environment",
            "origin": "environment WEIR_BUS__QUEUE_BYTES_MAX", "variable": "WEIR_BUS__QUEUE_BYTES_MAX" })
    );
    assert_eq!(of("log.level")["layer"], "built-in");
}
