//! A filter with memory that does what such a guest mustn't when its memory is taken or put back: see
//! `hostile/README.md`.
//!
//! In its calls it keeps all rows, and breaks at the names that the settings say, so that what it knew is
//! put back.

use weir_guest::{Batch, EvalError, Filter, Guest, Memory, Selection, Wants};
use weir_hostile_common::{At, Plan, Settings};

/// What only a guest with memory does, by name.
const BEHAVIOURS: &[&str] = &["refuse", "snapshot-huge"];

struct Hostile {
    plan: Plan,
}

impl Guest for Hostile {
    type Settings = Settings;
    const DEFAULTS: &'static str = r#"{"do": "answer"}"#;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self {
            plan: Plan::new(settings, BEHAVIOURS)?,
        })
    }

    fn wants(&self) -> Wants {
        Wants::of("process", &["pid", "name"])
    }
}

impl Filter for Hostile {
    fn keep(&mut self, batch: &Batch<'_>) -> Result<Selection, EvalError> {
        let has_names = !self.plan.settings.names.is_empty();
        if has_names && self.plan.has_name(batch)? {
            #[cfg(target_arch = "wasm32")]
            core::arch::wasm32::unreachable();
        }
        Ok(Selection::All)
    }
}

impl Memory for Hostile {
    const VERSION: u32 = 1;

    fn snapshot(&self) -> Vec<u8> {
        self.plan.act(At::Snapshot);
        let bytes = match self.plan.settings.behaviour.as_str() {
            "snapshot-huge" => self.plan.settings.amount,
            _ => 1,
        };
        vec![1; usize::try_from(bytes).unwrap_or(usize::MAX)]
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), String> {
        self.plan.act(At::Restore);
        match self.plan.settings.behaviour.as_str() {
            "refuse" => Err("\u{1b}[2Jthese are\nnot mine".to_owned()),
            _ => Ok(()),
        }
    }
}

weir_guest::export!(filter Hostile with memory);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_has_its_fault_in_the_readme() {
        let readme = include_str!("../../README.md");
        for name in BEHAVIOURS {
            assert!(readme.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
