//! Conditions, admission, chains: from a row to what becomes of it.

mod admission;
mod chains;
mod cli;
mod refusals;
mod verdicts;

/// A trigger, as the config has it.
fn trigger(name: &str, condition: &str, more: &str) -> String {
    format!("[[trigger]]\nname = \"{name}\"\ncondition = \"\"\"{condition}\"\"\"\n{more}\n")
}
