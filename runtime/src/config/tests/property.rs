//! Whatever stands in a config, loading it ends in a config or in errors, and never in a panic.

use super::super::keys::{NAME_SEGMENT, all};
use super::*;
use proptest::prelude::*;

/// Segments of which some are real.
fn key() -> impl Strategy<Value = String> {
    let known: Vec<String> = all()
        .map(|key| key.path.replace(NAME_SEGMENT, "a"))
        .collect();
    prop_oneof![
        6 => proptest::sample::select(known),
        1 => "[a-z_.\"]{0,12}",
        1 => "(slots|chain|chain\\.a\\.stages|bus\\.access)",
        1 => "slots\\.a\\.settings(\\.[a-c]){1,40}",
        1 => "(slots|sinks|sources)\\.[a-zA-Z.\" -]{0,5}\\.[a-z_]{0,8}",
    ]
}

/// Values of which some fit.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        "-?[0-9]{1,60}",
        "0[xob][0-9a-f_]{1,50}",
        "\"[0-9]{1,22}(ns|ms|s|h|y|KiB|MiB|TiB|)\"",
        "\"[ -~]{0,12}\"",
        "\"(local|terminal|json|replay|process|pass|builtin:a|block)\"",
        "\\[(\"[a-z.*>]{0,6}\",?){0,3}\\]",
        "\\{ ?[a-c] = [0-9]{1,3} ?\\}",
        "\\[(\\{name = \"[a-c. ]{0,2}\"(, (slot|after|module|user) = \"[a-c]\")?\\},?){0,3}\\]",
        (0..200usize).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
        (0..200usize).prop_map(|depth| "{a=".repeat(depth) + "1" + &"}".repeat(depth)),
        Just("true".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        "\\PC{0,8}",
    ]
}

/// Loads a text as every sort of layer.
fn load_all(text: &str, pairs: &[(String, String)]) {
    let environment = pairs
        .iter()
        .map(|(key, value)| (format!("WEIR_{}", key.replace('.', "__")), value.clone()))
        .collect();
    for (environment, flags) in [
        (vec![], vec![]),
        (environment, vec![]),
        (vec![], pairs.to_vec()),
    ] {
        let request = LoadRequest {
            environment,
            flags,
            embedded_default: text,
            ..LoadRequest::default()
        };
        match load_as(&request, false) {
            Ok(loaded) => {
                // What loads can be shown, and what is shown loads as the same.
                let shown = render(&loaded.provenance);
                let again = load_text(&shown).unwrap_or_else(|errors| panic!("{errors}\n{shown}"));
                assert_eq!(again.config, loaded.config, "{shown}");
            }
            Err(errors) => {
                let shown = errors.to_string();
                assert_eq!(shown.lines().count(), errors.errors().len(), "{shown}");
                let internal = |error: &ConfigError| matches!(error, ConfigError::Internal(_));
                assert!(!errors.errors().iter().any(internal), "{shown}");
            }
        }
    }
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,80}") {
        load_all(&text, &[(text.clone(), text.clone())]);
    }

    #[test]
    fn random_toml_never_panics(pairs in proptest::collection::vec((key(), value()), 0..6)) {
        let text: String = pairs.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        load_all(&text, &[]);
        load_all("", &pairs);
    }

    #[test]
    fn one_random_pair_never_panics(key in key(), value in value()) {
        let text = format!("{key} = {value}");
        load_all(&text, &[(key, value)]);
    }
}

#[test]
fn a_value_that_is_nested_without_end_is_refused() {
    let path = format!("WEIR_SLOTS__A__SETTINGS{}", "__A".repeat(100_000));
    assert!(load_as(&request(None, &[(&path, "1")], &[]), false).is_err());
    let flag = format!("slots.a.settings{}", ".a".repeat(100_000));
    assert!(load_as(&request(None, &[], &[(&flag, "1")]), false).is_err());
    let deep = format!(
        "slots.a.module = \"m\"\nslots.a.settings.x = {}{}",
        "[".repeat(60),
        "]".repeat(60)
    );
    let error = one_error(load_text(&deep));
    assert!(error.contains("nested too deeply"), "{error}");
}
