//! The cases: which systems take turns at what, and what of it is quoted.

use anyhow::Context as _;
use tempfile::TempDir;

use super::broker::{self, Broker};
use super::errand::{Load, Wanted};
use super::process::{Core, two_cores};
use super::run::{CREDITS, Plan, Ran, run};
use super::side::System;
use super::stalled;
use crate::measure::{Effort, quantile};
use crate::report::{Better, Case};

/// Publishers, subscribers, messages of each publisher, and who is measured beside ours. A run of the
/// slowest peer takes two seconds; all get the same messages.
struct Throughput {
    case: &'static str,
    publishers: u64,
    subscribers: u64,
    messages: usize,
    peers: &'static [System],
}

const THROUGHPUTS: [Throughput; 3] = [
    Throughput {
        case: "1-to-1",
        publishers: 1,
        subscribers: 1,
        messages: 3_000_000,
        peers: &[System::Nats, System::Redis, System::Raw],
    },
    Throughput {
        case: "1-to-4",
        publishers: 1,
        subscribers: 4,
        messages: 1_500_000,
        peers: &[System::Nats, System::Redis],
    },
    Throughput {
        case: "4-to-1",
        publishers: 4,
        subscribers: 1,
        messages: 750_000,
        peers: &[System::Nats, System::Redis],
    },
];

/// Rows that are built and decoded at the ends.
struct ProcessRows {
    case: &'static str,
    rows_a_frame: u64,
    rows: usize,
}

const PROCESS_ROWS: [ProcessRows; 2] = [
    ProcessRows {
        case: "process-rows/1",
        rows_a_frame: 1,
        rows: 200_000,
    },
    ProcessRows {
        case: "process-rows/256",
        rows_a_frame: 256,
        rows: 2_000_000,
    },
];

/// Which core is whose in a latency case.
#[derive(Clone, Copy)]
enum Cores {
    /// All processes on one.
    Same,
    /// The clients on one, the broker on the other.
    Cross,
}

const LATENCIES: [(&str, Cores); 2] = [
    ("latency-same-core", Cores::Same),
    ("latency-cross-core", Cores::Cross),
];
const LATENCY_PEERS: [System; 2] = [System::Nats, System::Redis];
const QUANTILES: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];
/// Messages of a latency run, one at a time.
const LATENCY_MESSAGES: usize = 6_000;
/// The first of them aren't counted: caches and connections are cold.
const LATENCY_SKIPPED: usize = 500;
/// Messages of each publisher in the run that proves that what arrives is what was sent.
const PROOF_MESSAGES: u64 = 10_000;

/// Says what is measured, on stderr: stdout is for figures.
pub(super) fn print_versions() -> anyhow::Result<()> {
    let folder = TempDir::new().context("a temporary folder")?;
    for system in [System::Weir, System::Nats, System::Redis] {
        let version = broker::version(system, folder.path())?;
        eprintln!("socket: {}: {}", system.name(), version.unwrap_or_default());
    }
    Ok(())
}

/// Measures all cases.
pub(super) fn all(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for throughput in THROUGHPUTS.iter().filter(|of| effort.wants(of.case)) {
        let of = throughput_cases(effort, throughput);
        cases.extend(of.with_context(|| format!("case {}", throughput.case))?);
    }
    for of in PROCESS_ROWS.iter().filter(|of| effort.wants(of.case)) {
        cases.push(process_rows(effort, of).with_context(|| format!("case {}", of.case))?);
    }
    for (case, cores) in LATENCIES {
        if !effort.wants_any(&QUANTILES.map(|(quantile, _)| format!("{case}/{quantile}"))) {
            continue;
        }
        let of = latency_cases(effort, case, cores);
        cases.extend(of.with_context(|| format!("case {case}"))?);
    }
    cases.extend(stalled::cases(effort)?);
    Ok(cases)
}

/// The systems of a case, each with its figures in the end.
struct Contest {
    /// Holds what the brokers have as files.
    _folder: TempDir,
    brokers: Vec<Broker>,
}

