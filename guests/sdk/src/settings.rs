//! A slot's settings: JSON over the guest's own defaults, read into a struct.
//!
//! An object in the settings goes into the object of the defaults, key by key; everything else
//! takes its place. What doesn't fit is an error that names the key.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// For guests that take no settings: any key is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Reads `json` over `defaults` (both JSON objects; empty text is an empty object).
///
/// Unknown keys are refused where `T` is `#[serde(deny_unknown_fields)]`, as it should be.
///
/// # Errors
/// One line for the operator that names the key.
pub fn settings<T: DeserializeOwned>(defaults: &str, json: &str) -> Result<T, String> {
    let mut merged = object("the guest's default settings", defaults)?;
    overlay(&mut merged, object("the settings", json)?);
    serde_path_to_error::deserialize(merged).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        if path == "." {
            format!("settings: {reason}")
        } else {
            format!("settings: {path}: {reason}")
        }
    })
}

fn object(what: &str, json: &str) -> Result<Value, String> {
    if json.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match serde_json::from_str(json) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(format!("{what} are no JSON object")),
        Err(error) => Err(format!("{what} are no JSON: {error}")),
    }
}

fn overlay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match under.get_mut(&key) {
                    Some(place) => overlay(place, value),
                    None => {
                        under.insert(key, value);
                    }
                }
            }
        }
        (place, value) => *place = value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Levels {
        cpu: Option<f64>,
        memory: u64,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        folders: Vec<String>,
        levels: Levels,
    }

    const DEFAULTS: &str = r#"{"folders": ["/a"], "levels": {"cpu": null, "memory": 7}}"#;

    fn check(json: &str, expected: Result<(&str, Option<f64>, u64), &str>) {
        let sample = settings::<Sample>(DEFAULTS, json);
        let told = sample
            .as_ref()
            .map(|sample| {
                (
                    sample.folders[0].as_str(),
                    sample.levels.cpu,
                    sample.levels.memory,
                )
            })
            .map_err(String::as_str);
        assert_eq!(told, expected, "{json}");
    }

    #[test]
    fn settings_go_over_the_defaults_and_errors_name_the_key() {
        check("", Ok(("/a", None, 7)));
        check("{}", Ok(("/a", None, 7)));
        check(r#"{"levels": {"cpu": 5.5}}"#, Ok(("/a", Some(5.5), 7)));
        check(r#"{"folders": ["/b"]}"#, Ok(("/b", None, 7)));
        check(
            r#"{"levels": {"cpus": 5}}"#,
            Err("settings: levels.cpus: unknown field `cpus`, expected `cpu` or `memory`"),
        );
        check(
            r#"{"folder": []}"#,
            Err("settings: folder: unknown field `folder`, expected `folders` or `levels`"),
        );
        check(
            r#"{"levels": {"memory": "much"}}"#,
            Err("settings: levels.memory: invalid type: string \"much\", expected u64"),
        );
        check("[]", Err("the settings are no JSON object"));
        assert!(settings::<NoSettings>("", "{\"a\": 1}").is_err());
    }
}
