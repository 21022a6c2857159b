//! The first and the last words of a run: what there is, and what everything came to.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use weir_bus::pubsub::{QueueCounts, SubscriberStatistics};
use weir_bus::{Drops, SourceCounts};
use weir_sources::tiers;

use crate::collector::CollectorReport;
use crate::config::Config;
use crate::pipeline::{Pipeline, PipelineStatus};
use crate::sink::{Console, Output};
use crate::slot::SlotStatistics;
use crate::trigger::{Ending, Refusal, TriggerCounts, TriggersStatus};

/// Says what is at work.
pub(super) fn started(console: &Console, config: &Config, pipeline: &Pipeline) {
    let status = pipeline.status();
    match console.output() {
        Output::Json => console.json(&serde_json::json!({
            "type": "start",
            "component": config.collector.component_name,
            "version": env!("CARGO_PKG_VERSION"),
            "sources": status.sources.iter().map(|source| serde_json::json!({
                "name": source.name,
                "capabilities": source.capabilities.to_string(),
                "tiers": source.tiers,
            })).collect::<Vec<_>>(),
            "unavailable": pipeline.unavailable(),
            "socket": pipeline.broker_status().map(|broker| broker.socket),
            "slots": status.slots.iter().map(|slot| serde_json::json!({
                "name": slot.slot,
                "world": slot.world,
                "module": slot.module,
                "sha256": slot.digest,
            })).collect::<Vec<_>>(),
        })),
        Output::Pretty => console.line(&start_text(config, pipeline, &status)),
    }
}

fn start_text(config: &Config, pipeline: &Pipeline, status: &PipelineStatus) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut lines = Lines::default();
    for source in &status.sources {
        let told = tiers::told(&source.tiers);
        let capabilities = source.capabilities.to_string();
        let parts = [capabilities, told].map(|part| Some(part).filter(|part| !part.is_empty()));
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        lines.add("source", &source.name, parts.join(", "));
    }
    for missing in pipeline.unavailable() {
        lines.add("without", &missing.source, missing.reason.clone());
    }
    for slot in &status.slots {
        let limits = config.slots.get(&slot.slot).map(|settings| {
            let is_stage = slot.world == "stage";
            format!(
                "{} ms, {} MiB",
                settings.limits.cpu_of_call(is_stage).as_millis(),
                settings.limits.memory_bytes_max >> 20
            )
        });
        let limits = limits.unwrap_or_default();
        let text = format!("{}, at most {limits} a call", slot.module);
        lines.add(&slot.world, &slot.slot, text);
    }
    for name in config.sinks.keys() {
        lines.add("sink", name, String::new());
    }
    if let Some(broker) = pipeline.broker_status() {
        lines.add(
            "socket",
            &broker.socket.display().to_string(),
            String::new(),
        );
    }
    let component = &config.collector.component_name;
    format!("weir {version} — {component}{}", lines.aligned())
}

/// Lines of what there is: its kind, its name, and more.
#[derive(Default)]
struct Lines(Vec<(String, String, String)>);

impl Lines {
    /// The narrowest column of names, in characters.
    const NAME_WIDTH_MIN: usize = 12;

    fn add(&mut self, kind: &str, name: &str, text: String) {
        self.0.push((kind.to_owned(), name.to_owned(), text));
    }

    /// Each on a line of its own, the texts below each other.
    fn aligned(&self) -> String {
        let with_text = self.0.iter().filter(|(_, _, text)| !text.is_empty());
        let width = with_text.map(|(_, name, _)| name.chars().count()).max();
        let width = width.unwrap_or_default().max(Self::NAME_WIDTH_MIN);
        let mut aligned = String::new();
        for (kind, name, text) in &self.0 {
            // Writing to a String can't fail.
            let _ = match text.is_empty() {
                true => write!(aligned, "\n  {kind:<7} {name}"),
                false => write!(aligned, "\n  {kind:<7} {name:<width$} {text}"),
            };
        }
        aligned
    }
}

/// The last counts, as JSON.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary<'a> {
    seconds: f64,
    balanced: bool,
    sources: Vec<SourceLine<'a>>,
    slots: Vec<&'a SlotStatistics>,
    triggers: &'a TriggersStatus,
    subscribers: Vec<&'a SubscriberStatistics>,
    /// The subscribers that left, together.
    departed: &'a QueueCounts,
    abandoned_sources: &'a [String],
}

