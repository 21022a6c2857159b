//! A source's whole look, and how it comes together from batches.
//!
//! No row is copied: a table is the very batches that go on to filters and the bus. The invariant: a table is one
//! snapshot from its first batch to its last, and knows how many rows were lost on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir_bus::{Batch, Timestamp};

/// All that one look of a source has shown.
#[derive(Debug)]
pub struct Table {
    /// The snapshot's number.
    pub id: u64,
    /// Its batches, in order; the last one's header says that it is.
    pub batches: Vec<Arc<Batch>>,
    /// Rows of them all.
    pub rows: u64,
    /// Bytes that they keep alive.
    pub bytes: u64,
    /// Rows of the look that found no room on their way here.
    pub rows_missing: u64,
    /// When the look began, as events say it.
    pub opened: Timestamp,
    /// When its first rows came, by the schedule's clock.
    pub taken: Duration,
    /// Somebody has read it.
    pub(super) is_read: AtomicBool,
}

impl Table {
    /// Notes that it is read; whether it was before.
    pub(super) fn note_read(&self) -> bool {
        self.is_read.swap(true, Ordering::Relaxed)
    }
}

/// What a snapshot came to.
#[derive(Debug)]
pub(super) enum Ended {
    /// It is whole, or says what it misses.
    Table(Table),
    /// It had so many bytes, more than may be kept.
    TooLarge(u64),
}

/// A snapshot that isn't complete.
#[derive(Debug)]
pub(super) struct Assembly {
    table: Table,
    is_too_large: bool,
}

impl Assembly {
    /// The one that this batch begins or goes on with, and the end if it ends it. `before`: the one under way.
    pub(super) fn take(
        before: Option<Self>,
        batch: &Batch,
        missed: u64,
        now: Duration,
        bytes_max: u64,
    ) -> (Option<Self>, Option<Ended>) {
        let Some(snapshot) = batch.header().snapshot else {
            return (before, None);
        };
        // One that never ended is no table: its source began anew.
        let mut assembly = before
            .filter(|before| before.table.id == snapshot.id)
            .unwrap_or_else(|| Self::begin(snapshot.id, batch.header().opened, now));
        assembly.add(batch, missed, bytes_max);
        if !snapshot.last {
            return (Some(assembly), None);
        }
        let ended = if assembly.is_too_large {
            Ended::TooLarge(assembly.table.bytes)
        } else {
            Ended::Table(assembly.table)
        };
        (None, Some(ended))
    }

    fn begin(id: u64, opened: Timestamp, now: Duration) -> Self {
        Self {
            table: Table {
                id,
                batches: Vec::new(),
                rows: 0,
                bytes: 0,
                rows_missing: 0,
                opened,
                taken: now,
                is_read: AtomicBool::new(false),
            },
            is_too_large: false,
        }
    }

    fn add(&mut self, batch: &Batch, missed: u64, bytes_max: u64) {
        let table = &mut self.table;
        table.rows += batch.rows() as u64;
        table.bytes = table.bytes.saturating_add(batch.bytes() as u64);
        table.rows_missing += missed;
        self.is_too_large |= table.bytes > bytes_max;
        if self.is_too_large {
            // Nobody will see it: it isn't kept until its end.
            table.batches = Vec::new();
        } else {
            table.batches.push(Arc::new(batch.clone()));
        }
    }
}
