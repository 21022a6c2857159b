//! Which counts there are, what they are called, and how they are labelled.
//!
//! Names follow Prometheus's rules: `weir_`, what it is about, the unit last, `_total` behind what only grows; seconds
//! and bytes. Invariant: no two lines of a family have the same labels, whatever subscribers call themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use weir_bus::pubsub::QueueCounts;
use weir_bus::{DropReason, Drops};
use weir_sources::{OwnCost, SourceHealth, SourceStatus};

use super::{slots, triggers};
use crate::pipeline::PipelineStatus;

/// How the bus calls the subscribers that are slots; these are told as slots.
const SLOT_SUBSCRIBER: &str = "slot:";

/// What the daemon knows of itself.
pub(super) struct Own {
    /// How long it has run.
    pub(super) uptime: Duration,
    /// What it costs; none where the system doesn't tell.
    pub(super) cost: Option<OwnCost>,
    /// How often the file couldn't be written.
    pub(super) failures: u64,
}

/// All families that have a line.
pub(super) fn families(status: &PipelineStatus, own: &Own) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    families.extend(of_sources(&status.sources));
    families.extend(of_queues(status));
    families.extend(slots::of_slots(&status.slots));
    families.extend(triggers::of_triggers(&status.triggers));
    families.extend(of_the_daemon(status, own));
    // A family without a line is none.
    families.retain(|family| !family.get_metric().is_empty());
    families
}

/// A family under construction.
pub(super) struct Family {
    pub(super) made: MetricFamily,
    kind: MetricType,
}

impl Family {
    fn new(kind: MetricType, name: &str, help: &str) -> Self {
        let mut made = MetricFamily::default();
        made.set_name(name.to_owned());
        made.set_help(help.to_owned());
        made.set_field_type(kind);
        Self { made, kind }
    }

    pub(super) fn counter(name: &str, help: &str) -> Self {
        Self::new(MetricType::COUNTER, name, help)
    }

    pub(super) fn gauge(name: &str, help: &str) -> Self {
        Self::new(MetricType::GAUGE, name, help)
    }

    pub(super) fn line(&mut self, labels: &[(&str, &str)], value: f64) {
        let pairs = labels.iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.made.mut_metric().push(metric);
    }

    pub(super) fn count(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line(labels, number(value));
    }

    /// A line for every reason, so that a rate has a beginning.
    fn drops(&mut self, labels: &[(&str, &str)], dropped: &Drops) {
        for reason in DropReason::ALL {
            let labels = [labels, &[("reason", reason.as_str())]].concat();
            self.count(&labels, dropped.get(reason).rows);
        }
    }
}

/// Prometheus has nothing but floats.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53: 285 years at a million rows a second"
)]
pub(super) const fn number(value: u64) -> f64 {
    value as f64
}

fn of_sources(sources: &[SourceStatus]) -> [MetricFamily; 7] {
    let mut rows = Family::counter(
        "weir_source_rows_total",
        "Rows of a source: produced = published + removed (by filters) + dropped + in flight.",
    );
    let mut dropped = Family::counter(
        "weir_source_dropped_rows_total",
        "Rows of a source that were lost, by reason.",
    );
    let mut in_flight = Family::gauge(
        "weir_source_in_flight_rows",
        "Rows of a source that are under way, by place.",
    );
    let mut batches = Family::counter(
        "weir_source_published_batches_total",
        "Batches of a source that reached the bus.",
    );
    let mut health = Family::gauge(
        "weir_source_health",
        "1 for how a source does, 0 for the others.",
    );
    let mut restarts = Family::counter(
        "weir_source_restarts_total",
        "How often a source was started again.",
    );
    let mut redacted = Family::counter(
        "weir_source_redacted_total",
        "Command lines in which a source replaced secrets.",
    );
    for source in sources {
        let (name, counts) = (("source", source.name.as_str()), &source.counts);
        for (state, count) in [
            ("produced", counts.produced),
            ("published", counts.published),
            ("removed", counts.removed),
        ] {
            rows.count(&[name, ("state", state)], count);
        }
        dropped.drops(&[name], &counts.dropped);
        for (place, count) in [
            ("channel", counts.in_channel),
            ("batcher", counts.in_batcher),
            ("filters", counts.in_filters),
        ] {
            in_flight.count(&[name, ("place", place)], count);
        }
        batches.count(&[name], counts.batches);
        for (state, is_so) in [
            ("healthy", source.health.is_healthy()),
            (
                "degraded",
                matches!(source.health, SourceHealth::Degraded(_)),
            ),
            (
                "unhealthy",
                matches!(source.health, SourceHealth::Unhealthy(_)),
            ),
        ] {
            health.count(&[name, ("health", state)], is_so.into());
        }
        restarts.count(&[name], source.restarts);
        redacted.count(&[name], source.redacted);
    }
    [
        rows, dropped, in_flight, batches, health, restarts, redacted,
    ]
    .map(|family| family.made)
}

