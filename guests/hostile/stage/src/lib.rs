//! A stage that does what a stage mustn't: see `hostile/README.md`.

mod findings;

use weir_guest::{Batch, EvalError, Finding, Guest, Stage, TriggerRequest, Upstream, Wants};
use weir_hostile_common::{At, Plan, Settings};

/// A behaviour of stages only: its findings, with the `amount` of the settings.
type Behaviour = fn(&Batch<'_>, u64) -> Result<Vec<Finding>, EvalError>;

/// What only stages do, by name.
const BEHAVIOURS: &[(&str, Behaviour)] = &[
    ("count-in-metrics", findings::count),
    ("evidence-huge", findings::huge_evidence),
    ("evidence-many", findings::much_evidence),
    ("fatal", |_, _| {
        Err(EvalError::Fatal("it is broken".to_owned()))
    }),
    ("find", findings::find),
    ("findings-too-many", findings::too_many),
    ("inspect-often", findings::inspect_often),
    ("look-absurd", findings::look_absurd),
    ("look-often", findings::look_often),
    ("inspect-absurd", findings::inspect_absurd),
    ("metrics-overflow", findings::count_too_far),
    ("metrics-then-trap", findings::count_then_trap),
    ("metrics-unknown-counter", findings::unknown_counter),
    ("reject", |_, _| {
        Err(EvalError::Reject("not these".to_owned()))
    }),
    ("retry", |_, _| Err(EvalError::Retry("not now".to_owned()))),
];

struct Hostile {
    plan: Plan,
}

impl Guest for Hostile {
    type Settings = Settings;
    const DEFAULTS: &'static str = r#"{"do": "find"}"#;

    fn new(settings: Settings) -> Result<Self, String> {
        let known: Vec<&str> = BEHAVIOURS.iter().map(|(name, _)| *name).collect();
        Ok(Self {
            plan: Plan::new(settings, &known)?,
        })
    }

    fn wants(&self) -> Wants {
        Wants::of("process", &["pid", "start_time", "name"]).counter("calls")
    }

    fn self_test(&self) -> Result<(), String> {
        self.plan.act(At::SelfTest);
        Ok(())
    }
}

impl Stage for Hostile {
    fn analyze(
        &mut self,
        event: &Batch<'_>,
        _: Upstream<'_>,
        _: Option<&TriggerRequest>,
    ) -> Result<Vec<Finding>, EvalError> {
        if !self.plan.is_due(event)? {
            return findings::find(event, 0);
        }
        let Settings {
            behaviour, amount, ..
        } = &self.plan.settings;
        if let Some((_, findings)) = BEHAVIOURS.iter().find(|(name, _)| name == behaviour) {
            return findings(event, *amount);
        }
        self.plan.act(At::Call);
        findings::find(event, 0)
    }
}

weir_guest::export!(stage Hostile);

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
