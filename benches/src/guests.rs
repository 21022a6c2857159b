//! The guests of the benches, in a sandbox as the daemon has one: compiled by the child, cached in a
//! folder that is gone when the bench ends, every limit at its default.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use weir::config::Module as ModuleName;
use weir::sandbox::{
    Compiler, GuestOrder, Instance, Outcome, Prepared, Sandbox, SandboxOptions, World,
};
use weir_bus::Batch;

/// Linear memory of all guests together: the config's default.
const GUESTS_MEMORY_BYTES_MAX: usize = 512 << 20;

/// The bench guests by the name of their file, as the build made them of `guests/bench/`.
const COMPONENTS: [(&str, &[u8]); 6] = [
    (
        "text.wasm",
        include_bytes!(concat!(env!("OUT_DIR"), "/text.wasm")),
    ),
    (
        "numeric.wasm",
        include_bytes!(concat!(env!("OUT_DIR"), "/numeric.wasm")),
    ),
    (
        "empty.wasm",
        include_bytes!(concat!(env!("OUT_DIR"), "/empty.wasm")),
    ),
    (
        "rules.wasm",
        include_bytes!(concat!(env!("OUT_DIR"), "/rules.wasm")),
    ),
    (
        COUNTER,
        include_bytes!(concat!(env!("OUT_DIR"), "/counter.wasm")),
    ),
    (
        "spin.wasm",
        include_bytes!(concat!(env!("OUT_DIR"), "/spin.wasm")),
    ),
];

/// The guest with memory.
pub(crate) const COUNTER: &str = "counter.wasm";
/// The same guest as another module: it has a custom section more, and so another digest.
pub(crate) const COUNTER_TWIN: &str = "counter-twin.wasm";
/// A custom section without content: its id, its length, its name with the name's length.
const TWINS_SECTION: &[u8] = b"\x00\x05\x04twin";

/// The guest of the peer `list-of-records`: no guest of the daemon.
pub(crate) static RECORDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/records.wasm"));

/// Folders with the guests, their compiled code and what is known of it.
pub(crate) struct Workshop {
    folder: TempDir,
}

impl Workshop {
    /// Writes the guests into a new temporary folder.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let folder = TempDir::new().context("a temporary folder")?;
        for inner in ["guests", "cache", "state"] {
            fs::create_dir(folder.path().join(inner))?;
        }
        for (name, bytes) in COMPONENTS {
            let guests = folder.path().join("guests");
            fs::write(guests.join(name), bytes)?;
            if name == COUNTER {
                fs::write(guests.join(COUNTER_TWIN), [bytes, TWINS_SECTION].concat())?;
            }
        }
        Ok(Self { folder })
    }

    /// A sandbox's options with these folders.
    fn options(&self) -> SandboxOptions {
        let path = self.folder.path();
        SandboxOptions {
            guest_folders: vec![path.join("guests")],
            cache_folder: path.join("cache"),
            state_folder: path.join("state"),
            guests_memory_bytes_max: GUESTS_MEMORY_BYTES_MAX,
            compiler: Compiler::default(),
        }
    }

    /// The same folders as keys of a config.
    pub(crate) fn flags(&self) -> anyhow::Result<Vec<(String, String)>> {
        let options = self.options();
        let text = |path: &Path| {
            let text = path
                .to_str()
                .context("a temporary folder's path is no text")?;
            anyhow::Ok(text.to_owned())
        };
        Ok(vec![
            (
                "sandbox.cache_folder".to_owned(),
                text(&options.cache_folder)?,
            ),
            (
                "sandbox.state_folder".to_owned(),
                text(&options.state_folder)?,
            ),
        ])
    }

    /// A sandbox over these folders.
    pub(crate) fn sandbox(&self) -> anyhow::Result<Sandbox> {
        Ok(Sandbox::new(self.options())?)
    }
}

/// The first instance of a guest of that world with those settings, as a slot gets it.
pub(crate) fn instance(
    sandbox: &Sandbox,
    world: World,
    module: &str,
    settings: &str,
) -> anyhow::Result<Instance> {
    let order = GuestOrder {
        slot: "bench".to_owned(),
        module: ModuleName::from(module.to_owned()),
        settings: settings.to_owned(),
        ..GuestOrder::default()
    };
    let prepared: Prepared = sandbox.prepare(&order)?;
    anyhow::ensure!(prepared.world == world, "{module} is no {}", world.as_str());
    Ok(prepared.split().0)
}

/// The first instance of a filter.
pub(crate) fn filter(sandbox: &Sandbox, module: &str, settings: &str) -> anyhow::Result<Instance> {
    instance(sandbox, World::Filter, module, settings)
}

/// A batch of the same columns that no guest has seen: nothing gathered for an earlier call serves it.
pub(crate) fn unseen(batch: &Batch) -> anyhow::Result<Batch> {
    let columns = batch.records().columns().to_vec();
    Ok(Batch::new(batch.header().clone(), columns)?)
}

/// What a guest answered; anything else is the end of a run.
pub(crate) fn answered<T>(outcome: Outcome<T>) -> anyhow::Result<T> {
    match outcome {
        Outcome::Answer(answer) => Ok(answer),
        Outcome::Retry(why) | Outcome::Reject(why) => bail!("no verdict: {why}"),
        Outcome::Fault(fault) => bail!("a fault: {fault}"),
    }
}
