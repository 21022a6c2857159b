//! Health: every source's and slot's state, and the daemon's own cost. The worst decides the whole.
//!
//! Each change is a line on the terminal and an event on `control.health.<component>`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use weir_bus::pubsub::{BusHealth, EventBus};
use weir_bus::topic;
use weir_sources::{OwnCost, SourceHealth};

use super::events::ControlEvents;
use crate::config::CollectorSettings;
use crate::pipeline::{Pipeline, PipelineStatus};
use crate::sink::{Console, Output};

/// Errors among calls, in percent of a window, past which a slot is degraded.
const ERRORS_DEGRADED_PERCENT: u64 = 10;
/// How often the bus's counts are told on it: seldom enough that the rows cost nothing, often enough to see who is slow.
const BUS_INTERVAL: Duration = Duration::from_secs(10);
/// What the whole is called beside its components.
const WHOLE: &str = "weir";

/// The calls of a slot up to the beginning of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    answered: u64,
    errors: u64,
}

/// A component's health that has changed.
#[derive(Serialize)]
#[serde(tag = "type", rename = "health")]
struct Change<'a> {
    component: &'a str,
    health: &'a SourceHealth,
}

/// Watches everything's health, at its interval.
pub(super) struct HealthWatch {
    interval: Duration,
    telemetry: bool,
    next: Instant,
    known: BTreeMap<String, SourceHealth>,
    windows: BTreeMap<String, Window>,
    events: ControlEvents,
    bus: BusHealth,
    next_of_bus: Instant,
}

impl HealthWatch {
    pub(super) fn new(settings: &CollectorSettings, bus: Arc<dyn EventBus>) -> Self {
        Self {
            interval: settings.health_interval,
            telemetry: settings.telemetry,
            next: Instant::now() + settings.health_interval,
            known: BTreeMap::new(),
            windows: BTreeMap::new(),
            events: ControlEvents::new("health", bus),
            bus: BusHealth::default(),
            next_of_bus: Instant::now() + BUS_INTERVAL,
        }
    }

    /// Looks at everything if it is time to.
    pub(super) fn look(&mut self, pipeline: &Pipeline, console: &Console) {
        let now = Instant::now();
        if now >= self.next_of_bus {
            self.next_of_bus = now + BUS_INTERVAL;
            let rows = self.bus.events(&pipeline.status().bus);
            self.events
                .publish_events(topic::families::bus_health(), &rows);
        }
        if now < self.next {
            return;
        }
        self.next = now + self.interval;
        let status = pipeline.status();
        let found = self.components(&status);
        let whole = found
            .values()
            .cloned()
            .fold(SourceHealth::Healthy, SourceHealth::worse);
        for (component, health) in found {
            self.note(&component, health, console);
        }
        self.note(WHOLE, whole, console);
        if self.telemetry {
            self.own_cost();
        }
    }

    /// Whatever isn't healthy, and the whole, as far as it has been looked at.
    pub(super) fn known(&self) -> BTreeMap<String, String> {
        let mut known: BTreeMap<String, String> = self
            .known
            .iter()
            .map(|(component, health)| (component.clone(), health.to_string()))
            .collect();
        let whole = known.entry(WHOLE.to_owned());
        whole.or_insert_with(|| SourceHealth::Healthy.to_string());
        known
    }

    fn components(&mut self, status: &PipelineStatus) -> BTreeMap<String, SourceHealth> {
        let mut found = BTreeMap::new();
        for source in &status.sources {
            found.insert(source.name.clone(), source.health.clone());
        }
        for slot in &status.slots {
            let errors = slot.faults_total() + slot.rejected;
            let window = self.windows.entry(slot.slot.clone()).or_default();
            let failed = errors.saturating_sub(window.errors);
            let calls = failed + slot.answered.saturating_sub(window.answered);
            *window = Window {
                answered: slot.answered,
                errors,
            };
            let health = if slot.state == "stalled" {
                SourceHealth::Unhealthy("its threads do not return from the guest".to_owned())
            } else if let Some(quarantine) = &slot.quarantine {
                let why = &quarantine.why;
                let reason = format!(
                    "in quarantine: {} faults, the last {}",
                    why.faults, why.reason
                );
                SourceHealth::Unhealthy(reason)
            } else if failed * 100 > calls * ERRORS_DEGRADED_PERCENT {
                let last = slot.last_fault.as_ref().map(ToString::to_string);
                let last = last.unwrap_or_else(|| "rejected".to_owned());
                SourceHealth::Degraded(format!(
                    "{failed} of {calls} calls without an answer: {last}"
                ))
            } else {
                SourceHealth::Healthy
            };
            found.insert(slot.slot.clone(), health);
        }
        found
    }

    fn note(&mut self, component: &str, health: SourceHealth, console: &Console) {
        let before = self.known.get(component).unwrap_or(&SourceHealth::Healthy);
        if *before == health {
            return;
        }
        match console.output() {
            Output::Json => console.json(&Change {
                component,
                health: &health,
            }),
            Output::Pretty => console.line(&format!("health   {component}: {health}")),
        }
        self.publish(component, "health", &health.to_string());
        self.known.insert(component.to_owned(), health);
    }

    /// The daemon's own CPU time and memory, as events.
    fn own_cost(&mut self) {
        if let Some(cost) = OwnCost::read() {
            self.publish(WHOLE, "cpu-ms", &cost.cpu.as_millis().to_string());
            self.publish(WHOLE, "resident-bytes", &cost.resident_bytes.to_string());
        }
    }

    fn publish(&mut self, component: &str, attribute: &str, value: &str) {
        if let Ok(topic) = topic::families::control_health(component) {
            let attributes = [(attribute, value.to_owned())];
            self.events.publish(topic, component, &attributes);
        }
    }
}
