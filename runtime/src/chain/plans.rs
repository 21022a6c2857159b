//! Which plan a request gets: a chain's, that of a source, or that of the slots that take it by themselves.
//!
//! Invariant: one request, at most one plan: so it has one run, and one ending.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use weir_bus::Kind;

use super::plan::{Plan, PlanError, STAGES_MAX, StageSettings, WorkerName};
use crate::config::{ChainSettings, Config};
use crate::sandbox::Wants;
use crate::trigger::Request;

/// Why a config's chains can't be worked by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlansError {
    /// Stages make no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A stage has nobody who does it.
    #[error(
        "chain `{chain}`: stage `{stage}` is for {worker}, which works on no requests; name a slot with a stage guest, or a source that answers requests"
    )]
    NoWorker {
        /// The chain.
        chain: String,
        /// The stage.
        stage: String,
        /// Who should do it.
        worker: WorkerName,
    },
    /// A guest's rule asks somebody who isn't there.
    #[error(
        "slots.{slot}: its rule `{rule}` is for `{target}`, and no chain and no source that answers requests is called so; add one, or let the guest name another"
    )]
    NoTarget {
        /// The slot.
        slot: String,
        /// The rule.
        rule: String,
        /// Whom it asks.
        target: String,
    },
}

/// A stage slot that takes requests by itself.
#[derive(Clone, Debug)]
struct Route {
    slot: String,
    triggers: BTreeSet<String>,
    kinds: Vec<Kind>,
}

/// Who there is to work on requests.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// The slots with stage guests, and the kinds of events that these want.
    pub slots: BTreeMap<String, Vec<Kind>>,
    /// The sources that answer requests.
    pub sources: BTreeSet<String>,
}

/// What a request leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is worked on by this plan.
    Plan(Arc<Plan>),
    /// It is for nobody in particular, and nobody takes it.
    Nobody,
    /// Nobody is called what its target says.
    Unknown,
}

/// All plans of a config.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    chains: BTreeMap<String, Arc<Plan>>,
    sources: BTreeMap<String, Arc<Plan>>,
    routes: Vec<Route>,
    timeout: Duration,
}

impl Plans {
    /// The plans of a config whose slots and sources are these.
    ///
    /// # Errors
    /// If a chain makes no plan, or a stage of one has nobody who does it.
    pub fn new(config: &Config, offers: &Offers) -> Result<Self, PlansError> {
        let timeout = config.chains.request_timeout;
        let mut chains = BTreeMap::new();
        for (name, settings) in &config.chain {
            let plan = chain(name, settings, config)?;
            everybody_is_there(&plan, offers)?;
            chains.insert(name.clone(), Arc::new(plan));
        }
        let sources = offers.sources.iter().filter_map(|name| {
            let plan = independent(name, timeout, [WorkerName::Source(name.clone())])?;
            Some((name.clone(), Arc::new(plan)))
        });
        let sources = sources.collect();
        let stages = chains.values().flat_map(|plan| plan.stages());
        let in_chains: BTreeSet<&WorkerName> = stages.map(|stage| &stage.worker).collect();
        let routes = offers.slots.iter().filter_map(|(slot, kinds)| {
            let settings = config.slots.get(slot)?;
            let in_chain = in_chains.contains(&WorkerName::Slot(slot.clone()));
            // Who names the triggers of a slot wants their requests to come to it, whatever chains it is in.
            let by_itself = !in_chain || !settings.triggers.is_empty();
            by_itself.then(|| Route {
                slot: slot.clone(),
                triggers: settings.triggers.clone(),
                kinds: kinds.clone(),
            })
        });
        let routes = routes.collect();
        Ok(Self {
            chains,
            sources,
            routes,
            timeout,
        })
    }

    /// Whether everybody is there whom the rules of a slot's guest ask.
    ///
    /// # Errors
    /// The first rule that asks somebody else.
    pub fn rules_fit(&self, slot: &str, wants: &Wants) -> Result<(), PlansError> {
        let asks_nobody = wants
            .rules
            .iter()
            .find(|rule| !self.has_target(&rule.target));
        asks_nobody.map_or(Ok(()), |rule| {
            Err(PlansError::NoTarget {
                slot: slot.to_owned(),
                rule: rule.name.clone(),
                target: rule.target.clone(),
            })
        })
    }

    /// Plans for a test.
    #[cfg(test)]
    pub(super) fn of_chains(chains: impl IntoIterator<Item = Plan>) -> Self {
        let chains = chains.into_iter();
        Self {
            chains: chains
                .map(|plan| (plan.name().to_owned(), Arc::new(plan)))
                .collect(),
            ..Self::default()
        }
    }

    /// Whether a request may have this target: that of a chain or a source; the empty one may always be.
    #[must_use]
    pub fn has_target(&self, target: &str) -> bool {
        target.is_empty() || self.chains.contains_key(target) || self.sources.contains_key(target)
    }

