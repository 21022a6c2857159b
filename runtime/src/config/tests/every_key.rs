//! Walks the key table: no key may be forgotten by a check, a layer, the typed config or a message.

use super::super::keys::{Fallback, Found, Item, Key, NAME_SEGMENT, Takes, TextRule, all, find};
use super::super::named::NAME_KEY;
use super::super::units::{duration_text, size_text};
use super::*;
use std::time::Duration;

/// The path of a key, with `x` as name.
fn concrete(key: &Key) -> String {
    key.path.replace(NAME_SEGMENT, "x")
}

/// The lines of the tables around a key in which it has a meaning, without the key itself.
fn around(key: &Key) -> String {
    let Some((table, own)) = key.split_at_name() else {
        return String::new();
    };
    if table == "bus.access" {
        let needs_account = own != "user" && own != "group";
        return if needs_account {
            "bus.access.x.user = \"a\"\n"
        } else {
            ""
        }
        .to_owned();
    }
    if table == "trust.keys" {
        return String::new();
    }
    if table == "trigger" || table == "exception" {
        let lines = [
            ("trigger.x.condition", "\"true\""),
            ("trigger.else.condition", "\"true\""),
            ("exception.x.trigger", "\"x\""),
            ("exception.x.column", "\"sequence\""),
            ("exception.x.value", "\"1\""),
            ("chain.else.stages.y.slot", "\"z\""),
            ("slots.z.module", "\"m\""),
            ("sources.hash.kind", "\"binary-hash\""),
            ("trigger.x.target", "\"hash\""),
        ];
        let own = concrete(key);
        let others = lines.iter().filter(|(path, _)| *path != own);
        return others
            .map(|(path, value)| format!("{path} = {value}\n"))
            .collect();
    }
    if table.starts_with("chain") {
        return "slots.x.module = \"m\"\nslots.else.module = \"m\"\nchain.x.stages.y.slot = \"x\"\n".to_owned();
    }
    if key.path == "slots.<name>.signed_by" {
        return format!("slots.x.module = \"my.wasm\"\ntrust.keys.x.ed25519 = \"{ED25519}\"\n");
    }
    let mut text = String::new();
    let kind = key.kinds.first().copied().unwrap_or(match table {
        "sources" => "process",
        _ => "terminal",
    });
    let mut line = |name: &str, value: &str| {
        if key.path != format!("{table}.<name>.{name}") {
            text.push_str(&format!("{table}.x.{name} = {value}\n"));
        }
    };
    match (table, kind) {
        ("slots", _) => line("module", "\"builtin:a\""),
        (_, kind) => line("kind", &format!("\"{kind}\"")),
    }
    if kind == "replay" || kind == "recording" {
        line("path", "\"/r\"");
    }
    if kind == "filesystem" {
        line("folders", "[\"/f\"]");
    }
    text
}

/// A public key: that of RFC 8032's second test.
const ED25519: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

/// A value of another type, as TOML and as the text of a variable if one can be wrong there.
fn wrong_type(takes: &Takes) -> (&'static str, Option<&'static str>) {
    match takes {
        Takes::Integer { .. } => ("\"many\"", Some("many")),
        Takes::Float { .. } => ("\"much\"", Some("much")),
        Takes::Duration { .. } | Takes::DurationOrOff { .. } => ("20", Some("20")),
        Takes::Size { .. } => ("true", Some("true")),
        Takes::Switch => ("\"yes\"", Some("yes")),
        Takes::Choice { .. } => ("7", Some("7")),
        Takes::Path => ("7", None),
        Takes::Text(TextRule::Module | TextRule::Any) => ("7", None),
        Takes::Text(TextRule::Name) => ("[1, 2]", Some("a.b")),
        Takes::Text(_) => ("[1, 2]", Some("?")),
        Takes::List { .. } => ("1.5", None),
        Takes::Free => ("1979-05-27", Some("1979-05-27")),
    }
}

