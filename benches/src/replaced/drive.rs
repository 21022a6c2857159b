//! A measurement: one source, one bus, a thread for each subscriber.

use anyhow::{Context as _, ensure};
use rustix::time::ClockId;
use weir_bus::Timestamp;
use weir_bus::event::ProcessEvent;

use super::tally::{CREDIT_EVENTS, Credits, Tally};
use super::{Errand, Made, Outcome};
use crate::cost::{Cost, Meter};
use crate::measure::{cpu_time, figure, now_ns, quantile};
use crate::pace::Pacer;
use crate::rows::{self, LEAVES};

/// Events that are made at a time where they are ready before: as many as caches hold some of.
const ROUND_EVENTS: u64 = 4_096;
/// The part of a subscriber's latencies that isn't counted: caches and threads are cold.
const SKIPPED_PART: usize = 10;

/// A bus as one source and its subscribers use it.
pub(super) trait Bus: Sized {
    /// What it carries.
    type Item;
    /// What a subscriber receives from.
    type Inbox: Send;

    /// Opens it, with the subscribers that the errand says: each wants the topic of one leaf, in turn.
    fn open(errand: &Errand) -> anyhow::Result<(Self, Vec<Self::Inbox>)>;

    /// Makes of a row of that leaf what is to be published now: nothing, if more rows are waited for.
    fn make(&mut self, row: &ProcessEvent, leaf: usize) -> anyhow::Result<Option<Self::Item>>;

    /// Publishes it.
    fn publish(&mut self, item: Self::Item) -> anyhow::Result<()>;

    /// Receives until the bus is closed.
    fn receive(inbox: Self::Inbox, tally: &mut Tally) -> anyhow::Result<()>;

    /// Nothing more is published.
    fn close(&mut self);

    /// When all have received: events that were dropped.
    fn dropped(self) -> anyhow::Result<u64>;
}

/// The rows of the source: those of the topics mixed one by one.
struct Source {
    row: ProcessEvent,
    number: u64,
    /// What was read of them, as subscribers will, by topic.
    digests: [u64; LEAVES.len()],
}

impl Source {
    fn new() -> Self {
        Self {
            row: rows::blank(),
            number: 0,
            digests: [0; LEAVES.len()],
        }
    }

    /// The next row, observed then, and its leaf.
    fn next(&mut self, observed: Timestamp) -> anyhow::Result<(&ProcessEvent, usize)> {
        let leaf = usize::try_from(self.number)? % LEAVES.len();
        rows::fill(&mut self.row, self.number, false, false);
        self.row.timestamp = observed;
        self.row.lifecycle.clear();
        self.row.lifecycle.push_str(LEAVES[leaf]);
        self.digests[leaf] = self.digests[leaf].wrapping_add(rows::digest(&self.row));
        self.number += 1;
        Ok((&self.row, leaf))
    }
}

/// Time and CPU time between two moments.
#[derive(Clone, Copy, Default)]
struct Spent {
    time_ns: u64,
    cpu_ns: u64,
}

impl Spent {
    fn now() -> anyhow::Result<Self> {
        Ok(Self {
            time_ns: now_ns(),
            cpu_ns: u64::try_from(cpu_time(ClockId::ProcessCPUTime).as_nanos())?,
        })
    }

    fn add(&mut self, from: Self, to: Self) {
        self.time_ns += to.time_ns.saturating_sub(from.time_ns);
        self.cpu_ns += to.cpu_ns.saturating_sub(from.cpu_ns);
    }
}

