//! What a subscriber does with what it gets, and how far a publisher may be ahead: the same on both sides.

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, bounded};
use weir_bus::Batch;
use weir_bus::event::{ProcessColumns, ProcessEvent};

use crate::measure::now_ns;
use crate::rows::{self, LEAVES};

/// Events that a publisher may be ahead of every subscriber: no queue holds less, so that nothing has a
/// reason to be dropped.
pub(super) const AHEAD_EVENTS: usize = 1_024;
/// What a credit is worth, of what is published.
pub(super) const CREDIT_EVENTS: u64 = 256;
/// The same of what a subscriber gets of it.
const CREDIT_DELIVERIES: u64 = CREDIT_EVENTS / LEAVES.len() as u64;
const CREDITS: usize = AHEAD_EVENTS / 256;

/// A subscriber's account.
pub(super) struct Tally {
    credits: Sender<()>,
    returned: u64,
    is_paced: bool,
    pub(super) events: u64,
    pub(super) digest: u64,
    pub(super) latencies_ns: Vec<u64>,
    /// When the last one came.
    pub(super) ended_ns: u64,
}

impl Tally {
    /// Takes an event that is a value of its own.
    #[inline]
    pub(super) fn event(&mut self, row: &ProcessEvent) -> anyhow::Result<()> {
        self.time(row.timestamp.0)?;
        self.digest = self.digest.wrapping_add(rows::digest(row));
        self.took(1)
    }

    /// Takes all rows of a batch.
    #[inline]
    pub(super) fn batch(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let columns = ProcessColumns::of(batch).context("a batch of another kind")?;
        let first = columns.row(0).context("a batch without rows")?;
        // All rows of a batch were observed at once, and all batches are of one size.
        self.time(first.timestamp().0)?;
        self.digest = self.digest.wrapping_add(rows::digest_of(&columns));
        self.took(batch.rows() as u64)
    }

    fn time(&mut self, observed_ns: i64) -> anyhow::Result<()> {
        if self.is_paced {
            let took = now_ns().saturating_sub(u64::try_from(observed_ns)?);
            self.latencies_ns.push(took);
        }
        Ok(())
    }

    fn took(&mut self, events: u64) -> anyhow::Result<()> {
        self.events += events;
        while self.returned + CREDIT_DELIVERIES <= self.events {
            self.returned += CREDIT_DELIVERIES;
            self.credits.send(()).context("no publisher")?;
        }
        Ok(())
    }

    /// There is nothing more.
    pub(super) fn end(mut self) -> Self {
        self.ended_ns = now_ns();
        self
    }
}

/// What a publisher may send: a credit of every subscriber for so many events.
pub(super) struct Credits {
    pipes: Vec<Receiver<()>>,
    /// Credits of each that were collected ahead.
    held: usize,
}

impl Credits {
    /// Full credit for so many subscribers, and their accounts.
    pub(super) fn open(subscribers: usize, is_paced: bool) -> (Self, Vec<Tally>) {
        let (senders, pipes): (Vec<_>, Vec<_>) = (0..subscribers).map(|_| bounded(CREDITS)).unzip();
        let tallies = senders.into_iter().map(|credits| Tally {
            credits,
            returned: 0,
            is_paced,
            events: 0,
            digest: 0,
            latencies_ns: Vec::new(),
            ended_ns: 0,
        });
        let credits = Self {
            pipes,
            held: CREDITS,
        };
        (credits, tallies.collect())
    }

    /// Waits until every subscriber has room for one more credit's worth.
    pub(super) fn take(&mut self) -> anyhow::Result<()> {
        if let Some(held) = self.held.checked_sub(1) {
            self.held = held;
            return Ok(());
        }
        self.collect()
    }

    /// Waits until every subscriber has all that was sent.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        while self.held < CREDITS {
            self.collect()?;
            self.held += 1;
        }
        Ok(())
    }

    fn collect(&self) -> anyhow::Result<()> {
        for pipe in &self.pipes {
            pipe.recv().context("a subscriber has gone")?;
        }
        Ok(())
    }
}
