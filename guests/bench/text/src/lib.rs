//! A bench guest: a filter over two text columns.
//!
//! Keeps the rows whose `name` contains a text, or whose `executable` starts with one: what the
//! peer `native` does in a loop over rows, and `records` over a list of records.

use serde::Deserialize;
use weir_guest::{Batch, EvalError, Filter, Guest, Mask, Needle, Prefix, Selection, Wants};

weir_guest::columns! { process { name: text, executable: text } }

/// What is looked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name_contains: String,
    executable_starts: String,
}

#[derive(Debug)]
struct Text {
    name_contains: Needle,
    executable_starts: Prefix,
}

impl Text {
    fn mask(&self, columns: &process::Columns) -> Mask {
        let mut mask = Mask::none(columns.rows);
        self.executable_starts.mark(&columns.executable, &mut mask);
        self.name_contains.mark(&columns.name, &mut mask);
        mask
    }
}

impl Guest for Text {
    type Settings = Settings;
    const DEFAULTS: &'static str = r#"{"name_contains": "sh", "executable_starts": "/usr/"}"#;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self {
            name_contains: Needle::new(&settings.name_contains),
            executable_starts: Prefix::new(&settings.executable_starts),
        })
    }

    fn wants(&self) -> Wants {
        process::wants()
    }
}

impl Filter for Text {
    fn keep(&mut self, batch: &Batch<'_>) -> Result<Selection, EvalError> {
        Ok(self.mask(&process::Columns::fetch(batch)?).into())
    }
}

weir_guest::export!(filter Text);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_guest::TextColumn;

    #[test]
    fn rows_are_kept_for_either_column() {
        let settings = weir_guest::settings(Text::DEFAULTS, "").unwrap();
        let columns = process::Columns {
            rows: 4,
            name: TextColumn::of(&[Some("bash"), Some("ls"), Some("cat"), Some("dash")]),
            executable: TextColumn::of(&[Some("/bin/a"), Some("/usr/a"), Some("/bin/b"), None]),
        };
        let mask = Text::new(settings).unwrap().mask(&columns);
        assert_eq!(mask.iter().collect::<Vec<_>>(), [0, 1, 3]);
    }
}