/// Does the errand with that bus, in this process, which does nothing else.
pub(super) fn drive<B: Bus>(errand: &Errand) -> anyhow::Result<Outcome> {
    let meter = Meter::own()?;
    let (mut bus, inboxes) = B::open(errand)?;
    let (mut credits, tallies) = Credits::open(errand.subscribers, errand.pace.is_some());
    let mut source = Source::new();
    let (spent, tallies) = std::thread::scope(|scope| {
        let receivers: Vec<_> = inboxes
            .into_iter()
            .zip(tallies)
            .map(|(inbox, mut tally)| {
                scope.spawn(move || B::receive(inbox, &mut tally).map(|()| tally.end()))
            })
            .collect();
        let from = Spent::now()?;
        let sent = match errand.made {
            Made::Within => send(errand, &mut bus, &mut source, &mut credits).map(|()| None),
            Made::Before => send_ready(errand, &mut bus, &mut source, &mut credits).map(Some),
        };
        bus.close();
        let tallies = receivers.into_iter().map(|receiver| {
            let tally = receiver.join();
            tally.map_err(|_| anyhow::anyhow!("a receiver panicked"))?
        });
        let tallies = tallies.collect::<anyhow::Result<Vec<Tally>>>()?;
        let mut all = Spent::default();
        all.add(from, Spent::now()?);
        anyhow::Ok((sent?.unwrap_or(all), tallies))
    })?;
    check(errand, &source, &tallies, bus.dropped()?)?;
    let cost = Cost {
        cpu_ns: spent.cpu_ns,
        ..meter.read()?
    };
    Ok(Outcome {
        events: tallies.iter().map(|tally| tally.events).sum(),
        digest: tallies
            .iter()
            .fold(0, |digest, tally| digest.wrapping_add(tally.digest)),
        time_ns: spent.time_ns,
        cost,
        memory_of_broker: None,
        latencies_us: errand.pace.map(|_| latencies_us(&tallies)),
    })
}

/// Makes and publishes, row by row.
fn send<B: Bus>(
    errand: &Errand,
    bus: &mut B,
    source: &mut Source,
    credits: &mut Credits,
) -> anyhow::Result<()> {
    let mut pacing = errand.pace.map(|pace| (pace, Pacer::start(pace.interval)));
    let mut observed = Timestamp(0);
    while source.number < errand.events {
        if source.number.is_multiple_of(CREDIT_EVENTS) {
            credits.take()?;
        }
        if let Some((pace, pacer)) = &mut pacing
            && source.number.is_multiple_of(pace.messages)
        {
            observed = Timestamp(i64::try_from(pacer.turn())?);
        }
        let (row, leaf) = source.next(observed)?;
        if let Some(item) = bus.make(row, leaf)? {
            bus.publish(item)?;
        }
    }
    Ok(())
}

/// Makes a round of events, and only then publishes them; what the latter took, until all of the round
/// were received.
fn send_ready<B: Bus>(
    errand: &Errand,
    bus: &mut B,
    source: &mut Source,
    credits: &mut Credits,
) -> anyhow::Result<Spent> {
    ensure!(
        errand.rows_a_batch == 1,
        "only single events are made ahead"
    );
    let mut spent = Spent::default();
    while source.number < errand.events {
        let events = ROUND_EVENTS.min(errand.events - source.number);
        let mut items = Vec::with_capacity(usize::try_from(events)?);
        for _ in 0..events {
            let (row, leaf) = source.next(Timestamp(0))?;
            items.extend(bus.make(row, leaf)?);
        }
        let from = Spent::now()?;
        for (number, item) in (0_u64..).zip(items) {
            if number.is_multiple_of(CREDIT_EVENTS) {
                credits.take()?;
            }
            bus.publish(item)?;
        }
        credits.settle()?;
        spent.add(from, Spent::now()?);
    }
    Ok(spent)
}

/// Every subscriber got what its topic had, and read what was built.
fn check(errand: &Errand, source: &Source, tallies: &[Tally], dropped: u64) -> anyhow::Result<()> {
    ensure!(dropped == 0, "{dropped} events were dropped");
    let expected = errand.events / LEAVES.len() as u64;
    for (number, tally) in tallies.iter().enumerate() {
        let digest = source.digests.get(number % LEAVES.len());
        let digest = digest.context("no topic")?;
        ensure!(
            tally.events == expected && tally.digest == *digest,
            "subscriber {number} got {} events with {}, and {expected} with {digest} were published for it",
            tally.events,
            tally.digest
        );
    }
    Ok(())
}

fn latencies_us(tallies: &[Tally]) -> [f64; 2] {
    let all = tallies.iter().flat_map(|tally| {
        let skipped = tally.latencies_ns.len() / SKIPPED_PART;
        tally.latencies_ns.iter().skip(skipped)
    });
    let mut all: Vec<f64> = all.map(|time| figure(*time) / 1e3).collect();
    all.sort_by(f64::total_cmp);
    [quantile(&all, 0.5), quantile(&all, 0.99)]
}