#[derive(Serialize)]
struct SourceLine<'a> {
    name: &'a str,
    balanced: bool,
    in_flight: u64,
    #[serde(flatten)]
    counts: &'a SourceCounts,
}

/// Says what everything came to; true if all counts balance and nothing was left behind.
pub(super) fn ended(
    console: &Console,
    ran: Duration,
    report: &CollectorReport,
    status: &PipelineStatus,
) -> bool {
    let sources_balance = report.sources.iter().all(|(_, counts)| counts.balances());
    let slots_balance = status.slots.iter().all(|slot| slot.queue.balances());
    let subscribers_balance = status
        .bus
        .subscribers
        .iter()
        .all(|one| one.counts.balances());
    let triggers_balance = status.triggers.total.balance();
    let balanced = sources_balance && slots_balance && subscribers_balance && triggers_balance;
    match console.output() {
        Output::Json => console.json(&Summary {
            seconds: ran.as_secs_f64(),
            balanced,
            sources: report
                .sources
                .iter()
                .map(|(name, counts)| SourceLine {
                    name,
                    balanced: counts.balances(),
                    in_flight: counts.in_flight(),
                    counts,
                })
                .collect(),
            slots: status.slots.iter().collect(),
            triggers: &status.triggers,
            subscribers: status.bus.subscribers.iter().collect(),
            departed: &status.bus.departed,
            abandoned_sources: &report.abandoned,
        }),
        Output::Pretty => console.line(&end_text(ran, report, status, balanced)),
    }
    balanced && report.abandoned.is_empty()
}

fn drops(dropped: &Drops) -> String {
    let reasons: Vec<String> = dropped
        .iter()
        .map(|(reason, count)| format!("{} {reason}", count.rows))
        .collect();
    if reasons.is_empty() {
        "0 dropped".to_owned()
    } else {
        format!("{} dropped ({})", dropped.total().rows, reasons.join(", "))
    }
}

fn queue(counts: &QueueCounts) -> String {
    format!(
        "{} matched = {} delivered + {} + {} queued",
        counts.matched.rows,
        counts.delivered.rows,
        drops(&counts.dropped),
        counts.queued.rows
    )
}

fn firings(mut total: TriggerCounts) -> String {
    let refusals = Refusal::ALL
        .into_iter()
        .map(|why| (*total.refused(why), why.as_str()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"));
    let mut parts: Vec<String> = refusals.collect();
    parts.push(format!("{} admitted", total.admitted));
    let ended = Ending::ALL
        .into_iter()
        .map(|how| format!("{} {}", *total.ended(how), how.as_str()));
    let ended: Vec<String> = ended.collect();
    format!(
        "{} = {}; {}",
        total.fired,
        parts.join(" + "),
        ended.join(", ")
    )
}

fn end_text(
    ran: Duration,
    report: &CollectorReport,
    status: &PipelineStatus,
    balanced: bool,
) -> String {
    let mut lines = Lines::default();
    for (name, counts) in &report.sources {
        let text = format!(
            "{} produced = {} published + {} removed by filters + {} + {} in flight",
            counts.produced,
            counts.published,
            counts.removed,
            drops(&counts.dropped),
            counts.in_flight()
        );
        lines.add("source", name, text);
    }
    for slot in &status.slots {
        let mut text = queue(&slot.queue);
        for (reason, count) in &slot.faults {
            let _ = write!(text, "; {count} faults {reason}");
        }
        lines.add(&slot.world, &slot.slot, text);
    }
    let others = status.bus.subscribers.iter();
    for subscriber in others.filter(|subscriber| !subscriber.name.starts_with("slot:")) {
        lines.add("queue", &subscriber.name, queue(&subscriber.counts));
    }
    let seconds = ran.as_secs_f64();
    let mut text = format!("ran {seconds:.1} s; rows:{}", lines.aligned());
    if status.triggers.total.fired > 0 {
        let _ = write!(text, "\n  firings {}", firings(status.triggers.total));
    }
    for name in &report.abandoned {
        let _ = write!(
            text,
            "\n  source `{name}` did not stop in time, and was left behind"
        );
    }
    text.push_str(if balanced {
        "\nall counts balance"
    } else {
        "\nthe counts do NOT balance"
    });
    text
}
