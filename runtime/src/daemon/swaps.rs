//! What happened to the slots' guests: a line on the terminal, and an event on
//! `control.guest.<slot>.swapped`, `.confirmed`, `.rolled-back` or `.refused`.

use std::sync::Arc;

use weir_bus::pubsub::EventBus;
use weir_bus::topic;

use super::events::ControlEvents;
use crate::pipeline::Pipeline;
use crate::sink::{Console, Output};
use crate::slot::SwapNotice;

/// Tells of every swap.
pub(super) struct SwapWatch {
    events: ControlEvents,
}

impl SwapWatch {
    pub(super) fn new(bus: Arc<dyn EventBus>) -> Self {
        Self {
            events: ControlEvents::new("guest", bus),
        }
    }

    /// Tells what happened since the last look.
    pub(super) fn look(&mut self, pipeline: &Pipeline, console: &Console) {
        for (name, slot) in pipeline.slots() {
            for notice in slot.take_notices() {
                self.tell(name, &notice, console);
            }
        }
    }

    fn tell(&mut self, slot: &str, notice: &SwapNotice, console: &Console) {
        let what = notice.what.as_str();
        match console.output() {
            Output::Json => {
                let line = serde_json::json!({"type": "swap", "slot": slot, "notice": notice});
                console.json(&line);
            }
            Output::Pretty => {
                let generation = notice.generation;
                let why = match notice.reason.as_str() {
                    "" => String::new(),
                    reason => format!(": {reason}"),
                };
                let module = &notice.module;
                console.line(&format!(
                    "guest    {slot}: {what}, generation {generation} ({module}) is in force{why}"
                ));
            }
        }
        let Ok(topic) = topic::families::control_guest(slot, what) else {
            return;
        };
        let attributes = [
            ("generation", notice.generation.to_string()),
            ("module", notice.module.clone()),
            ("digest", notice.digest.clone()),
            ("other", notice.other.clone()),
            ("pause-us", notice.pause_us.to_string()),
            ("unseen", notice.unseen.to_string()),
            ("reason", notice.reason.clone()),
        ];
        self.events.publish(topic, slot, &attributes);
    }
}