    /// The plan of a request.
    #[must_use]
    pub fn choose(&self, request: &Request) -> Choice {
        let target = request.event.target.as_str();
        if target.is_empty() {
            let slots = self.routes.iter().filter(|route| route.takes(request));
            let workers = slots.map(|route| WorkerName::Slot(route.slot.clone()));
            let plan = independent(SLOTS, self.timeout, workers);
            return plan.map_or(Choice::Nobody, |plan| Choice::Plan(Arc::new(plan)));
        }
        let plan = self.chains.get(target);
        let plan = plan.or_else(|| self.sources.get(target));
        plan.map_or(Choice::Unknown, |plan| Choice::Plan(Arc::clone(plan)))
    }
}

/// What a plan is called that nobody planned: the slots that take a request by themselves.
const SLOTS: &str = "(slots)";

impl Route {
    fn takes(&self, request: &Request) -> bool {
        let trigger = &request.cause.trigger;
        (self.triggers.is_empty() || self.triggers.contains(trigger))
            && self.kinds.contains(&request.row.kind())
    }
}

/// A plan of stages that have nothing to do with each other; none: there are none.
fn independent(
    name: &str,
    timeout: Duration,
    workers: impl IntoIterator<Item = WorkerName>,
) -> Option<Plan> {
    let stages = workers.into_iter().take(STAGES_MAX);
    let stages = stages.map(|worker| StageSettings {
        name: worker.name().to_owned(),
        worker,
        after: Vec::new(),
        optional: false,
        timeout,
        retries_max: 0,
        retry_pause: Duration::ZERO,
    });
    Plan::new(name, timeout, stages.collect()).ok()
}

fn chain(name: &str, settings: &ChainSettings, config: &Config) -> Result<Plan, PlanError> {
    let stages = settings.stages.iter().map(|(stage, settings)| {
        let worker = match (&settings.slot, &settings.source) {
            (Some(slot), _) => WorkerName::Slot(slot.clone()),
            (None, Some(source)) => WorkerName::Source(source.clone()),
            (None, None) if config.slots.contains_key(stage) => WorkerName::Slot(stage.clone()),
            (None, None) => WorkerName::Source(stage.clone()),
        };
        StageSettings {
            name: stage.clone(),
            worker,
            after: settings.after.clone(),
            optional: settings.optional,
            timeout: settings.timeout,
            retries_max: settings.retries,
            retry_pause: settings.retry_pause,
        }
    });
    Plan::new(name, settings.timeout, stages.collect())
}

fn everybody_is_there(plan: &Plan, offers: &Offers) -> Result<(), PlansError> {
    let is_there = |worker: &WorkerName| match worker {
        WorkerName::Slot(slot) => offers.slots.contains_key(slot),
        WorkerName::Source(source) => offers.sources.contains(source),
    };
    let absent = plan.stages().iter().find(|stage| !is_there(&stage.worker));
    absent.map_or(Ok(()), |stage| {
        Err(PlansError::NoWorker {
            chain: plan.name().to_owned(),
            stage: stage.name.clone(),
            worker: stage.worker.clone(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::testing::request;
    use crate::config::{LoadRequest, load};

    const SLOTS: &str = "slots.alone.module = \"m\"\nslots.alone.triggers = [\"rules\"]\nslots.all.module = \"m\"\nslots.chained.module = \"m\"\nslots.rules.module = \"m\"\n";

    fn config(text: &str) -> Config {
        let text = format!("{SLOTS}{text}");
        let request = LoadRequest {
            embedded_default: &text,
            ..LoadRequest::default()
        };
        load(&request).unwrap().config
    }

    fn offers(sources: &[&str]) -> Offers {
        let slots = ["alone", "all", "chained"];
        Offers {
            slots: slots
                .map(|slot| (slot.to_owned(), vec![Kind::Process]))
                .into(),
            sources: sources.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// The stages of the plan that a request gets, as `name:worker`.
    fn chosen(plans: &Plans, trigger: &str, target: &str) -> String {
        match plans.choose(&request(1, trigger, target)) {
            Choice::Plan(plan) => {
                let stages = plan.stages().iter();
                let stages: Vec<String> = stages
                    .map(|stage| format!("{}:{}", stage.name, stage.worker))
                    .collect();
                stages.join(" ")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_request_gets_one_plan_by_its_target() {
        let config = config("[chain.c.stages.chained]\n");
        let plans = Plans::new(&config, &offers(&["hash"])).unwrap();
        let check = |trigger: &str, target: &str, expected: &str| {
            assert_eq!(chosen(&plans, trigger, target), expected);
            let is_known = expected != "Unknown";
            assert_eq!(plans.has_target(target), is_known);
        };
        check("rules", "c", "chained:slot `chained`");
        check("rules", "hash", "hash:source `hash`");
        check("rules", "chained", "Unknown");
        check("rules", "", "all:slot `all` alone:slot `alone`");
        check("others", "", "all:slot `all`");
    }

    #[test]
    fn a_stage_that_nobody_does_is_told_with_chain_stage_and_worker() {
        let check = |text: &str, expected: &str| {
            let error = Plans::new(&config(text), &offers(&[])).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        };
        check(
            "[chain.c.stages.rules]\n",
            "chain `c`: stage `rules` is for slot `rules`, which works on no requests; ",
        );
    }

    #[test]
    fn where_nobody_takes_a_request_there_is_no_plan() {
        let plans = Plans::new(&config(""), &Offers::default()).unwrap();
        assert_eq!(plans.choose(&request(1, "rules", "")), Choice::Nobody);
    }
}
