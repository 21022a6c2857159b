//! The bus beside the one that it replaces: one event a message, a routing thread, a channel for each
//! subscriber.
//!
//! That one is rebuilt here ([`channels`]) and is in process; ours is measured in process ([`ours`]) and
//! over its socket. The same rows of two topics, mixed one by one, go to 1, 4 or 16 subscribers, each of
//! which wants the processes of one topic: half of the events. Every measurement is a process of its
//! own, so that its memory and CPU time are the case's and nobody else's.
//!
//! The invariant: each subscriber counted as many events as its topic had, and read in them what had
//! been built, on both sides; and nothing was dropped.

mod channels;
mod drive;
mod ours;
mod tally;

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::cost::Cost;
use crate::measure::{Effort, figure};
use crate::pace::Pace;
use crate::report::{Better, Case};
use crate::rows::LEAVES;
use crate::socket;

/// The hidden verb of a measurement; its errand follows.
const VERB: &str = "replaced-run";
/// Which peer that is in a case's line.
const PEER: &str = "replaced";

const SUBSCRIBERS: [usize; 3] = [1, 4, 16];
/// Rows of a batch, where there are as many: what a busy source has.
const BATCH_ROWS: usize = 256;
/// Events of a run with one subscriber. With several there are less, for each is received more often.
const EVENTS: usize = 200_000;
/// All counts of events are multiples of it: a whole batch for each topic.
const EVENTS_STEP: u64 = (BATCH_ROWS * LEAVES.len()) as u64;
/// Events of a latency run.
const LATENCY_EVENTS: usize = 10_240;
/// One event at a time, 10,000 a second.
const ROWS_PACE: Pace = Pace {
    interval: Duration::from_micros(100),
    messages: 1,
};
/// A batch for each topic at a time, 51,200 events a second.
const BATCHES_PACE: Pace = Pace {
    interval: Duration::from_millis(10),
    messages: EVENTS_STEP,
};

/// Which bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Which {
    Ours,
    Replaced,
}

/// When events are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Made {
    /// While they are sent, as a source does.
    Within,
    /// Before, and nobody measures it.
    Before,
}

/// What a measurement is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Errand {
    which: Which,
    subscribers: usize,
    rows_a_batch: usize,
    made: Made,
    events: u64,
    pace: Option<Pace>,
}

/// What it came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Outcome {
    /// Events that were received, summed over the subscribers.
    events: u64,
    /// Of what was read in them.
    digest: u64,
    time_ns: u64,
    cost: Cost,
    /// Bytes that the broker's process alone grew, where there is one.
    memory_of_broker: Option<u64>,
    /// p50 and p99 in microseconds, where events came at a pace.
    latencies_us: Option<[f64; 2]>,
}

/// Does the errand that the argument says.
pub(crate) fn hidden_verb(verb: &OsStr, argument: &OsStr) -> Option<anyhow::Result<()>> {
    (verb == VERB).then(|| {
        let errand: Errand = serde_json::from_slice(argument.as_encoded_bytes())?;
        let outcome = match errand.which {
            Which::Ours => drive::drive::<ours::Ours>(&errand),
            Which::Replaced => drive::drive::<channels::Channels>(&errand),
        }?;
        println!("{}", serde_json::to_string(&outcome)?);
        Ok(())
    })
}

/// Has a process do it.
fn run(errand: &Errand) -> anyhow::Result<Outcome> {
    let program = std::env::current_exe().context("this program's path")?;
    let argument = serde_json::to_string(errand)?;
    let output = Command::new(program).args([VERB, &argument]).output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{argument} fails: {}",
        words.trim()
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What carries ours, in which pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In process, batches of 256.
    Batches,
    /// Over the socket, batches of 256.
    Socket,
    /// In process, one row a batch: what no batcher makes of a busy source.
    Rows,
    /// The same, and what is sent is ready before.
    Ready,
}

impl Way {
    const ALL: [Self; 4] = [Self::Batches, Self::Socket, Self::Rows, Self::Ready];

    const fn part(self) -> &'static str {
        match self {
            Self::Batches => "",
            Self::Socket => "socket/",
            Self::Rows => "one-row/",
            Self::Ready => "one-row-ready/",
        }
    }

    fn has(self, what: What) -> bool {
        match what {
            What::Throughput | What::Cpu => true,
            // What ready events take is in memory before anything is measured.
            What::LatencyP50 | What::LatencyP99 | What::Memory => self != Self::Ready,
            What::MemoryWithClients => self == Self::Socket,
        }
    }

    const fn pace(self) -> Pace {
        match self {
            Self::Rows | Self::Ready => ROWS_PACE,
            Self::Batches | Self::Socket => BATCHES_PACE,
        }
    }

    fn errand(self, which: Which, subscribers: usize, events: u64) -> Errand {
        Errand {
            which,
            subscribers,
            rows_a_batch: match self {
                Self::Rows | Self::Ready => 1,
                Self::Batches | Self::Socket => BATCH_ROWS,
            },
            made: if self == Self::Ready {
                Made::Before
            } else {
                Made::Within
            },
            events,
            pace: None,
        }
    }
}

/// What is quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Throughput,
    LatencyP50,
    LatencyP99,
    /// Of the process; over the socket of the broker's.
    Memory,
    /// Of the broker's and all clients', beside the peer's one process.
    MemoryWithClients,
    Cpu,
}

