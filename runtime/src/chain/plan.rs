//! A plan: which stages work on a request, who does each, and what each waits for.
//!
//! It knows no guest, thread or clock. Invariant: a [`Plan`] has between one and [`STAGES_MAX`] stages of different
//! names, and no stage waits for itself, be it through others: so a run of it can always go on or is at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A plan has at most so many stages: each is a call of a guest for every request.
pub const STAGES_MAX: usize = 64;

/// Who does a stage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkerName {
    /// The guest in this slot.
    Slot(String),
    /// This triggerable source.
    Source(String),
}

impl WorkerName {
    /// The name without what it is of.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Slot(name) | Self::Source(name) => name,
        }
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(name) => write!(f, "slot `{name}`"),
            Self::Source(name) => write!(f, "source `{name}`"),
        }
    }
}

/// A stage as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSettings {
    /// What it is called within the plan.
    pub name: String,
    /// Who does it.
    pub worker: WorkerName,
    /// The stages whose findings it is given, by name; it begins when all have ended.
    pub after: Vec<String>,
    /// Where it fails, it counts as skipped, and those that wait for it go on without its findings.
    pub optional: bool,
    /// An attempt that takes longer is given up.
    pub timeout: Duration,
    /// So many more attempts follow a first one that failed.
    pub retries_max: u32,
    /// The pause before the first of them; it doubles with each.
    pub retry_pause: Duration,
}

/// A stage of a plan that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStage {
    /// What it is called within the plan.
    pub name: String,
    /// Who does it.
    pub worker: WorkerName,
    /// The places of the stages that it waits for, each once.
    pub after: Vec<usize>,
    /// Where it fails, it counts as skipped.
    pub optional: bool,
    /// An attempt that takes longer is given up.
    pub timeout: Duration,
    /// So many more attempts follow a first one that failed.
    pub retries_max: u32,
    /// The pause before the first of them.
    pub retry_pause: Duration,
}

/// What works on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    name: String,
    stages: Vec<PlannedStage>,
    timeout: Duration,
}

/// Why stages make no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There are none.
    #[error(
        "chain `{chain}` has no stages; add a table [chain.{chain}.stages.NAME], or take the chain out"
    )]
    Empty {
        /// The chain.
        chain: String,
    },
    /// There are too many.
    #[error(
        "chain `{chain}` has {stages} stages, and a chain has at most {STAGES_MAX}; make two of it"
    )]
    TooMany {
        /// The chain.
        chain: String,
        /// How many it has.
        stages: usize,
    },
    /// Two have the same name.
    #[error("chain `{chain}` has two stages `{stage}`; give each a name of its own")]
    Duplicate {
        /// The chain.
        chain: String,
        /// The name.
        stage: String,
    },
    /// One waits for a stage that isn't there.
    #[error(
        "chain `{chain}`: stage `{stage}` waits for `{dependency}`, and there is no such stage{}",
        hint(.near.as_deref())
    )]
    UnknownDependency {
        /// The chain.
        chain: String,
        /// The stage that waits.
        stage: String,
        /// What for.
        dependency: String,
        /// The stage that was meant, by the look of it.
        near: Option<String>,
    },
    /// One waits for itself.
    #[error("chain `{chain}`: stage `{stage}` waits for itself; take it out of `after`")]
    OnItself {
        /// The chain.
        chain: String,
        /// The stage.
        stage: String,
    },
    /// Some wait for each other.
    #[error("chain `{chain}`: stages wait for each other, and none could begin: {}; take one out of `after`", path.join(" → "))]
    Cycle {
        /// The chain.
        chain: String,
        /// The stages, each before the one that waits for it; the first is the last.
        path: Vec<String>,
    },
}