/// Every queue by what it belongs to and its name. Subscribers of the same name are told as one.
fn queues(status: &PipelineStatus) -> BTreeMap<(&'static str, &str), QueueCounts> {
    let mut queues: BTreeMap<(&'static str, &str), QueueCounts> = BTreeMap::new();
    for slot in &status.slots {
        *queues.entry(("slot", &slot.slot)).or_default() += &slot.queue;
    }
    for subscriber in &status.bus.subscribers {
        if !subscriber.name.starts_with(SLOT_SUBSCRIBER) {
            *queues.entry(("subscriber", &subscriber.name)).or_default() += &subscriber.counts;
        }
    }
    *queues.entry(("departed", "")).or_default() += &status.bus.departed;
    queues
}

fn of_queues(status: &PipelineStatus) -> [MetricFamily; 4] {
    let mut rows = Family::counter(
        "weir_queue_rows_total",
        "Rows of a slot's or subscriber's queue: matched = delivered + dropped + queued.",
    );
    let mut dropped = Family::counter(
        "weir_queue_dropped_rows_total",
        "Rows that a queue lost, by reason.",
    );
    let mut queued = Family::gauge("weir_queue_queued_rows", "Rows that wait in a queue.");
    let mut bytes = Family::gauge(
        "weir_queue_queued_bytes",
        "Bytes that a queue keeps alive; those that queues share count in each.",
    );
    for ((of, name), counts) in queues(status) {
        let labels = [("of", of), ("name", name)];
        for (state, count) in [("matched", counts.matched), ("delivered", counts.delivered)] {
            rows.count(&[&labels[..], &[("state", state)]].concat(), count.rows);
        }
        dropped.drops(&labels, &counts.dropped);
        queued.count(&labels, counts.queued.rows);
        bytes.count(&labels, counts.queued_bytes);
    }
    [rows, dropped, queued, bytes].map(|family| family.made)
}

fn of_the_daemon(status: &PipelineStatus, own: &Own) -> Vec<MetricFamily> {
    let one = |mut family: Family, value: f64| {
        family.line(&[], value);
        family.made
    };
    let mut build = Family::gauge("weir_build_info", "1, with the version.");
    build.count(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let mut families = vec![
        build.made,
        one(
            Family::counter("weir_bus_published_rows_total", "Rows that were published."),
            number(status.bus.published.rows),
        ),
        one(
            Family::counter(
                "weir_bus_published_batches_total",
                "Batches that were published.",
            ),
            number(status.bus.published.batches),
        ),
        one(
            Family::gauge("weir_uptime_seconds", "How long the daemon has run."),
            own.uptime.as_secs_f64(),
        ),
        one(
            Family::counter(
                "weir_metrics_write_failures_total",
                "How often this file could not be written.",
            ),
            number(own.failures),
        ),
    ];
    if let Some(cost) = own.cost {
        // Not the bare `process_` names: whoever serves this file has those of its own.
        families.push(one(
            Family::counter("weir_process_cpu_seconds_total", "CPU time of the daemon."),
            cost.cpu.as_secs_f64(),
        ));
        families.push(one(
            Family::gauge(
                "weir_process_resident_memory_bytes",
                "Resident memory of the daemon.",
            ),
            number(cost.resident_bytes),
        ));
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::FaultReason;
    use crate::slot::SlotStatistics;
    use crate::trigger::TriggersStatus;
    use prometheus::TextEncoder;
    use weir_bus::pubsub::{BusStatistics, EventBus as _, LocalBus, SubscriptionOptions};

    fn text(status: &PipelineStatus) -> String {
        let own = Own {
            uptime: Duration::from_millis(1_500),
            cost: None,
            failures: 2,
        };
        let encoder = TextEncoder::new();
        encoder.encode_to_string(&families(status, &own)).unwrap()
    }

    #[test]
    fn each_family_has_its_help_its_type_and_base_units() {
        let slot = SlotStatistics {
            slot: "a".to_owned(),
            state: "running".to_owned(),
            cpu: Duration::from_millis(250),
            faults: [(FaultReason::Fuel, 3)].into(),
            counters: [("said \"hi\"".to_owned(), 7)].into(),
            ..SlotStatistics::default()
        };
        let status = PipelineStatus {
            sources: Vec::new(),
            slots: vec![slot],
            triggers: TriggersStatus::default(),
            bus: BusStatistics::default(),
        };
        let text = text(&status);
        for line in [
            "# HELP weir_slot_cpu_seconds_total CPU time of the slot's thread.",
            "# TYPE weir_slot_cpu_seconds_total counter",
            "weir_slot_cpu_seconds_total{slot=\"a\"} 0.25",
            "# TYPE weir_slot_memory_bytes gauge",
            "weir_slot_faults_total{slot=\"a\",reason=\"fuel\"} 3",
            "weir_slot_faults_total{slot=\"a\",reason=\"trap\"} 0",
            "weir_guest_counter_total{slot=\"a\",counter=\"said \\\"hi\\\"\"} 7",
            "weir_uptime_seconds 1.5",
            "weir_metrics_write_failures_total 2",
            "weir_slot_running{slot=\"a\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "no `{line}` in {text}");
        }
        assert!(!text.contains("weir_source_"), "{text}");
    }

    #[test]
    fn subscribers_of_one_name_share_a_line() {
        let bus = LocalBus::new();
        let subscribe = || {
            let all = ">".parse().unwrap();
            bus.subscribe(SubscriptionOptions::new("twin").patterns(vec![all]))
        };
        let _kept = (subscribe().unwrap(), subscribe().unwrap());
        let text = text(&PipelineStatus {
            sources: Vec::new(),
            slots: Vec::new(),
            triggers: TriggersStatus::default(),
            bus: bus.statistics(),
        });
        let lines = text.lines().filter(|line| {
            line.starts_with("weir_queue_queued_rows{of=\"subscriber\",name=\"twin\"}")
        });
        assert_eq!(lines.count(), 1, "{text}");
    }
}
