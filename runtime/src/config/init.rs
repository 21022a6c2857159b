//! The commented config that `weir config --init` writes.
//!
//! Made from the key table alone. Invariant: as written it changes nothing; with the `#` taken from the lines
//! that have no space after it, it says the defaults (a rule of access needs its user or group besides).

use super::keys::{Fallback, Key, NAME_SEGMENT, SECTIONS, all};

/// The name that stands for the operator's in the example tables.
pub(crate) const EXAMPLE_NAME: &str = "NAME";

const HEAD: &str = "\
# The config of weir. Every key is here, with its default; take the `#` away to change one.
# A later layer wins, key by key: built-in defaults, /etc/weir/weir.toml, the user's weir/weir.toml,
# the file of --config, variables such as WEIR_COLLECTOR__BATCH_TIMEOUT, flags.
# `weir check` says what is wrong with a config, `weir config` what holds, and from where.
";

/// The whole text, in TOML: every key with its doc, what it takes and its default.
#[must_use]
pub fn init_text() -> String {
    let mut text = HEAD.to_owned();
    for (section, doc) in SECTIONS {
        let name = section.replace(NAME_SEGMENT, EXAMPLE_NAME);
        text.push_str(&format!("\n# {doc}\n#[{name}]\n"));
        for key in all().filter(|key| key.split().0 == section) {
            text.push_str(&lines(key));
        }
    }
    text
}

fn lines(key: &Key) -> String {
    let name = key.split().1;
    let kinds = if key.kinds.is_empty() {
        String::new()
    } else {
        format!(" Only for kind {}.", key.kinds.join(" and "))
    };
    let head = format!("\n# {}{kinds}\n# Takes {}.", key.doc, key.takes);
    match key.fallback {
        Fallback::Value(value) => format!("{head}\n#{name} = {value}\n"),
        // The example's entry is of the first kind.
        Fallback::OfKind(values) => {
            let told = values.iter().map(|(kind, value)| format!("{kind} {value}"));
            let told: Vec<String> = told.collect();
            let first = values.first().map_or("", |(_, value)| value);
            let by_kind = told.join(", ");
            format!("{head} Default by kind: {by_kind}.\n#{name} = {first}\n")
        }
        Fallback::Required { example } => {
            format!("{head} Must be set.\n#{name} = {example}\n")
        }
        Fallback::SameAs(other) => {
            format!("{head} Default: the value of {other}.\n")
        }
        Fallback::Computed { from, example } => format!(
            "{head} Default: {}.\n# For example: {name} = {example}\n",
            from.describe()
        ),
        Fallback::Unset { meaning, example } => {
            format!("{head} Unset: {meaning}.\n# For example: {name} = {example}\n")
        }
    }
}
