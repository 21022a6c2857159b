//! The processes of a run: how they are started, pinned and ended.
//!
//! This program starts itself again for every client, and as a launcher that becomes a broker. The
//! invariant: what was started is killed and reaped when its value goes, on errors and panics, too;
//! and should this process be killed, the kernel kills what it started.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

use super::{CLIENT_VERB, LAUNCH_VERB};

/// Where distributions put servers, which a user's `PATH` may leave out.
const SERVER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// A core by the kernel's number.
pub(super) type Core = usize;

/// The first two cores that this process may run on.
pub(super) fn two_cores() -> anyhow::Result<[Core; 2]> {
    let allowed = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    match (cores.next(), cores.next()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => bail!("latency across cores needs two cores, and this process may run on one only"),
    }
}

/// What a process does first: it goes when its parent goes, and stays on its core if it has one.
pub(crate) fn settle(core: Option<Core>) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Some(core) = core {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(None, &set).with_context(|| format!("staying on core {core}"))?;
    }
    Ok(())
}

/// A program that another process is to become.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Program {
    path: PathBuf,
    /// What it is called as.
    name: String,
    arguments: Vec<String>,
}

impl Program {
    /// A server of the Debian package of the same name.
    ///
    /// # Errors
    /// If it isn't installed.
    pub(super) fn of_package(name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        Ok(Self::at(installed(name, name)?, name, arguments))
    }

    /// The daemon: this program, called by the daemon's name.
    pub(super) fn daemon(arguments: &[&str]) -> anyhow::Result<Self> {
        Ok(Self::at(own_path()?, super::DAEMON_NAME, arguments))
    }

    fn at(path: PathBuf, name: &str, arguments: &[&str]) -> Self {
        Self {
            path,
            name: name.to_owned(),
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    /// What it says of its version, in one line.
    pub(super) fn version(&self) -> anyhow::Result<String> {
        let mut command = Command::new(&self.path);
        let output = command.arg0(&self.name).arg("--version").output();
        let output = output.with_context(|| format!("{} --version", self.name))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Where a program of a Debian package is.
///
/// # Errors
/// If it isn't installed.
pub(crate) fn installed(program: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SERVER_FOLDERS.map(PathBuf::from));
    let mut places = folders.map(|folder| folder.join(program));
    let Some(path) = places.find(|place| place.is_file()) else {
        bail!(
            "the peer {program} isn't installed: `make bench-peers`, or `apt-get install {package}`"
        );
    };
    Ok(path)
}

/// What the launcher is told.
#[derive(Serialize, Deserialize)]
struct Launch {
    core: Option<Core>,
    program: Program,
}

/// Becomes the program that the argument names; returns only if that fails.
pub(super) fn launch(argument: &OsStr) -> anyhow::Result<()> {
    let launch: Launch = serde_json::from_slice(argument.as_encoded_bytes())?;
    settle(launch.core)?;
    let program = launch.program;
    let mut command = Command::new(&program.path);
    let error = command.arg0(&program.name).args(&program.arguments).exec();
    Err(error).with_context(|| program.path.display().to_string())
}

/// Where this program is.
pub(crate) fn own_path() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("this program's path")
}

/// A process that ends with this value.
pub(super) struct Process(pub(super) Child);

impl Process {
    /// Starts a program that writes what it has to say into `log`.
    pub(super) fn launch(
        program: &Program,
        core: Option<Core>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let launch = Launch {
            core,
            program: program.clone(),
        };
        let log = File::create(log)?;
        let child = Command::new(own_path()?)
            .args([LAUNCH_VERB, &serde_json::to_string(&launch)?])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self(child))
    }

    /// Starts a client with its errand; what is said to it and by it goes through pipes.
    pub(super) fn client(errand: String) -> anyhow::Result<Self> {
        let child = Command::new(own_path()?)
            .args([OsString::from(CLIENT_VERB), errand.into()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else that could be done here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
