//! A filter: leaves out the processes whose executable lies under one of the settings' folders.
//!
//! What it doesn't keep reaches nobody behind it. Its verdict depends on nothing but its settings
//! and the batches that it has seen, in order.

use serde::Deserialize;
use weir_guest::{Batch, EvalError, Filter, Guest, Mask, Prefix, Selection, Wants};

// The columns that it reads; any other is refused.
weir_guest::columns! {
    process { executable: text }
}

/// What a slot's settings may say; the defaults are in `settings.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    leave_out: Vec<String>,
}

struct LeaveOut {
    folders: Vec<Prefix>,
}

impl LeaveOut {
    /// Which rows go on: those that no folder marks.
    fn kept(&self, columns: &process::Columns) -> Mask {
        let mut marked = Mask::none(columns.rows);
        for folder in &self.folders {
            folder.mark(&columns.executable, &mut marked);
        }
        Mask::from_fn(columns.rows, |row| !marked.get(row))
    }
}

impl Guest for LeaveOut {
    type Settings = Settings;
    const DEFAULTS: &'static str = include_str!("../settings.json");

    fn new(settings: Settings) -> Result<Self, String> {
        if let Some(folder) = settings
            .leave_out
            .iter()
            .find(|path| !path.starts_with('/'))
        {
            return Err(format!(
                "settings: leave_out: {folder:?} is no absolute path"
            ));
        }
        let folders = settings.leave_out.iter().map(|path| Prefix::new(path));
        Ok(Self {
            folders: folders.collect(),
        })
    }

    fn wants(&self) -> Wants {
        process::wants()
    }
}

impl Filter for LeaveOut {
    fn keep(&mut self, batch: &Batch<'_>) -> Result<Selection, EvalError> {
        Ok(self.kept(&process::Columns::fetch(batch)?).into())
    }
}

weir_guest::export!(filter LeaveOut);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_guest::{TextColumn, settings};

    #[test]
    fn only_what_lies_in_a_folder_is_left_out() {
        let guest = LeaveOut::new(settings(LeaveOut::DEFAULTS, "").unwrap()).unwrap();
        let executables = [Some("/usr/libexec/upowerd"), Some("/usr/bin/vim"), None];
        let columns = process::Columns {
            rows: executables.len(),
            executable: TextColumn::of(&executables),
        };
        assert_eq!(guest.kept(&columns).iter().collect::<Vec<_>>(), [1, 2]);
    }
}
