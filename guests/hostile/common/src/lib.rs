//! What guests of every world can do to their host: one function a behaviour.
//!
//! The settings say what (`do`), when (`at`, `every`, `name`) and how much of it (`amount`). Each
//! behaviour has a row in `README.md` with the fault that it must come out as; a test says so.

mod burn;
mod calls;
mod endless;
mod flood;
mod leave;
mod memory;
mod peek;
mod plan;
mod secret;
mod stack;
mod wait;

pub use plan::{At, Plan, Settings};

/// A behaviour: does it, `amount` of it where it has one.
pub type Behaviour = fn(u64);

/// All of them, by name.
pub const BEHAVIOURS: &[(&str, Behaviour)] = &[
    ("answer", |_| {}),
    ("burn-cpu", burn::cpu),
    ("burn-fuel", burn::fuel),
    ("exit", leave::exit),
    ("exit-0", leave::exit_with_success),
    ("grow-at-once", memory::grow_at_once),
    ("grow-memory", memory::grow),
    ("hold-memory", memory::hold),
    ("huge-log", flood::one_huge_line),
    ("flood-log", flood::log),
    ("flood-stderr", flood::stderr),
    ("flood-stdout", flood::stdout),
    ("log-control-characters", flood::control_characters),
    ("loop", endless::endless),
    ("many-handles", calls::hold_handles),
    ("many-log-calls", calls::log_often),
    ("panic", leave::panic),
    ("peek", peek::peek),
    ("poll-many", calls::poll_many),
    ("poll-often", calls::poll_often),
    ("random-and-clocks", peek::random_and_clocks),
    ("random-huge", calls::random_huge),
    ("random-often", calls::random_often),
    ("secret", secret::look_and_leave),
    ("secret-then-trap", secret::look_leave_and_trap),
    ("sleep", wait::sleep),
    ("stack-overflow", stack::overflow),
    ("stderr-then-trap", leave::stderr_then_trap),
    ("take-memory", memory::take),
    ("trap", leave::trap),
];

/// A behaviour by its name.
#[must_use]
pub fn find(name: &str) -> Option<Behaviour> {
    BEHAVIOURS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, behaviour)| *behaviour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_has_its_fault_in_the_readme() {
        let readme = include_str!("../../README.md");
        for (name, _) in BEHAVIOURS {
            assert!(readme.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
