//! What a guest is to its author: four traits.
//!
//! `Guest` is who it is and what it wants; one of `Filter`, `Trigger` and `Stage` is what it does.

use crate::bindings::lifecycle::exports::weir::collector::lifecycle as wit;
use crate::{Batch, EvalError, Explanation, Finding, Selection, TriggerRequest, Verdicts};
use serde::de::DeserializeOwned;

/// What every guest has.
pub trait Guest: Sized {
    /// What `init` reads the slot's settings into. Derive `Deserialize` with
    /// `#[serde(deny_unknown_fields)]`; `NoSettings` takes none.
    type Settings: DeserializeOwned;

    /// The default settings, a JSON object: the slot's own go over them, key by key.
    const DEFAULTS: &'static str = "";

    /// Makes the guest.
    ///
    /// # Errors
    /// One line for the operator, which names the key that doesn't do.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// What it wants to get; asked once, after `new`.
    fn wants(&self) -> Wants;

    /// Checks itself on made-up input, leaving no trace.
    ///
    /// # Errors
    /// One line for the operator: what came out, and what should have.
    fn self_test(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A guest that knows something from the batches before: when it breaks, a fresh one is given what
/// the last snapshot had. Exported by `export!(… with memory)`.
pub trait Memory: Guest {
    /// The version of the bytes' layout: a memory of another version is not put back.
    const VERSION: u32;

    /// What it knows, within the limits of a snapshot (1 MiB, 250 ms).
    fn snapshot(&self) -> Vec<u8>;

    /// Takes over what another instance knew.
    ///
    /// # Errors
    /// What is wrong with the bytes; the guest then goes on as it is.
    fn restore(&mut self, state: &[u8]) -> Result<(), String>;
}

/// Says which rows go on. Its verdict depends on nothing but its settings and the batches that it
/// has seen, in order.
pub trait Filter: Guest {
    /// Which rows of the batch go on.
    ///
    /// # Errors
    /// No verdict: see `EvalError` for which of its three means what.
    fn keep(&mut self, batch: &Batch<'_>) -> Result<Selection, EvalError>;
}

/// Says which rows fire.
pub trait Trigger: Guest {
    /// The firings of the batch, and the rows that a rule could not decide.
    ///
    /// # Errors
    /// No verdict: see `EvalError` for which of its three means what.
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Verdicts, EvalError>;
}

/// A trigger whose rules can say why. Exported by `export!(… with explain)`.
pub trait Explain: Trigger {
    /// Why each rule of the batch's kind fires for the row, or does not. What the guest remembers
    /// stays as it is.
    ///
    /// # Errors
    /// There is no such row, or its columns could not be read.
    fn explain(&self, batch: &Batch<'_>, row: u32) -> Result<Vec<Explanation>, EvalError>;
}

/// The findings of the stages that this one depends on, by stage.
pub type Upstream<'a> = &'a [(String, Vec<Finding>)];

/// Says what a firing means.
pub trait Stage: Guest {
    /// Findings about the row that fired.
    ///
    /// # Errors
    /// No findings: see `EvalError` for which of its three means what.
    fn analyze(
        &mut self,
        event: &Batch<'_>,
        upstream: Upstream<'_>,
        cause: Option<&TriggerRequest>,
    ) -> Result<Vec<Finding>, EvalError>;
}

/// How urgent a rule's firings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// When there is time.
    Low,
    /// In turn.
    Normal,
    /// Before the others.
    High,
    /// At once.
    Critical,
}

impl Priority {
    /// The name in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A rule of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as operators read it.
    pub name: String,
    /// How urgent its firings are.
    pub priority: Priority,
    /// The source that shall answer; empty: the stages.
    pub target: String,
}

/// What a guest wants to get, built up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    interests: Vec<(String, Vec<String>)>,
    patterns: Vec<String>,
    counters: Vec<String>,
    rules: Vec<Rule>,
}

impl Wants {
    /// Events of a kind, and the columns of it that the guest reads; any other is refused.
    #[must_use]
    pub fn of(kind: &str, columns: &[&str]) -> Self {
        Self::default().and(kind, columns)
    }

    /// Another kind, too.
    #[must_use]
    pub fn and(mut self, kind: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        self.interests.push((kind.to_owned(), columns));
        self
    }

    /// Only topics that match one of the patterns given so.
    #[must_use]
    pub fn on(mut self, pattern: &str) -> Self {
        self.patterns.push(pattern.to_owned());
        self
    }

    /// A counter: `metrics` names it by its place among those given so.
    #[must_use]
    pub fn counter(mut self, name: &str) -> Self {
        self.counters.push(name.to_owned());
        self
    }

    /// A rule that the stages answer: a firing names it by its place among those given so.
    #[must_use]
    pub fn rule(mut self, name: &str, priority: Priority) -> Self {
        self.rules.push(Rule {
            name: name.to_owned(),
            priority,
            target: String::new(),
        });
        self
    }

    /// A rule that the source `target` answers.
    #[must_use]
    pub fn rule_for(mut self, name: &str, priority: Priority, target: &str) -> Self {
        self.rules.push(Rule {
            name: name.to_owned(),
            priority,
            target: target.to_owned(),
        });
        self
    }

    /// The rules given so far.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl From<Wants> for wit::Wants {
    fn from(wants: Wants) -> Self {
        let interest = |(kind, columns)| wit::Interest { kind, columns };
        let rule = |rule: Rule| wit::Rule {
            name: rule.name,
            priority: rule.priority.as_str().to_owned(),
            target: rule.target,
        };
        Self {
            interests: wants.interests.into_iter().map(interest).collect(),
            patterns: wants.patterns,
            counters: wants.counters,
            rules: wants.rules.into_iter().map(rule).collect(),
        }
    }
}
