//! `weir check`: the config and every guest that it names, without starting anything.

use std::process::ExitCode;

use super::{Failure, Global, guests, logs};
use crate::chain::plans::{Offers, Plans};
use crate::sandbox::World;

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
        ..Offers::default()
    };
    Plans::new(&loaded.config, &offers).map_err(|error| Failure::Usage(error.to_string()))?;
    println!(
        "the config is in order: {} sources, {} slots, {} sinks",
        loaded.config.sources.len(),
        loaded.config.slots.len(),
        loaded.config.sinks.len()
    );
    Ok(ExitCode::SUCCESS)
}
