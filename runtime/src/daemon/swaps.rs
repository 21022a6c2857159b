//! What happened to the slots' guests: a line on the terminal, and an event on
//! `control.guest.<slot>.swapped`, `.confirmed`, `.rolled-back` or `.refused`.

use std::sync::Arc;
use std::time::Instant;

use weir_bus::pubsub::EventBus;
use weir_bus::topic;

use super::events::ControlEvents;
use crate::keeper::SAVE_EVERY;
use crate::pipeline::Pipeline;
use crate::sink::{Console, Output};
use crate::slot::SwapNotice;

/// Tells of every swap, and sees to it that what it led to is kept.
pub(super) struct SwapWatch {
    events: ControlEvents,
    saved: Instant,
}

impl SwapWatch {
    pub(super) fn new(bus: Arc<dyn EventBus>) -> Self {
        Self {
            events: ControlEvents::new("guest", bus),
            saved: Instant::now(),
        }
    }

    /// Tells what happened since the last look. What is in force then is kept first, so that what is told is so
    /// after a kill, too.
    pub(super) async fn look(&mut self, pipeline: &Pipeline, console: &Console) {
        let slots = pipeline.slots().iter();
        let happened: Vec<_> = slots
            .flat_map(|(name, slot)| {
                let notices = slot.take_notices().into_iter();
                notices.map(move |notice| (name, notice))
            })
            .collect();
        if !happened.is_empty() || self.saved.elapsed() >= SAVE_EVERY {
            self.saved = Instant::now();
            pipeline.save().await;
        }
        for (name, notice) in happened {
            self.tell(name, &notice, console);
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
        let mut attributes = vec![
            ("generation", notice.generation.to_string()),
            ("module", notice.module.clone()),
            ("digest", notice.digest.clone()),
            ("other", notice.other.clone()),
            ("pause-us", notice.pause_us.to_string()),
            ("unseen", notice.unseen.to_string()),
            ("reason", notice.reason.clone()),
        ];
        if let Some(compared) = &notice.rehearsal {
            attributes.extend([
                ("replayed-batches", compared.batches.to_string()),
                ("replayed-rows", compared.rows.to_string()),
                ("replayed-rows-alike", compared.rows_alike.to_string()),
                ("replayed-fuel", compared.fuel.to_string()),
                ("replayed-fuel-before", compared.fuel_in_force.to_string()),
            ]);
        }
        self.events.publish(topic, slot, &attributes);
    }
}
