//! A broker that the bench started: listening when it is handed out, ended when it goes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::line::Line;
use super::process::{Core, Process, Program};
use super::side::{Address, System};
use super::{nats, redis, weir};

/// How long a broker may take until it listens.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How often that is tried.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// What is quoted of what a broker said before it failed.
const LAST_WORDS_BYTES: usize = 2_000;

/// A broker, or the place where there is none.
pub(super) struct Broker {
    pub(super) system: System,
    pub(super) address: Address,
    process: Option<Process>,
}

impl Broker {
    /// The process of the broker.
    pub(super) fn process(&self) -> anyhow::Result<u32> {
        let process = self.process.as_ref();
        Ok(process.context("there is no broker")?.0.id())
    }

    /// Starts a system's broker with its files in `folder`, on that core or on any.
    pub(super) fn start(system: System, folder: &Path, core: Option<Core>) -> anyhow::Result<Self> {
        let Some((program, address)) = program(system, folder)? else {
            return Ok(Self {
                system,
                address: Address::Path(folder.join("raw.sock")),
                process: None,
            });
        };
        let log = folder.join(format!("{}.log", system.name()));
        let mut process = Process::launch(&program, core, &log)?;
        let deadline = Instant::now() + START_PATIENCE;
        while let Err(error) = Line::connect(&address) {
            let ended = process.0.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let words = fs::read_to_string(&log).unwrap_or_default();
                let last = words.len().saturating_sub(LAST_WORDS_BYTES);
                let words = words.get(last..).unwrap_or(&words);
                bail!("{} doesn't listen ({error:#}): {words}", system.name());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(Self {
            system,
            address,
            process: Some(process),
        })
    }
}

fn program(system: System, folder: &Path) -> anyhow::Result<Option<(Program, Address)>> {
    Ok(Some(match system {
        System::Weir => weir::program(folder)?,
        System::Nats => nats::program()?,
        System::Redis => redis::program(folder)?,
        System::Raw => return Ok(None),
    }))
}

/// What a system's broker says of its version; none where there is no broker.
pub(super) fn version(system: System, folder: &Path) -> anyhow::Result<Option<String>> {
    let program = program(system, folder)?;
    program
        .map(|(program, _)| program.version())
        .transpose()
        .with_context(|| format!("the version of {}", system.name()))
}
