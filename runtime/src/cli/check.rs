//! `weir check`: the config and every guest that it names, without starting anything.

use std::process::ExitCode;

use super::{Failure, Global, guests, logs};
use crate::chain::plans::{Offers, Plans};
use crate::sandbox::World;
use crate::sources::triggerables;

pub(super) fn check(global: &Global) -> Result<ExitCode, Failure> {
    let loaded = global.load()?;
    logs::start(&loaded.config.log)?;
    let guests = guests(&loaded.config)?;
    let prepared = guests
        .prepare_all(&loaded.config)
        .map_err(|error| Failure::Usage(error.located(&loaded.provenance)))?;
    for (slot, guest) in &prepared {
        let (name, version) = &guest.description;
        let signed = guest.signed_by.as_ref();
        let signed = signed.map_or_else(String::new, |signer| format!(", signed by {signer}"));
        println!(
            "slots.{slot}: {} {name} {version}, {}, sha256 {}{signed}",
            guest.world.as_str(),
            guest.module,
            guest.digest
        );
    }
    let stages = prepared.iter();
    let stages = stages.filter(|(_, guest)| guest.world == World::Stage);
    let offers = Offers {
        slots: stages
            .map(|(slot, guest)| (slot.clone(), guest.wants.kinds.clone()))
            .collect(),
        sources: triggerables(&loaded.config.sources).into_keys().collect(),
    };
    let plans = Plans::new(&loaded.config, &offers);
    let plans = plans.map_err(|error| Failure::Usage(error.to_string()))?;
    for (slot, guest) in &prepared {
        let fit = plans.rules_fit(slot, &guest.wants);
        fit.map_err(|error| Failure::Usage(error.to_string()))?;
    }
    for (name, trigger) in &loaded.config.trigger {
        let to = match trigger.target.as_str() {
            "" => "the stages",
            target => target,
        };
        println!(
            "trigger.{name}: {} events, {}, to {to}",
            trigger.kind, trigger.priority
        );
    }
    let config = &loaded.config;
    let mut line = format!(
        "the config is in order: {} sources, {} slots, {} sinks",
        config.sources.len(),
        config.slots.len(),
        config.sinks.len()
    );
    for (count, what) in [
        (config.trigger.len(), "triggers"),
        (config.exception.len(), "exceptions"),
        (config.chain.len(), "chains"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    println!("{line}");
    Ok(ExitCode::SUCCESS)
}
