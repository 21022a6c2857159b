//! `weir explain`: why the conditions fire on an event, or don't, part by part, and what became of it.
//!
//! The conditions are the config's own, evaluated here, in a sandbox of this process; what the trigger manager did is
//! asked of the daemon, where there is one. Invariant: nothing that is explained fires.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use weir_bus::pubsub::{Delivery, EventFilter, Recv, SubscriptionOptions};
use weir_bus::socket::{BrokerClient, ClientOptions};
use weir_bus::{Batch, Topic, TopicPattern};

use super::client::{self, SocketArguments, session};
use super::comparison::comparison;
use super::tap::ended_by_broker;
use super::{Failure, Global, guests, logs, out, table};
use crate::authoring::Events;
use crate::config::Loaded;
use crate::rows::text_line;
use crate::sandbox::{Explanation, Outcome, Prepared};
use crate::trigger::CONDITIONS_SLOT;

/// Events of a file that are explained whole; of more, only what fired or could not be evaluated is shown.
const WHOLE_MAX: usize = 3;
/// How often, and how many times, the daemon is asked what it did with an event that has just come.
const ASKED_EVERY: Duration = Duration::from_millis(100);
const ASKED_MAX: usize = 10;

#[derive(Args)]
pub(super) struct ExplainArguments {
    /// A recording (`.arrow`), or lines of JSON, an event each. Without it: the next event of the daemon that fits.
    file: Option<PathBuf>,
    /// Only this event of the file, by its place from 1.
    #[arg(long, value_name = "NUMBER", requires = "file", value_parser = clap::value_parser!(u64).range(1..))]
    row: Option<u64>,
    /// Only this trigger; several times for several.
    #[arg(long, value_name = "NAME")]
    trigger: Vec<String>,
    /// Every condition with all its parts, however many events there are.
    #[arg(long)]
    all: bool,
    /// The topics of the next event.
    #[arg(long = "on", value_name = "PATTERN", default_value = "events.>", value_parser = client::pattern)]
    pattern: TopicPattern,
    /// The next event about this process.
    #[arg(long, value_name = "PID", conflicts_with = "file")]
    pid: Option<u32>,
    /// The next event for which this holds: `name=sh`, `memory_bytes>1000000`.
    #[arg(long = "where", value_name = "COMPARISON", conflicts_with = "file")]
    comparison: Option<String>,
    /// How long the next event is waited for.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "10s")]
    wait: Duration,
    /// Prints a line of JSON an event.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

/// An event with what there is to say of it.
#[derive(Serialize)]
struct Explained {
    /// Its place in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    source: String,
    sequence: u64,
    event: String,
    conditions: Vec<Condition>,
    /// What the daemon's trigger manager decided, as it tells it; none: no daemon was asked.
    decisions: Option<Vec<Value>>,
}

#[derive(Serialize)]
struct Condition {
    trigger: String,
    #[serde(flatten)]
    explanation: Explanation,
}

pub(super) fn explain(global: &Global, arguments: &ExplainArguments) -> Result<ExitCode, Failure> {
    let loaded = global.load()?;
    let mut explainer = Explainer::new(&loaded, arguments)?;
    match &arguments.file {
        Some(file) => {
            logs::start(&loaded.config.log)?;
            let events = Events::read(file, loaded.config.collector.batch_rows_max)
                .map_err(|error| Failure::Usage(error.to_string()))?;
            let daemon = Daemon::reach(arguments.socket.path(&loaded.config));
            explainer.file(&events, daemon.as_ref())?;
            Ok(ExitCode::SUCCESS)
        }
        None => session(global, &arguments.socket, "explain", async |client| {
            let (batch, row) = next(client, arguments).await?;
            let mut explained = explainer.explained(&batch, row)?;
            explained.decisions = Some(decisions(client, &explained, ASKED_MAX).await?);
            explainer.print(&explained, true)?;
            Ok(ExitCode::SUCCESS)
        }),
    }
}

/// The next event that fits.
async fn next(
    client: &BrokerClient,
    arguments: &ExplainArguments,
) -> Result<(Batch, usize), Failure> {
    let mut filter = EventFilter::new().pids(arguments.pid);
    if let Some(text) = &arguments.comparison {
        filter = filter.compare(comparison(text, &[]).map_err(Failure::Usage)?);
    }
    let options = SubscriptionOptions::new("explain")
        .pattern(arguments.pattern.clone())
        .filter(filter);
    let subscriber = client.open_subscription(options).await?;
    let next = async {
        loop {
            match subscriber.recv().await {
                Recv::Got(Delivery::Batch { item, .. }) if item.rows() > 0 => {
                    return Ok(((*item).clone(), 0));
                }
                Recv::Got(_) | Recv::Empty | Recv::Interrupted => {}
                Recv::Closed => return Err(ended_by_broker(client)),
            }
        }
    };
    let waited = tokio::time::timeout(arguments.wait, next).await;
    waited.unwrap_or_else(|_| {
        Err(Failure::Failed(anyhow::anyhow!(
            "no event on {} fits within {}; `weir tap '{}'` shows what comes, --wait waits longer",
            arguments.pattern,
            humantime::format_duration(arguments.wait),
            arguments.pattern
        )))
    })
}

/// The daemon, where there is one: recorded events are explained without it.
struct Daemon {
    runtime: tokio::runtime::Runtime,
    client: BrokerClient,
}

impl Daemon {
    fn reach(socket: PathBuf) -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        let options = ClientOptions::new(socket, "weir-explain".to_owned());
        let client = runtime.block_on(BrokerClient::connect(options)).ok()?;
        Some(Self { runtime, client })
    }

