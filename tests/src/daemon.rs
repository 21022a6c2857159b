//! The daemon as a process: the real binary, with a home of its own, read line by line.
//!
//! Not a sandbox for it: it looks at the real machine. Invariant: no daemon outlives its test.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::rig::cache_folders;
use crate::{PATIENCE, hostile_guests, weir_binary};

/// What the daemon's environment keeps of the test's: where programs and temporary files are.
const KEPT_VARIABLES: [&str; 2] = ["PATH", "TMPDIR"];

/// A home for daemons: config, cache and state are apart from those of whoever runs the tests.
pub struct Home {
    folder: TempDir,
}

/// A daemon that runs.
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<Value>,
    stderr: Option<JoinHandle<String>>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// All its lines of JSON, in order.
    pub lines: Vec<Value>,
    /// What it said to stderr.
    pub stderr: String,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// An empty one.
    ///
    /// # Panics
    /// If there is no room for a temporary folder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// A file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file into it, whole at once: who watches it never sees half of it.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let (path, part) = (self.path(name), self.path("part"));
        std::fs::write(&part, bytes).expect("a file can be written");
        std::fs::rename(&part, &path).expect("a file can be renamed");
        path
    }

    /// The command line of the daemon, at home here.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let (cache, _) = cache_folders();
        let state = self.path("state");
        know_compiled_code(&state);
        let mut command = Command::new(weir_binary());
        command.env_clear();
        for name in KEPT_VARIABLES {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("WEIR_BUS__SOCKET", self.path("weir.sock"))
            .env("WEIR_SANDBOX__CACHE_FOLDER", cache)
            .env("WEIR_SANDBOX__STATE_FOLDER", state)
            .env("WEIR_SANDBOX__GUEST_FOLDERS", guest_folders(&self.folder))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Starts the daemon, with its output as JSON.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Daemon {
        let mut command = self.command(arguments);
        command.args(["--output", "json"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon can be started");
        let stdout = child.stdout.take().expect("its stdout");
        let mut stderr = child.stderr.take().expect("its stderr");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A test that has seen enough doesn't listen any more.
                drop(sender.send(line));
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What can't be read is no words.
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Daemon {
            child,
            lines,
            seen: Vec::new(),
            stderr: Some(stderr),
        }
    }

    /// Runs a verb to its end; its output needn't be JSON.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        self.command(arguments).output().expect("it can be started")
    }
}

/// A daemon has a state of its own, and runs code that was compiled once for all tests: it is told which that is, as
/// if it had compiled it itself.
fn know_compiled_code(state: &Path) {
    /// Where the seals of compiled code are.
    const INDEX: &str = "compiled-code.index";
    static BUILT_IN: Once = Once::new();
    let (cache, shared) = cache_folders();
    BUILT_IN.call_once(|| {
        let checked = Command::new(weir_binary())
            .env_clear()
            .env("HOME", "/")
            .env("WEIR_SANDBOX__CACHE_FOLDER", cache)
            .env("WEIR_SANDBOX__STATE_FOLDER", &shared)
            .arg("check")
            .output();
        // Where that fails, what is wanted will fail, and say why.
        drop(checked);
    });
    let own = state.join(INDEX);
    if !own.exists() {
        std::fs::create_dir_all(state).expect("a folder can be made");
        // There is none before anything was compiled.
        drop(std::fs::copy(shared.join(INDEX), own));
    }
}

/// The hostile guests' folder, and the home's own.
fn guest_folders(folder: &TempDir) -> String {
    let quoted = |path: &Path| format!("{:?}", path.to_string_lossy());
    format!("[{}, {}]", quoted(folder.path()), quoted(hostile_guests()))
}

impl Daemon {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line, and answers it.
    ///
    /// # Panics
    /// If it doesn't come, or a line is no JSON.
    pub fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("never came: {what}; came:\n{:#?}", self.seen);
            };
            let value = parse(&line);
            self.seen.push(value.clone());
            if is_it(&value) {
                return value;
            }
        }
    }

    /// Waits until it has started.
    ///
    /// # Panics
    /// If it doesn't.
    pub fn wait_for_start(&mut self) -> Value {
        self.wait_for("its first line", |line| line["type"] == "start")
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If it is gone already.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the daemon runs");
    }

    /// Kills it: what it was about to say or to write it never does.
    pub fn kill(mut self) {
        // Of one that has ended neither is an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its next line of JSON; none if none comes in that time.
    ///
    /// # Panics
    /// If a line is no JSON.
    pub fn next_line(&mut self, within: Duration) -> Option<Value> {
        let line = self.lines.recv_timeout(within).ok()?;
        Some(parse(&line))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it doesn't end, or a line is no JSON.
    #[must_use]
    pub fn wait(mut self) -> Ended {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(parse(&line)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it doesn't end; {:#?}", self.seen),
            }
        }
        let status = self.child.wait().expect("it can be waited for");
        let stderr = self.stderr.take().map(JoinHandle::join);
        Ended {
            code: status.code(),
            lines: std::mem::take(&mut self.seen),
            stderr: stderr.and_then(Result::ok).unwrap_or_default(),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Of one that has ended neither is an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The lines of a type.
    pub fn of_type<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["type"] == name)
    }

    /// The closing summary.
    ///
    /// # Panics
    /// If there is none, or more than one.
    #[must_use]
    pub fn summary(&self) -> &Value {
        let summaries: Vec<&Value> = self.of_type("summary").collect();
        assert_eq!(summaries.len(), 1, "{self:#?}");
        summaries[0]
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON, {error}: {line}"))
}
