//! One subscriber that reads, beside some that never do.
//!
//! Those are connected and subscribed to the same topic, set nothing that they needn't, and don't read
//! again. A broker is started for each measurement, with them first; messages that nobody times fill
//! what holds something for them, and only then comes what is measured: the good subscriber's latency
//! at a steady rate, all processes on one core; or its throughput as fast as it goes, on any core, and
//! the broker's memory after that.
//!
//! Peers cut such a client off, or stop for seconds: a run ends at its limit, and what had arrived by
//! then counts. Ours must carry all, keep every stalled connection, and count what each of them misses;
//! and one of them reads again in the end ([`reckoning`]).

mod clients;
mod reckoning;
mod status;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use self::clients::Stalled;
use self::reckoning::{Reckoning, Sent};
use super::broker::Broker;
use super::client::messages_a_buffer;
use super::errand::{Load, Wanted};
use super::process::{Core, two_cores};
use super::run::{CREDITS, Plan, Ran, run};
use super::side::System;
use super::weir::Weir;
use crate::cost::Memory;
use crate::measure::{Effort, figure, quantile};
use crate::pace::Pace;
use crate::report::{Better, Case};

/// How many never read.
const STALLED: [usize; 3] = [0, 1, 3];
const SYSTEMS: [System; 3] = [System::Weir, System::Nats, System::Redis];
/// Messages before anything is measured: 24 MB of payloads, more than our queue holds (16 MiB) and the
/// sockets' buffers, and less than nats-server (64 MB) and redis (32 MB) keep for a client.
const FILL_MESSAGES: u64 = 120_000;
/// Messages of a throughput run.
const MESSAGES: usize = 3_000_000;
/// Messages of a latency run.
const LATENCY_MESSAGES: usize = 12_000;
/// Messages, in a row, of which a p99 is taken: 0.2 s. What is quoted is the median of all windows of all runs, for a
/// host that takes the core away for some milliseconds decides the p99 of whatever it falls into.
const LATENCY_WINDOW: usize = 1_000;
/// The first of them aren't counted: caches and connections are cold.
const LATENCY_SKIPPED: usize = 500;
/// From one message of a latency run to the next: 5,000 a second.
const LATENCY_PACE: Pace = Pace {
    interval: Duration::from_micros(200),
    messages: 1,
};
/// What a run may take: three times what the slowest system needs without stalled clients.
const RUN_LIMIT: Duration = Duration::from_secs(5);
/// What our figures beside stalled clients are to be of those without.
const THROUGHPUT_TARGET: &str = ">= 0.95";
const LATENCY_TARGET: &str = "<= 1.053";

/// What is quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Throughput,
    Latency,
    Memory,
    MemoryPeak,
}

impl What {
    const ALL: [Self; 4] = [
        Self::Throughput,
        Self::Latency,
        Self::Memory,
        Self::MemoryPeak,
    ];

    fn case(self, stalled: usize) -> String {
        let name = match self {
            Self::Throughput => "throughput",
            Self::Latency => "p99",
            Self::Memory => "memory",
            Self::MemoryPeak => "memory-peak",
        };
        format!("stalled/{stalled}/{name}")
    }

    const fn unit(self) -> (&'static str, Better) {
        match self {
            Self::Throughput => ("msg/s", Better::Higher),
            Self::Latency => ("us", Better::Lower),
            Self::Memory | Self::MemoryPeak => ("MB", Better::Lower),
        }
    }
}

/// A system's figures beside so many stalled clients, a turn each.
#[derive(Default)]
struct Figures {
    throughput: Vec<f64>,
    latency: Vec<f64>,
    memory: Vec<f64>,
    memory_peak: Vec<f64>,
    account: Account,
}

impl Figures {
    fn of(&self, what: What) -> &[f64] {
        match what {
            What::Throughput => &self.throughput,
            What::Latency => &self.latency,
            What::Memory => &self.memory,
            What::MemoryPeak => &self.memory_peak,
        }
    }
}

/// What became of a system's stalled clients and its runs.
#[derive(Default)]
struct Account {
    clients: usize,
    /// Connected when what was measured began.
    connected_before: usize,
    /// And when it ended.
    connected_after: usize,
    runs: usize,
    /// Runs that their limit ended.
    cut: usize,
}