/// The values just outside and just inside a range, as TOML: below, above, lowest, highest.
fn edges(takes: &Takes) -> Option<[String; 4]> {
    let text = |duration: Duration| format!("\"{}\"", duration_text(duration));
    let nanosecond = Duration::from_nanos(1);
    Some(match *takes {
        Takes::Integer { min, max } => [
            (i128::from(min) - 1).to_string(),
            (i128::from(max) + 1).to_string(),
            min.to_string(),
            max.to_string(),
        ],
        Takes::Size { min, max } => [
            min.checked_sub(1).map_or_else(
                || "-1".to_owned(),
                |below| format!("\"{}\"", size_text(below)),
            ),
            (i128::from(max) + 1).to_string(),
            format!("\"{}\"", size_text(min)),
            max.to_string(),
        ],
        Takes::Float { min, max } => [
            format!("{:?}", min - 0.001),
            format!("{:?}", max + 0.001),
            format!("{min:?}"),
            format!("{max:?}"),
        ],
        Takes::Duration { min, max } | Takes::DurationOrOff { min, max } => [
            min.checked_sub(nanosecond)
                .map_or_else(|| "\"-1ns\"".to_owned(), text),
            text(max + nanosecond),
            text(min),
            text(max),
        ],
        _ => return None,
    })
}

/// Loads the lines around a key, and the value in a file, a variable or a flag; answers the error.
fn check(key: &Key, given: &str, problem: &str) {
    let folder = Folder::new();
    let path = concrete(key);
    let expected = key.takes.to_string();
    let assert_tells = |origin: &str, error: &str, given: &str| {
        for part in [origin, &format!("{path} = "), given, problem, &expected] {
            assert!(error.contains(part), "{path}: no `{part}` in `{error}`");
        }
    };

    let text = format!("{}{path} = {given}\n", around(key));
    let line = around(key).lines().count() + 1;
    let column = path.len() + 4;
    let file = folder.write("weir.toml", &text);
    let error = one_error(load_as(&request(Some(&file), &[], &[]), false));
    assert_tells(
        &format!("{}:{line}:{column}: ", file.display()),
        &error,
        given,
    );

    let bare = given.trim_matches('"');
    let file = folder.write("around.toml", &around(key));
    let variable = format!("WEIR_{}", path.replace('.', "__").to_uppercase());
    let environment = [(variable.as_str(), bare)];
    if problem != ANOTHER_TYPE {
        let error = one_error(load_as(&request(Some(&file), &environment, &[]), false));
        assert_tells(&format!("environment {variable}: "), &error, bare);
        let error = one_error(load_as(&request(Some(&file), &[], &[(&path, bare)]), false));
        assert_tells(&format!("flag {path}: "), &error, bare);
    }
}

/// What the error of a wrong type says; in one-line layers everything is a text.
const ANOTHER_TYPE: &str = "is the wrong type";

#[test]
fn a_value_of_another_type_is_an_error_that_names_key_value_place_and_what_is_right() {
    for key in all() {
        let (toml, _) = wrong_type(&key.takes);
        check(key, toml, ANOTHER_TYPE);
    }
}

#[test]
fn a_variable_or_flag_that_does_not_parse_is_an_error_that_names_it() {
    for key in all() {
        let Some(text) = wrong_type(&key.takes).1 else {
            continue;
        };
        let folder = Folder::new();
        let file = folder.write("weir.toml", &around(key));
        let path = concrete(key);
        let variable = format!("WEIR_{}", path.replace('.', "__").to_uppercase());
        let by_variable = request(Some(&file), &[(&variable, text)], &[]);
        let by_flag = request(Some(&file), &[], &[(&path, text)]);
        for (request, origin) in [
            (by_variable, format!("environment {variable}: ")),
            (by_flag, format!("flag {path}: ")),
        ] {
            let error = one_error(load_as(&request, false));
            for part in [&origin, &path, text, &key.takes.to_string()] {
                assert!(error.contains(part), "no `{part}` in `{error}`");
            }
        }
    }
}

#[test]
fn a_value_below_or_above_its_range_is_an_error_in_every_layer() {
    let mut ranges = 0;
    for key in all() {
        let Some([below, above, ..]) = edges(&key.takes) else {
            continue;
        };
        check(key, &below, "below the range");
        check(key, &above, "above the range");
        ranges += 1;
    }
    assert!(ranges > 40, "{ranges}");
}

