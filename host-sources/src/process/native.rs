//! Looks on Linux: a tier, and the table that its sightings go to.
//!
//! The invariant: a tier that fails while it is used gives way to the next one below, and that is logged
//! with its reason.

use std::sync::Arc;

use weir_bus::Batch;
use weir_bus::event::ProcessEvent;

use super::details::ReaderOptions;
use super::proc_root::ProcRoot;
use super::row::Filled;
use super::table::{Looks, Table};
use super::tier::{Tier, TierError, TierName};
use crate::source::SourceError;
use crate::tiers::{Known, of_alternatives};

/// How a source looks.
#[derive(Clone, Default)]
pub(super) struct Options {
    pub(super) root: ProcRoot,
    pub(super) table: Table,
    /// No other tier.
    pub(super) only: Option<TierName>,
    /// What is known of the tiers.
    pub(super) tiers: Arc<Known>,
}

/// The looks of one run.
pub(super) struct Look {
    source: String,
    root: ProcRoot,
    tier: Tier,
    only: Option<TierName>,
    /// Tiers that can't be had, or failed.
    refused: Vec<(TierName, String)>,
    known: Arc<Known>,
    looks: Looks,
    over_limit: usize,
}

impl Look {
    /// `reading`: for the reader of details.
    pub(super) fn new(
        source: &str,
        options: &Options,
        reading: ReaderOptions,
    ) -> Result<Self, SourceError> {
        let mut refused = Vec::new();
        let tier = match options.only {
            Some(name) => Tier::open(name, &options.root),
            None => Tier::best(&options.root, |name, error| {
                tracing::info!(source = %source, tier = name.as_str(), reason = %error, "processes aren't looked at this way");
                refused.push((name, error.to_string()));
            }),
        };
        let look = Self {
            source: source.to_owned(),
            root: options.root.clone(),
            tier: tier.map_err(|error| SourceError::Failed(error.to_string()))?,
            only: options.only,
            refused,
            known: Arc::clone(&options.tiers),
            looks: Looks::new(options.table.clone(), &options.root, reading)?,
            over_limit: 0,
        };
        look.tell_tiers();
        Ok(look)
    }

    /// Says by which tier it looks, and why by no better one.
    fn tell_tiers(&self) {
        let names = TierName::ALL.into_iter();
        let names = names.filter(|name| self.only.is_none_or(|only| only == *name));
        self.known.set(of_alternatives(names.map(|name| {
            let mut refused = self.refused.iter();
            let refused = refused.find(|(refused, _)| *refused == name);
            let tried = refused.map_or(Ok(()), |(_, why)| Err(why.clone()));
            (name.as_str(), tried)
        })));
    }

    /// Looks at all processes.
    pub(super) fn take(&mut self) -> Result<(), SourceError> {
        self.over_limit = loop {
            match self.tier.look() {
                Ok(over) => break over,
                Err(error) => self.fall_back(&error)?,
            }
        };
        if self.tier.seen().is_empty() {
            return Err(SourceError::Failed(
                "the system shows no process at all, not even this one".to_owned(),
            ));
        }
        self.looks.take(self.tier.seen(), self.tier.turns());
        Ok(())
    }

    /// Takes the next tier that can be had.
    fn fall_back(&mut self, error: &TierError) -> Result<(), SourceError> {
        let name = self.tier.name();
        let below = TierName::ALL.into_iter().skip_while(|tier| *tier != name);
        self.refused.push((name, error.to_string()));
        for next in below.skip(1).filter(|_| self.only.is_none()) {
            match Tier::open(next, &self.root) {
                Ok(tier) => {
                    tracing::warn!(source = %self.source, tier = name.as_str(), next = next.as_str(), %error, "a way to look at processes failed: they are looked at by the next");
                    self.tier = tier;
                    self.tell_tiers();
                    return Ok(());
                }
                Err(error) => self.refused.push((next, error.to_string())),
            }
        }
        Err(SourceError::Failed(format!("{}: {error}", name.as_str())))
    }

    /// Rows of the last look.
    pub(super) fn rows(&self) -> usize {
        self.looks.rows()
    }

    /// Fills rows from the row `from` on, but for their timestamps: rows that stand, or new ones.
    pub(super) fn fill(&mut self, from: usize, rows: &mut [ProcessEvent]) -> Filled {
        self.looks.fill(from, rows)
    }

    /// The look is told, in these batches.
    pub(super) fn end_look(&mut self, batches: Vec<Batch>) {
        self.looks.end_look(batches);
    }

    /// Processes that the last look found, and that aren't followed.
    pub(super) const fn over_limit(&self) -> usize {
        self.over_limit.saturating_add(self.looks.over_limit())
    }
}