/// Measures those cases that are wanted.
pub(super) fn cases(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let wanted = |stalled: usize| effort.wants_any(&What::ALL.map(|what| what.case(stalled)));
    let stalled: Vec<usize> = STALLED.into_iter().filter(|one| wanted(*one)).collect();
    if stalled.is_empty() {
        return Ok(Vec::new());
    }
    let mut measured: Vec<(usize, [Figures; 3])> = Vec::new();
    // Without any it is measured in any case: the others are quoted beside it.
    let without = (!stalled.contains(&0)).then_some(0);
    for count in without.into_iter().chain(stalled.iter().copied()) {
        measured.push((count, Default::default()));
    }
    for _ in 0..effort.pairs {
        for (count, figures) in &mut measured {
            for (system, figures) in SYSTEMS.into_iter().zip(figures) {
                turn(effort, system, *count, figures)
                    .with_context(|| format!("{} beside {count} stalled clients", system.name()))?;
            }
        }
    }
    tell(&measured);
    Ok(quoted(&measured))
}

fn quoted(measured: &[(usize, [Figures; 3])]) -> Vec<Case> {
    let mut cases = Vec::new();
    let Some((_, [alone, ..])) = measured.first() else {
        return cases;
    };
    for (count, [ours, peers @ ..]) in measured {
        for what in What::ALL {
            let (unit, better) = what.unit();
            let beside = |peer: &'static str, figures: &Figures| {
                let peer = (peer, figures.of(what));
                Case::beside(what.case(*count), unit, better, ours.of(what), peer)
            };
            for (system, figures) in SYSTEMS.into_iter().skip(1).zip(peers) {
                cases.push(beside(system.name(), figures));
            }
            match what {
                What::Throughput if *count > 0 => {
                    cases.push(beside("stalled/0", alone).aimed(THROUGHPUT_TARGET));
                }
                What::Latency if *count > 0 => {
                    cases.push(beside("stalled/0", alone).aimed(LATENCY_TARGET));
                }
                _ => {}
            }
        }
    }
    cases
}

/// Says what became of the stalled clients, on stderr: stdout is for figures.
fn tell(measured: &[(usize, [Figures; 3])]) {
    for (count, figures) in measured {
        for (system, figures) in SYSTEMS.iter().zip(figures) {
            let account = &figures.account;
            eprintln!(
                "socket: stalled/{count}: {}: of {} stalled clients {} were connected when measuring \
                 began and {} when it ended; {} of {} runs ended by the limit of {RUN_LIMIT:?}",
                system.name(),
                account.clients,
                account.connected_before,
                account.connected_after,
                account.cut,
                account.runs,
            );
        }
    }
}

fn turn(
    effort: Effort,
    system: System,
    stalled: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let is_wanted = |what: What| {
        // Any case may be quoted beside the one without stalled clients.
        STALLED.iter().any(|count| effort.wants(&what.case(*count)))
    };
    if is_wanted(What::Latency) {
        latency(effort, system, stalled, figures)?;
    }
    if What::ALL
        .iter()
        .any(|what| *what != What::Latency && is_wanted(*what))
    {
        throughput(effort, system, stalled, figures)?;
    }
    Ok(())
}

fn latency(
    effort: Effort,
    system: System,
    stalled: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let [core, _] = two_cores()?;
    let mut scene = Scene::open(system, stalled, Some(core))?;
    let plan = Plan {
        messages: (effort.of(LATENCY_MESSAGES) + LATENCY_SKIPPED) as u64,
        wanted: Wanted::Moments,
        pace: Some(LATENCY_PACE),
        ..scene.plan()
    };
    let ran = scene.measure(plan, &mut figures.account)?;
    let mut latencies = ran.paced_latencies_us(LATENCY_SKIPPED)?;
    for window in latencies.chunks_mut(LATENCY_WINDOW) {
        window.sort_by(f64::total_cmp);
        figures.latency.push(quantile(window, 0.99));
    }
    scene.close().context("after the latency run")
}

fn throughput(
    effort: Effort,
    system: System,
    stalled: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut scene = Scene::open(system, stalled, None)?;
    let plan = Plan {
        messages: effort.of(MESSAGES) as u64,
        ..scene.plan()
    };
    let ran = scene.measure(plan, &mut figures.account)?;
    figures.throughput.push(ran.rows_a_second());
    let memory = Memory::of(scene.broker.process()?)?;
    figures.memory.push(figure(memory.resident) / 1e6);
    figures.memory_peak.push(figure(memory.peak) / 1e6);
    scene.close().context("after the throughput run")
}

