//! A bench guest: a trigger with one of ten simple rules, which the settings pick.
//!
//! Each looks at one column, at every row of it: ten slots with ten rules are the end-to-end case.

use serde::Deserialize;
use weir_guest::{
    Batch, EvalError, Firing, FixedColumn, FixedWidth, Guest, Mask, Needle, Prefix, Priority,
    TextColumn, Trigger, Verdicts, Wants,
};

/// The rule, and what it compares with.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Rule {
    NameContains(String),
    ExecutableStarts(String),
    CommandLineContains(String),
    ParentNameContains(String),
    CgroupStarts(String),
    MemoryAbove(u64),
    CpuAbove(f64),
    PidBelow(u32),
    UserIs(u32),
    StartedAfter(i64),
}

/// What the slot's settings say: `{"rule": {"memory-above": 1000000}}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    rule: Rule,
}

/// Looks at a batch.
type Look = Box<dyn Fn(&Batch<'_>) -> Result<Mask, EvalError>>;

struct Rules {
    name: &'static str,
    column: &'static str,
    look: Look,
}

impl Rules {
    fn containing(name: &'static str, column: &'static str, text: &str) -> Self {
        let needle = Needle::new(text);
        let look = move |batch: &Batch<'_>| {
            let texts: TextColumn = batch.column(column)?;
            let mut mask = Mask::none(texts.rows());
            needle.mark(&texts, &mut mask);
            Ok(mask)
        };
        Self {
            name,
            column,
            look: Box::new(look),
        }
    }

    fn containing_in_list(name: &'static str, column: &'static str, text: &str) -> Self {
        let needle = Needle::new(text);
        let look = move |batch: &Batch<'_>| {
            let mut mask = Mask::none(batch.rows());
            needle.mark_lists(&batch.column(column)?, &mut mask);
            Ok(mask)
        };
        Self {
            name,
            column,
            look: Box::new(look),
        }
    }

    fn starting(name: &'static str, column: &'static str, text: &str) -> Self {
        let prefix = Prefix::new(text);
        let look = move |batch: &Batch<'_>| {
            let texts: TextColumn = batch.column(column)?;
            let mut mask = Mask::none(texts.rows());
            prefix.mark(&texts, &mut mask);
            Ok(mask)
        };
        Self {
            name,
            column,
            look: Box::new(look),
        }
    }

    fn numbers<T: FixedWidth + 'static>(
        name: &'static str,
        column: &'static str,
        wanted: impl Fn(T) -> bool + 'static,
    ) -> Self {
        let look = move |batch: &Batch<'_>| {
            let numbers: FixedColumn<T> = batch.column(column)?;
            let values = numbers.values();
            let mut mask = Mask::from_bools(values.len(), values.map(&wanted));
            if let Some(valid) = numbers.validity() {
                mask.and(valid);
            }
            Ok(mask)
        };
        Self {
            name,
            column,
            look: Box::new(look),
        }
    }
}

impl Guest for Rules {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(match settings.rule {
            Rule::NameContains(text) => Self::containing("name-contains", "name", &text),
            Rule::ExecutableStarts(text) => {
                Self::starting("executable-starts", "executable", &text)
            }
            Rule::CommandLineContains(text) => {
                Self::containing_in_list("command-line-contains", "command_line", &text)
            }
            Rule::ParentNameContains(text) => {
                Self::containing("parent-name-contains", "parent_name", &text)
            }
            Rule::CgroupStarts(text) => Self::starting("cgroup-starts", "cgroup", &text),
            Rule::MemoryAbove(level) => {
                Self::numbers("memory-above", "memory_bytes", move |bytes: u64| {
                    bytes > level
                })
            }
            Rule::CpuAbove(level) => {
                Self::numbers("cpu-above", "cpu_usage", move |cpu: f64| cpu > level)
            }
            Rule::PidBelow(level) => Self::numbers("pid-below", "pid", move |pid: u32| pid < level),
            Rule::UserIs(user) => Self::numbers("user-is", "user_id", move |id: u32| id == user),
            Rule::StartedAfter(time) => {
                Self::numbers("started-after", "start_time", move |start: i64| {
                    start > time
                })
            }
        })
    }

    fn wants(&self) -> Wants {
        Wants::of("process", &[self.column]).rule(self.name, Priority::Normal)
    }
}

impl Trigger for Rules {
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Verdicts, EvalError> {
        let mask = (self.look)(batch)?;
        let rows = mask.iter().filter_map(|row| u32::try_from(row).ok());
        let firings = rows
            .map(|row| Firing {
                row,
                rule: 0,
                message: None,
            })
            .collect();
        Ok(Verdicts {
            firings,
            undecided: Vec::new(),
        })
    }
}

weir_guest::export!(trigger Rules);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_pick_the_rule() {
        let cases = [
            (r#"{"rule": {"name-contains": "x"}}"#, "name"),
            (r#"{"rule": {"executable-starts": "/x"}}"#, "executable"),
            (
                r#"{"rule": {"command-line-contains": "x"}}"#,
                "command_line",
            ),
            (r#"{"rule": {"parent-name-contains": "x"}}"#, "parent_name"),
            (r#"{"rule": {"cgroup-starts": "/x"}}"#, "cgroup"),
            (r#"{"rule": {"memory-above": 1}}"#, "memory_bytes"),
            (r#"{"rule": {"cpu-above": 1.5}}"#, "cpu_usage"),
            (r#"{"rule": {"pid-below": 1}}"#, "pid"),
            (r#"{"rule": {"user-is": 0}}"#, "user_id"),
            (r#"{"rule": {"started-after": 0}}"#, "start_time"),
        ];
        for (json, column) in cases {
            let rules = Rules::new(weir_guest::settings("", json).unwrap()).unwrap();
            assert_eq!(rules.column, column, "{json}");
        }
        assert!(weir_guest::settings::<Settings>("", "{}").is_err());
    }
}
