//! The tables of all keys that `weir config --keys` prints and `docs/operating.md` holds.
//!
//! Made from the key table alone; a test compares the page with it.

use super::keys::{Fallback, Key, SECTIONS, all};

/// Every key with its default, what it takes and what it does, in Markdown: a heading and a table for each section.
#[must_use]
pub fn keys_page() -> String {
    let mut text = String::new();
    for (section, doc) in SECTIONS {
        text.push_str(&format!(
            "### `[{section}]`\n\n{doc}\n\n| key | default | takes | |\n| --- | --- | --- | --- |\n"
        ));
        for key in all().filter(|key| key.split().0 == section) {
            text.push_str(&row(key));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn row(key: &Key) -> String {
    let name = key.split().1;
    let default = match key.fallback {
        Fallback::Value(value) => format!("`{value}`"),
        Fallback::OfKind(values) => {
            let values = values.iter();
            let values: Vec<String> = values
                .map(|(kind, value)| format!("{kind}: `{value}`"))
                .collect();
            values.join(", ")
        }
        Fallback::SameAs(other) => format!("that of `{other}`"),
        Fallback::Computed { from, .. } => from.describe().to_owned(),
        Fallback::Unset { meaning, .. } => format!("unset: {meaning}"),
        Fallback::Required { .. } => "must be set".to_owned(),
    };
    let kinds = if key.kinds.is_empty() {
        String::new()
    } else {
        format!(" Only for kind {}.", key.kinds.join(" and "))
    };
    format!(
        "| `{name}` | {default} | {} | {}{kinds} |\n",
        key.takes, key.doc
    )
}
