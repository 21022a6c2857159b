//! A bench guest: a trigger that costs what its settings say, for each row or without an end.
//!
//! It fires on rows whose name begins with the bench's mark.

use std::hint::black_box;

use serde::Deserialize;
use weir_guest::{
    Batch, EvalError, Firing, Guest, Mask, Prefix, Priority, Trigger, Verdicts, Wants,
};

weir_guest::columns! { process { name: text } }

/// The mark of the bench's rows.
const MARK: &str = "canary";

/// What the slot's settings say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Turns of arithmetic for each row.
    turns_per_row: u64,
    /// Never comes back.
    is_endless: bool,
}

#[derive(Debug)]
struct Spin {
    settings: Settings,
    mark: Prefix,
}

impl Guest for Spin {
    type Settings = Settings;
    const DEFAULTS: &'static str = r#"{"turns_per_row": 0, "is_endless": false}"#;

    fn new(settings: Settings) -> Result<Self, String> {
        let mark = Prefix::new(MARK);
        Ok(Self { settings, mark })
    }

    fn wants(&self) -> Wants {
        process::wants().rule("marked", Priority::Normal)
    }
}

fn spin(turns: u64) {
    let mut value = 1_u64;
    for turn in 0..turns {
        value = black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(turn),
        );
    }
}

impl Trigger for Spin {
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Verdicts, EvalError> {
        let columns = process::Columns::fetch(batch)?;
        loop {
            for _ in 0..columns.rows {
                spin(self.settings.turns_per_row);
            }
            if !black_box(self.settings.is_endless) {
                break;
            }
        }
        let mut mask = Mask::none(columns.rows);
        self.mark.mark(&columns.name, &mut mask);
        let rows = mask.iter().filter_map(|row| u32::try_from(row).ok());
        let firings = rows.map(|row| Firing {
            row,
            rule: 0,
            message: None,
        });
        Ok(Verdicts {
            firings: firings.collect(),
            undecided: Vec::new(),
        })
    }
}

weir_guest::export!(trigger Spin);
