//! Guests change places: nothing is lost by it, and what is in force after it is what proved itself.

mod by_hand;
mod kill;
mod probation;
mod rehearsal;
mod restart;
mod shadow;

use weir::config::{LoadRequest, SlotSettings};
use weir::slot::{SwapEvent, SwapNotice};
use weir_tests::rig::{Rig, Setup};

const SLOT: &str = "under-test";
const FILTER: &str = "weir_hostile_filter.wasm";
const TRIGGER: &str = "weir_hostile_trigger.wasm";

fn config(module: &str, settings: &str) -> String {
    format!(
        r#"
[collector]
batch_timeout = "10s"
[slots.{SLOT}]
module = "{module}"
settings = {settings}
grants = ["log", "state"]
"#
    )
}

fn settings_of(module: &str, settings: &str) -> SlotSettings {
    let request = LoadRequest {
        embedded_default: &config(module, settings),
        ..LoadRequest::default()
    };
    let config = weir::config::load(&request).expect("a config").config;
    config.slots[SLOT].clone()
}

fn start(module: &str, settings: &str) -> Rig {
    let started = Setup::new(config(module, settings)).start();
    started.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

fn notices(rig: &Rig) -> Vec<SwapNotice> {
    rig.pipeline().slots()[SLOT].take_notices()
}

fn what(notices: &[SwapNotice]) -> Vec<SwapEvent> {
    notices.iter().map(|notice| notice.what).collect()
}
