//! The guests of the benches, in a sandbox as the daemon has one: compiled by the child, cached in a
//! folder that is gone when the bench ends, every limit at its default.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;
use weir::config::Module as ModuleName;
use weir::sandbox::{Compiler, GuestOrder, Instance, Prepared, Sandbox, SandboxOptions, World};

/// Linear memory of all guests together: the config's default.
const GUESTS_MEMORY_BYTES_MAX: usize = 512 << 20;

/// The bench guests by the name of their file, as the build made them of `guests/bench/`.
const COMPONENTS: [(&str, &[u8]); 4] = [
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
];

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
            fs::write(folder.path().join("guests").join(name), bytes)?;
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

/// The first instance of a filter with those settings, as a slot gets it.
pub(crate) fn filter(sandbox: &Sandbox, module: &str, settings: &str) -> anyhow::Result<Instance> {
    let order = GuestOrder {
        slot: "bench".to_owned(),
        module: ModuleName::from(module.to_owned()),
        settings: settings.to_owned(),
        ..GuestOrder::default()
    };
    let prepared: Prepared = sandbox.prepare(&order)?;
    anyhow::ensure!(prepared.world == World::Filter, "{module} is no filter");
    Ok(prepared.split().0)
}
