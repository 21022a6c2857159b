//! One run: clients around a broker that is there already, from the first write to the last row.
//!
//! The invariant: a run that is handed out lost no row and got none twice.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::broker::Broker;
use super::credits;
use super::errand::{Done, Errand, GO, Load, READY, Task, Wanted, now_ns};
use super::process::{Core, Process};
use crate::cost::Cost;
use crate::measure::figure;
use crate::pace::Pace;

/// What a publisher writes at a time: what the kernel takes at once.
const WRITE_BYTES: usize = 64 << 10;
/// What a credit is worth where many messages are under way.
const MESSAGES_A_CREDIT: u64 = 1_024;
/// Credits of a subscriber at the beginning: 32,768 messages, which is under 10 MB, far below what
/// any broker takes for slow, and more than any of them needs to be busy.
pub(super) const CREDITS: usize = 32;

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
    /// Of each subscriber at the beginning; a run that sends one message at a time has one.
    pub(super) credits: usize,
    /// When the publishers send; none: as fast as they can, or when what they sent has arrived.
    pub(super) pace: Option<Pace>,
    /// How long it may take; none: until all rows have arrived.
    pub(super) limit: Option<Duration>,
}

impl Plan {
    /// One message at a time.
    fn is_alternating(&self) -> bool {
        self.wanted == Wanted::Moments && self.pace.is_none()
    }

    /// What a publisher writes at a time; at least one message.
    pub(super) fn write_bytes(&self) -> usize {
        if self.is_alternating() || self.pace.is_some() {
            1
        } else {
            WRITE_BYTES
        }
    }

    /// Rows that each subscriber gets.
    fn expected(&self) -> u64 {
        self.messages * self.publishers / self.topics()
    }

    /// Among how many topics the subscribers take turns: each gets what goes to one.
    fn topics(&self) -> u64 {
        match self.load {
            Load::Prebuilt => 1,
            Load::ProcessRows { topics, .. } => topics,
        }
    }
}

/// What a run came to.
pub(super) struct Ran {
    publishers: Vec<Done>,
    subscribers: Vec<Done>,
    /// Whether the limit ended it: not all rows have arrived, and publishers may say nothing.
    pub(super) is_cut: bool,
}

impl Ran {
    /// What all clients cost.
    pub(super) fn cost(&self) -> Cost {
        let mut all = Cost::default();
        for done in self.publishers.iter().chain(&self.subscribers) {
            all += done.cost;
        }
        all
    }

    /// Rows that arrived, summed over the subscribers.
    pub(super) fn rows(&self) -> u64 {
        self.subscribers.iter().map(|done| done.rows).sum()
    }

    /// What was read of the rows, summed over the subscribers.
    pub(super) fn digest(&self) -> u64 {
        let digests = self.subscribers.iter().map(|done| done.digest);
        digests.fold(0, u64::wrapping_add)
    }

    /// From when each message should have been written until it was read, in microseconds, in their
    /// order; without the first `skipped` ones. One that hasn't come took until the end at least.
    pub(super) fn paced_latencies_us(&self, skipped: usize) -> anyhow::Result<Vec<f64>> {
        let (Some(sent), Some(heard)) = (self.publishers.first(), self.subscribers.first()) else {
            bail!("nobody to ask");
        };
        ensure!(!sent.moments_ns.is_empty(), "the publisher never sent");
        let heard_at = |place| {
            heard
                .moments_ns
                .get(place)
                .copied()
                .unwrap_or(heard.ended_ns)
        };
        let moments = sent.moments_ns.iter().enumerate().skip(skipped);
        let times = moments.map(|(place, sent)| heard_at(place).saturating_sub(*sent));
        Ok(times.map(|time| figure(time) / 1e3).collect())
    }

