//! A trigger that does what a trigger mustn't: see `hostile/README.md`.

mod store;
mod verdicts;

use weir_guest::{Batch, EvalError, Guest, Priority, Trigger, Verdicts, Wants};
use weir_hostile_common::{At, Plan, Settings};

/// A behaviour of triggers only: its verdicts, with the `amount` of the settings.
type Behaviour = fn(&Batch<'_>, u64) -> Result<Verdicts, EvalError>;

/// What only triggers do, by name.
const BEHAVIOURS: &[(&str, Behaviour)] = &[
    ("count-in-state", store::count),
    ("echo", verdicts::fire_all),
    ("fatal", |_, _| {
        Err(EvalError::Fatal("it is broken".to_owned()))
    }),
    ("fire-all", verdicts::fire_all),
    ("firing-row-out-of-range", verdicts::row_out_of_range),
    ("firing-rule-out-of-range", verdicts::rule_out_of_range),
    ("firings-too-many", verdicts::too_many),
    ("message-huge", verdicts::huge_message),
    ("reject", |_, _| {
        Err(EvalError::Reject("not these".to_owned()))
    }),
    ("retry", |_, _| Err(EvalError::Retry("not now".to_owned()))),
    ("sign-state", store::sign),
    ("state-bytes", store::bytes),
    ("state-churn", store::churn),
    ("state-keys", store::keys),
    ("state-peek", store::peek),
    ("state-then-reject", store::count_then_reject),
    ("state-then-trap", store::count_then_trap),
    ("state-value", store::value),
    ("undecided-all", verdicts::undecided_all),
    ("undecided-huge", verdicts::undecided_huge),
    (
        "undecided-rule-out-of-range",
        verdicts::undecided_rule_out_of_range,
    ),
    ("undecided-too-many", verdicts::undecided_too_many),
];

/// What is wrong in what `init` answers, by name.
const WANTS: &[&str] = &["rules-twice"];

struct Hostile {
    plan: Plan,
}

impl Guest for Hostile {
    type Settings = Settings;
    const DEFAULTS: &'static str = r#"{"do": "answer"}"#;

    fn new(settings: Settings) -> Result<Self, String> {
        let known: Vec<&str> = BEHAVIOURS
            .iter()
            .map(|(name, _)| *name)
            .chain(WANTS.iter().copied())
            .collect();
        Ok(Self {
            plan: Plan::new(settings, &known)?,
        })
    }

    fn wants(&self) -> Wants {
        let wants = Wants::of("process", &["pid", "name"]);
        match self.plan.settings.behaviour.as_str() {
            // Requests: its own don't come back to it, another's do.
            "echo" => Wants::of("trigger", &["rule"]).rule("seen", Priority::Normal),
            "rules-twice" => wants
                .rule("seen", Priority::Low)
                .rule("seen", Priority::Low),
            _ => wants.rule("seen", Priority::Normal),
        }
    }

    fn self_test(&self) -> Result<(), String> {
        self.plan.act(At::SelfTest);
        Ok(())
    }
}

impl Trigger for Hostile {
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Verdicts, EvalError> {
        if !self.plan.is_due(batch)? {
            return Ok(verdicts::nothing());
        }
        let Settings {
            behaviour, amount, ..
        } = &self.plan.settings;
        if let Some((_, verdict)) = BEHAVIOURS.iter().find(|(name, _)| name == behaviour) {
            return verdict(batch, *amount);
        }
        self.plan.act(At::Call);
        Ok(verdicts::nothing())
    }
}

weir_guest::export!(trigger Hostile);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_has_its_fault_in_the_readme() {
        let readme = include_str!("../../README.md");
        for name in BEHAVIOURS.iter().map(|(name, _)| name).chain(WANTS) {
            assert!(readme.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