impl What {
    const ALL: [Self; 6] = [
        Self::Throughput,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::Memory,
        Self::MemoryWithClients,
        Self::Cpu,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::LatencyP50 => "latency-p50",
            Self::LatencyP99 => "latency-p99",
            Self::Memory => "memory",
            Self::MemoryWithClients => "memory-with-clients",
            Self::Cpu => "cpu",
        }
    }

    const fn unit(self) -> (&'static str, Better) {
        match self {
            Self::Throughput => ("events/s", Better::Higher),
            Self::LatencyP50 | Self::LatencyP99 => ("us", Better::Lower),
            Self::Memory | Self::MemoryWithClients => ("MB", Better::Lower),
            Self::Cpu => ("ns/event", Better::Lower),
        }
    }

    const fn target(self, way: Way) -> Option<&'static str> {
        match (self, way) {
            (_, Way::Rows | Way::Ready) | (Self::MemoryWithClients, _) => None,
            (Self::Throughput, _) => Some(">= 0.8"),
            (Self::Memory, _) => Some("<= 1.5"),
            (_, Way::Socket) => None,
            (Self::LatencyP50 | Self::LatencyP99, _) => Some("<= 2"),
            (Self::Cpu, _) => Some("<= 1.2"),
        }
    }
}

fn name(subscribers: usize, way: Way, what: What) -> String {
    format!("replaced/{subscribers}/{}{}", way.part(), what.name())
}

/// Measures those cases that are wanted.
pub(crate) fn cases(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for subscribers in SUBSCRIBERS {
        for way in Way::ALL {
            let whats = What::ALL.into_iter().filter(|what| way.has(*what));
            let wanted = whats.filter(|what| effort.wants(&name(subscribers, way, *what)));
            let wanted: Vec<What> = wanted.collect();
            if !wanted.is_empty() {
                let of = measure(effort, subscribers, way, &wanted);
                let case = || format!("case replaced/{subscribers}/{}", way.part());
                cases.extend(of.with_context(case)?);
            }
        }
    }
    Ok(cases)
}

fn measure(
    effort: Effort,
    subscribers: usize,
    way: Way,
    wanted: &[What],
) -> anyhow::Result<Vec<Case>> {
    let is_paced = |what: &What| matches!(what, What::LatencyP50 | What::LatencyP99);
    let events = stepped(effort.of(EVENTS / subscribers.div_ceil(LEAVES.len())));
    let paced_events = stepped(effort.of(LATENCY_EVENTS));
    let mut figures: Vec<(What, Vec<f64>, Vec<f64>)> = wanted
        .iter()
        .map(|what| (*what, Vec::new(), Vec::new()))
        .collect();
    for _ in 0..effort.pairs {
        let full = (!wanted.iter().all(is_paced))
            .then(|| pair(way, subscribers, events, None))
            .transpose()?;
        let paced = wanted
            .iter()
            .any(is_paced)
            .then(|| pair(way, subscribers, paced_events, Some(way.pace())))
            .transpose()?;
        for (what, ours, peers) in &mut figures {
            let of = if is_paced(what) { &paced } else { &full };
            let [our, peer] = of.as_ref().context("nothing was measured")?;
            ours.push(value(our, *what)?);
            peers.push(value(peer, *what)?);
        }
    }
    let cases = figures.iter().map(|(what, ours, peers)| {
        let (unit, better) = what.unit();
        let case = name(subscribers, way, *what);
        let case = Case::beside(case, unit, better, ours, (PEER, peers));
        match what.target(way) {
            Some(target) => case.aimed(target),
            None => case,
        }
    });
    Ok(cases.collect())
}

/// At least so many, and whole batches.
fn stepped(events: usize) -> u64 {
    (events as u64).next_multiple_of(EVENTS_STEP)
}

/// Ours, then the other one; both must have received the same.
fn pair(
    way: Way,
    subscribers: usize,
    events: u64,
    pace: Option<Pace>,
) -> anyhow::Result<[Outcome; 2]> {
    let errand = |which| Errand {
        pace,
        ..way.errand(which, subscribers, events)
    };
    let ours = match way {
        Way::Socket => over_socket(subscribers, events, pace),
        _ => run(&errand(Which::Ours)),
    }?;
    let peer = run(&errand(Which::Replaced))?;
    ensure!(
        (ours.events, ours.digest) == (peer.events, peer.digest),
        "the two sides didn't receive the same: {ours:?}, {peer:?}"
    );
    Ok([ours, peer])
}

fn over_socket(subscribers: usize, events: u64, pace: Option<Pace>) -> anyhow::Result<Outcome> {
    let topics = LEAVES.len() as u64;
    let rows_a_frame = BATCH_ROWS as u64;
    let carried = socket::carry(subscribers as u64, topics, rows_a_frame, events, pace)?;
    Ok(Outcome {
        events: carried.rows,
        digest: carried.digest,
        time_ns: carried.time_ns,
        cost: carried.cost,
        memory_of_broker: Some(carried.memory_of_broker),
        latencies_us: carried.latencies_us,
    })
}

fn value(outcome: &Outcome, what: What) -> anyhow::Result<f64> {
    let latencies = || outcome.latencies_us.context("no latencies");
    let events = figure(outcome.events);
    Ok(match what {
        What::Throughput => events * 1e9 / figure(outcome.time_ns),
        What::Cpu => figure(outcome.cost.cpu_ns) / events,
        What::Memory => figure(outcome.memory_of_broker.unwrap_or(outcome.cost.memory)) / 1e6,
        What::MemoryWithClients => figure(outcome.cost.memory) / 1e6,
        What::LatencyP50 => latencies()?[0],
        What::LatencyP99 => latencies()?[1],
    })
}