impl PlanError {
    /// The stage that is to be changed, if it is one.
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        match self {
            Self::Empty { .. } | Self::TooMany { .. } => None,
            Self::Duplicate { stage, .. }
            | Self::UnknownDependency { stage, .. }
            | Self::OnItself { stage, .. } => Some(stage),
            // The last of the path waits for the one before it.
            Self::Cycle { path, .. } => path.last().map(String::as_str),
        }
    }

    /// The value of its `after` that is wrong, if it is one.
    #[must_use]
    pub fn dependency(&self) -> Option<&str> {
        match self {
            Self::Empty { .. } | Self::TooMany { .. } | Self::Duplicate { .. } => None,
            Self::UnknownDependency { dependency, .. } => Some(dependency),
            Self::OnItself { stage, .. } => Some(stage),
            Self::Cycle { path, .. } => path.iter().rev().nth(1).map(String::as_str),
        }
    }
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"))
}

impl Plan {
    /// Makes a plan of stages, in the order in which they are shown.
    ///
    /// # Errors
    /// If they make none: see [`PlanError`].
    pub fn new(
        name: &str,
        timeout: Duration,
        stages: Vec<StageSettings>,
    ) -> Result<Self, PlanError> {
        let chain = || name.to_owned();
        if stages.is_empty() {
            return Err(PlanError::Empty { chain: chain() });
        }
        if stages.len() > STAGES_MAX {
            let stages = stages.len();
            return Err(PlanError::TooMany {
                chain: chain(),
                stages,
            });
        }
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (place, stage) in stages.iter().enumerate() {
            if places.insert(stage.name.clone(), place).is_some() {
                let stage = stage.name.clone();
                return Err(PlanError::Duplicate {
                    chain: chain(),
                    stage,
                });
            }
        }
        let planned = stages.into_iter().map(|stage| {
            Ok(PlannedStage {
                after: dependencies(name, &stage, &places)?,
                name: stage.name,
                worker: stage.worker,
                optional: stage.optional,
                timeout: stage.timeout,
                retries_max: stage.retries_max,
                retry_pause: stage.retry_pause,
            })
        });
        let stages = planned.collect::<Result<Vec<PlannedStage>, PlanError>>()?;
        if let Some(path) = cycle(&stages) {
            return Err(PlanError::Cycle {
                chain: chain(),
                path,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            stages,
            timeout,
        })
    }

    /// The chain's name; that of the target or of nobody where nobody planned it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its stages; a stage's place is its number in a run.
    #[must_use]
    pub fn stages(&self) -> &[PlannedStage] {
        &self.stages
    }

    /// A run that takes longer is ended.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

fn dependencies(
    chain: &str,
    stage: &StageSettings,
    places: &BTreeMap<String, usize>,
) -> Result<Vec<usize>, PlanError> {
    let mut after: Vec<usize> = Vec::with_capacity(stage.after.len().min(STAGES_MAX));
    for dependency in &stage.after {
        if *dependency == stage.name {
            return Err(PlanError::OnItself {
                chain: chain.to_owned(),
                stage: stage.name.clone(),
            });
        }
        let Some(place) = places.get(dependency) else {
            let others = places.keys().map(String::as_str);
            let others = others.filter(|other| *other != stage.name);
            return Err(PlanError::UnknownDependency {
                chain: chain.to_owned(),
                stage: stage.name.clone(),
                dependency: dependency.clone(),
                near: crate::config::nearest_of(dependency, others).map(str::to_owned),
            });
        };
        if !after.contains(place) {
            after.push(*place);
        }
    }
    Ok(after)
}

/// Stages that wait for each other: each before the one that waits for it, the first again at the end.
fn cycle(stages: &[PlannedStage]) -> Option<Vec<String>> {
    let mut is_left = vec![true; stages.len()];
    let waits = |is_left: &[bool], after: &[usize]| {
        let mut left = after.iter().copied();
        left.find(|place| is_left.get(*place).copied().unwrap_or(false))
    };
    // What waits for nobody that is left is taken away, until there is no such stage: at most as often as there are
    // stages.
    loop {
        let free = stages
            .iter()
            .enumerate()
            .find(|(place, stage)| {
                is_left.get(*place).copied().unwrap_or(false)
                    && waits(&is_left, &stage.after).is_none()
            })
            .map(|(place, _)| place);
        let Some(left) = free.and_then(|place| is_left.get_mut(place)) else {
            break;
        };
        *left = false;
    }
    // Whoever is left waits for somebody who is left: following that leads around.
    let mut at = is_left.iter().position(|left| *left)?;
    let mut way: Vec<usize> = Vec::new();
    loop {
        if let Some(first) = way.iter().position(|seen| *seen == at) {
            let around = way.get(first..).unwrap_or_default().iter().chain([&at]);
            let names = around.rev().filter_map(|place| stages.get(*place));
            return Some(names.map(|stage| stage.name.clone()).collect());
        }
        way.push(at);
        at = waits(&is_left, &stages.get(at)?.after)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, after: &[&str]) -> StageSettings {
        StageSettings {
            name: name.to_owned(),
            worker: WorkerName::Slot(name.to_owned()),
            after: after.iter().map(|name| (*name).to_owned()).collect(),
            optional: false,
            timeout: Duration::from_secs(1),
            retries_max: 0,
            retry_pause: Duration::from_millis(100),
        }
    }

    fn plan(stages: &[(&str, &[&str])]) -> Result<Plan, PlanError> {
        let stages = stages.iter().map(|(name, after)| stage(name, after));
        Plan::new("c", Duration::from_secs(30), stages.collect())
    }

    #[test]
    fn stages_that_make_no_plan_are_told_with_chain_stage_value_and_what_to_do() {
        let check = |stages: &[(&str, &[&str])], expected: &str| {
            assert_eq!(plan(stages).unwrap_err().to_string(), expected);
        };
        check(
            &[],
            "chain `c` has no stages; add a table [chain.c.stages.NAME], or take the chain out",
        );
        check(
            &[("a", &[]), ("a", &[])],
            "chain `c` has two stages `a`; give each a name of its own",
        );
        check(
            &[("details", &[]), ("b", &["detials"])],
            "chain `c`: stage `b` waits for `detials`, and there is no such stage, did you mean `details`?",
        );
        check(
            &[("a", &[]), ("b", &["zzzzzz"])],
            "chain `c`: stage `b` waits for `zzzzzz`, and there is no such stage",
        );
        check(
            &[("a", &["a"])],
            "chain `c`: stage `a` waits for itself; take it out of `after`",
        );
        check(
            &[("x", &[]), ("a", &["b", "x"]), ("b", &["a"]), ("y", &["b"])],
            "chain `c`: stages wait for each other, and none could begin: a → b → a; take one out of `after`",
        );
        check(
            &[("y", &["a"]), ("a", &["c"]), ("b", &["a"]), ("c", &["b"])],
            "chain `c`: stages wait for each other, and none could begin: a → b → c → a; take one out of `after`",
        );
        let names: Vec<String> = (0..=STAGES_MAX).map(|at| format!("s{at}")).collect();
        let many: Vec<(&str, &[&str])> =
            names.iter().map(|name| (name.as_str(), &[][..])).collect();
        check(
            &many,
            "chain `c` has 65 stages, and a chain has at most 64; make two of it",
        );
        assert!(plan(&many[..STAGES_MAX]).is_ok());
    }

    #[test]
    fn an_error_names_the_stage_and_value_to_change() {
        let check = |stages: &[(&str, &[&str])], expected: (Option<&str>, Option<&str>)| {
            let error = plan(stages).unwrap_err();
            assert_eq!((error.stage(), error.dependency()), expected);
        };
        check(&[], (None, None));
        check(&[("a", &["x"])], (Some("a"), Some("x")));
        check(&[("a", &["a"])], (Some("a"), Some("a")));
        // a waits for b, and b for a.
        check(&[("a", &["b"]), ("b", &["a"])], (Some("a"), Some("b")));
    }

    #[test]
    fn a_dependency_that_is_named_twice_is_one() {
        let plan = plan(&[("b", &["a", "a"]), ("a", &[])]).unwrap();
        assert_eq!(plan.stages()[0].after, [1]);
    }
}
