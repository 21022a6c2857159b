//! What guests say in the log, by slot: slots of different tests must have different names to be
//! told apart.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Where the log keeps guests' lines.
const GUEST_TARGET: &str = "weir::guest";

type Lines = Mutex<BTreeMap<String, Vec<String>>>;

fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(Lines::default)
}

struct Capture;

#[derive(Default)]
struct Said {
    slot: String,
    message: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "slot" {
            value.clone_into(&mut self.slot);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != GUEST_TARGET {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        let mut lines = lines().lock().unwrap_or_else(PoisonError::into_inner);
        lines.entry(said.slot).or_default().push(said.message);
    }
}

/// From now on guests' lines are kept. Called by every rig.
pub fn capture() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let subscriber = tracing_subscriber::registry().with(Capture);
        tracing::subscriber::set_global_default(subscriber).expect("nobody else captures the log");
    });
}

/// What the guests of a slot have said so far.
#[must_use]
pub fn of_slot(slot: &str) -> Vec<String> {
    let lines = lines().lock().unwrap_or_else(PoisonError::into_inner);
    lines.get(slot).cloned().unwrap_or_default()
}
