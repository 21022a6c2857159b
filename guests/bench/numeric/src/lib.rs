//! A bench guest: a filter over two columns of numbers.
//!
//! Keeps the rows with a memory of at least so much and a pid below one: the peer `native` does the
//! same in a loop.

use serde::Deserialize;
use weir_guest::{Batch, EvalError, Filter, Guest, Mask, Selection, Wants};

weir_guest::columns! { process { pid: u32, memory_bytes: u64 } }

/// What is compared with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    memory_bytes_min: u64,
    /// Not included.
    pid_max: u32,
}

#[derive(Debug)]
struct Numeric {
    settings: Settings,
}

impl Numeric {
    fn mask(&self, columns: &process::Columns) -> Mask {
        let Settings {
            memory_bytes_min,
            pid_max,
        } = self.settings;
        let rows = columns.memory_bytes.values().zip(columns.pid.values());
        // Without a branch: `&`, not `&&`.
        let wanted = rows.map(|(memory, pid)| (memory >= memory_bytes_min) & (pid < pid_max));
        let mut mask = Mask::from_bools(columns.rows, wanted);
        if let Some(valid) = columns.memory_bytes.validity() {
            mask.and(valid);
        }
        mask
    }
}

impl Guest for Numeric {
    type Settings = Settings;
    const DEFAULTS: &'static str = r#"{"memory_bytes_min": 1048576, "pid_max": 30000}"#;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings })
    }

    fn wants(&self) -> Wants {
        process::wants()
    }
}

impl Filter for Numeric {
    fn keep(&mut self, batch: &Batch<'_>) -> Result<Selection, EvalError> {
        Ok(self.mask(&process::Columns::fetch(batch)?).into())
    }
}

weir_guest::export!(filter Numeric);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_guest::FixedColumn;

    #[test]
    fn rows_are_kept_where_both_hold_and_nothing_is_null() {
        let settings = weir_guest::settings(Numeric::DEFAULTS, r#"{"pid_max": 3}"#).unwrap();
        let columns = process::Columns {
            rows: 4,
            pid: FixedColumn::of(&[Some(1), Some(2), Some(3), Some(1)]),
            memory_bytes: FixedColumn::of(&[Some(1 << 20), None, Some(1 << 20), Some(5)]),
        };
        let mask = Numeric { settings }.mask(&columns);
        assert_eq!(mask.iter().collect::<Vec<_>>(), [0]);
    }
}