#[test]
fn the_ends_of_a_range_belong_to_it() {
    for key in all() {
        let Some([.., lowest, highest]) = edges(&key.takes) else {
            continue;
        };
        for value in [lowest, highest] {
            let text = format!("{}{} = {value}\n", around(key), concrete(key));
            if let Err(errors) = load_text(&text) {
                // Alone it is good; with the defaults of others it may not be.
                let alone = |error: &ConfigError| matches!(error, ConfigError::Conflict { .. });
                assert!(errors.errors().iter().all(alone), "{errors}");
            }
        }
    }
}

#[test]
fn a_choice_that_does_not_exist_is_told_with_those_that_do() {
    for key in all() {
        let Takes::Choice {
            of,
            not_in_this_build,
        } = key.takes
        else {
            continue;
        };
        let given = |choice: &str| format!("{}{} = \"{choice}\"\n", around(key), concrete(key));
        let error = one_error(load_text(&given("zzzz")));
        for part in of
            .iter()
            .chain(&[&concrete(key)[..], "\"zzzz\"", "unknown choice"])
        {
            assert!(error.contains(part), "no `{part}` in `{error}`");
        }
        for absent in not_in_this_build {
            let error = one_error(load_text(&given(absent)));
            assert!(error.contains("not in this build"), "{error}");
        }
    }
}

/// A valid value that isn't the default, as TOML.
fn another(key: &Key) -> String {
    if let Some([.., lowest, highest]) = edges(&key.takes) {
        // The higher end of the limits that hold others down, so that no rule is broken.
        let high = [
            "state_bytes_max",
            "host_bytes_batch_max",
            "guests_memory_bytes_max",
            // Its lowest is the default.
            "threshold.count",
        ];
        return if high.iter().any(|name| key.path.ends_with(name)) {
            highest
        } else {
            lowest
        };
    }
    match key.takes {
        Takes::List { .. } if key.path.ends_with(".after") => "[\"y\"]".to_owned(),
        Takes::List { .. } if key.path.starts_with("trigger.") => "[\"source\"]".to_owned(),
        Takes::Text(_) if key.path == "trigger.<name>.analysis" => "\"binary-hash\"".to_owned(),
        Takes::Text(_) if key.path == "exception.<name>.column" => "\"source\"".to_owned(),
        Takes::Switch if key.fallback == Fallback::Value("true") => "false".to_owned(),
        Takes::Switch => "true".to_owned(),
        Takes::Choice { of, .. } => format!("\"{}\"", of[of.len() - 1]),
        Takes::Path => "\"/else/where\"".to_owned(),
        Takes::Text(TextRule::Sha256) => format!("\"{}\"", "0a".repeat(32)),
        Takes::Text(TextRule::PublicKey) => {
            "\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"".to_owned()
        }
        Takes::Text(TextRule::Module) => "\"my.wasm\"".to_owned(),
        Takes::Text(TextRule::LogFilter) => "\"warn,weir=debug\"".to_owned(),
        Takes::Text(_) => "\"else\"".to_owned(),
        Takes::List { of: Item::Path, .. } => "[\"/a\", \"/b\"]".to_owned(),
        Takes::List {
            of: Item::Choice(of),
            ..
        } => format!("[\"{}\"]", of[1]),
        Takes::List {
            of: Item::Text(TextRule::Pattern),
            ..
        } => "[\"events.*.started\"]".to_owned(),
        Takes::List { .. } => "[\"x\"]".to_owned(),
        Takes::Free => "{ a = 1 }".to_owned(),
        _ => unreachable!("those with a range are done"),
    }
}