    fn decisions(&self, explained: &Explained) -> Option<Vec<Value>> {
        // It was decided when it was recorded: one look is enough.
        let decided = decisions(&self.client, explained, 1);
        self.runtime.block_on(decided).ok()
    }
}

/// What the daemon decided about an event, asked at most so many times. Where something fires, the decision may be on its way.
async fn decisions(
    client: &BrokerClient,
    explained: &Explained,
    asked_max: usize,
) -> Result<Vec<Value>, Failure> {
    let topic = Topic::parse("control.decisions").context("a topic of our own")?;
    let about = serde_json::json!({
        "source": explained.source,
        "sequence": explained.sequence,
    });
    let fires = explained.conditions.iter().any(Condition::fires);
    for asked in 1..=asked_max {
        let body = about.to_string().into_bytes();
        let reply = client
            .request(&topic, &body, super::request::DEADLINE)
            .await?;
        let reply: Value = serde_json::from_slice(&reply).context("the daemon's answer")?;
        let decided = reply.get("decisions").and_then(Value::as_array);
        let decided = decided.cloned().unwrap_or_default();
        if !decided.is_empty() || !fires || asked == asked_max {
            return Ok(decided);
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
    Ok(Vec::new())
}

impl Condition {
    fn fires(&self) -> bool {
        self.explanation.verdict.starts_with("match")
    }

    fn is_undecided(&self) -> bool {
        self.explanation.verdict.starts_with("could not")
    }
}

/// The config's conditions, ready to be asked.
struct Explainer<'a> {
    guest: Prepared,
    rules: Vec<String>,
    arguments: &'a ExplainArguments,
}

impl<'a> Explainer<'a> {
    fn new(loaded: &Loaded, arguments: &'a ExplainArguments) -> Result<Self, Failure> {
        let config = &loaded.config;
        let Some(settings) = config.slots.get(CONDITIONS_SLOT) else {
            return Err(Failure::Usage(
                "the config has no [[trigger]], so there is nothing to explain; `rules.builtin = true` takes those that come with weir"
                    .to_owned(),
            ));
        };
        let guest = guests(config)?.prepare(CONDITIONS_SLOT, settings, &config.trust);
        let guest = guest.map_err(|error| Failure::Usage(error.located(&loaded.provenance)))?;
        let rules = guest.wants.rules.iter();
        let rules: Vec<String> = rules.map(|rule| rule.name.clone()).collect();
        for wanted in &arguments.trigger {
            if !rules.contains(wanted) {
                return Err(Failure::Usage(format!(
                    "--trigger {wanted}: there is no such trigger; there are {}",
                    rules.join(", ")
                )));
            }
        }
        Ok(Self {
            guest,
            rules,
            arguments,
        })
    }

    /// Explains the events of a file.
    fn file(&mut self, events: &Events, daemon: Option<&Daemon>) -> Result<(), Failure> {
        let wanted = self.arguments.row;
        if let Some(row) = wanted
            && row > events.rows as u64
        {
            return Err(Failure::Usage(format!(
                "--row {row}: the file has {} events",
                events.rows
            )));
        }
        let whole = self.arguments.all || wanted.is_some() || events.rows <= WHOLE_MAX;
        for (batch, numbers) in &events.batches {
            for (row, number) in numbers.iter().enumerate() {
                if wanted.is_none_or(|wanted| wanted == *number) {
                    let mut explained = self.explained(batch, row)?;
                    explained.row = Some(*number);
                    explained.decisions = daemon.and_then(|daemon| daemon.decisions(&explained));
                    self.print(&explained, whole)?;
                }
            }
        }
        Ok(())
    }

    fn explained(&mut self, batch: &Batch, row: usize) -> Result<Explained, Failure> {
        let number = u32::try_from(row).context("a row beyond all numbers")?;
        let answer = self.guest.instance.explain(batch, number);
        let failed = |why: String| Failure::Failed(anyhow::anyhow!("the conditions: {why}"));
        let explanations = match answer {
            Ok(Some(Outcome::Answer(explanations))) => explanations,
            Ok(Some(Outcome::Fault(fault))) => return Err(failed(fault.to_string())),
            Ok(Some(Outcome::Retry(why) | Outcome::Reject(why))) => return Err(failed(why)),
            Ok(None) => {
                let module = &self.guest.module;
                return Err(failed(format!("{module} can't say why its rules fire")));
            }
            Err(fault) => return Err(failed(fault.to_string())),
        };
        let (source, sequence) = batch.stamp(row).unwrap_or_default();
        let wanted = &self.arguments.trigger;
        let conditions = explanations.into_iter().filter_map(|explanation| {
            let trigger = self.rules.get(explanation.rule)?.clone();
            (wanted.is_empty() || wanted.contains(&trigger)).then_some(Condition {
                trigger,
                explanation,
            })
        });
        Ok(Explained {
            row: None,
            source: source.to_owned(),
            sequence,
            event: text_line(batch, row).unwrap_or_default(),
            conditions: conditions.collect(),
            decisions: None,
        })
    }

    fn print(&self, explained: &Explained, whole: bool) -> Result<(), Failure> {
        if self.arguments.json {
            let line = serde_json::to_string(explained).context("the explanation as JSON")?;
            out::print(&line)
        } else {
            out::print(text(explained, whole).trim_end())
        }
    }
}

/// The explanation for a person. Where it isn't `whole`, conditions that simply don't match are only counted.
fn text(explained: &Explained, whole: bool) -> String {
    let mut lines = vec![match explained.row {
        Some(row) => format!("{row}: {}", explained.event),
        None => explained.event.clone(),
    }];
    let mut silent = 0;
    for condition in &explained.conditions {
        if !whole && !condition.fires() && !condition.is_undecided() {
            silent += 1;
            continue;
        }
        let Explanation { verdict, steps, .. } = &condition.explanation;
        lines.push(format!("  {}: {verdict}", condition.trigger));
        lines.extend(steps.iter().map(|step| {
            let indent = 2 * usize::try_from(step.depth).unwrap_or_default().min(20);
            format!("    {:indent$}{} = {}", "", step.part, step.value)
        }));
    }
    if explained.conditions.is_empty() {
        lines.push("  no condition is about events of this kind".to_owned());
    } else if silent > 0 {
        lines.push(format!(
            "  {silent} conditions don't match; --all shows why"
        ));
    }
    if let Some(decisions) = &explained.decisions {
        lines.push(match decisions.as_slice() {
            [] => "  the trigger manager decided nothing about it".to_owned(),
            _ => "  the trigger manager:".to_owned(),
        });
        lines.extend(decisions.iter().map(decision));
    }
    lines.join("\n")
}

fn decision(decision: &Value) -> String {
    let named = |key| {
        decision
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let trigger = crate::trigger::shown(named("slot"), named("rule"));
    let request = match named("request_id") {
        "" => String::new(),
        id => format!(" as {}", table::cell(id)),
    };
    format!(
        "    {}: {}{request}",
        table::line(&trigger),
        named("outcome")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Step;

    fn condition(trigger: &str, verdict: &str) -> Condition {
        let step = |depth, part: &str, value: &str| Step {
            depth,
            part: part.to_owned(),
            value: value.to_owned(),
        };
        Condition {
            trigger: trigger.to_owned(),
            explanation: Explanation {
                rule: 0,
                verdict: verdict.to_owned(),
                steps: vec![step(0, "pid > 1", "true"), step(1, "pid", "7")],
            },
        }
    }

    #[test]
    fn an_event_is_told_condition_by_condition_and_what_became_of_it() {
        let explained = |decisions| Explained {
            row: None,
            source: "process".to_owned(),
            sequence: 3,
            event: "process started x[7]".to_owned(),
            conditions: vec![condition("fires", "match"), condition("silent", "no match")],
            decisions,
        };
        let decided = serde_json::json!({
            "slot": "conditions", "rule": "fires", "outcome": "admitted", "request_id": "1-2-3",
        });
        let whole = "process started x[7]\n  fires: match\n    pid > 1 = true\n      pid = 7\n  silent: no match\n    pid > 1 = true\n      pid = 7\n  the trigger manager:\n    fires: admitted as 1-2-3";
        assert_eq!(text(&explained(Some(vec![decided])), true), whole);
        let short = "process started x[7]\n  fires: match\n    pid > 1 = true\n      pid = 7\n  1 conditions don't match; --all shows why\n  the trigger manager decided nothing about it";
        assert_eq!(text(&explained(Some(Vec::new())), false), short);
    }
}
