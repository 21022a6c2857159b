//! One run: clients around a broker that is there already, from the first write to the last row.
//!
//! The invariant: a run that is handed out lost no row and got none twice.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::broker::Broker;
use super::credits;
use super::errand::{Done, Errand, GO, Load, READY, Task, Wanted};
use super::process::{Core, Process};
use crate::measure::figure;

/// What a publisher writes at a time: what the kernel takes at once.
const WRITE_BYTES: usize = 64 << 10;
/// What a credit is worth where many messages are under way.
const MESSAGES_A_CREDIT: u64 = 1_024;
/// Credits of a subscriber at the beginning: 32,768 messages, which is under 10 MB, far below what
/// any broker takes for slow, and more than any of them needs to be busy.
const CREDITS: usize = 32;

/// How many clients, how many messages, what for.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) publishers: u64,
    pub(super) subscribers: u64,
    pub(super) load: Load,
    /// Of each publisher; rows where frames have several.
    pub(super) messages: u64,
    pub(super) core: Option<Core>,
    pub(super) wanted: Wanted,
}

impl Plan {
    /// One message at a time.
    fn is_alternating(&self) -> bool {
        self.wanted == Wanted::Moments
    }
}

/// What a run came to.
pub(super) struct Ran {
    publishers: Vec<Done>,
    subscribers: Vec<Done>,
}

impl Ran {
    /// Rows that arrived, summed over the subscribers, a second: from the first write to the last
    /// arrival.
    pub(super) fn rows_a_second(&self) -> f64 {
        let started = self.publishers.iter().map(|done| done.started_ns).min();
        let ended = self.subscribers.iter().map(|done| done.ended_ns).max();
        let rows: u64 = self.subscribers.iter().map(|done| done.rows).sum();
        let time = ended.unwrap_or(0).saturating_sub(started.unwrap_or(0));
        figure(rows) * 1e9 / figure(time)
    }

    /// From before a message was written until it was read, in microseconds, sorted; without the
    /// first `skipped` ones.
    pub(super) fn latencies_us(&self, skipped: usize) -> anyhow::Result<Vec<f64>> {
        let (Some(sent), Some(heard)) = (self.publishers.first(), self.subscribers.first()) else {
            bail!("nobody to ask");
        };
        let pairs = sent.moments_ns.iter().zip(&heard.moments_ns);
        let times = pairs.map(|(sent, heard)| figure(heard.saturating_sub(*sent)) / 1e3);
        let mut times: Vec<f64> = times.skip(skipped).collect();
        times.sort_by(f64::total_cmp);
        Ok(times)
    }
}

/// Runs clients around that broker.
pub(super) fn run(broker: &Broker, plan: Plan) -> anyhow::Result<Ran> {
    let folder = TempDir::new().context("a temporary folder")?;
    let (messages_a_credit, credits) = if plan.is_alternating() {
        (1, 1)
    } else {
        (MESSAGES_A_CREDIT, CREDITS)
    };
    let paths: Vec<_> = (0..plan.subscribers)
        .map(|number| folder.path().join(format!("credits-{number}")))
        .collect();
    let pipes = paths.iter().map(|path| credits::make(path, credits));
    let _held: Vec<File> = pipes.collect::<Result<_, _>>()?;
    let errand = |task, messages| Errand {
        system: broker.system,
        address: broker.address.clone(),
        core: plan.core,
        task,
        load: plan.load,
        messages,
        messages_a_credit,
        wanted: plan.wanted,
    };

    let mut subscribers = Vec::new();
    for credits in &paths {
        let credits = credits.clone();
        let expected = plan.messages * plan.publishers;
        subscribers.push(Client::start(&errand(
            Task::Subscribe { credits },
            expected,
        ))?);
    }
    ready(&mut subscribers)?;
    let mut publishers = Vec::new();
    for publisher in 0..plan.publishers {
        let task = Task::Publish {
            publisher,
            write_bytes: if plan.is_alternating() {
                1
            } else {
                WRITE_BYTES
            },
            credits: paths.clone(),
        };
        publishers.push(Client::start(&errand(task, plan.messages))?);
    }
    ready(&mut publishers)?;
    for publisher in &mut publishers {
        writeln!(publisher.tell, "{GO}")?;
    }
    // Subscribers first: what a publisher fails at, they miss, and nobody waits for ever.
    let subscribers_done = done(&mut subscribers)?;
    let ran = Ran {
        publishers: done(&mut publishers)?,
        subscribers: subscribers_done,
    };
    check(&ran, plan)?;
    Ok(ran)
}

fn check(ran: &Ran, plan: Plan) -> anyhow::Result<()> {
    let sent: u64 = ran.publishers.iter().map(|done| done.rows).sum();
    ensure!(
        sent == plan.messages * plan.publishers,
        "{sent} messages were sent"
    );
    let digest = ran
        .publishers
        .iter()
        .fold(0_u64, |digest, done| digest.wrapping_add(done.digest));
    for subscriber in &ran.subscribers {
        ensure!(
            subscriber.digest == digest,
            "the rows that were read aren't those that were built"
        );
        ensure!(
            subscriber.rows == sent,
            "{} rows arrived, and {sent} were sent",
            subscriber.rows
        );
        ensure!(
            !plan.is_alternating() || subscriber.moments_ns.len() as u64 == sent,
            "{} moments for {sent} messages",
            subscriber.moments_ns.len()
        );
    }
    Ok(())
}

/// A client at work.
struct Client {
    tell: ChildStdin,
    told: BufReader<ChildStdout>,
    _process: Process,
}

impl Client {
    fn start(errand: &Errand) -> anyhow::Result<Self> {
        let mut process = Process::client(serde_json::to_string(errand)?)?;
        let pipes = (process.0.stdin.take(), process.0.stdout.take());
        let (Some(tell), Some(told)) = pipes else {
            bail!("a client without pipes");
        };
        Ok(Self {
            tell,
            told: BufReader::new(told),
            _process: process,
        })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let bytes = self.told.read_line(&mut line)?;
        ensure!(bytes > 0, "a client ended early");
        Ok(line)
    }
}

fn ready(clients: &mut [Client]) -> anyhow::Result<()> {
    for client in clients {
        let line = client.line()?;
        ensure!(line.trim_end() == READY, "a client says {line}");
    }
    Ok(())
}

fn done(clients: &mut [Client]) -> anyhow::Result<Vec<Done>> {
    clients
        .iter_mut()
        .map(|client| Ok(serde_json::from_str(&client.line()?)?))
        .collect()
}
