//! A filter that does what a filter mustn't: see `hostile/README.md`.

mod columns;
mod selections;

use weir_guest::{Batch, EvalError, Filter, Guest, Selection, Wants, host};
use weir_hostile_common::{At, Plan, Settings};

/// A behaviour of filters only: its verdict, with the `amount` of the settings.
type Behaviour = fn(&Batch<'_>, u64) -> Result<Selection, EvalError>;

/// What only filters do, by name.
const BEHAVIOURS: &[(&str, Behaviour)] = &[
    ("column-not-asked-for", columns::not_asked_for),
    ("column-again-and-again", columns::again_and_again),
    ("count", columns::count),
    ("drop-all", |_, _| Ok(Selection::None)),
    ("error-huge", selections::huge_error),
    ("fatal", |_, _| {
        Err(EvalError::Fatal("it is broken".to_owned()))
    }),
    ("fatal-words", |_, amount| {
        Err(EvalError::Fatal(words(amount)))
    }),
    ("mask-bits-past-the-end", selections::mask_bits_past_the_end),
    ("mask-too-long", selections::mask_too_long),
    ("mask-too-short", selections::mask_too_short),
    ("reject", |_, _| {
        Err(EvalError::Reject("not these".to_owned()))
    }),
    ("retry", |_, _| Err(EvalError::Retry("not now".to_owned()))),
    ("row-out-of-range", columns::row_out_of_range),
    ("rows-descending", selections::rows_descending),
    ("rows-huge", selections::rows_huge),
    ("rows-out-of-range", selections::rows_out_of_range),
    ("rows-twice", selections::rows_twice),
    ("unknown-column", columns::unknown),
];

/// What is wrong in what `init` answers, by name.
const WANTS: &[&str] = &[
    "init-error",
    "init-error-words",
    "wants-nothing",
    "wants-unknown-column",
    "wants-unknown-kind",
    "wants-words",
];

/// What a terminal would obey, and `amount` bytes more.
fn words(amount: u64) -> String {
    let more = usize::try_from(amount).unwrap_or(usize::MAX);
    format!("\u{1b}[2Jcleared\nforged: line{}", "x".repeat(more))
}

struct Hostile {
    plan: Plan,
    retried: bool,
}

impl Guest for Hostile {
    type Settings = Settings;
    const DEFAULTS: &'static str = r#"{"do": "answer"}"#;

    fn new(settings: Settings) -> Result<Self, String> {
        let own = BEHAVIOURS.iter().map(|(name, _)| *name);
        let known: Vec<&str> = own
            .chain(WANTS.iter().copied())
            .chain(["retry-once"])
            .collect();
        if settings.behaviour == "init-error" {
            return Err("settings: this guest wants none".to_owned());
        }
        if settings.behaviour == "init-error-words" {
            return Err(words(settings.amount));
        }
        Ok(Self {
            plan: Plan::new(settings, &known)?,
            retried: false,
        })
    }

    fn wants(&self) -> Wants {
        match self.plan.settings.behaviour.as_str() {
            "wants-nothing" => Wants::default(),
            "wants-unknown-column" => Wants::of("process", &["pid", "shoe_size"]),
            "wants-unknown-kind" => Wants::of("weather", &["wind"]),
            "wants-words" => Wants::of(&words(self.plan.settings.amount), &["pid"]),
            _ => Wants::of("process", &["pid", "name"]),
        }
    }

    fn self_test(&self) -> Result<(), String> {
        self.plan.act(At::SelfTest);
        match (self.plan.settings.at, self.plan.settings.behaviour.as_str()) {
            (At::SelfTest, "fatal") => Err("it doesn't work".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Filter for Hostile {
    fn keep(&mut self, batch: &Batch<'_>) -> Result<Selection, EvalError> {
        if !self.plan.is_due(batch)? {
            return Ok(Selection::All);
        }
        let Settings {
            behaviour, amount, ..
        } = &self.plan.settings;
        if behaviour == "retry-once" {
            self.retried = !self.retried;
            return if self.retried {
                Err(EvalError::Retry("once more".to_owned()))
            } else {
                host::info("retried");
                Ok(Selection::All)
            };
        }
        if let Some((_, verdict)) = BEHAVIOURS.iter().find(|(name, _)| name == behaviour) {
            return verdict(batch, *amount);
        }
        self.plan.act(At::Call);
        Ok(Selection::All)
    }
}

weir_guest::export!(filter Hostile);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_has_its_fault_in_the_readme() {
        let readme = include_str!("../../README.md");
        for name in BEHAVIOURS
            .iter()
            .map(|(name, _)| name)
            .chain(WANTS)
            .chain(&["retry-once"])
        {
            assert!(readme.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
