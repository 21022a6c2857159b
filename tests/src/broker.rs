//! A broker in the test's own process, and the verbs that talk to it as processes.
//!
//! The bus is the real one and so is the socket; only what answers requests is canned. Invariant: no
//! verb outlives its test.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use weir_bus::pubsub::{EventBus as _, LocalBus, PublisherId};
use weir_bus::socket::{
    BoundBroker, Broker, BrokerOptions, ConnectionStatus, Direct, Peer, Refusal, Responder,
};
use weir_bus::{Batch, CollectionEvent, Topic};

use crate::{PATIENCE, repository, weir_binary};

/// What the environment of a verb keeps of the test's.
const KEPT_VARIABLES: [&str; 2] = ["PATH", "TMPDIR"];

/// Answers what a test says.
struct Canned(BTreeMap<String, Value>);

#[async_trait]
impl Responder for Canned {
    fn capabilities(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    async fn respond(&self, topic: &Topic, body: &[u8], _peer: &Peer) -> Result<Vec<u8>, Refusal> {
        match self.0.get(topic.as_str()) {
            // Nothing canned: what was asked comes back.
            Some(Value::Null) => Ok(body.to_vec()),
            Some(reply) => Ok(reply.to_string().into_bytes()),
            None => Err(Refusal::unknown(topic.as_str(), &self.capabilities())),
        }
    }
}

/// A bus that is served on a socket.
pub struct Served {
    folder: TempDir,
    /// The bus.
    pub bus: Arc<LocalBus>,
    broker: Option<Broker>,
    replies: BTreeMap<String, Value>,
}

impl Served {
    /// A bus with a broker that answers so; null answers what was asked.
    ///
    /// # Panics
    /// If it can't be served.
    #[must_use]
    pub fn with(replies: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let replies = replies.into_iter();
        let mut served = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            bus: Arc::new(LocalBus::new()),
            broker: None,
            replies: replies
                .map(|(topic, reply)| (topic.to_owned(), reply))
                .collect(),
        };
        served.start();
        served
    }

    /// The same without answers.
    ///
    /// # Panics
    /// If it can't be served.
    #[must_use]
    pub fn new() -> Self {
        Self::with([])
    }

    /// Serves the bus, again where it was stopped.
    ///
    /// # Panics
    /// If it can't be served.
    pub fn start(&mut self) {
        let options = BrokerOptions::new(self.path("weir.sock"));
        let bound = BoundBroker::bind(options).expect("a socket");
        let ingress = Arc::new(Direct::new(Arc::clone(&self.bus)));
        let responder = Arc::new(Canned(self.replies.clone()));
        let broker = bound.serve(Arc::clone(&self.bus), ingress, responder);
        self.broker = Some(broker.expect("a broker"));
    }

    /// Ends the broker, not the bus.
    pub fn stop(&mut self) {
        drop(self.broker.take());
    }

    /// Who is connected; nobody where the broker was stopped.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionStatus> {
        let broker = self.broker.iter();
        broker
            .flat_map(|broker| broker.view().status().connections)
            .collect()
    }

    /// A path of the test's own.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Publishes rows of one kind.
    ///
    /// # Panics
    /// If they are of several kinds, or the topic is none.
    pub fn publish(&self, topic: &str, rows: &[CollectionEvent]) {
        let topic = Topic::parse(topic).expect("a topic");
        let batch = Batch::of_events(topic, "tests", 0, rows).expect("a batch");
        let published = self.bus.publish(PublisherId::unique(), Arc::new(batch));
        published.expect("an open bus");
    }

    /// Waits until so many subscribe.
    ///
    /// # Panics
    /// If they don't.
    pub fn wait_for_subscribers(&self, count: usize) {
        let until = Instant::now() + PATIENCE;
        while self.bus.statistics().subscribers.len() != count {
            assert!(Instant::now() < until, "{:#?}", self.bus.statistics());
            std::thread::yield_now();
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(weir_binary());
        command
            .env("WEIR_BUS__SOCKET", self.path("weir.sock"))
            .args(arguments);
        command
    }

    /// A program in the test's own folder, with little of the test's environment.
    fn program(&self, path: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(path);
        command.env_clear();
        for name in KEPT_VARIABLES {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("config"));
        command
    }

    /// Runs a verb to its end.
    ///
    /// # Panics
    /// If it can't be run.
    #[must_use]
    pub fn run(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a verb can be started");
        let mut stdin = child.stdin.take().expect("its stdin");
        let input = input.to_owned();
        // A verb that reads nothing may be gone already.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().expect("it ends");
        drop(writer.join());
        output.into()
    }

    /// Starts a verb that goes on.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start_verb(&self, arguments: &[&str]) -> Verb {
        Verb::start(self.command(arguments))
    }

    /// Starts the client in another language: it taps the socket.
    ///
    /// # Panics
    /// If there is no python3.
    #[must_use]
    pub fn start_python_tap(&self, arguments: &[&str]) -> Verb {
        let mut command = self.program("python3");
        command
            .arg(repository::root().join("tests/clients/tap.py"))
            .arg(self.path("weir.sock"))
            .args(arguments);
        Verb::start(command)
    }

    /// Starts a verb that goes on, and whose output nobody reads: the pipe's other end is closed.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start_verb_unread(&self, arguments: &[&str]) -> Verb {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.expect("a verb can be started");
        drop(child.stdout.take());
        Verb { child, lines: None }
    }
}

impl Default for Served {
    fn default() -> Self {
        Self::new()
    }
}

/// How a verb ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said to stderr.
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A verb that goes on.
pub struct Verb {
    child: Child,
    lines: Option<Receiver<String>>,
}

impl Verb {
    /// Starts it.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.expect("a verb can be started");
        let stdout = child.stdout.take().expect("its stdout");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    // The pipe ends with the test's interest.
                    break;
                }
            }
        });
        Self {
            child,
            lines: Some(lines),
        }
    }

    /// Its next line.
    ///
    /// # Panics
    /// If it doesn't come.
    #[must_use]
    pub fn line(&self) -> String {
        let lines = self.lines.as_ref().expect("a verb that is listened to");
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => panic!("no line: {error}"),
        }
    }

    /// Its next line, as JSON.
    ///
    /// # Panics
    /// If it doesn't come, or is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.line()).expect("a line of JSON")
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If it is gone already.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the verb runs");
    }

    /// Waits for its end; what it printed since the last line is what is left.
    ///
    /// # Panics
    /// If it can't be waited for.
    #[must_use]
    pub fn wait(mut self) -> Ran {
        let mut stderr = String::new();
        let mut from = self.child.stderr.take().expect("its stderr");
        from.read_to_string(&mut stderr).expect("its stderr");
        let status = self.child.wait().expect("it ends");
        let lines = self.lines.take().into_iter().flatten();
        Ran {
            code: status.code(),
            stdout: lines.collect::<Vec<_>>().join("\n"),
            stderr,
        }
    }
}

impl Drop for Verb {
    fn drop(&mut self) {
        // Of one that has ended neither is an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