impl Contest {
    /// Starts ours and these peers.
    fn open(peers: &[System], core: Option<Core>) -> anyhow::Result<Self> {
        let folder = TempDir::new().context("a temporary folder")?;
        let systems = std::iter::once(&System::Weir).chain(peers);
        let brokers = systems
            .map(|system| Broker::start(*system, folder.path(), core))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            _folder: folder,
            brokers,
        })
    }

    /// Shows that every system carries what it is given.
    fn prove(&self, plan: Plan) -> anyhow::Result<()> {
        let plan = Plan {
            messages: PROOF_MESSAGES,
            wanted: Wanted::Proof,
            ..plan
        };
        for broker in &self.brokers {
            run(broker, plan).with_context(|| format!("the proof of {}", broker.system.name()))?;
        }
        Ok(())
    }

    /// Lets the systems take turns; what is kept of each one's runs, in their order.
    fn turns<T>(
        &self,
        effort: Effort,
        plan: Plan,
        keep: impl Fn(&Ran) -> anyhow::Result<T>,
    ) -> anyhow::Result<Vec<(System, Vec<T>)>> {
        let systems = self
            .brokers
            .iter()
            .map(|broker| (broker.system, Vec::new()));
        let mut kept: Vec<_> = systems.collect();
        for _ in 0..effort.pairs {
            for (broker, (system, values)) in self.brokers.iter().zip(&mut kept) {
                let ran = run(broker, plan).with_context(|| system.name())?;
                values.push(keep(&ran)?);
            }
        }
        Ok(kept)
    }
}

fn throughput_cases(effort: Effort, of: &Throughput) -> anyhow::Result<Vec<Case>> {
    let contest = Contest::open(of.peers, None)?;
    let plan = Plan {
        publishers: of.publishers,
        subscribers: of.subscribers,
        load: Load::Prebuilt,
        messages: effort.of(of.messages) as u64,
        core: None,
        wanted: Wanted::Span,
        credits: CREDITS,
        pace: None,
        limit: None,
    };
    contest.prove(plan)?;
    let turns = contest.turns(effort, plan, |ran| Ok(ran.rows_a_second()))?;
    let (ours, peers) = turns.split_first().context("nobody took a turn")?;
    let cases = peers.iter().map(|(peer, values)| {
        let peer = (peer.name(), values.as_slice());
        Case::beside(of.case, "rows/s", Better::Higher, &ours.1, peer)
    });
    Ok(cases.collect())
}

fn process_rows(effort: Effort, of: &ProcessRows) -> anyhow::Result<Case> {
    let contest = Contest::open(&[], None)?;
    let plan = Plan {
        publishers: 1,
        subscribers: 1,
        load: Load::ProcessRows {
            rows_a_frame: of.rows_a_frame,
            topics: 1,
        },
        messages: effort.of(of.rows) as u64,
        core: None,
        wanted: Wanted::Span,
        credits: CREDITS,
        pace: None,
        limit: None,
    };
    contest.prove(plan)?;
    let turns = contest.turns(effort, plan, |ran| Ok(ran.rows_a_second()))?;
    let (_, ours) = turns.first().context("nobody took a turn")?;
    Ok(Case::alone(of.case, "rows/s", Better::Higher, ours))
}

fn latency_cases(effort: Effort, case: &str, cores: Cores) -> anyhow::Result<Vec<Case>> {
    let [first, second] = two_cores()?;
    let brokers_core = match cores {
        Cores::Same => first,
        Cores::Cross => second,
    };
    let contest = Contest::open(&LATENCY_PEERS, Some(brokers_core))?;
    let plan = Plan {
        publishers: 1,
        subscribers: 1,
        load: Load::Prebuilt,
        messages: (effort.of(LATENCY_MESSAGES) + LATENCY_SKIPPED) as u64,
        core: Some(first),
        wanted: Wanted::Moments,
        credits: CREDITS,
        pace: None,
        limit: None,
    };
    contest.prove(plan)?;
    let turns = contest.turns(effort, plan, |ran| {
        let sorted = ran.latencies_us(LATENCY_SKIPPED)?;
        Ok(QUANTILES.map(|(_, share)| quantile(&sorted, share)))
    })?;
    let (ours, peers) = turns.split_first().context("nobody took a turn")?;
    let mut cases = Vec::new();
    for (place, (name, _)) in QUANTILES.iter().enumerate() {
        let column = |runs: &[[f64; 2]]| runs.iter().map(|run| run[place]).collect::<Vec<_>>();
        for (peer, values) in peers {
            cases.push(Case::beside(
                format!("{case}/{name}"),
                "us",
                Better::Lower,
                &column(&ours.1),
                (peer.name(), &column(values)),
            ));
        }
    }
    Ok(cases)
}
