//! The daemon as a process: started on its embedded default, in a home of its own, and asked how it does.
//!
//! It is this program under the daemon's name. The invariant: it is killed and reaped when its value goes, and by
//! the kernel should this process be killed.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::measure::figure;
use crate::socket::DAEMON_NAME;
use crate::socket::process::{own_path, settle};
use crate::sources::DAEMON_VERB;

/// A config of this machine would take the place of the embedded default.
const SYSTEM_CONFIG: &str = "/etc/weir/weir.toml";
/// What the daemon's environment keeps: where programs are.
const KEPT_VARIABLE: &str = "PATH";
/// Without these there is neither eBPF nor taskstats, nor what else takes more than reading `/proc`.
const PRIVILEGES: [CapabilitySet; 4] = [
    CapabilitySet::SYS_ADMIN,
    CapabilitySet::BPF,
    CapabilitySet::PERFMON,
    CapabilitySet::NET_ADMIN,
];
/// Where in its home it says what it has to say.
const LOG: &str = "log";
/// How long it may take until it answers: it compiles all guests, at a low priority, on a machine that may be busy.
const START_PATIENCE: Duration = Duration::from_secs(300);
/// How often it is asked whether it answers yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// What is quoted of what it said before it failed.
const LAST_WORDS_BYTES: usize = 2_000;

/// What the launcher is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Launch {
    home: PathBuf,
    arguments: Vec<String>,
    by_proc_only: bool,
}

impl Launch {
    /// Becomes that program; returns only if that fails.
    fn exec(&self) -> anyhow::Error {
        let home = &self.home;
        let mut command = match own_path() {
            Ok(path) => Command::new(path),
            Err(error) => return error,
        };
        command
            .arg0(DAEMON_NAME)
            .args(&self.arguments)
            .env_clear()
            .envs(std::env::var_os(KEPT_VARIABLE).map(|value| (KEPT_VARIABLE, value)))
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("WEIR_BUS__SOCKET", home.join("weir.sock"))
            .env("WEIR_SANDBOX__CACHE_FOLDER", home.join("cache"))
            .env("WEIR_SANDBOX__STATE_FOLDER", home.join("state"));
        anyhow::Error::from(command.exec()).context("the daemon")
    }
}

/// Becomes the daemon, or a program that asks it.
pub(in crate::sources) fn launch(argument: &OsStr) -> anyhow::Result<()> {
    let launch: Launch = serde_json::from_slice(argument.as_encoded_bytes())?;
    settle(None)?;
    if launch.by_proc_only && rustix::process::geteuid().is_root() {
        for privilege in PRIVILEGES {
            remove_capability_from_bounding_set(privilege).context("giving a privilege up")?;
        }
    }
    Err(launch.exec())
}

/// A daemon that runs.
pub(super) struct Daemon {
    home: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts it; it answers when this returns. In a new home it first compiles its guests. `by_proc_only`: without
    /// the privileges that better ways take.
    pub(super) fn start(home: &Path, by_proc_only: bool) -> anyhow::Result<Self> {
        ensure!(
            !Path::new(SYSTEM_CONFIG).exists(),
            "{SYSTEM_CONFIG} is there, and what is measured is the daemon without a config; move it away"
        );
        let launch = Launch {
            home: home.to_owned(),
            arguments: ["run", "--output", "json"].map(str::to_owned).to_vec(),
            by_proc_only,
        };
        let child = Command::new(own_path()?)
            .args([DAEMON_VERB, &serde_json::to_string(&launch)?])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(home.join(LOG))?)
            .spawn()?;
        let mut daemon = Self {
            home: home.to_owned(),
            child,
        };
        let deadline = Instant::now() + START_PATIENCE;
        while let Err(error) = daemon.sources() {
            if daemon.child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("the daemon doesn't answer ({error:#}): {}", daemon.words());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(daemon)
    }

    /// Its process.
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it says of its sources: `weir status --sources --json`.
    pub(super) fn sources(&self) -> anyhow::Result<Value> {
        let launch = Launch {
            home: self.home.clone(),
            arguments: ["status", "--sources", "--json"]
                .map(str::to_owned)
                .to_vec(),
            by_proc_only: false,
        };
        let output = Command::new(own_path()?)
            .args([DAEMON_VERB, &serde_json::to_string(&launch)?])
            .stdin(Stdio::null())
            .output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let sources = serde_json::from_slice(&output.stdout);
        sources.context("its answer")
    }

    fn words(&self) -> String {
        let words = std::fs::read_to_string(self.home.join(LOG)).unwrap_or_default();
        let last = words.len().saturating_sub(LAST_WORDS_BYTES);
        words.get(last..).unwrap_or(&words).to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else that could be done here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How the source of processes does, as the daemon tells it.
#[derive(Debug)]
pub(super) struct Processes {
    /// From look to look, in seconds.
    pub(super) interval_s: f64,
    /// Whether its budget makes that longer than was asked for.
    pub(super) is_stretched: bool,
    pub(super) looks: u64,
    pub(super) health: String,
    /// The way in use.
    pub(super) way: String,
}

impl Processes {
    /// From the daemon's answer.
    pub(super) fn of(answer: &Value) -> anyhow::Result<Self> {
        let sources = answer.get("sources").and_then(Value::as_array);
        let named = |source: &&Value| source.get("name").and_then(Value::as_str) == Some("process");
        let source = sources.and_then(|sources| sources.iter().find(named));
        let source = source.context("the daemon has no source of processes")?;
        let interval = source.pointer("/schedule/in_force_ms");
        let interval = interval.and_then(Value::as_u64).context("no interval")?;
        let reports = source.get("tiers").and_then(Value::as_array);
        let used = |report: &&Value| report.get("used") == Some(&Value::Bool(true));
        let way = reports.and_then(|reports| reports.iter().find(used)?.get("name")?.as_str());
        let stretched = source.pointer("/schedule/stretched");
        let looks = source.pointer("/schedule/runs");
        let health = source.get("health").and_then(Value::as_str);
        Ok(Self {
            interval_s: figure(interval) / 1e3,
            is_stretched: stretched == Some(&Value::Bool(true)),
            looks: looks.and_then(Value::as_u64).unwrap_or_default(),
            health: health.unwrap_or("unknown").to_owned(),
            way: way.unwrap_or("unknown").to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_processes_is_found_in_what_the_daemon_says() {
        let answer = serde_json::json!({"sources": [
            {"name": "network", "schedule": {"in_force_ms": 5_000}},
            {"name": "process", "health": "healthy",
             "schedule": {"in_force_ms": 2_500, "stretched": true, "runs": 7},
             "tiers": [{"name": "best", "used": false}, {"name": "/proc", "used": true}]},
        ]});
        let processes = Processes::of(&answer).expect("the source");
        assert!((processes.interval_s - 2.5).abs() < 1e-9);
        assert!(processes.is_stretched && processes.looks == 7);
        assert_eq!((&*processes.way, &*processes.health), ("/proc", "healthy"));
        assert!(Processes::of(&serde_json::json!({"sources": []})).is_err());
    }
}