#[test]
fn each_key_reaches_its_field_of_the_typed_config() {
    for key in all() {
        let path = concrete(key);
        // No source of this build answers requests.
        if path.ends_with(".enabled") || key.path == "chain.<name>.stages.<name>.source" {
            continue;
        }
        let mut text = format!("{}{path} = {}\n", around(key), another(key));
        if path == "sources.x.kind" || path == "sinks.x.kind" {
            text.push_str(&format!("{} = \"/r\"\n", path.replace("kind", "path")));
        }
        let loaded = load_text(&text).unwrap_or_else(|errors| panic!("{text}{errors}"));
        let default = load_text(&around(key)).map(|loaded| loaded.config);
        assert_ne!(Ok(&loaded.config), default.as_ref(), "{path}");
        let json = serde_json::to_value(&loaded.config).unwrap();
        let field = json.pointer(&format!("/{}", path.replace('.', "/")));
        let found = loaded.provenance.value(&path).map(Value::to_plain_json);
        if key.takes != Takes::Free {
            assert_eq!(field, found.as_ref(), "{path}");
        }
        assert!(field.is_some(), "{path}");
    }
}

#[test]
fn each_field_of_the_typed_config_is_a_key() {
    fn walk(path: &[String], value: &Json, visit: &mut dyn FnMut(&[String])) {
        match value {
            Json::Object(entries) if !matches!(find(path), Found::Key(_)) => {
                for (key, value) in entries {
                    let mut path = path.to_vec();
                    path.push(key.clone());
                    walk(&path, value, visit);
                }
            }
            _ => visit(path),
        }
    }
    let text = format!("trust.keys.a.ed25519 = \"{ED25519}\"\n")
        + "bus.access.a.user = \"a\"\nslots.a.module = \"m\"\nsources.a.kind = \"process\"\n\
        sources.b = { kind = \"replay\", path = \"/r\" }\nsources.c.kind = \"binary-hash\"\n\
        sources.d.kind = \"process-details\"\nsources.e.kind = \"performance\"\nsources.f.kind = \"inventory\"\nsources.g.kind = \"network\"\n\
        sources.h = { kind = \"filesystem\", folders = [\"/f\"] }\nsinks.a.kind = \"terminal\"\nchain.a.stages.a.after = []\n\
        trigger.a = { condition = \"true\", message = \"m\" }\nexception.a = { trigger = \"a\", column = \"pid\", value = \"1\" }\n\
        sinks.b.kind = \"json\"\nsinks.c = { kind = \"recording\", path = \"/r\" }\n";
    let json = serde_json::to_value(load_text(&text).unwrap().config).unwrap();
    let mut fields = 0;
    walk(&[], &json, &mut |path| {
        fields += 1;
        assert!(matches!(find(path), Found::Key(_)), "{path:?}");
    });
    assert!(fields > all().count(), "{fields}");
}

#[test]
fn the_key_table_has_one_home_for_each_key() {
    let mut seen = std::collections::BTreeSet::new();
    for key in all() {
        assert!(seen.insert(key.path), "{} stands twice", key.path);
        assert!(
            keys::SECTIONS
                .iter()
                .any(|(section, _)| *section == key.split().0),
            "{} has no section",
            key.path
        );
        assert!(key.doc.ends_with('.'), "{}: {}", key.path, key.doc);
        // In an array of tables it is what the table is called.
        let is_name = key.path.ends_with(&format!("{NAME_SEGMENT}.{NAME_KEY}"));
        assert!(!is_name, "{}", key.path);
        if let Fallback::SameAs(other) = key.fallback {
            assert!(all().any(|key| key.path == other), "{other}");
        }
    }
}

#[test]
fn a_default_by_kind_is_there_for_each_kind_of_its_key() {
    let mut seen = 0;
    for key in all() {
        let Fallback::OfKind(values) = key.fallback else {
            continue;
        };
        let kinds: Vec<&str> = values.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, key.kinds, "{}", key.path);
        let (table, own) = key.split_at_name().unwrap();
        for (kind, value) in values {
            let text = format!("{table}.x.kind = \"{kind}\"\n");
            let json = serde_json::to_value(load_text(&text).unwrap().config).unwrap();
            let field = json.pointer(&format!("/{table}/x/{own}"));
            assert_eq!(field, Some(&Json::from(value.trim_matches('"'))), "{kind}");
            seen += 1;
        }
    }
    assert!(seen > 2, "{seen}");
}