    /// How long each frame took that was built in the run, in microseconds, sorted; without the first
    /// `skipped` of each subscriber.
    pub(super) fn frame_latencies_us(&self, skipped: usize) -> Vec<f64> {
        let of = |done: &Done| {
            done.moments_ns
                .iter()
                .skip(skipped)
                .copied()
                .collect::<Vec<_>>()
        };
        let times = self.subscribers.iter().flat_map(of);
        let mut times: Vec<f64> = times.map(|time| figure(time) / 1e3).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    /// Rows that arrived, summed over the subscribers, a second: from the first write to the last
    /// arrival.
    pub(super) fn rows_a_second(&self) -> f64 {
        figure(self.rows()) * 1e9 / figure(self.time_ns())
    }

    /// From the first write to the last arrival.
    pub(super) fn time_ns(&self) -> u64 {
        let started = self.publishers.iter().map(|done| done.started_ns).min();
        let ended = self.subscribers.iter().map(|done| done.ended_ns).max();
        ended.unwrap_or(0).saturating_sub(started.unwrap_or(0))
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
        (MESSAGES_A_CREDIT, plan.credits)
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
        pace: plan.pace,
        limit: plan.limit,
    };

    let mut subscribers = Vec::new();
    for (subscriber, credits) in (0..).zip(&paths) {
        let credits = credits.clone();
        let task = Task::Subscribe {
            subscriber,
            credits,
        };
        subscribers.push(Client::start(&Errand {
            messages_a_credit: messages_a_credit / plan.topics(),
            ..errand(task, plan.expected())
        })?);
    }
    ready(&mut subscribers)?;
    let mut publishers = Vec::new();
    for publisher in 0..plan.publishers {
        let task = Task::Publish {
            publisher,
            write_bytes: plan.write_bytes(),
            credits: paths.clone(),
        };
        publishers.push(Client::start(&errand(task, plan.messages))?);
    }
    ready(&mut publishers)?;
    let started_ns = now_ns();
    for publisher in &mut publishers {
        writeln!(publisher.tell, "{GO}")?;
    }
    // Subscribers first: what a publisher fails at, they miss, and nobody waits for ever.
    let subscribers = done(&mut subscribers)?;
    let is_cut = subscribers.iter().any(|done| done.rows < plan.expected());
    let publishers = if is_cut && plan.pace.is_none() {
        // They may wait for credits that nobody gives any more; they are killed when they go.
        vec![Done {
            started_ns,
            ..Done::default()
        }]
    } else {
        done(&mut publishers)?
    };
    let ran = Ran {
        publishers,
        subscribers,
        is_cut,
    };
    if is_cut {
        ensure!(plan.limit.is_some(), "rows are missing");
    } else {
        check(&ran, plan)?;
    }
    Ok(ran)
}

fn check(ran: &Ran, plan: Plan) -> anyhow::Result<()> {
    let sent: u64 = ran.publishers.iter().map(|done| done.rows).sum();
    ensure!(
        sent == plan.messages * plan.publishers,
        "{sent} messages were sent"
    );
    let expected = plan.expected();
    let is_each_noted = plan.wanted == Wanted::Moments && plan.load == Load::Prebuilt;
    for (number, subscriber) in ran.subscribers.iter().enumerate() {
        let topic = number as u64 % plan.topics();
        ensure!(
            subscriber.digest == digest(&ran.publishers, topic)?,
            "the rows that were read aren't those that were built"
        );
        ensure!(
            subscriber.rows == expected,
            "{} rows arrived, and {expected} were sent",
            subscriber.rows
        );
        ensure!(
            !is_each_noted || subscriber.moments_ns.len() as u64 == expected,
            "{} moments for {expected} messages",
            subscriber.moments_ns.len()
        );
    }
    Ok(())
}

/// What publishers say stood in the rows of a topic.
fn digest(publishers: &[Done], topic: u64) -> anyhow::Result<u64> {
    let topic = usize::try_from(topic)?;
    let digests = publishers.iter().map(|done| done.digests.get(topic));
    Ok(digests.flatten().fold(0, |all, one| all.wrapping_add(*one)))
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