/// A broker with its stalled clients, whose buffers are full.
struct Scene {
    /// First, so that they are gone before the broker is.
    stalled: Stalled,
    broker: Broker,
    /// Holds what the broker has as files.
    _folder: TempDir,
    core: Option<Core>,
    /// What was published since they subscribed.
    sent: Vec<Sent>,
}

impl Scene {
    fn open(system: System, stalled: usize, core: Option<Core>) -> anyhow::Result<Self> {
        let folder = TempDir::new().context("a temporary folder")?;
        let broker = Broker::start(system, folder.path(), core)?;
        let mut scene = Self {
            stalled: Stalled::connect(&broker, stalled)?,
            broker,
            _folder: folder,
            core,
            sent: Vec::new(),
        };
        let fill = Plan {
            messages: FILL_MESSAGES,
            ..scene.plan()
        };
        scene.run(fill).context("filling what is held for them")?;
        Ok(scene)
    }

    /// One publisher to the one that reads, as fast as it goes.
    const fn plan(&self) -> Plan {
        Plan {
            publishers: 1,
            subscribers: 1,
            load: Load::Prebuilt,
            messages: 0,
            core: self.core,
            wanted: Wanted::Span,
            credits: CREDITS,
            pace: None,
            limit: Some(RUN_LIMIT),
        }
    }

    fn run(&mut self, plan: Plan) -> anyhow::Result<Ran> {
        self.sent.push(Sent {
            messages: plan.messages,
            period: messages_a_buffer::<Weir>(plan.write_bytes())?,
        });
        run(&self.broker, plan)
    }

    fn is_ours(&self) -> bool {
        self.broker.system == System::Weir
    }

    fn measure(&mut self, plan: Plan, account: &mut Account) -> anyhow::Result<Ran> {
        let dropped_before = self.dropped()?;
        let connected_before = self.stalled.connected()?;
        let ran = self.run(plan)?;
        let connected_after = self.stalled.connected()?;
        if self.is_ours() {
            let all = self.stalled.count();
            ensure!(
                connected_before == all && connected_after == all,
                "of {all} stalled clients {connected_before} were connected before the run, and \
                 {connected_after} after it"
            );
            ensure!(!ran.is_cut, "it took more than {RUN_LIMIT:?}");
            let dropped = self.dropped()?;
            let mut both = dropped_before.iter().zip(&dropped);
            ensure!(
                dropped.len() == all && both.all(|(before, after)| 0 < *before && before < after),
                "the broker dropped {dropped_before:?} messages for the {all} stalled clients before \
                 the run, and {dropped:?} after it"
            );
        }
        account.clients += self.stalled.count();
        account.connected_before += connected_before;
        account.connected_after += connected_after;
        account.runs += 1;
        account.cut += usize::from(ran.is_cut);
        Ok(ran)
    }

    /// What ours says that it dropped for each of the stalled: if that becomes more, their queues are full,
    /// and so is what the kernel holds for them.
    fn dropped(&self) -> anyhow::Result<Vec<u64>> {
        if !self.is_ours() || self.stalled.count() == 0 {
            return Ok(Vec::new());
        }
        let counts = status::of_stalled(&self.broker.address)?;
        Ok(counts.iter().map(|counts| counts.dropped).collect())
    }

    /// Has ours show that its counts are right for each of the stalled, and that it tells one of them what
    /// is missing, and where.
    fn close(mut self) -> anyhow::Result<()> {
        if !self.is_ours() || self.stalled.count() == 0 {
            return Ok(());
        }
        let published: u64 = self.sent.iter().map(|sent| sent.messages).sum();
        for counts in &status::of_stalled(&self.broker.address)? {
            ensure!(
                counts.matched == published && counts.queued > 0,
                "of {published} messages the broker counts {counts:?} for a stalled client"
            );
        }
        for unread in self.stalled.unread_bytes()? {
            ensure!(unread > 0, "the kernel holds nothing for a stalled client");
        }
        let mut line = self.stalled.take_one().context("no stalled client")?;
        let mut reckoning = Reckoning::of(std::mem::take(&mut self.sent));
        reckoning.read(&mut line)?;
        let after = status::of_stalled(&self.broker.address)?;
        ensure!(
            after.iter().any(|counts| counts.queued == 0
                && counts.dropped == reckoning.missed()
                && counts.delivered == reckoning.received()),
            "one that read again got {} messages and gaps of {}, and the broker counts {after:?}",
            reckoning.received(),
            reckoning.missed()
        );
        Ok(())
    }
}
